"""Simple strategies against the plan: what each costs, and how much is regretted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.planning.costs import add_totals
from tieline.planning.inputs import Inputs
from tieline.planning.model import fill, units_of
from tieline.planning.plan import Plan, Result
from tieline.planning.pooling import nothing_bought
from tieline.planning.program import Program
from tieline.planning.solver import Solver

_Floats = NDArray[np.float64]

#: The plan itself, and the strategy that makes the largest regret as small as it can be.
PLAN: Final = "this plan"
LEAST_REGRET: Final = "least regret"
#: Weight of the mean cost beside the largest regret: decides between equal regrets.
_TIE_BREAK: Final = 1e-3


@dataclass(frozen=True)
class Regret:
    """Costs of strategies in every future. Axis S: futures."""

    futures: tuple[str, ...]
    probability: _Floats
    """Axis S."""
    best_usd: _Floats
    """Axis S: cost of the best plan of who knows that this future comes."""
    costs_usd: Mapping[str, _Floats]
    """Axis S, by strategy: `PLAN`, the simple ones, `LEAST_REGRET`."""
    ordered_now: Mapping[str, dict[str, float]]
    """Accelerators that a strategy orders in the first quarter, by strategy and accelerator."""

    def regret(self, strategy: str) -> _Floats:
        """Give what a strategy costs more than the best in each future; axis S [USD]."""
        costs: _Floats = np.maximum(0.0, self.costs_usd[strategy] - self.best_usd)
        return costs

    def mean_usd(self, strategy: str) -> float:
        """Give the mean cost of a strategy."""
        return float(self.costs_usd[strategy] @ self.probability)


def regret_of(plan: Plan, base: Result, best_usd: _Floats) -> Regret:
    """Give the costs of every strategy that serves what must be; all are free in all else.

    Parameters
    ----------
    best_usd
        Axis S: what each future costs whoever knows it; `information.known_futures`.
    """
    results = {PLAN: base}
    for name, inputs in _restricted(base.inputs):
        result = plan.if_possible(inputs)
        if result is not None:
            results[name] = result
    results["buy all allowed"] = _all_allowed(plan, base)
    results[LEAST_REGRET] = _least_regret(base, best_usd)
    tree = base.inputs.tree
    return Regret(
        futures=tree.futures(),
        probability=tree.probability[tree.leaves],
        best_usd=best_usd,
        costs_usd={name: one.future_costs.to_numpy() for name, one in results.items()},
        ordered_now={name: _now(one) for name, one in results.items()},
    )


def _restricted(inputs: Inputs) -> Iterator[tuple[str, Inputs]]:
    """Give the strategies that leave out some accelerators."""
    yield "buy none", nothing_bought(inputs)
    imported = inputs.imported[None, :, None]
    if inputs.imported.any() and not inputs.imported.all():
        yield "domestic only", replace(inputs, allowed=inputs.allowed & ~imported)
        yield "imports only", replace(inputs, allowed=inputs.allowed & imported)


def _all_allowed(plan: Plan, base: Result) -> Result:
    """Give the plan that serves as much as it may by imports, and as early.

    Where nothing is imported it is by all accelerators. What they serve is maximised first, each
    quarter counting for 10 % less than the one before; then costs are minimised with that much.
    So no more is bought than rules allow and work can use.
    """
    inputs, program = base.inputs, base.program
    which = inputs.imported if inputs.imported.any() else np.ones_like(inputs.imported)
    index = program.variables["serve"].index
    wanted = (index >= 0) & which[None, :, None, None]
    early = 0.9**inputs.tree.quarter * inputs.tree.probability
    values = np.broadcast_to(inputs.rate[:, :, None, None] * early, index.shape)[wanted]
    columns = index[wanted]
    solver = plan.loaded(program)
    aim = np.zeros(len(program.cost))
    aim[columns] = -values
    with solver.other_costs(aim):
        most = float(values @ (solver.minimum()[columns] / program.unit[columns]))
    with solver.extra_limit(columns, -values, -most * (1.0 - 1e-6)):
        found = solver.minimum()
    return Result(inputs, program, replace(base.solution, values=found))


def _least_regret(base: Result, best_usd: _Floats) -> Result:
    """Give the plan whose largest regret is the least; of several the one that costs least.

    min worst  such that  total[leaf of s] - worst <= best[s]
    """
    inputs = base.inputs
    program, units = Program(), units_of(inputs)
    fill(program, inputs, units)
    total = add_totals(program, inputs, units)
    worst = program.add_variables("worst", (), np.array(True), unit=units.usd)
    there = np.ones(len(best_usd), np.bool_)
    rows = program.add_limits("regret", ("future",), there, unit=units.usd, upper=best_usd)
    program.add(rows, total[inputs.tree.leaves], 1.0)
    program.add(rows, worst, -1.0)
    program.add_objective(worst, 1.0)
    finished = program.finished(_TIE_BREAK * inputs.tree.probability, units.usd)
    return Result(inputs, finished, Solver(finished).solve())


def _now(result: Result) -> dict[str, float]:
    ordered = result.array("buy")[..., 0].sum(axis=(0, 2))
    return dict(zip(result.inputs.axes["accelerator"], ordered.tolist(), strict=True))
