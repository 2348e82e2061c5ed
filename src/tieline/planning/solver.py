"""The one module that speaks to HiGHS: a linear program that stays solved while it is changed.

A cold solve is by simplex where the program is small and by interior point with crossover where it
is not; a program of the same form is solved again from the last basis, which takes a fraction of
the time. What comes back is checked here, not taken on trust.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tieline.model.errors import TielineError
from tieline.planning.program import LinearProgram

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int32]

#: Entries of the matrix up to which simplex is faster from cold; benchmarks/planning.py.
SMALL: Final = 30_000
#: Largest violation of a limit, and largest gap between costs and their bound, relative to the
#: size of what they are compared with.
_TOLERANCE: Final = 1e-6
#: Coefficients up to which it is faster to change them one by one than to hand over all anew.
_FEW: Final = 1000
#: Pivots from a known basis after which costs are perturbed.
_NEAR: Final = 1000
#: Pivots from a known basis after which a cold solve is taken to be faster.
_MANY: Final = 6000
_PRIMAL, _DUAL = 4, 1  # values of HiGHS' option simplex_strategy
_CHOOSE, _DEVEX = -1, 1  # values of its option simplex_dual_edge_weight_strategy

_Status = highspy.HighsModelStatus
#: An optimum, or a program without anything in it.
_FOUND: Final = (_Status.kOptimal, _Status.kModelEmpty)
#: Where the solver is: which columns and rows are at which of their bounds.
Place = highspy.HighsBasis


class SolverError(TielineError):
    """The solver came to no solution that holds; not the fault of the plan's limits."""

    code = "solver"


class Infeasible(Exception):  # noqa: N818 - a finding, turned into words by `conflicts`
    """No values of the variables meet all limits."""


class Unbounded(Exception):  # noqa: N818 - a finding, turned into words by `conflicts`
    """Costs fall without end."""


@dataclass(frozen=True)
class Solution:
    """An optimal solution, in the units of the plan: accelerators, USD, W, bytes/s."""

    objective: float
    """[USD]"""
    values: _Floats
    """Axis of the columns."""
    reduced: _Floats
    """Axis of the columns: what one more of it costs [USD]; 0 between its bounds."""
    prices: _Floats
    """Axis of the rows: what one more of the limit costs [USD]; <= 0 where it helps."""
    iterations: int
    gap: float = 0.0
    """Part of the objective by which it may exceed the least, proven; 0: it is the least."""


class Solver:
    """One program inside HiGHS."""

    def __init__(self, program: LinearProgram, *, threads: int = 1) -> None:
        """Hand the program over."""
        self._highs: Final = highspy.Highs()  # type: ignore[no-untyped-call] # has no types
        self._highs.silent()
        self._highs.setOptionValue("threads", threads)
        self._pass(program)

    def load(self, program: LinearProgram) -> None:
        """Take over another program: only the numbers that differ, where the form is the same."""
        if not self._program.same_form(program):
            self._highs.clearModel()
            self._pass(program)
            return
        self._change(program)

    def solve(self) -> Solution:
        """Give the optimum: from the last basis where there is one, else from cold.

        Raises
        ------
        Infeasible, Unbounded
            There is none.
        SolverError
            None was found that holds.
        """
        status = self._run()
        if status in (_Status.kUnboundedOrInfeasible, _Status.kUnknown, _Status.kSolveError):
            status = self._run_afresh()
        if status == _Status.kInfeasible:
            raise Infeasible
        if status in (_Status.kUnbounded, _Status.kUnboundedOrInfeasible):
            raise Unbounded
        found = self._solution(status)
        if isinstance(found, str):
            found = self._solution(self._run_afresh())
        if isinstance(found, str):
            raise SolverError(
                f"the plan was not solved: {found}; its numbers may lie too far apart: look for"
                " amounts or prices that are out of proportion"
            )
        self._solved = True
        return found

    @contextmanager
    def extra_limit(self, columns: _Ints, values: _Floats, upper: float) -> Iterator[None]:
        """Hold, within the block, to  sum of values x columns <= upper  (all scaled)."""
        self._highs.addRow(-highspy.kHighsInf, upper, len(columns), columns, values)
        try:
            yield
        finally:
            last = np.array([self._highs.getNumRow() - 1], np.int32)
            self._highs.deleteRows(1, last)

    @contextmanager
    def other_costs(self, cost: _Floats) -> Iterator[None]:
        """Minimise, within the block, another (scaled) sum of the columns."""
        every = np.arange(len(cost), dtype=np.int32)
        self._highs.changeColsCost(len(every), every, cost)
        self._costs_changed = True
        try:
            yield
        finally:
            self._highs.changeColsCost(len(every), every, self._program.cost)
            self._costs_changed = True

    def place(self) -> Place:
        """Give where the solver is, to come back to by `go_back`."""
        return self._highs.getBasis()

    def go_back(self, place: Place) -> None:
        """Go back to where the solver was, with the program as it is now."""
        self._highs.setBasis(place)
        self._solved = True

    def minimum(self, *, cold: bool = False) -> _Floats:
        """Give the values of the columns, unscaled, at the optimum of whatever is set now.

        Parameters
        ----------
        cold
            Whether to start afresh: where there may be no solution, which is seen sooner so.

        Raises
        ------
        SolverError
            There is none, or none was found.
        """
        status = self._run_afresh() if cold else self._run()
        if status not in _FOUND:
            status = self._run_afresh()
        if status not in _FOUND:
            raise SolverError(f"no optimum: {self._highs.modelStatusToString(status)}")
        self._solved = True
        values = np.array(self._highs.getSolution().col_value)
        result: _Floats = values * self._program.unit
        return result

    def _pass(self, program: LinearProgram) -> None:
        inf = highspy.kHighsInf
        self._program = program
        self._costs_changed = self._limits_changed = self._solved = False
        status = self._highs.passModel(
            len(program.cost),
            len(program.row_lower),
            len(program.values),
            int(highspy.MatrixFormat.kColwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            program.cost,
            np.maximum(program.lower, -inf),
            np.minimum(program.upper, inf),
            np.maximum(program.row_lower, -inf),
            np.minimum(program.row_upper, inf),
            program.starts,
            program.rows,
            program.values,
            program.integer.astype(np.int32),
        )
        if status == highspy.HighsStatus.kError:
            raise SolverError("the solver refused the program: a number is not finite")

    def _change(self, program: LinearProgram) -> None:
        old, highs = self._program, self._highs
        if np.count_nonzero(old.values != program.values) > _FEW:
            basis, solved = highs.getBasis(), self._solved
            self._pass(program)
            highs.setBasis(basis)
            self._solved = solved
            return
        changed = _differ(old.cost, program.cost)
        if len(changed):
            highs.changeColsCost(len(changed), changed, program.cost[changed])
            self._costs_changed = True
        changed = _differ(old.lower, program.lower, old.upper, program.upper)
        if len(changed):
            lower, upper = program.lower[changed], program.upper[changed]
            highs.changeColsBounds(len(changed), changed, lower, upper)
            self._limits_changed = True
        sides = (old.row_lower, program.row_lower, old.row_upper, program.row_upper)
        changed = _differ(*sides)
        if len(changed):
            lower, upper = program.row_lower[changed], program.row_upper[changed]
            highs.changeRowsBounds(len(changed), changed, lower, upper)  # type: ignore[attr-defined] # its types lack it
            self._limits_changed = True
        changed = _differ(old.values, program.values)
        columns = np.searchsorted(program.starts, changed, side="right") - 1
        for place, column in zip(changed.tolist(), columns.tolist(), strict=True):
            highs.changeCoeff(int(program.rows[place]), column, float(program.values[place]))
            self._limits_changed = True
        self._program = program

    def _run(self) -> highspy.HighsModelStatus:
        warm = self._solved and not self._program.integer.any()
        # What was optimal stays feasible when only costs change; else dual simplex is faster.
        primal = warm and self._costs_changed and not self._limits_changed
        small = len(self._program.values) <= SMALL
        self._set("solver", "simplex" if warm or small else "ipx")
        self._set("simplex_strategy", _PRIMAL if primal else _DUAL)
        # From a basis near the optimum neither exact edge weights nor perturbed costs pay off;
        # where many pivots are needed they do, and after too many the caller starts afresh.
        self._perturb(0.0 if warm else 1.0)
        self._set("simplex_dual_edge_weight_strategy", _DEVEX if warm else _CHOOSE)
        self._set("simplex_iteration_limit", _NEAR if warm else highspy.kHighsIInf)
        self._highs.run()
        if warm and self._highs.getModelStatus() == _Status.kIterationLimit:
            self._perturb(1.0)
            self._set("simplex_iteration_limit", _MANY)
            self._highs.run()
        self._costs_changed = self._limits_changed = False
        return self._highs.getModelStatus()

    def _run_afresh(self) -> highspy.HighsModelStatus:
        """Solve from cold, by simplex: slower, and sure to end with a basis."""
        self._solved = False
        self._highs.clearSolver()
        self._set("solver", "choose" if self._program.integer.any() else "simplex")
        self._set("simplex_strategy", _DUAL)
        self._set("simplex_dual_edge_weight_strategy", _CHOOSE)
        self._perturb(1.0)
        self._set("simplex_iteration_limit", highspy.kHighsIInf)
        self._highs.run()
        status = self._highs.getModelStatus()
        if status == _Status.kUnboundedOrInfeasible:
            self._set("presolve", "off")
            self._highs.run()
            self._set("presolve", "choose")
            status = self._highs.getModelStatus()
        return status

    def _perturb(self, times: float) -> None:
        self._set("dual_simplex_cost_perturbation_multiplier", times)
        self._set("primal_simplex_bound_perturbation_multiplier", times)

    def _set(self, option: str, value: str | float) -> None:
        self._highs.setOptionValue(option, value)

    def _solution(self, status: highspy.HighsModelStatus) -> Solution | str:
        """Give what was found, reckoned anew, or what is wrong with it."""
        if status not in _FOUND:
            return self._highs.modelStatusToString(status)
        p, found, info = self._program, self._highs.getSolution(), self._highs.getInfo()
        x = np.array(found.col_value)
        fault = fault_of(p, x)
        reduced, y = np.zeros(len(p.cost)), np.zeros(len(p.row_lower))
        if not p.integer.any():  # an integer program has no prices
            reduced, y = np.array(found.col_dual), np.array(found.row_dual)
            fault = fault or _gap(p, x, y)
        return fault or Solution(
            objective=info.objective_function_value * p.usd,
            values=x * p.unit,
            reduced=reduced * p.usd / p.unit,
            prices=y * p.usd / p.row_unit,
            iterations=int(info.simplex_iteration_count) + int(info.ipm_iteration_count),
        )


def fault_of(program: LinearProgram, x: _Floats) -> str:
    """Say which limit scaled values miss by too much; empty where none."""
    p, a = program, program.matrix
    activity = a @ x
    size = sparse.csc_array((np.abs(p.values), p.rows, p.starts), a.shape) @ np.abs(x)
    beyond = np.maximum(p.row_lower - activity, activity - p.row_upper) / (1.0 + size)
    outside = np.maximum(p.lower - x, x - p.upper) / (1.0 + np.abs(x))
    worst = max(beyond.max(initial=0.0), outside.max(initial=0.0))
    return "" if worst <= _TOLERANCE else f"a limit is missed by a part of {worst:.1e}"


def _gap(p: LinearProgram, x: _Floats, y: _Floats) -> str:
    """Say by how much costs and their bound differ, where it is too much."""
    reduced = p.cost - y @ p.matrix
    bound = _support(y, p.row_lower, p.row_upper) + _support(reduced, p.lower, p.upper)
    gap = abs(float(p.cost @ x) - bound) / (1.0 + float(np.abs(p.cost) @ np.abs(x)))
    return "" if gap <= _TOLERANCE else f"costs and their bound differ by a part of {gap:.1e}"


def _support(prices: _Floats, lower: _Floats, upper: _Floats) -> float:
    """Give the least that values between bounds can cost at prices.

    A price within the solver's tolerance of 0 is 0 where there is no bound on its side.
    """
    bound = np.where(prices > 0, lower, upper)
    small = np.abs(prices) <= 1e-6 * (1.0 + np.abs(prices).max(initial=0.0))
    bound = np.where(np.isinf(bound) & small, 0.0, bound)
    with np.errstate(invalid="ignore"):
        return float(np.where(prices == 0, 0.0, prices * bound).sum())


def _differ(*sides: _Floats) -> _Ints:
    """Give where any pair of arrays differs; they come old, new, old, new."""
    different = np.zeros(len(sides[0]), np.bool_)
    for old, new in zip(sides[::2], sides[1::2], strict=True):
        different |= old != new
    return np.flatnonzero(different).astype(np.int32)
