"""`backfill`: first come, first served, with EASY backfill on nodes.

The oldest job that must wait has a reservation (`tieline.scheduling.reservation`). So has a
younger one that could use no reserved pool.

With exact estimates and one rate, the job starts no later than first reserved. Where pools
differ in speed it may later choose one on which it ends sooner.
"""

from math import nan

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import compiled
from tieline.scheduling.heap import drop_top
from tieline.scheduling.in_turn import next_oldest, oldest_first
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.reservation import no_reservations, serve
from tieline.scheduling.room import Plan


@compiled
def _plan_backfill(s: Snapshot, plan: Plan, now: float) -> None:
    """Walk the waiting jobs in order of submission: start, reserve, or pass over.

    Notes
    -----
    A job that is passed over costs O(P): all jobs of a kind are tried as long as a pool has
    room for it, for a short one may still fit in.
    """
    held = no_reservations(s)
    cursor = s.kinds["start"].copy()
    keys = np.empty(len(s.kinds), np.float64)
    kinds = np.empty(len(s.kinds), np.int64)
    size = oldest_first(s, keys, kinds)
    while size > 0:
        if serve(s, held, plan, s.queue[cursor[kinds[0]]], now):
            size = next_oldest(s, keys, kinds, size, cursor)
        else:
            size = drop_top(keys, kinds, size)


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    _plan_backfill(snapshot, plan, now)
    return Decision(plan, nan, nan, None)


BACKFILL = Policy(
    name="backfill",
    summary="first come, first served, with reservations and EASY backfill",
    order="submission",
    decide=_decide,
)
