"""`isolated`: each tenant on its home site only, first come, first served.

What centres have today, and so the policy that every other one is compared with.
"""

from math import nan

from tieline.model.snapshot import Snapshot
from tieline.scheduling.in_turn import plan_in_turn
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    del now
    plan_in_turn(snapshot, plan, home_only=True)
    return Decision(plan, nan, nan, None)


ISOLATED = Policy(
    name="isolated",
    summary="every tenant on its home site only, first come, first served",
    order="submission",
    decide=_decide,
    home_only=True,
)
