"""`price`: the clearing. Jobs go where their value exceeds the price; the default."""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.clearing import clear, market_free, waiting_prices
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.fill import fill
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.room import Plan, open_room
from tieline.scheduling.turn import any_runs_on, passed_over, place_of, take_turns, urgent_jobs


@compiled
def _clear_and_price(s: Snapshot, plan: Plan, prices: Array, now: float) -> tuple[float, float]:
    cursor = np.empty(len(s.kinds), np.int64)
    room, urgent = open_room(s), urgent_jobs(s, now)
    alone = np.count_nonzero(market_free(s, room)) <= 1
    if alone and any_runs_on(s, now) and len(urgent) == 0:
        no_prices, planned = np.zeros(len(s.markets)), np.zeros(len(s.queue), np.bool_)
        placed, bound = fill(s, room, no_prices, plan, planned, cursor)
        if (cursor == s.kinds["end"]).all():  # most often: nobody has to wait
            prices[:] = 0.0
            return placed, bound
        plan.size[0] = 0
        placed, bound = take_turns(s, plan, prices, urgent, now)
        waiting_prices(s, room, _unplanned(s, plan, cursor), prices)
        return placed, bound
    placed, bound = clear(s, room, plan, cursor)
    waiting_prices(s, room, cursor, prices)
    if len(urgent) > 0 or (any_runs_on(s, now) and passed_over(s, plan, prices)):
        take_turns(s, plan, prices, urgent, now)
        waiting_prices(s, room, _unplanned(s, plan, cursor), prices)
    return placed, bound


@compiled
def _unplanned(s: Snapshot, plan: Plan, cursor: Array) -> Array:
    """Write the place of the first job of each kind that is not planned; shape (K,)."""
    planned = np.zeros(len(s.queue), np.bool_)
    for i in range(plan.size[0]):
        planned[place_of(s, plan.placements[i].row)] = True
    for k in range(len(s.kinds)):
        cursor[k] = s.kinds[k].start
        while cursor[k] < s.kinds[k].end and planned[cursor[k]]:
            cursor[k] += 1
    return cursor


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
