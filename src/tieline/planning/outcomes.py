"""What outcomes do to the numbers of a plan, node by node of the tree.

Axes as in `inputs`. An outcome acts in the node in which it becomes known and in all after it.
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import Offer, Outcome, PlanSpec, covers
from tieline.planning.tree import Tree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Values = TypeVar("Values", Floats, Flags)


def matching(spec: PlanSpec, names: Iterable[str]) -> Flags:
    """Give the accelerators that ids or origins mean; axis C."""
    wanted = frozenset(names)
    return np.array([covers(wanted, chip.accelerator) for chip in spec.chips])


def _along(tree: Tree, start: Values, change: Callable[[Values, Outcome], Values]) -> Values:
    """Give what a value has become in each node, axis N first, as outcomes change it."""
    values = np.repeat(start[None], len(tree), axis=0)
    for node in range(1, len(tree)):
        value = values[tree.parent[node]]
        for _, outcome in tree.news[node]:
            value = change(value, outcome)
        values[node] = value
    return values


def _times(spec: PlanSpec, field: str) -> Callable[[Floats, Outcome], Floats]:
    """Give the change of factors by those of an outcome, by accelerator or origin."""

    def change(value: Floats, outcome: Outcome) -> Floats:
        for name, factor in getattr(outcome, field).items():
            value = np.where(matching(spec, [name]), value * factor, value)
        return value

    return change


def banned_at(spec: PlanSpec, tree: Tree) -> Flags:
    """Give what cannot be ordered; axes C, N."""

    def change(value: Flags, outcome: Outcome) -> Flags:
        return (value & ~matching(spec, outcome.lift)) | matching(spec, outcome.ban)

    return _along(tree, np.zeros(len(spec.chips), np.bool_), change).T


def offer_terms(spec: PlanSpec, tree: Tree, offers: list[Offer]) -> tuple[Floats, Floats, Floats]:
    """Give price, duty and supply; axes C, N."""
    ones, quarter = np.ones(len(offers)), tree.quarter

    def duties(value: Floats, outcome: Outcome) -> Floats:
        for name, duty in outcome.duty.items():
            value = np.where(matching(spec, [name]), duty, value)
        return value

    growth = np.array([(1.0 + offer.price_growth) ** quarter for offer in offers])
    base = np.array([[offer.price_usd] for offer in offers])
    price = base * growth * _along(tree, ones, _times(spec, "price")).T
    duty = _along(tree, np.array([offer.duty for offer in offers]), duties).T
    enough = (inf,) * spec.quarters
    supplied = np.array([enough if o.supply is None else o.supply for o in offers])[:, quarter]
    factor = _along(tree, ones, _times(spec, "supply")).T
    with np.errstate(invalid="ignore"):
        supply = np.where(factor > 0, supplied * factor, 0.0)  # 0 x inf: nothing can be had
    return price, duty, supply


def refunded_at(spec: PlanSpec, tree: Tree, source: Ints, banned: Flags) -> Flags:
    """Give where a ban has stopped what was under way; axes C, N.

    An order is stopped by a ban with that fate which comes after it, up to its delivery.
    """
    stops = np.zeros(banned.shape, np.int64)
    for node in range(1, len(tree)):
        stops[:, node] = stops[:, tree.parent[node]]
        for _, outcome in tree.news[node]:
            if outcome.undelivered == "refunded":
                stops[:, node] += matching(spec, outcome.ban)
    before = np.take_along_axis(stops, np.maximum(source, 0), axis=1)
    return (source >= 0) & (stops > before)


def kept_at(spec: PlanSpec, tree: Tree, banned: Flags) -> Floats:
    """Give the part of each accelerator that bans have left; axes C, N."""
    decay = np.array([chip.decay for chip in spec.chips])
    kept = np.ones(banned.shape)
    for node in range(1, len(tree)):
        above = tree.parent[node]
        lost = np.where(banned[:, above], decay, 0.0)
        kept[:, node] = kept[:, above] * (1.0 - lost)
    return kept


def amounts_at(spec: PlanSpec, tree: Tree) -> Floats:
    """Give the demand; axes W, R, N."""

    def change(value: Floats, outcome: Outcome) -> Floats:
        factors = [
            outcome.demand.get(one.id, outcome.demand.get(one.workload, 1.0))
            for one in spec.demand
        ]
        changed: Floats = value * np.array(factors)
        return changed

    nothing = (0.0,) * spec.quarters
    base = np.array(
        [
            [one.amounts.get(place.region.id, nothing) for place in spec.regions]
            for one in spec.demand
        ]
    )
    factor = _along(tree, np.ones(len(spec.demand)), change).T
    amounts: Floats = base[:, :, tree.quarter] * factor[:, None, :]
    return amounts


def caps_at(spec: PlanSpec, tree: Tree) -> tuple[Floats, Flags]:
    """Give each cap, and where its count begins; axes Q, N."""

    def change(value: Floats, outcome: Outcome) -> Floats:
        new = [outcome.caps.get(cap.id, np.nan) for cap in spec.caps]
        return np.where(np.isnan(new), value, new)

    caps = _along(tree, np.array([cap.at_most for cap in spec.caps]), change).T
    begins = [
        [any(cap.id in outcome.caps for _, outcome in steps) for steps in tree.news]
        for cap in spec.caps
    ]
    shape = (len(spec.caps), len(tree))
    return caps.reshape(shape), np.array(begins, np.bool_).reshape(shape)


def ratio_at(spec: PlanSpec, tree: Tree) -> tuple[Floats, Flags]:
    """Give the import ratio, and where its count begins; axis N."""

    def change(value: Floats, outcome: Outcome) -> Floats:
        return value if outcome.import_ratio is None else np.array([outcome.import_ratio])

    start = np.array([np.nan if spec.import_ratio is None else spec.import_ratio.ratio])
    begins = [any(o.import_ratio is not None for _, o in steps) for steps in tree.news]
    return _along(tree, start, change)[:, 0], np.array(begins)
