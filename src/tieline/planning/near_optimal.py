"""How free the choice is: the fewest and the most accelerators of plans that cost little more."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.planning.plan import Plan, Result
from tieline.planning.verdict import first_year_weights

#: Parts by which a plan may cost more than the best.
SLACKS: Final = (0.01, 0.03)


@dataclass(frozen=True)
class Choice:
    """Orders of one accelerator in the first year, mean over the futures."""

    accelerator: str
    best: float
    """In the plan itself."""
    ranges: dict[float, tuple[float, float]]
    """Fewest and most by the part that the plan may cost more."""


def choices(plan: Plan, base: Result) -> tuple[Choice, ...]:
    """Give the range of near-optimal orders of every accelerator on offer.

    Modelling to generate alternatives (Brill, Chang and Hopkins, Management Science 28(3), 1982,
    doi 10.1287/mnsc.28.3.221): each end is an optimum with the cost as a limit.
    """
    inputs, program = base.inputs, base.program
    names = inputs.axes["accelerator"]
    index = program.variables["buy"].index
    weight = first_year_weights(inputs.tree)
    costly = np.flatnonzero(program.cost).astype(np.int32)
    best = base.objective_usd / program.usd
    solver = plan.loaded(program)
    ranges: dict[int, dict[float, tuple[float, float]]] = {}
    offered = [c for c, chip in enumerate(inputs.spec.chips) if chip.offer is not None]
    for slack in SLACKS:
        most = best + slack * abs(best)
        with solver.extra_limit(costly, program.cost[costly], most):
            for c in offered:
                there = index[:, c] >= 0
                aim = np.zeros(len(program.cost))
                aim[index[:, c][there]] = np.broadcast_to(weight, there.shape)[there]
                aim *= program.unit / program.unit[index[:, c][there]].max(initial=1.0)
                ends = []
                for sign in (1.0, -1.0):
                    with solver.other_costs(sign * aim):
                        ends.append(_ordered(base, solver.minimum(), c))
                ranges.setdefault(c, {})[slack] = (max(0.0, ends[0]), ends[1])
    return tuple(
        Choice(names[c], _ordered(base, base.solution.values, c), ranges[c]) for c in offered
    )


def _ordered(base: Result, values: NDArray[np.float64], c: int) -> float:
    """Give the orders of an accelerator in the first year, mean over the futures."""
    index = base.program.variables["buy"].index[:, c]
    orders = np.where(index >= 0, values[np.maximum(index, 0)], 0.0)
    return float((orders @ first_year_weights(base.inputs.tree)).sum())
