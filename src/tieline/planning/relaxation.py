"""What each rule of a plan holds: rows with an amount, or columns that it keeps at 0.

A `Rule` is a limit as a user sees it in the file. So that columns can be let go which a plan does
not have, they are those of a freed plan: every tenant may buy everything, every accelerator may
serve everything, and each that has to be waited for stands there twice, the second time without
waiting. What a rule forbids is then held at 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import OPEN
from tieline.planning.inputs import Inputs, inputs_of
from tieline.planning.outcomes import matching
from tieline.planning.program import LinearProgram, Program
from tieline.planning.tree import Tree

_Flags = NDArray[np.bool_]
_Floats = NDArray[np.float64]
_Columns = NDArray[np.int32]
_Chips = NDArray[np.int64]

#: In this order rules are left out of a conflict, where it is one without them.
Kind = Literal[
    "variant",
    "apart",
    "lead",
    "max_rtt",
    "buys",
    "regions",
    "trust",
    "ban",
    "link",
    "space",
    "power",
    "cap",
    "ratio",
    "supply",
    "budget",
    "demand",
]

#: The axis of accelerators in each field of `Inputs` that has one.
_AXIS: Final = {"orderable": 1, "allowed": 1, "rate": 1, "counted": 1} | dict.fromkeys(
    (
        "price",
        "duty",
        "outlay",
        "supply",
        "lead",
        "life",
        "source",
        "refunded",
        "left",
        "existing",
        "retiring",
        "kept",
        "power",
        "idle",
        "imported",
    ),
    0,
)
#: The fields of `Inputs` whose last axis is that of nodes.
_PER_NODE: Final = (
    "allowed",
    "price",
    "duty",
    "outlay",
    "supply",
    "refunded",
    "left",
    "retiring",
    "kept",
    "amount",
    "cap",
    "cap_begins",
    "ratio",
    "ratio_begins",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit as a user sees it."""

    kind: Kind
    row: int = 0
    """Which of its kind, in the order of the file; of bans, in the order of their outcomes."""


@dataclass(frozen=True)
class Part:
    """Rows of a rule, all of which are upper limits."""

    rows: _Columns
    """Axis N last; -1 where there is none."""
    each: float = 1.0
    """How much the limit of a row grows when the rule is eased by 1."""


def awaited(inputs: Inputs) -> _Chips:
    """Give the accelerators that come some quarters after their order."""
    offered = np.array([chip.offer is not None for chip in inputs.spec.chips])
    return np.flatnonzero(offered & (inputs.lead > 0))


def freed(inputs: Inputs) -> Inputs:
    """Give the plan in which nothing is forbidden that `held` forbids.

    Axis C begins with the accelerators of the plan; those that are awaited follow once more.
    """
    spec, late = inputs.spec, awaited(inputs)
    order = np.append(np.arange(len(spec.chips)), late)
    chips = tuple(spec.chips[c] for c in order)
    taken: dict[str, Any] = {
        name: np.take(getattr(inputs, name), order, axis) for name, axis in _AXIS.items()
    }
    twice = replace(inputs, spec=replace(spec, chips=chips), **taken)
    second = np.arange(len(order)) >= len(spec.chips)
    there = np.arange(len(inputs.tree))
    lead = np.where(second, 0, twice.lead)
    anything = [replace(one, sensitivity=OPEN, max_rtt_s=np.inf) for one in spec.demand]
    trusting = inputs_of(replace(spec, demand=tuple(anything)))
    offered = np.array([chip.offer is not None for chip in chips])
    in_time = lead[:, None] + inputs.tree.quarter < spec.quarters
    return replace(
        twice,
        orderable=np.broadcast_to(offered[:, None], twice.orderable.shape).copy(),
        allowed=np.broadcast_to(in_time, twice.allowed.shape).copy(),
        supply=np.where(second[:, None], np.inf, twice.supply),
        lead=lead,
        source=np.where(second[:, None], there, twice.source),
        refunded=twice.refunded & ~second[:, None],
        existing=np.where(second[:, None], 0.0, twice.existing),
        retiring=np.where(second[:, None, None], 0.0, twice.retiring),
        rate=trusting.rate[:, order],
        usable=trusting.usable,
        unmet_usd=np.nan_to_num(inputs.unmet_usd),
        joined=True,
    )


def up_to(inputs: Inputs, node: int) -> Inputs:
    """Give the plan that ends with a node: no other future, and nothing after it."""
    tree = inputs.tree
    path = [node]
    while (before := int(tree.parent[path[0]])) >= 0:
        path.insert(0, before)
    quarters = np.arange(len(path))
    source = inputs.source[:, path]
    taken: dict[str, Any] = {name: getattr(inputs, name)[..., path] for name in _PER_NODE}
    return replace(
        inputs,
        tree=Tree(
            quarter=quarters,
            parent=quarters - 1,
            probability=np.ones(len(path)),
            news=tuple(tree.news[one] for one in path),
            path=quarters[None],
            names=tuple(tree.names[one] for one in path),
        ),
        source=np.where(source >= 0, tree.quarter[np.maximum(source, 0)], -1),
        **taken,
    )


def share_supply(program: Program, inputs: Inputs) -> None:
    """Let those that stand there twice have one supply.

    sum_k,r (buy[k,c,r,n] + buy[k,c again,r,n]) <= supply[c,n]
    """
    buy = program.variables["buy"].index[:, len(inputs.spec.chips) :]
    program.add(program.limits["supply"].index[awaited(inputs)][:, None, :], buy, 1.0)


def amounts(program: Program, inputs: Inputs, unit: float) -> Iterator[tuple[Rule, list[Part]]]:
    """Give each rule that has an amount, with its rows.

    Those of demand that must be served are made here: as if it could go unserved, at most
    sum_r unmet[w,r,n] <= 0.
    """
    index = {name: block.index for name, block in program.limits.items()}
    must = np.isnan(inputs.unmet_usd)[:, None] & np.ones(len(inputs.tree), np.bool_)
    rows = program.add_limits("unmet", ("demand", "node"), must, unit=unit, upper=0.0)
    program.add(rows[:, None, :], program.variables["unmet"].index, 1.0)
    for w in np.flatnonzero(must[:, 0]).tolist():
        yield Rule("demand", w), [Part(rows[w])]
    for kind in ("power", "space", "supply"):
        for i, one in enumerate(index[kind]):
            yield Rule(kind, i), [Part(one)]
    for i in range(len(index["link"]) // 2):
        yield Rule("link", i), [Part(index["link"][2 * i : 2 * i + 2])]
    for i, pair in enumerate(zip(index["budget"], index["quarterly budget"], strict=True)):
        yield Rule("budget", i), [Part(one) for one in pair]
    members = [buyer.members for buyer in inputs.spec.buyers]
    for q, together in enumerate(index["cap"]):
        each = zip(index["cap for each"][q], members, strict=True)
        yield Rule("cap", q), [Part(together), *(Part(one, many) for one, many in each)]
    if (rule := inputs.spec.import_ratio) is not None:
        counts = members if rule.per_tenant else [sum(members)]
        pairs = zip(index["import ratio"], counts, strict=True)
        yield Rule("ratio"), [Part(one, many) for one, many in pairs]


def held(program: LinearProgram, inputs: Inputs, free: Inputs) -> Iterator[tuple[Rule, _Columns]]:
    """Give each rule without an amount, with the columns of the freed plan that it holds at 0."""
    spec, chips = inputs.spec, len(inputs.spec.chips)
    buy, flow = program.variables["buy"].index, program.variables["flow"].index
    serve = program.variables["serve"].index
    late = awaited(inputs)
    for i, c in enumerate(late.tolist()):
        yield Rule("lead", c), _some(buy[:, chips + i])
    for k, buyer in enumerate(spec.buyers):
        if buyer.buys:
            yield Rule("buys", k), _some(buy[k, ~matching(free.spec, buyer.buys)])
        if buyer.regions:
            there = [one.region.id in buyer.regions for one in spec.regions]
            yield Rule("regions", k), _some(buy[k][:, ~np.array(there)])
    banned = bans(inputs)
    again = np.append(np.arange(chips), late)
    for i, where in enumerate(banned[:, again]):
        yield Rule("ban", i), _some(np.moveaxis(buy, 2, 0)[..., where])
    lawful = np.asarray(~banned.any(axis=0))[again]
    ruled_out = ~inputs.allowed[:, again] & free.allowed & lawful
    ruled_out[:, chips:] &= (inputs.lead[late, None] + inputs.tree.quarter) < spec.quarters
    yield Rule("variant"), _some(np.moveaxis(buy, 2, 0)[:, ruled_out])
    for w, usable in enumerate(inputs.usable):
        yield Rule("max_rtt", w), _some(flow[w, ~usable])
    if not inputs.joined:
        yield Rule("apart"), _some(flow[:, inputs.ways.away])
    for w, one in enumerate(spec.demand):
        trusted = matching(free.spec, spec.trust.get(one.sensitivity, frozenset()))
        if one.sensitivity != OPEN:
            first = [other.sensitivity for other in spec.demand].index(one.sensitivity)
            yield Rule("trust", first), _some(serve[w, ~trusted])


def bans(inputs: Inputs) -> _Flags:
    """Give what each outcome keeps from being ordered until it is lifted; axes outcome, C, N.

    Outcomes are counted over all branches, in the order of the file.
    """
    spec, tree = inputs.spec, inputs.tree
    answers = [(branch.id, one.id) for branch in spec.branches for one in branch.outcomes]
    banned = np.zeros((len(answers), len(spec.chips), len(tree)), np.bool_)
    for node in range(1, len(tree)):
        now = banned[:, :, tree.parent[node]]
        for branch, outcome in tree.news[node]:
            now = now & ~matching(spec, outcome.lift)
            now[answers.index((branch.id, outcome.id))] |= matching(spec, outcome.ban)
        banned[:, :, node] = now
    return banned


def _some(columns: _Columns) -> _Columns:
    return columns[columns >= 0]
