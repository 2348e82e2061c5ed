"""The answer per accelerator: buy now, wait, or do not buy; and what to wait for."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tieline.planning.plan import Result
from tieline.planning.tree import Tree

_Floats = NDArray[np.float64]

Action = Literal["buy", "wait", "do not buy"]

#: Fewer than half an accelerator is none.
_NONE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Trigger:
    """The first order of an accelerator on some ways through the tree."""

    node: str
    """Quarter, and the outcomes by then."""
    count: float
    probability: float


@dataclass(frozen=True)
class Verdict:
    """What to do about one accelerator."""

    accelerator: str
    action: Action
    now: float
    """Ordered in the first quarter."""
    by_region: dict[str, float]
    """Of these, by the region they go to; only where some do."""
    by_tenant: dict[str, float]
    """Of these, by the tenant that orders; only where some do."""
    first_year: float
    """Ordered in the first four quarters, mean over the futures."""
    total: float
    """Ordered in all quarters, mean over the futures."""
    triggers: tuple[Trigger, ...]
    """First orders after the first quarter, the likeliest first, then in order of time; of an
    accelerator that is not bought now."""
    price_usd: float
    """Price now, without duty and installation."""
    break_even_usd: float | None
    """The price, all else equal, at which the first one would be ordered now; None for what is
    ordered now, or cannot be."""


def verdicts(result: Result) -> tuple[Verdict, ...]:
    """Give the verdict on every accelerator on offer, in order of the file."""
    inputs = result.inputs
    buy = result.array("buy")
    return tuple(
        _verdict(result, buy[:, c], c)
        for c, chip in enumerate(inputs.spec.chips)
        if chip.offer is not None
    )


def action_of(ordered: _Floats) -> Action:
    """Give the verdict on an accelerator from its orders in each node; axis N."""
    if ordered[0] >= _NONE:
        return "buy"
    return "wait" if (ordered >= _NONE).any() else "do not buy"


def first_year_weights(tree: Tree) -> _Floats:
    """Give the probability of each node of the first four quarters, 0 after them; axis N."""
    return np.where(tree.quarter < 4, tree.probability, 0.0)  # noqa: PLR2004 - quarters of a year


def _verdict(result: Result, buy: _Floats, c: int) -> Verdict:
    """Give the verdict on accelerator c from its orders; axes K, R, N."""
    inputs, tree = result.inputs, result.inputs.tree
    ordered = buy.sum(axis=(0, 1))
    action = action_of(ordered)
    names = inputs.axes
    return Verdict(
        accelerator=names["accelerator"][c],
        action=action,
        now=float(ordered[0]),
        by_region=_some(names["region"], buy[:, :, 0].sum(axis=0)),
        by_tenant=_some(names["tenant"], buy[:, :, 0].sum(axis=1)),
        first_year=float(ordered @ first_year_weights(tree)),
        total=float(ordered @ tree.probability),
        triggers=() if action == "buy" else _triggers(tree, ordered),
        price_usd=float(inputs.price[c, 0]),
        break_even_usd=None if action == "buy" else _break_even(result, c),
    )


def _some(names: tuple[str, ...], counts: _Floats) -> dict[str, float]:
    return {name: float(n) for name, n in zip(names, counts, strict=True) if n >= _NONE}


def _triggers(tree: Tree, ordered: _Floats) -> tuple[Trigger, ...]:
    """Give the nodes with the first order on each way through the tree."""
    before = np.zeros(len(tree), np.bool_)
    found = []
    for n in range(len(tree)):
        parent = tree.parent[n]
        before[n] = n > 0 and (before[parent] or ordered[parent] >= _NONE)
        if ordered[n] >= _NONE and not before[n]:
            found.append(Trigger(tree.names[n], float(ordered[n]), float(tree.probability[n])))
    return tuple(sorted(found, key=lambda one: -one.probability))


def _break_even(result: Result, c: int) -> float | None:
    """Give the price in the first quarter at which one would be ordered then.

    What an order lacks is its reduced cost. A lower price lowers what is paid with duty, and what
    is left of it at the end. What refunds give back is left out of account.
    """
    inputs, weight = result.inputs, result.node_weights
    columns = result.program.variables["buy"].index[:, c, :, 0]
    open_to = (columns >= 0) & inputs.allowed[:, c, None, 0]
    if not open_to.any():
        return None
    lacking = float(result.solution.reduced[columns[open_to]].min())
    arrives = (inputs.source[c] == 0) & ~inputs.refunded[c]
    worth = float((weight * inputs.left[c])[arrives].sum() * inputs.discount[-1])
    per_usd = (1.0 + inputs.duty[c, 0]) * (weight[0] - worth)
    if per_usd <= 0:
        return None
    return max(0.0, float(inputs.price[c, 0]) - max(0.0, lacking) / float(per_usd))
