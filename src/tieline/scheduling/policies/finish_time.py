"""`finish-time`: every job done about as soon as under an equal split, the rest by value.

A job is at risk when, started now on its fastest chip, it would take more than `_AT_RISK` of
the time that an equal split of the network among the jobs present would (see
`tieline.scheduling.accounts`). Jobs at risk go first, the one that would be latest in
proportion foremost, and have reservations. What they leave goes to the jobs with the highest
value per accelerator, shortest first, as under `shortest`: a fair finish for all costs little
in the mean.

Finish-time fairness: Mahajan et al., "Themis: Fair and Efficient GPU Cluster Scheduling",
NSDI '20.
"""

from math import nan
from typing import Final

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.accounts import split_end, suits
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.reservation import (
    Reservations,
    may_start,
    no_reservations,
    serve,
    start,
)
from tieline.scheduling.room import Plan, Room

#: Below 1, so that a job at risk still ends in time on a slower chip, or after one more that
#: is at greater risk.
_AT_RISK: Final = 0.75


@compiled
def _lateness(s: Snapshot, row: int, now: float) -> float:
    """Give the time the job would take if it ran from now on, over that of an equal split."""
    best = s.kinds[s.jobs[row].kind].best
    if best <= 0.0:
        return 0.0
    submitted = s.jobs[row].submitted
    takes = now + s.jobs[row].work / best - submitted
    return takes / (split_end(s, row, now) - submitted) if takes > 0.0 else 0.0


@compiled
def _at_risk(s: Snapshot, now: float, at_risk: Array) -> tuple[Array, Array]:
    """Give the rows at risk and their lateness; mark their places in `at_risk`, axis Q."""
    waiting = (s.kinds["end"] - s.kinds["start"]).sum()
    rows, lateness = np.empty(waiting, np.int64), np.empty(waiting, np.float64)
    n = 0
    for k in range(len(s.kinds)):
        for q in range(s.kinds[k].start, s.kinds[k].end):
            late = _lateness(s, s.queue[q], now)
            if late > _AT_RISK:
                rows[n], lateness[n] = s.queue[q], late
                at_risk[q] = True
                n += 1
    return rows[:n], lateness[:n]


@compiled
def _serve_at_risk(
    s: Snapshot, held: Reservations, plan: Plan, rows: Array, lateness: Array, now: float
) -> None:
    """Start or reserve for jobs at risk by falling lateness per accelerator, where it suits them.

    Both `rows` and `lateness` are shape (jobs at risk,).
    """
    shut = np.zeros(len(s.kinds), np.bool_)
    keys, items = np.empty(len(rows), np.float64), np.empty(len(rows), np.int64)
    size = 0
    for i in range(len(rows)):
        k = s.jobs[rows[i]].kind
        size = push(keys, items, size, -lateness[i] * suits(s, held.room, k) / s.kinds[k].count, i)
    while size > 0:
        i = items[0]
        row = rows[i]
        k = s.jobs[row].kind
        key = -lateness[i] * suits(s, held.room, k) / s.kinds[k].count
        if key > keys[0] and not shut[k]:
            keys[0] = key
            sift(keys, items, size)
            continue
        if not shut[k]:
            shut[k] = not serve(s, held, plan, row, now)
        size = drop_top(keys, items, size)


@compiled
def _worth(s: Snapshot, room: Room, row: int) -> float:
    """Give the value per accelerator on the fastest market with room; 0 if there is none."""
    k = s.jobs[row].kind
    least = np.inf
    for m in range(len(s.markets)):
        if room.most[m] >= s.kinds[k].count and s.rate[k, m] > 0.0:
            least = min(least, s.stage[k, m] + s.jobs[row].work / s.rate[k, m])
    return s.kinds[k].weight / s.kinds[k].count / least


@compiled
def _next_not_at_risk(s: Snapshot, at_risk: Array, q: int, k: int) -> int:
    while q < s.kinds[k].end and at_risk[q]:
        q += 1
    return q


@compiled
def _fill_by_value(
    s: Snapshot, held: Reservations, plan: Plan, at_risk: Array, now: float
) -> None:
    """Start jobs that are not at risk by falling value, around the reservations."""
    cursor = s.kinds["start"].copy()
    keys, kinds = np.empty(len(s.kinds), np.float64), np.empty(len(s.kinds), np.int64)
    size = 0
    for k in range(len(s.kinds)):
        cursor[k] = _next_not_at_risk(s, at_risk, cursor[k], k)
        if cursor[k] < s.kinds[k].end and may_start(s, held, k):
            size = push(keys, kinds, size, -_worth(s, held.room, s.queue[cursor[k]]), k)
    while size > 0:
        k = kinds[0]
        key = -_worth(s, held.room, s.queue[cursor[k]])
        if key > keys[0]:
            keys[0] = key
            sift(keys, kinds, size)
            continue
        if start(s, held, plan, s.queue[cursor[k]], now) or may_start(s, held, k):
            cursor[k] = _next_not_at_risk(s, at_risk, cursor[k] + 1, k)
        else:
            cursor[k] = s.kinds[k].end
        if cursor[k] < s.kinds[k].end:
            keys[0] = -_worth(s, held.room, s.queue[cursor[k]])
            sift(keys, kinds, size)
        else:
            size = drop_top(keys, kinds, size)


@compiled
def _plan_finish_time(s: Snapshot, plan: Plan, now: float) -> None:
    held = no_reservations(s)
    at_risk = np.zeros(len(s.queue), np.bool_)
    rows, lateness = _at_risk(s, now, at_risk)
    _serve_at_risk(s, held, plan, rows, lateness, now)
    _fill_by_value(s, held, plan, at_risk, now)


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    _plan_finish_time(snapshot, plan, now)
    return Decision(plan, nan, nan, None)


FINISH_TIME = Policy(
    name="finish-time",
    summary="nobody much later than under an equal split, the rest by value",
    order="work",
    decide=_decide,
    accounts=True,
)
