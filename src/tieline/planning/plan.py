"""A plan that stays solved: solve it, then ask what if."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tieline.model.errors import InputError
from tieline.model.plan import PlanSpec
from tieline.planning.conflicts import conflict, unlimited
from tieline.planning.inputs import Inputs, inputs_of
from tieline.planning.model import program_of
from tieline.planning.program import Block, LinearProgram
from tieline.planning.solver import Infeasible, Solution, Solver, Unbounded

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """What is best to do, what it costs, and what every limit is worth."""

    inputs: Inputs
    program: LinearProgram
    solution: Solution

    @property
    def objective_usd(self) -> float:
        """What was minimised: mean cost, or its mix with that of the worst futures [USD]."""
        return self.solution.objective

    @cached_property
    def node_costs(self) -> _Floats:
        """Axis N: cost of each node [USD of the first quarter]."""
        return self.program.costs_by_node(self.solution.values, len(self.inputs.tree))

    @cached_property
    def node_weights(self) -> _Floats:
        """Axis N: what a dollar that a node costs weighs in the objective.

        Its probability; under a risk weight more in the futures that are the worst.
        """
        weight: _Floats = (1.0 - self.inputs.spec.risk.weight) * self.inputs.tree.probability
        total = self.program.limits.get("total")
        return weight if total is None else weight + self.solution.prices[total.index]

    @cached_property
    def future_costs(self) -> pd.Series:
        """Cost of each future, from the first quarter to the last [USD of the first quarter]."""
        costs = self.inputs.tree.per_future(self.node_costs)
        return pd.Series(costs, pd.Index(self.inputs.tree.futures(), name="future"), name="usd")

    @property
    def mean_usd(self) -> float:
        """Mean cost over the futures [USD of the first quarter]."""
        return float(self.node_costs @ self.inputs.tree.probability)

    def array(self, variable: str) -> _Floats:
        """Give the values of a variable, axes as in its block; 0 where there is none."""
        return _filled(self.program.variables[variable], self.solution.values)

    def flows(self) -> _Floats:
        """Give the demand of each region that is served in each; axes W, R, R, N."""
        ways, flow = self.inputs.ways, self.array("flow")
        regions = len(self.inputs.spec.regions)
        flows = np.zeros((len(flow), regions, regions, flow.shape[-1]))
        for v, (start, end) in enumerate(zip(ways.start, ways.end, strict=True)):
            flows[:, start, end] += flow[:, v]
        return flows

    def values(self, variable: str) -> pd.Series:
        """Give the values of a variable by the labels of its axes, such as `buy` or `stock`.

        Raises
        ------
        InputError
            The plan has no such variable.
        """
        return self._labelled(variable, self.program.variables, self.solution.values)

    def prices(self, limit: str) -> pd.Series:
        """Give what one more of a limit would save, by the labels of its axes [USD].

        Of the first quarter, and times the probability of the node: summed over nodes they are
        what the limit is worth if it is eased everywhere. 0 where it does not bind.

        Raises
        ------
        InputError
            The plan has no such limit.
        """
        return self._labelled(limit, self.program.limits, -self.solution.prices)

    def price_array(self, limit: str) -> _Floats:
        """Give `prices` as an array, axes as in its block; 0 where there is no such limit."""
        return _filled(self.program.limits[limit], -self.solution.prices)

    def _labelled(self, name: str, blocks: object, values: _Floats) -> pd.Series:
        if not isinstance(blocks, dict) or name not in blocks:
            known = ", ".join(sorted(blocks)) if isinstance(blocks, dict) else ""
            raise InputError(f"a plan has no {name!r}; it has: {known}")
        block: Block = blocks[name]
        there = block.index >= 0
        labels = [
            self._labels(axis, size) for axis, size in zip(block.axes, there.shape, strict=True)
        ]
        index = pd.MultiIndex.from_arrays(
            [np.array(one)[at] for one, at in zip(labels, np.nonzero(there), strict=True)],
            names=block.axes,
        )
        return pd.Series(values[block.index[there]], index, name=name)

    def _labels(self, axis: str, size: int) -> tuple[str, ...]:
        axes = self.inputs.axes
        if axis == "payer":
            return (*axes["tenant"], "all")
        return axes.get(axis, ("all",) * size)


class Plan:
    """One plan, kept inside the solver."""

    def __init__(self, spec: PlanSpec, *, threads: int = 1) -> None:
        """Take a plan; nothing is solved yet.

        Raises
        ------
        InputError
            Its branches contradict themselves.
        """
        self.inputs: Final = inputs_of(spec)
        self._threads: Final = threads
        self._solver: Solver | None = None

    def solve(self) -> Result:
        """Give what is best.

        Raises
        ------
        InputError
            The limits contradict one another, or costs fall without end; it names which.
        SolverError
            No solution was found that holds.
        """
        return self.under(self.inputs)

    def what_if(self, spec: PlanSpec) -> Result:
        """Give what is best for a changed plan, from where the solver is: in a moment.

        `dataclasses.replace` makes the change: `plan.what_if(replace(spec, discount=0.1))`.

        Raises
        ------
        InputError, SolverError
            As `solve`.
        """
        return self.under(inputs_of(spec))

    def under(self, inputs: Inputs) -> Result:
        """Give what is best under changed inputs, such as other orders allowed.

        Raises
        ------
        InputError, SolverError
            As `solve`.
        """
        try:
            return self._solved(inputs)
        except Infeasible:
            raise InputError(conflict(inputs)) from None

    def if_possible(self, inputs: Inputs) -> Result | None:
        """Give what is best under changed inputs; None where the limits contradict one another.

        Raises
        ------
        InputError, SolverError
            As `solve`, but for limits that contradict one another.
        """
        try:
            return self._solved(inputs)
        except Infeasible:
            return None

    def _solved(self, inputs: Inputs) -> Result:
        program = program_of(inputs)
        try:
            return Result(inputs, program, self.loaded(program).solve())
        except Unbounded:
            raise InputError(unlimited(inputs)) from None

    def loaded(self, program: LinearProgram) -> Solver:
        """Give the solver with a program in it."""
        if self._solver is None:
            self._solver = Solver(program, threads=self._threads)
        else:
            self._solver.load(program)
        return self._solver


def apart(inputs: Inputs) -> Inputs:
    """Give the inputs of the same plan without links: every region serves itself."""
    return replace(inputs, joined=False)


def _filled(block: Block, values: _Floats) -> _Floats:
    filled: _Floats = np.where(block.index >= 0, values[np.maximum(block.index, 0)], 0.0)
    return filled
