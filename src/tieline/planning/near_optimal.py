"""How free the choice is: the fewest and the most accelerators of plans that cost little more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from tieline.planning.plan import Plan, Result
from tieline.planning.solver import Place, Solver
from tieline.planning.verdict import first_year_weights

#: Parts by which a plan may cost more than the best.
SLACKS: Final = (0.01, 0.03)
#: Taxes or subsidies that lead away from the best plan, in multiples of what an accelerator
#: costs: the last outweighs everything else.
_TAXES: Final = (0.05, 0.2, 0.8, 3.2, 12.8)
#: Solves on one side of one accelerator at most; and the part of the orders that is near enough.
_TRIES: Final = 12
_NEAR: Final = 0.005


@dataclass(frozen=True)
class Choice:
    """Orders of one accelerator in the first year, mean over the futures."""

    accelerator: str
    best: float
    """In the plan itself."""
    ranges: dict[float, tuple[float, float]]
    """Fewest and most by the part that the plan may cost more; each is reached by some plan."""


class _Vertex(NamedTuple):
    """A plan that no other beats in both."""

    cost: float
    orders: float


def choices(plan: Plan, base: Result) -> tuple[Choice, ...]:
    """Give the range of near-optimal orders of every accelerator on offer.

    Modelling to generate alternatives (Brill, Chang and Hopkins, Management Science 28(3), 1982,
    doi 10.1287/mnsc.28.3.221). An end of a range lies on the frontier of cost against orders,
    which is convex: a tax or subsidy on orders leads to its corners, by hot solves that change few
    costs, and between two neighbours it is straight. With the cost as one more limit instead, each
    end takes many times the pivots.
    """
    solver = plan.loaded(base.program)
    solver.minimum()
    start = solver.place()
    offered = [c for c, chip in enumerate(base.inputs.spec.chips) if chip.offer is not None]
    return tuple(_choice(solver, start, base, c) for c in offered)


def _choice(solver: Solver, start: Place, base: Result, c: int) -> Choice:
    """Give the choice of accelerator c; `start` is where the solver was at the best plan."""
    program = base.program
    index = program.variables["buy"].index[:, c]
    there = index >= 0
    columns = index[there]
    weight = np.broadcast_to(first_year_weights(base.inputs.tree), index.shape)[there]
    counted = weight * program.unit[columns]
    outlay = float(base.inputs.outlay[c, 0]) / program.usd

    def at(tax: float) -> _Vertex:
        cost = program.cost.copy()
        cost[columns] += tax * counted
        with solver.other_costs(cost):
            values = solver.minimum() / program.unit
        return _Vertex(float(program.cost @ values), float(counted @ values[columns]))

    values = base.solution.values / program.unit
    best = _Vertex(float(program.cost @ values), float(counted @ values[columns]))
    limits = [best.cost + slack * abs(best.cost) for slack in SLACKS]
    ends = []
    for side in (1.0, -1.0):
        solver.go_back(start)
        known = [best]
        for tax in _TAXES:
            known.append(at(side * tax * outlay))
            if known[-1].cost > limits[-1]:
                break
        ends.append([_end(at, known, limit) for limit in limits])
    few, many = ends
    ranges = {
        slack: (max(0.0, min(low, best.orders)), max(high, best.orders))
        for slack, low, high in zip(SLACKS, few, many, strict=True)
    }
    return Choice(base.inputs.axes["accelerator"][c], best.orders, ranges)


def _end(at: Callable[[float], _Vertex], known: list[_Vertex], most: float) -> float:
    """Give the orders where the frontier reaches a cost.

    Parameters
    ----------
    known
        Corners known so far, from the best plan to the end of the frontier; more are added.
    """
    end = known[0].orders
    for _ in range(_TRIES):
        inside = max((one for one in known if one.cost <= most), key=lambda one: one.cost)
        beyond = [one for one in known if one.cost > most]
        if not beyond:
            return inside.orders
        outside = min(beyond, key=lambda one: one.cost)
        apart = outside.orders - inside.orders
        end = inside.orders + apart * (most - inside.cost) / (outside.cost - inside.cost)
        if abs(apart) <= _NEAR * max(abs(inside.orders), abs(outside.orders)) or apart == 0:
            return end
        tax = (outside.cost - inside.cost) / -apart
        found = at(tax)
        level = inside.cost + tax * inside.orders
        if found.cost + tax * found.orders >= level - 1e-7 * (1.0 + abs(level)):
            return end
        known.append(found)
    return end
