"""What a policy is: a name, an order of waiting, and one function from snapshot to decision."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.room import Plan

#: How jobs of one kind wait: in order of submission, or least work first.
Order = Literal["submission", "work"]


class Decision(NamedTuple):
    """Placements in the order decided, and what the clearing certifies.

    The plan's arrays are the planner's scratch: use them before the next decision, or copy.
    """

    plan: Plan
    value: float
    """Value placed [finished jobs per second]; nan for policies without a clearing."""
    bound: float
    """Upper bound on the value of any placement now; nan for policies without a clearing."""
    prices: NDArray[np.float64] | None
    """Shape (P,) [finished jobs per accelerator-second]; None without a clearing."""

    @property
    def gap(self) -> float:
        """Certified gap (bound - value) / bound in [0, 1]; 0 when nothing could be placed."""
        return (self.bound - self.value) / self.bound if self.bound > 0 else 0.0


@dataclass(frozen=True)
class Policy:
    """The rule that orders and values jobs."""

    name: str
    summary: str
    """One line for tables and help."""
    order: Order
    decide: Callable[[Snapshot, Plan, float], Decision]
    """(snapshot, empty plan, now [s]) -> decision. Pure apart from filling the plan."""
    home_only: bool = False
    """Whether tenants use only their home site."""
    preempts: bool = False
    """Whether jobs that may be stopped are decided anew while they run."""
    accounts: bool = False
    """Whether it needs accounts of service received and due (`tieline.scheduling.accounts`)."""
