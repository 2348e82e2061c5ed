"""`fifo`: no job starts before one submitted earlier that could use the same pool."""

from math import nan

from tieline.model.snapshot import Snapshot
from tieline.scheduling.in_turn import plan_in_turn
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    del now
    plan_in_turn(snapshot, plan, home_only=False)
    return Decision(plan, nan, nan, None)


FIFO = Policy(
    name="fifo",
    summary="strict first come, first served on the joined network",
    order="submission",
    decide=_decide,
)
