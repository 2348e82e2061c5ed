"""What knowing the future, planning for all futures, and deciding now are worth."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import Branch, Outcome, PlanSpec, Risk
from tieline.planning.inputs import Inputs
from tieline.planning.plan import Plan, Result
from tieline.planning.solver import SolverError
from tieline.planning.tree import tree_of

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Information:
    """Differences of mean costs [USD]; all >= 0 but for rounding."""

    known_usd: _Floats
    """Axis S: cost of each future to who knows it."""
    perfect_usd: float
    """Expected value of perfect information (EVPI): plan less mean of `known_usd`."""
    stochastic_usd: float | None
    """Value of the stochastic solution (VSS): what it costs more to order in the first quarter
    what would be best if the mean of all numbers came for certain, and to adapt after that; None
    where some future leaves no way to."""


@dataclass(frozen=True)
class Delay:
    """What it costs more to order nothing in the first quarter [USD]; None where it cannot be."""

    all_usd: float | None
    by_accelerator: dict[str, float | None]
    """To order none of one accelerator then, for those that the plan does order then."""


def information(plan: Plan, neutral: Result) -> Information:
    """Give what information is worth; `neutral` is the result without a weight on risk."""
    inputs = neutral.inputs
    alone = Plan(inputs.spec)
    futures = range(len(inputs.tree.leaves))
    costs = np.array([alone.what_if(_only(inputs.spec, inputs, s)).mean_usd for s in futures])
    chance = inputs.tree.probability[inputs.tree.leaves]
    mean = Plan(inputs.spec).under(mean_inputs(inputs))
    return Information(
        known_usd=costs,
        perfect_usd=neutral.mean_usd - float(costs @ chance),
        stochastic_usd=_held(plan, neutral, mean.array("buy")[..., 0]),
    )


def neutral_spec(spec: PlanSpec) -> PlanSpec:
    """Give the same plan for who only minds the mean cost."""
    return replace(spec, risk=Risk(0.0, spec.risk.tail))


def delay(plan: Plan, base: Result) -> Delay:
    """Give what waiting for a quarter costs."""
    ordered = base.array("buy")[..., 0].sum(axis=(0, 2))
    names = base.inputs.axes["accelerator"]

    def cost(which: Callable[[int], bool]) -> float | None:
        later = base.inputs.allowed.copy()
        later[:, [which(c) for c in range(len(names))], 0] = False
        waited = plan.if_possible(replace(base.inputs, allowed=later))
        return None if waited is None else waited.objective_usd - base.objective_usd

    each = {
        names[c]: cost(lambda one, c=c: one == c)  # type: ignore[misc] # c is bound
        for c in np.flatnonzero(ordered >= 0.5).tolist()  # noqa: PLR2004 - half an accelerator
    }
    return Delay(cost(lambda _: True), each)


def _only(spec: PlanSpec, inputs: Inputs, future: int) -> PlanSpec:
    """Give the plan of who knows that one future comes: every question has its answer."""
    tree = inputs.tree
    steps = [step for node in tree.path[future] for step in tree.news[node]]
    return replace(spec, branches=tuple(_certain(branch, outcome) for branch, outcome in steps))


def _certain(branch: Branch, outcome: Outcome) -> Branch:
    return replace(branch, outcomes=(replace(outcome, probability=1.0),))


def mean_inputs(inputs: Inputs) -> Inputs:
    """Give a single future in which every number is the mean of its quarter over the futures.

    A ban in some futures lowers the supply by their probability; a refund happens where it
    does in more than half of them.
    """
    tree, quarters = inputs.tree, inputs.spec.quarters
    chance = np.zeros((len(tree), quarters))
    chance[np.arange(len(tree)), tree.quarter] = tree.probability
    chain = tree_of(replace(inputs.spec, branches=()))

    def mean(values: NDArray[np.generic]) -> _Floats:
        numbers = values.astype(np.float64)
        endless = (np.isinf(numbers) @ (chance > 0)) > 0
        return np.where(endless, np.inf, np.where(np.isinf(numbers), 0.0, numbers) @ chance)

    allowed = mean(inputs.allowed)
    with np.errstate(invalid="ignore"):
        supply = np.nan_to_num(mean(inputs.supply) * allowed[0], nan=0.0, posinf=np.inf)
    begins = np.zeros(quarters, np.bool_)
    return replace(
        inputs,
        tree=chain,
        allowed=allowed > 0,
        price=mean(inputs.price),
        duty=mean(inputs.duty),
        outlay=mean(inputs.outlay),
        supply=supply,
        source=np.array([chain.up(lead) for lead in inputs.lead.tolist()]),
        refunded=mean(inputs.refunded) > 0.5,  # noqa: PLR2004 - a half
        left=mean(inputs.left),
        retiring=mean(inputs.retiring),
        kept=mean(inputs.kept),
        amount=mean(inputs.amount),
        cap=mean(inputs.cap),
        cap_begins=np.zeros((len(inputs.cap), quarters), np.bool_),
        ratio=mean(inputs.ratio),
        ratio_begins=begins,
    )


def _held(plan: Plan, neutral: Result, orders: _Floats) -> float | None:
    """Give how much more it costs if these are the orders of the first quarter; axes K, C, R."""
    program = neutral.program
    index = program.variables["buy"].index[..., 0]
    there = index >= 0
    columns = index[there]
    fixed = orders[there] / program.unit[columns]
    lower, upper = program.lower.copy(), program.upper.copy()
    lower[columns], upper[columns] = np.maximum(0.0, fixed * (1 - 1e-9)), fixed
    held = replace(program, lower=lower, upper=upper)
    try:
        values = plan.loaded(held).minimum()
    except SolverError:
        return None
    result = Result(neutral.inputs, held, replace(neutral.solution, values=values))
    return result.mean_usd - neutral.mean_usd
