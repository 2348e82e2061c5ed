"""What every limit is worth, and the range over which that holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import HOURS_PER_QUARTER
from tieline.model.units import BYTES_PER_GBIT
from tieline.planning.plan import Plan, Result
from tieline.planning.solver import Infeasible

_Floats = NDArray[np.float64]
#: Cost and its slope at a change of a limit.
_At = Callable[[float], tuple[float, float] | None]

_WATTS_PER_MW: Final = 1e6
#: A price holds as long as it changes by no more than this part.
_SAME: Final = 0.01
#: Re-solves on each side of a price at most.
_TRIES: Final = 8
#: A price below this part of the largest (each times its limit) is 0.
_SMALL: Final = 1e-9


@dataclass(frozen=True)
class LimitPrice:
    """What easing one limit saves, in the mean over the futures."""

    limit: str
    """In words, such as `power of region east`."""
    path: str
    """Where it stands in the file."""
    unit: str
    """Of what one more is meant: `MW`, `accelerator`, `USD`."""
    usd: float
    """Saved by one more of it, in every quarter that it holds in [USD of the first quarter]."""
    at: float
    """The limit as it is, in the first quarter."""
    low: float
    high: float
    """The price holds while the limit lies between these; inf: as far as was looked."""


@dataclass(frozen=True)
class _Limit:
    """Rows that are eased together."""

    limit: str
    path: str
    unit: str
    block: str
    rows: NDArray[np.int32]
    step: _Floats
    """What one more of the limit adds to each row [accelerators, USD, W, bytes/s]."""
    at: float


def limit_prices(plan: Plan, base: Result, *, most: int = 12) -> tuple[LimitPrice, ...]:
    """Give the dearest limits, by price times size, the dearest first; only those that bind."""
    prices = []
    for one in _limits(base):
        usd = float(-(base.solution.prices[one.rows] * one.step).sum())
        prices.append((usd, one))
    largest = max((usd * max(one.at, 1.0) for usd, one in prices), default=0.0)
    prices = [(usd, one) for usd, one in prices if usd * max(one.at, 1.0) > _SMALL * largest]
    prices.sort(key=lambda pair: -pair[0] * max(pair[1].at, 1.0))
    found = []
    for usd, one in prices[:most]:
        at = _along_rows(plan, base, one)
        size = max(one.at, 1.0)
        down = _reach(at, base.objective_usd, usd, -size, size)
        up = _reach(at, base.objective_usd, usd, size, size)
        found.append(
            LimitPrice(one.limit, one.path, one.unit, usd, one.at, one.at + down, one.at + up)
        )
    plan.loaded(base.program)
    return tuple(found)


def ratio_price(base: Result) -> float | None:
    """Give what 1 more of the import ratio saves [USD]; None without that rule."""
    block = base.program.limits.get("import ratio")
    if block is None:
        return None
    domestic = base.array("domestic")
    if block.index.shape[0] != domestic.shape[0]:
        domestic = domestic.sum(axis=0, keepdims=True)
    return float((base.price_array("import ratio") * domestic).sum())


def pool_prices(base: Result) -> _Floats:
    """Give what one more accelerator would be worth; axes C, R, T [USD per accelerator-hour].

    Mean over the futures, in money of the quarter itself, of the price of `capacity`.
    """
    inputs = base.inputs
    hourly = base.price_array("capacity") * inputs.spec.utilisation * inputs.kept[:, None, :]
    tree = inputs.tree
    of_quarter = np.zeros((len(tree), inputs.spec.quarters))
    of_quarter[np.arange(len(tree)), tree.quarter] = 1.0 / inputs.discount[tree.quarter]
    prices: _Floats = hourly @ of_quarter / HOURS_PER_QUARTER
    return prices


def _along_rows(plan: Plan, base: Result, one: _Limit) -> _At:
    """Give the function from a change of the limit to the cost and its slope."""
    program = base.program

    def at(change: float) -> tuple[float, float] | None:
        upper = program.row_upper.copy()
        upper[one.rows] += change * one.step / program.row_unit[one.rows]
        solver = plan.loaded(replace(program, row_upper=upper))
        try:
            solution = solver.solve()
        except Infeasible:
            return None
        return solution.objective, float((solution.prices[one.rows] * one.step).sum())

    return at


def _reach(at: _At, cost: float, price: float, side: float, size: float) -> float:
    """Give how far a limit can change to one side before its price changes.

    Costs are convex and piecewise linear in a limit, so where two tangents meet is the end of the
    piece, or lies nearer to it than the point tried.
    """
    step, held = 0.1 * side, 0.0
    for _ in range(_TRIES):
        if abs(held) >= size:
            break
        found = at(step)
        if found is None:
            step = (held + step) / 2
            continue
        there, slope = found
        if abs(slope + price) <= _SAME * price:
            held = step
            step = max(2 * step, side) if side < 0 else min(2 * step, side)
            continue
        meet = (there - slope * step - cost) / (-price - slope)
        if abs(meet - held) <= _SAME * abs(step) or abs(meet - step) <= 1e-6 * abs(step):
            return meet
        step = meet
        met = at(step)
        if met is not None and abs(met[0] - (cost - price * meet)) <= 1e-7 * (abs(cost) + 1.0):
            return meet
    return held if abs(held) < size else max(side * np.inf, -size)


def _limits(base: Result) -> Iterator[_Limit]:
    """Give every limit that a user can ease, as rows."""
    inputs, axes = base.inputs, base.inputs.axes
    spec = inputs.spec

    def each(
        block: str, names: tuple[str, ...], words: str, path: str, unit: tuple[str, float]
    ) -> Iterator[_Limit]:
        index = base.program.limits[block].index
        for i, name in enumerate(names):
            rows = index[i][index[i] >= 0]
            if len(rows):
                upper = base.program.row_upper[rows] * base.program.row_unit[rows]
                step = np.full(len(rows), unit[1])
                at = float(upper[0] / unit[1])
                yield _Limit(words.format(name), path.format(name), unit[0], block, rows, step, at)

    one = ("accelerator", 1.0)
    yield from each(
        "supply",
        axes["accelerator"],
        "supply of {} in each quarter",
        "accelerators.{}.supply",
        one,
    )
    yield from each("cap", axes["cap"], "cap {}", "rules.caps.{}.at_most", one)
    mega = ("MW", _WATTS_PER_MW)
    yield from each("power", axes["region"], "power of region {}", "regions.{}.power_mw", mega)
    yield from each("space", axes["region"], "space of region {}", "regions.{}.space", one)
    wide = ("Gbit/s", BYTES_PER_GBIT)
    yield from each("link", axes["link"], "link {}", "links", wide)
    payers = (*(f"tenant {name}" for name in axes["tenant"]), "all tenants")
    yield from each("budget", payers, "budget of {}", "budget", ("USD", 1.0))
    each_cap = base.program.limits["cap for each"].index
    members = np.array([float(buyer.members) for buyer in spec.buyers])
    for q, cap in enumerate(spec.caps):
        there = each_cap[q] >= 0
        if there.any():
            rows = each_cap[q][there]
            step = np.broadcast_to(members[:, None], there.shape)[there]
            words = f"cap {cap.id} for each member"
            path = f"rules.caps.{cap.id}.at_most"
            yield _Limit(words, path, "accelerator", "cap for each", rows, step, cap.at_most)
    if spec.import_ratio is not None:
        index = base.program.limits["import ratio"].index
        rows = index[index >= 0]
        step = np.broadcast_to(members[:, None], index.shape)[index >= 0]
        if not spec.import_ratio.per_tenant:
            step = np.full(len(rows), members.sum())
        words, path = "imports without domestic ones, for each member", "rules.import_ratio.base"
        at = spec.import_ratio.base
        yield _Limit(words, path, "accelerator", "import ratio", rows, step, at)
