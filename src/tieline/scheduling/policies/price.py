"""`price`: the clearing. Jobs go where their value exceeds the price; the default."""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.clearing import clear, waiting_prices
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan, open_room
from tieline.scheduling.turn import passed_over, take_turns, urgent_jobs


@compiled
def _clear_and_price(s: Snapshot, plan: Plan, prices: Array, now: float) -> tuple[float, float]:
    cursor = np.empty(len(s.kinds), np.int64)
    room = open_room(s)
    placed, bound = clear(s, room, plan, cursor)
    waiting_prices(s, room, cursor, prices)
    urgent = urgent_jobs(s, now)
    if len(urgent) > 0 or passed_over(s, plan, prices):
        take_turns(s, plan, prices, urgent, now)
    return placed, bound


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    prices = np.empty(len(snapshot.pools))
    placed, bound = _clear_and_price(snapshot, plan, prices, now)
    return Decision(plan, placed, bound, prices)


PRICE = Policy(
    name="price",
    summary="the clearing: value against shadow prices, with a certified gap",
    order="work",
    decide=_decide,
    preempts=True,
)
