"""`price`: the clearing. Jobs go where their value exceeds the price; the default."""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.clearing import clear, waiting_prices
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan, open_room


@compiled
def _clear_and_price(s: Snapshot, plan: Plan, prices: Array) -> tuple[float, float]:
    cursor = np.empty(len(s.kinds), np.int64)
    room = open_room(s)
    placed, bound = clear(s, room, plan, cursor)
    waiting_prices(s, room, cursor, prices)
    return placed, bound


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    del now
    prices = np.empty(len(snapshot.pools))
    placed, bound = _clear_and_price(snapshot, plan, prices)
    return Decision(plan, placed, bound, prices)


PRICE = Policy(
    name="price",
    summary="the clearing: value against shadow prices, with a certified gap",
    order="work",
    decide=_decide,
    preempts=True,
)
