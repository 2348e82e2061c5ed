"""How free the choice is: the fewest and the most accelerators of plans that cost little more."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.planning.plan import Plan, Result
from tieline.planning.solver import Solver, SolverError
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
    end takes many times the pivots; that is done where nothing limits orders, so that a subsidy
    would have no end.
    """
    solver = plan.loaded(base.program)
    solver.minimum()
    start = solver.place()
    found = []
    for c, chip in enumerate(base.inputs.spec.chips):
        if chip.offer is not None:
            frontier = _Frontier(solver, base, c)
            solver.go_back(start)
            few = frontier.ends(1.0)
            solver.go_back(start)
            many = frontier.ends(-1.0)
            name, orders = base.inputs.axes["accelerator"][c], frontier.best.orders
            ranges = {
                slack: (max(0.0, min(low, orders)), max(high, orders))
                for slack, low, high in zip(SLACKS, few, many, strict=True)
            }
            found.append(Choice(name, orders, ranges))
    return tuple(found)


class _Frontier:
    """Cost against orders of one accelerator, both scaled: plans that no other beats in both."""

    def __init__(self, solver: Solver, base: Result, c: int) -> None:
        """Take the best plan, which the solver is at."""
        program = self._program = base.program
        index = program.variables["buy"].index[:, c]
        there = index >= 0
        weight = np.broadcast_to(first_year_weights(base.inputs.tree), index.shape)[there]
        self._solver = solver
        self._columns = index[there]
        self._counted = weight * program.unit[self._columns]
        self._outlay = float(base.inputs.outlay[c, 0]) / program.usd
        self.best = self._vertex(base.solution.values)
        self._limits = [self.best.cost + slack * abs(self.best.cost) for slack in SLACKS]

    def ends(self, side: float) -> list[float]:
        """Give the orders at each limit of cost: the fewest (side 1) or the most (side -1)."""
        known = [self.best]
        try:
            for tax in _TAXES:
                known.append(self._at(side * tax * self._outlay))
                if known[-1].cost > self._limits[-1]:
                    break
        except SolverError:
            return [self._directly(side, limit) for limit in self._limits]
        return [self._end(known, limit) for limit in self._limits]

    def _vertex(self, values: NDArray[np.float64]) -> _Vertex:
        scaled = values / self._program.unit
        orders = float(self._counted @ scaled[self._columns])
        return _Vertex(float(self._program.cost @ scaled), orders)

    def _at(self, tax: float) -> _Vertex:
        """Give the best plan if each order were taxed."""
        cost = self._program.cost.copy()
        cost[self._columns] += tax * self._counted
        with self._solver.other_costs(cost):
            return self._vertex(self._solver.minimum())

    def _directly(self, side: float, limit: float) -> float:
        """Give the end of the range with the cost as one more limit."""
        costly = np.flatnonzero(self._program.cost).astype(np.int32)
        aim = np.zeros(len(self._program.cost))
        aim[self._columns] = side * self._counted
        with (
            self._solver.extra_limit(costly, self._program.cost[costly], limit),
            self._solver.other_costs(aim),
        ):
            return self._vertex(self._solver.minimum()).orders

    def _end(self, known: list[_Vertex], limit: float) -> float:
        """Give the orders where the frontier reaches a cost.

        Parameters
        ----------
        known
            Corners from the best plan on; those found on the way are added.
        """
        end = self.best.orders
        for _ in range(_TRIES):
            inside = max((one for one in known if one.cost <= limit), key=lambda one: one.cost)
            beyond = [one for one in known if one.cost > limit]
            if not beyond:
                return inside.orders
            outside = min(beyond, key=lambda one: one.cost)
            apart = outside.orders - inside.orders
            end = inside.orders + apart * (limit - inside.cost) / (outside.cost - inside.cost)
            if abs(apart) <= _NEAR * max(abs(inside.orders), abs(outside.orders)):
                return end
            tax = (outside.cost - inside.cost) / -apart
            found = self._at(tax)
            level = inside.cost + tax * inside.orders
            if found.cost + tax * found.orders >= level - 1e-7 * (1.0 + abs(level)):
                return end  # no corner between the two: the frontier is straight there
            known.append(found)
        return end
