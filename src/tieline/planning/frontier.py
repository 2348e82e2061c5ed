"""What it costs on average to be safe: the mean against the worst futures."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import Risk
from tieline.planning.plan import Plan, Result

_WEIGHTS: Final = (0.25, 0.5, 0.75, 0.95)
#: A frontier along which neither end moves by more than this part of the mean is flat.
_FLAT: Final = 1e-3


@dataclass(frozen=True)
class RiskPoint:
    """The plan at one weight of the worst futures."""

    weight: float
    mean_usd: float
    tail_usd: float
    """Mean cost of the dearest part of the futures."""
    ordered_now: dict[str, float]


@dataclass(frozen=True)
class Frontier:
    """Plans from careless to careful."""

    tail: float
    points: tuple[RiskPoint, ...]

    @property
    def flat(self) -> bool:
        """Whether being careful changes next to nothing."""
        means = [point.mean_usd for point in self.points]
        tails = [point.tail_usd for point in self.points]
        spread = max(max(means) - min(means), max(tails) - min(tails))
        return spread <= _FLAT * abs(means[0])


def frontier(plan: Plan, neutral: Result) -> Frontier | None:
    """Give the frontier of a plan; None where there is one future only.

    Parameters
    ----------
    neutral
        What is best without a weight on risk.
    """
    spec = neutral.inputs.spec
    if len(neutral.inputs.tree.leaves) == 1:
        return None
    careful = (
        _point(weight, plan.what_if(replace(spec, risk=Risk(weight, spec.risk.tail))))
        for weight in _WEIGHTS
    )
    return Frontier(spec.risk.tail, (_point(0.0, neutral), *careful))


def _point(weight: float, result: Result) -> RiskPoint:
    orders = result.array("buy")[..., 0].sum(axis=(0, 2))
    tree, names = result.inputs.tree, result.inputs.axes["accelerator"]
    costs = result.future_costs.to_numpy()
    return RiskPoint(
        weight=weight,
        mean_usd=result.mean_usd,
        tail_usd=tail_mean(costs, tree.probability[tree.leaves], result.inputs.spec.risk.tail),
        ordered_now=dict(zip(names, orders.tolist(), strict=True)),
    )


def tail_mean(costs: NDArray[np.float64], probability: NDArray[np.float64], tail: float) -> float:
    """Give the mean of the dearest part of the futures (CVaR); axis S."""
    order = np.argsort(-costs, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(probability[order])[:-1]])
    part = np.clip(tail - before, 0.0, probability[order])
    return float(part @ costs[order] / tail)
