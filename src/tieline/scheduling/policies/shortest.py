"""`shortest`: least remaining accelerator-time first, each job on its fastest free pool."""

from math import nan

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import compiled
from tieline.scheduling.fill import fill
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan, open_room


@compiled
def _greedy(s: Snapshot, plan: Plan) -> None:
    no_prices = np.zeros(len(s.markets))
    planned = np.zeros(len(s.queue), np.bool_)
    fill(s, open_room(s), no_prices, plan, planned, np.empty(len(s.kinds), np.int64))


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    del now
    _greedy(snapshot, plan)
    return Decision(plan, nan, nan, None)


SHORTEST = Policy(
    name="shortest",
    summary="least remaining accelerator-time first, whatever fits",
    order="work",
    decide=_decide,
    preempts=True,
)
