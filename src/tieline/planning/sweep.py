"""One value of the plan varied: how orders and costs follow, and where the verdict changes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from tieline.model.errors import InputError
from tieline.model.plan import PlanSpec, Sweep
from tieline.planning.plan import Plan, Result
from tieline.planning.verdict import Action, action_of, first_year_weights

#: The plan with another value at a path of its file.
SpecAt = Callable[[str, float], PlanSpec]

#: Halvings of the distance between two values of a sweep, to find where a verdict changes.
_HALVINGS: Final = 6


@dataclass(frozen=True)
class Point:
    """The plan at one value."""

    value: float
    cost_usd: float
    now: dict[str, float]
    """Ordered in the first quarter, by accelerator."""
    first_year: dict[str, float]
    """Ordered in the first year, mean over the futures."""
    action: dict[str, Action]


@dataclass(frozen=True)
class Threshold:
    """Where a verdict changes."""

    accelerator: str
    below: Action
    above: Action
    value: float
    """Middle of the interval in which it changes."""
    within: float
    """Half of the width of that interval."""


@dataclass(frozen=True)
class Curve:
    """One sweep."""

    sweep: Sweep
    present: float
    """The value in the file."""
    points: tuple[Point, ...]
    """Ascending; those at which the plan has no solution are left out."""
    thresholds: tuple[Threshold, ...]
    left_out: tuple[float, ...]
    """Values at which the plan has no solution."""


def curve(
    plan: Plan,
    sweep: Sweep,
    present: float,
    spec_at: SpecAt,
    step: Callable[[], None] = lambda: None,
) -> Curve:
    """Give the curve of one sweep.

    Parameters
    ----------
    step
        Called after each value that was tried.
    """
    points: list[Point] = []
    left_out: list[float] = []

    def point(value: float) -> Point | None:
        try:
            result = plan.what_if(spec_at(sweep.path, value))
        except InputError:
            return None
        finally:
            step()
        return _point(value, result)

    for value in sweep.values:
        found = point(value)
        if found is None:
            left_out.append(value)
        else:
            points.append(found)
    thresholds, between = _thresholds(points, point)
    every = sorted([*points, *between], key=lambda one: one.value)
    return Curve(sweep, present, tuple(every), thresholds, tuple(left_out))


def _point(value: float, result: Result) -> Point:
    names = result.inputs.axes["accelerator"]
    orders = result.array("buy").sum(axis=(0, 2))
    offered = [c for c, chip in enumerate(result.inputs.spec.chips) if chip.offer is not None]
    weight = first_year_weights(result.inputs.tree)
    return Point(
        value=value,
        cost_usd=result.objective_usd,
        now={names[c]: float(orders[c, 0]) for c in offered},
        first_year={names[c]: float(orders[c] @ weight) for c in offered},
        action={names[c]: action_of(orders[c]) for c in offered},
    )


def _thresholds(
    points: Sequence[Point], point: Callable[[float], Point | None]
) -> tuple[tuple[Threshold, ...], list[Point]]:
    """Give where verdicts change between neighbouring points, and the points tried for it.

    Of the changes of all accelerators between two points each is narrowed down by itself; the
    points tried for one serve the others.
    """
    found: list[Threshold] = []
    tried: list[Point] = []
    for left, right in pairwise(points):
        for name in left.action:
            if left.action[name] != right.action[name]:
                known = [one for one in tried if left.value < one.value < right.value]
                found.append(_narrowed(name, left, right, known, point, tried))
    return tuple(found), tried


def _narrowed(
    name: str,
    left: Point,
    right: Point,
    known: Sequence[Point],
    point: Callable[[float], Point | None],
    tried: list[Point],
) -> Threshold:
    """Halve the interval in which the verdict on one accelerator changes."""
    low, high = left, right
    for one in sorted(known, key=lambda p: p.value):
        if one.action[name] == low.action[name] and one.value < high.value:
            low = one
        elif one.value < high.value:
            high = one
    smallest = (right.value - left.value) / 2**_HALVINGS
    while high.value - low.value > smallest * (1 + 1e-9):
        middle = point((low.value + high.value) / 2)
        if middle is None:
            break
        tried.append(middle)
        if middle.action[name] == low.action[name]:
            low = middle
        else:
            high = middle
    return Threshold(
        accelerator=name,
        below=low.action[name],
        above=high.action[name],
        value=(low.value + high.value) / 2,
        within=(high.value - low.value) / 2,
    )
