"""What joining the regions saves: the same plan with links and without."""

from dataclasses import dataclass, replace

import numpy as np

from tieline.planning.inputs import Inputs
from tieline.planning.plan import Plan, Result, apart
from tieline.planning.solver import SolverError


@dataclass(frozen=True)
class Service:
    """What a plan buys, serves and costs, as means over the futures."""

    cost_usd: float
    ordered: float
    """Accelerators, in all quarters."""
    unmet_share: float
    """Part of the demand that is not served, over all quarters."""


@dataclass(frozen=True)
class Pooling:
    """One plan, with links and without."""

    joined: Service
    apart: Service | None
    """None, as below: what must be served cannot be."""
    nothing_joined: Service | None
    """Nothing is bought: what the accelerators that are there serve together."""
    nothing_apart: Service | None
    """Nothing is bought: what they serve each region for itself."""
    alike: Service | None
    """Without links, at no more unmet demand (by its value) than with them; None where no
    purchase reaches that."""


def pooling(plan: Plan, base: Result) -> Pooling:
    """Give what links are worth; `base` is the result of the plan with them."""
    alone = apart(base.inputs)
    nothing = nothing_bought(base.inputs)
    without = plan.if_possible(alone)
    return Pooling(
        joined=service(base),
        alike=None if without is None else _alike(plan, without, base),
        apart=_served(without),
        nothing_joined=_served(plan.if_possible(nothing)),
        nothing_apart=_served(plan.if_possible(apart(nothing))),
    )


def _served(result: Result | None) -> Service | None:
    return None if result is None else service(result)


def nothing_bought(inputs: Inputs) -> Inputs:
    """Give the inputs of the same plan in which nothing may be ordered."""
    return replace(inputs, allowed=np.zeros_like(inputs.allowed))


def service(result: Result) -> Service:
    """Give what a result buys, serves and costs."""
    chance = result.inputs.tree.probability
    demanded = float((result.inputs.amount @ chance).sum())
    unmet = float((result.array("unmet") @ chance).sum())
    return Service(
        cost_usd=result.mean_usd,
        ordered=float((result.array("buy") @ chance).sum()),
        unmet_share=unmet / demanded if demanded else 0.0,
    )


def _alike(plan: Plan, without: Result, base: Result) -> Service | None:
    """Give the cheapest service without links with no more unmet, by value, than `base` has."""
    program, inputs = without.program, without.inputs
    f = inputs.discount[inputs.tree.quarter] * inputs.tree.probability
    usd = np.nan_to_num(inputs.unmet_usd)[:, None, None] * f
    index = program.variables["unmet"].index
    there = index >= 0
    if not there.any():
        return None
    values = np.broadcast_to(usd, index.shape)[there] * program.unit[index[there]] / program.usd
    most = float((usd * base.array("unmet")).sum()) / program.usd
    solver = plan.loaded(program)
    with solver.extra_limit(index[there], values, most + 1e-9 * (1.0 + most)):
        try:
            found = solver.minimum(cold=True)
        except SolverError:
            return None
    solution = replace(without.solution, values=found)
    return service(Result(inputs, program, solution))
