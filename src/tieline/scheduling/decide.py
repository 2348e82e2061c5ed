"""The one door to scheduling: decide(snapshot, policy, now) -> decision."""

from tieline.model.snapshot import Snapshot
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan


def decide(snapshot: Snapshot, policy: Policy, plan: Plan, now: float) -> Decision:
    """Give the placements the policy makes on this snapshot.

    Parameters
    ----------
    snapshot
        Read only. Its queue must be in the policy's order (`Policy.order`).
    plan
        Scratch that the decision's placements are written to; what was in it is lost.
    now
        [s], on the clock of the snapshot.

    Returns
    -------
    Decision
        Never more than is free on any node or within any quota; at most one placement per
        job, only on eligible pools. The same arguments give the same decision.
    """
    plan.size[0] = 0
    return policy.decide(snapshot, plan, now)
