"""`finish-time`: every job done about as soon as under an equal split, the rest by value.

A job is late when, started now on its fastest chip, it would take more than `_LATE` of the time
that an equal split of the network among the jobs present would (see
`tieline.scheduling.accounts`). Late jobs go first, by lateness per accelerator times the rate
relative to their best, and have reservations. What they leave is filled by value, shortest
first, as under `shortest`: a fair finish for all costs little in the mean.

Finish-time fairness: Mahajan et al., "Themis: Fair and Efficient GPU Cluster Scheduling",
NSDI '20.
"""

from math import nan
from typing import Final

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.accounts import split_end, suits
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.fill import fill
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.reservation import Reservations, no_reservations, serve
from tieline.scheduling.room import Plan, Room

#: The quarter in reserve is for a slower chip, or for waiting for a job that is later still.
#: From 0.7 to 0.8 Gavel's cases and parts of them come out alike; below 0.65 nearly all jobs
#: are late and the worst suffers, above 0.9 it is too late for some.
_LATE: Final = 0.75


@compiled
def _lateness(s: Snapshot, row: int, now: float) -> float:
    """Give the time the job would take if it ran from now on, over that of an equal split."""
    best, submitted = s.kinds[s.jobs[row].kind].best, s.jobs[row].submitted
    if best <= 0.0:
        return 0.0
    takes = now + s.jobs[row].work / best - submitted
    return takes / (split_end(s, row, now) - submitted) if takes > 0.0 else 0.0


@compiled
def _late_jobs(s: Snapshot, now: float, late: Array) -> tuple[Array, Array]:
    """Give the rows of late jobs and how late they are; mark their places in `late`, axis Q."""
    waiting = (s.kinds["end"] - s.kinds["start"]).sum()
    rows, lateness = np.empty(waiting, np.int64), np.empty(waiting, np.float64)
    n = 0
    for k in range(len(s.kinds)):
        for q in range(s.kinds[k].start, s.kinds[k].end):
            by = _lateness(s, s.queue[q], now)
            if by > _LATE:
                rows[n], lateness[n] = s.queue[q], by
                late[q] = True
                n += 1
    return rows[:n], lateness[:n]


@compiled
def _key(s: Snapshot, room: Room, row: int, lateness: float) -> float:
    """Give what a late job's turn goes by: the least is next."""
    k = s.jobs[row].kind
    return -lateness * suits(s, room, k) / s.kinds[k].count


@compiled
def _serve_late(
    s: Snapshot, held: Reservations, plan: Plan, rows: Array, lateness: Array, now: float
) -> None:
    """Start late jobs or reserve for them; `rows` and `lateness` are shape (late jobs,).

    Turns only come later as a decision goes on, so a stale key is renewed at the top.
    """
    done = np.zeros(len(s.kinds), np.bool_)
    keys, items = np.empty(len(rows), np.float64), np.empty(len(rows), np.int64)
    size = 0
    for i in range(len(rows)):
        size = push(keys, items, size, _key(s, held.room, rows[i], lateness[i]), i)
    while size > 0:
        i = items[0]
        k = s.jobs[rows[i]].kind
        key = _key(s, held.room, rows[i], lateness[i])
        if not done[k] and key > keys[0]:
            keys[0] = key
            sift(keys, items, size)
            continue
        if not done[k]:
            done[k] = not serve(s, held, plan, rows[i], now)
        size = drop_top(keys, items, size)


@compiled
def _plan_finish_time(s: Snapshot, plan: Plan, now: float) -> None:
    """Serve late jobs, then fill by value what their reservations leave over.

    Notes
    -----
    O(waiting jobs + late jobs x (P + log late jobs)), and what `fill` takes.
    """
    held, late = no_reservations(s), np.zeros(len(s.queue), np.bool_)
    rows, lateness = _late_jobs(s, now, late)
    _serve_late(s, held, plan, rows, lateness, now)
    no_prices, cursor = np.zeros(len(s.markets)), np.empty(len(s.kinds), np.int64)
    fill(s, held.late, no_prices, plan, late, cursor)


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    _plan_finish_time(snapshot, plan, now)
    return Decision(plan, nan, nan, None)


FINISH_TIME = Policy(
    name="finish-time",
    summary="nobody much later than under an equal split, the rest by value",
    order="work",
    decide=_decide,
    preempts=True,
    accounts=True,
)
