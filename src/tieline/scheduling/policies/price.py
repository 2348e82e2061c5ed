"""`price`: the clearing. Jobs go where their value exceeds the price; the default.

Urgent jobs, which have waited too long or whose deadline comes near, are served before it.
"""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.clearing import clear, waiting_prices
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.reservation import fill_in_front, no_reservations
from tieline.scheduling.room import Plan, open_room
from tieline.scheduling.urgency import serve_urgent, urgent_jobs


@compiled
def _clear_and_price(s: Snapshot, plan: Plan, now: float, prices: Array) -> tuple[float, float]:
    """Serve urgent jobs, then clear what they and their reservations leave over.

    Notes
    -----
    The search for urgent jobs is O(waiting jobs).
    """
    planned, cursor = np.zeros(len(s.queue), np.bool_), np.empty(len(s.kinds), np.int64)
    rows = urgent_jobs(s, now, planned)
    if len(rows) > 0:
        held = no_reservations(s)
        serve_urgent(s, held, plan, rows, now)
        placed, bound = clear(s, held.late, plan, planned, cursor)
        fill_in_front(s, held, plan, planned, cursor, now)
        room = held.room
    else:
        room = open_room(s)
        placed, bound = clear(s, room, plan, planned, cursor)
    waiting_prices(s, room, cursor, prices)
    return placed, bound


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    prices = np.empty(len(snapshot.pools))
    placed, bound = _clear_and_price(snapshot, plan, now, prices)
    return Decision(plan, placed, bound, prices)


PRICE = Policy(
    name="price",
    summary="the clearing: value against shadow prices, with a certified gap",
    order="work",
    decide=_decide,
    preempts=True,
)
