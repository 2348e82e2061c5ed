"""The verdict on each accelerator in a sentence: buy, wait for what, or do not buy."""

from collections.abc import Sequence
from typing import Final

from tieline.model.plan import quarter_name
from tieline.planning.plan import Result
from tieline.planning.tree import Tree
from tieline.planning.verdict import Trigger, Verdict
from tieline.reports.memo.numbers import count, percent, usd

#: Fewer than half an accelerator is none.
NONE: Final = 0.5
#: Regions, tenants and quarters that a sentence names.
_NAMED: Final = 2
#: A price this near to where an order would pay is as good as there.
_CLOSE: Final = 5e-3
#: Probabilities that sum to this are all of them.
_ALL: Final = 1.0 - 1e-9


def verdict_lines(result: Result, verdicts: Sequence[Verdict]) -> list[str]:
    """Give a sentence per accelerator, in the order of the file: bought now first, never last."""
    order = ("buy", "wait", "do not buy")
    ranked = sorted(verdicts, key=lambda one: order.index(one.action))
    lines = [_verdict(result, one) for one in ranked]
    return lines or [
        "Nothing is on offer: the plan is what the accelerators that are there serve."
    ]


def _verdict(result: Result, one: Verdict) -> str:
    if one.action == "buy":
        return f"Buy {count(one.now)} {one.accelerator} now{_where(one)}{_more(result, one)}."
    if one.action == "wait":
        return f"Wait with {one.accelerator}: {_triggers(result, one.triggers)}.{_turn(one)}"
    return f"Do not buy {one.accelerator}: {_never(one)}."


def _where(one: Verdict) -> str:
    parts = [_listed(one.by_region, "elsewhere")]
    if len(one.by_tenant) > 1:
        parts.append(f"for {_listed(one.by_tenant, 'others')}")
    return f" ({'; '.join(filter(None, parts))})" if any(parts) else ""


def _listed(counts: dict[str, float], rest_is: str) -> str:
    """Give the largest counts with their names; a name alone where all is there."""
    if len(counts) == 1:
        return f"all in {next(iter(counts))}"
    largest = sorted(counts.items(), key=lambda pair: -pair[1])
    named = [f"{name} {count(many)}" for name, many in largest[:_NAMED]]
    rest = sum(many for _, many in largest[_NAMED:])
    return ", ".join([*named, f"{rest_is} {count(rest)}"] if rest >= NONE else named)


def _more(result: Result, one: Verdict) -> str:
    """Say how many more are bought later, mean over the futures."""
    later = one.total - one.now
    if later < NONE:
        return ", no more later"
    spec = result.inputs.spec
    return f", {count(later)} more by {quarter_name(spec.first + spec.quarters - 1)}"


def _turn(one: Verdict) -> str:
    """Say below which price it would be bought at once, where that is worth saying."""
    if one.break_even_usd is None or one.break_even_usd >= one.price_usd * (1 - _CLOSE):
        return ""
    return f" Now it pays only below {usd(one.break_even_usd)} (price {usd(one.price_usd)})."


def _never(one: Verdict) -> str:
    price = f"(price {usd(one.price_usd)})"
    if one.break_even_usd is None:
        return "it cannot be ordered now, and later it does not pay"
    if one.break_even_usd <= 0:
        return f"it would not pay as a gift {price}"
    if one.break_even_usd >= one.price_usd * (1 - _CLOSE):
        return f"at its price of {usd(one.price_usd)} it makes no difference"
    return f"it pays below {usd(one.break_even_usd)} {price}"


def _triggers(result: Result, triggers: Sequence[Trigger]) -> str:
    """Say when the first orders come, in order of time, and in which futures."""
    tree = result.inputs.tree
    groups: dict[int, list[tuple[int, Trigger]]] = {}
    for one in triggers:
        node = tree.names.index(one.node)
        groups.setdefault(int(tree.quarter[node]), []).append((node, one))
    parts = []
    for quarter, found in sorted(groups.items())[:_NAMED]:
        when = quarter_name(result.inputs.spec.first + quarter)
        counts = [one.count for _, one in found]
        low, high = count(min(counts)), count(max(counts))
        many = low if low == high else f"{low} to {high}"
        parts.append(f"{many} in {when} {_condition(tree, [node for node, _ in found])}")
    more = "" if len(groups) <= _NAMED else ", or later"
    return f"buy {', or '.join(parts)}{more}"


def _condition(tree: Tree, nodes: Sequence[int]) -> str:
    """Say in which futures one is in any of some nodes of a quarter."""
    chance = float(tree.probability[list(nodes)].sum())
    if chance >= _ALL:
        return "whatever happens"
    answers = [_answers(tree, node) for node in range(len(tree))]
    shared = set.intersection(*(answers[node] for node in nodes))
    quarter = tree.quarter[nodes[0]]
    alike = [n for n in range(len(tree)) if tree.quarter[n] == quarter and answers[n] >= shared]
    if shared and set(alike) == set(nodes):
        named = [step for step in _in_order(tree, nodes[0]) if step in shared]
        return f"if {' and '.join(named)} ({percent(chance)} likely)"
    return f"in {len(nodes)} of the ways that things may go ({percent(chance)} likely)"


def _answers(tree: Tree, node: int) -> set[str]:
    return set(_in_order(tree, node))


def _in_order(tree: Tree, node: int) -> list[str]:
    """Give the answers known in a node, such as `re-ban: stays`, the first first."""
    steps: list[str] = []
    while node >= 0:
        steps[:0] = [f"{branch.id}: {outcome.id}" for branch, outcome in tree.news[node]]
        node = int(tree.parent[node])
    return steps
