"""Limits in conflict, and what pays without end, in the words of the plan file."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import Budget, PlanSpec, quarter_name
from tieline.model.units import BYTES_PER_GBIT, SECONDS_PER_MS, WATTS_PER_MW
from tieline.planning.buying import outlay_when_ordered
from tieline.planning.inputs import Inputs
from tieline.planning.relaxation import Kind, Rule, bans

#: Most names of one kind that a line holds.
_MOST: Final = 3
#: Digits of what is needed, rounded up.
_DIGITS: Final = 3
#: From here on numbers have two decimals.
_LARGE: Final = 100


@dataclass(frozen=True)
class Conflict:
    """Rules that cannot all be kept, none of which can be spared."""

    rules: tuple[Rule, ...]
    needed: tuple[float | None, ...]
    """By how much each alone must be eased [accelerators, USD, W, bytes/s]."""
    until_end: bool
    """Whether that is enough to the end of the plan, or to where the conflict shows first."""
    nodes: tuple[int, ...] | None
    """Where it shows first; None: only over several futures."""
    short: Mapping[int, NDArray[np.bool_]]
    """The regions where a demand is short, axis R, by demand."""


def in_words(inputs: Inputs, conflicts: Sequence[Conflict]) -> str:
    """Give for each conflict a line that says when it shows, and one line per limit."""
    lines = []
    for i, one in enumerate(conflicts):
        begin = "no plan keeps all of these" if i == 0 else "nor all of these"
        if len(one.rules) == 1:
            begin = "no plan keeps this" if i == 0 else "nor this"
        lines.append(f"{begin}{_when(inputs, one)}:")
        lines.extend(
            f"  {_line(inputs, one, rule, needed)}"
            for rule, needed in zip(one.rules, one.needed, strict=True)
        )
        if inputs.spec.whole_lots:
            lines.append("  orders are whole lots (whole_lots)")
    return "\n".join(lines)


def pays_without_end(inputs: Inputs, orders: Iterable[tuple[int, int]]) -> str:
    """Give a line for each accelerator and the node in which an order of it pays."""
    spec, tree = inputs.spec, inputs.tree
    falling = f", discount {spec.discount:g}" if spec.discount < 0 else ""
    lines = []
    for c, node in orders:
        offer = spec.chips[c].offer
        if offer is None:
            continue
        there = inputs.source[c] == node
        worth = inputs.price[c, node] * inputs.left[c]
        back = np.where(inputs.refunded, outlay_when_ordered(inputs), worth)[c]
        share = tree.probability[there] / tree.probability[node]
        lines.append(
            f"ordering {offer.accelerator} pays without end: in {_quarter(inputs, node)} it costs"
            f" {_number(inputs.outlay[c, node])} USD and is worth"
            f" {_number(float(back[there] @ share))} USD when the plan ends"
            f" (residual {offer.residual:g}{falling}), and no supply, budget, cap, power or space"
            " limits it"
        )
    return "\n".join(lines)


def _when(inputs: Inputs, one: Conflict) -> str:
    """Say in which quarter and futures a conflict shows first."""
    if one.nodes is None:
        return ", as futures share what is decided before them"
    tree = inputs.tree
    quarter = tree.quarter[one.nodes[0]]
    names = [tree.names[node].partition(" ")[2] for node in one.nodes]
    every = len(names) == np.count_nonzero(tree.quarter == quarter)
    futures = "" if every else f" ({_some(names)})"
    return f", first in {_quarter(inputs, one.nodes[0])}{futures}"


def _line(inputs: Inputs, one: Conflict, rule: Rule, needed: float | None) -> str:
    if rule.kind == "demand":
        text = _demand(inputs, rule.row, one.short[rule.row])
        if all(other.kind == "demand" for other in one.rules):
            text += ", and nothing on offer can serve more of it"
    else:
        text = _TEXTS[rule.kind](inputs, rule.row)
    if needed is None or rule.kind not in _MORE:
        return text
    size, more = _MORE[rule.kind]
    until = "" if one.until_end else " until then"
    return f"{text}; {more.format(_number(_up(needed / size)))} would do{until}"


def _demand(inputs: Inputs, w: int, short: NDArray[np.bool_]) -> str:
    demand = inputs.spec.demand[w]
    regions = [
        one.region.id for one, named in zip(inputs.spec.regions, short, strict=True) if named
    ]
    return f"demand {demand.id} must be served in {_some(regions)} (it has no unmet_per_hour)"


def _power(inputs: Inputs, r: int) -> str:
    name = inputs.spec.regions[r].region.id
    return f"power of region {name} is {_number(inputs.power_limit[r] / WATTS_PER_MW)} MW"


def _space(inputs: Inputs, r: int) -> str:
    name = inputs.spec.regions[r].region.id
    return f"space of region {name} is {_number(inputs.space[r])} accelerators"


def _supply(inputs: Inputs, c: int) -> str:
    return f"supply of {_chip(inputs.spec, c)} is {_range(inputs.supply[c])} a quarter"


def _budget(inputs: Inputs, k: int) -> str:
    spec = inputs.spec
    if k == len(spec.buyers):
        return f"the budget is {_money(spec.budget)}"
    return f"budget of tenant {spec.buyers[k].id} is {_money(spec.buyers[k].budget)}"


def _money(budget: Budget) -> str:
    parts = [
        f"{_number(usd)} USD {name}"
        for usd, name in ((budget.per_quarter_usd, "a quarter"), (budget.total_usd, "in total"))
        if np.isfinite(usd)
    ]
    return " and ".join(parts)


def _cap(inputs: Inputs, q: int) -> str:
    cap = inputs.spec.caps[q]
    each = " for each member" if cap.each else ""
    return f"cap {cap.id} is {_range(inputs.cap[q])} accelerators{each}"


def _ratio(inputs: Inputs, _: int) -> str:
    rule = inputs.spec.import_ratio
    base = f", base {_number(rule.base)}" if rule is not None and rule.base else ""
    return f"import_ratio is {_range(inputs.ratio)}{base}"


def _link(inputs: Inputs, i: int) -> str:
    link = inputs.spec.links[i]
    bandwidth = _number(link.bandwidth_bytes_s / BYTES_PER_GBIT)
    return f"link between {link.ends[0]} and {link.ends[1]} carries {bandwidth} Gbit/s"


def _trust(inputs: Inputs, w: int) -> str:
    sensitivity = inputs.spec.demand[w].sensitivity
    trusted = sorted(inputs.spec.trust.get(sensitivity, ()))
    return f"only {_all(trusted) or 'nothing'} may serve {sensitivity} work (trust)"


def _max_rtt(inputs: Inputs, w: int) -> str:
    demand = inputs.spec.demand[w]
    return f"max_rtt_ms of demand {demand.id} is {_number(demand.max_rtt_s / SECONDS_PER_MS)}"


def _buys(inputs: Inputs, k: int) -> str:
    buyer = inputs.spec.buyers[k]
    return f"tenant {buyer.id} buys only {_all(sorted(buyer.buys))}"


def _regions(inputs: Inputs, k: int) -> str:
    buyer = inputs.spec.buyers[k]
    return f"tenant {buyer.id} buys only for {_all(sorted(buyer.regions))}"


def _lead(inputs: Inputs, c: int) -> str:
    return f"lead_quarters of {_chip(inputs.spec, c)} is {inputs.lead[c]}"


def _ban(inputs: Inputs, i: int) -> str:
    answers = [(branch, one) for branch in inputs.spec.branches for one in branch.outcomes]
    branch, outcome = answers[i]
    nodes = np.flatnonzero(bans(inputs)[i].any(axis=0))
    return (
        f"outcome {outcome.id} of branch {branch.id} bans {_all(sorted(outcome.ban))} from"
        f" {_quarter(inputs, int(nodes[0]))} on"
    )


def _apart(_inputs: Inputs, _: int) -> str:
    return "every region serves itself"


def _variant(_inputs: Inputs, _: int) -> str:
    return "not everything on offer may be ordered in this variant of the plan"


_TEXTS: Final[Mapping[Kind, Callable[[Inputs, int], str]]] = {
    "power": _power,
    "space": _space,
    "supply": _supply,
    "budget": _budget,
    "cap": _cap,
    "ratio": _ratio,
    "link": _link,
    "trust": _trust,
    "max_rtt": _max_rtt,
    "buys": _buys,
    "regions": _regions,
    "lead": _lead,
    "ban": _ban,
    "apart": _apart,
    "variant": _variant,
}
#: The unit of each amount, and how it is told.
_MORE: Final[Mapping[Kind, tuple[float, str]]] = {
    "demand": (1.0, "{} accelerators less"),
    "power": (WATTS_PER_MW, "{} MW more"),
    "space": (1.0, "{} more"),
    "supply": (1.0, "{} more a quarter"),
    "budget": (1.0, "{} USD more"),
    "cap": (1.0, "{} more"),
    "ratio": (1.0, "a base higher by {}"),
    "link": (BYTES_PER_GBIT, "{} Gbit/s more"),
}


def _chip(spec: PlanSpec, c: int) -> str:
    return spec.chips[c].accelerator.id


def _quarter(inputs: Inputs, node: int) -> str:
    return quarter_name(inputs.spec.first + int(inputs.tree.quarter[node]))


def _some(names: Sequence[str]) -> str:
    """Give the first names, and how many there are besides."""
    if len(names) <= _MOST + 1:
        return _all(names)
    return f"{', '.join(names[:_MOST])} and {len(names) - _MOST} more"


def _all(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _range(values: NDArray[np.float64]) -> str:
    low, high = (_number(float(one)) for one in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    """Give a number in full: cents of a price, watts of a MW."""
    decimals = 2 if value >= _LARGE else 6
    return f"{value:,.{decimals}f}".rstrip("0").rstrip(".")


def _up(value: float) -> float:
    """Round up, so that what is told is enough."""
    if value <= 0:
        return 0.0
    digits = _DIGITS - 1 - floor(log10(value))
    return ceil(value * 10.0**digits * (1.0 - 1e-9)) / 10.0**digits
