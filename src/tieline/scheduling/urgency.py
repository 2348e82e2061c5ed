"""Who is served before value counts: jobs that have waited too long, and deadlines coming near.

By value alone a large gang waits for as long as small jobs keep coming. So a job has patience: an
hour and a multiple of its own run time. After that it is urgent: it starts as soon as it can, or
reserves. A job with a deadline is urgent when it must start soon to meet it; one whose
deadline is out of reach is like any other.
"""

from typing import Final

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.offers import best_offer, tightest_pool
from tieline.scheduling.reservation import Reservations, place, serve
from tieline.scheduling.room import Plan

#: How long a job waits before it is urgent: so long [s], and so many times its run time, but
#: of that no more than a week. Figures for other values: ADR 10.
_PATIENCE_S: Final = 3600.0
_PATIENCE_RUNS: Final = 20.0
_MOST_RUNS_S: Final = 7 * 86_400.0
#: How long before its last moment to start a job with a deadline is urgent: likewise.
_SPARE_S: Final = 600.0
_SPARE_RUNS: Final = 0.5


@compiled
def _is_loose(s: Snapshot, row: int) -> bool:
    """Whether the job runs, and only waits for this decision."""
    return s.jobs[row].running < -1


@compiled
def _soonest(s: Snapshot, row: int) -> float:
    """Give the time from a start to the end on the fastest market [s]; inf if there is none."""
    k, soonest = s.jobs[row].kind, np.inf
    for m in range(len(s.markets)):
        if s.rate[k, m] > 0.0:
            soonest = min(soonest, s.stage[k, m] + s.jobs[row].work / s.rate[k, m])
    return soonest


@compiled
def _turns_urgent(s: Snapshot, row: int, now: float) -> float:
    """Give when the job turns urgent, or did [s]; inf unless it is by now."""
    waits_since = s.jobs[row].submitted + s.jobs[row].served
    until = s.jobs[row].began if _is_loose(s, row) else now
    deadline = s.jobs[row].deadline
    if waits_since + _PATIENCE_S > until and deadline == np.inf:
        return np.inf
    run_s, turns = _soonest(s, row), np.inf
    impatient = waits_since + _PATIENCE_S + min(_MOST_RUNS_S, _PATIENCE_RUNS * run_s)
    if impatient <= until:
        turns = impatient
    near = deadline - run_s - _SPARE_S - _SPARE_RUNS * run_s
    if near <= now and now + run_s <= deadline:
        turns = min(turns, near)
    return turns


@compiled
def urgent_jobs(s: Snapshot, now: float, urgent: Array) -> Array:
    """Give the rows of urgent jobs, first who turned urgent first.

    Parameters
    ----------
    urgent
        Axis Q: written; whether the job at that place of the queue is among them.
    """
    rows, turns = np.empty(16, np.int64), np.empty(16, np.float64)
    n = 0
    for k in range(len(s.kinds)):
        for q in range(s.kinds[k].start, s.kinds[k].end):
            turned = _turns_urgent(s, s.queue[q], now)
            if turned < np.inf:
                if n == len(rows):
                    rows, turns = np.append(rows, rows), np.append(turns, turns)
                rows[n], turns[n], urgent[q] = s.queue[q], turned, True
                n += 1
    order = np.argsort(turns[:n], kind="mergesort")
    return rows[:n][order]


@compiled
def _keep(s: Snapshot, held: Reservations, plan: Plan, row: int, no_prices: Array) -> None:
    """Let a job that runs go on, or move where it ends first; seats of running jobs are free."""
    _surplus, m = best_offer(s, held.room, no_prices, row, np.empty(len(s.markets)))
    p = tightest_pool(s, held.room, s.jobs[row].kind, m) if m >= 0 else -1
    if p >= 0:
        place(s, held, plan, row, p, False)


@compiled
def serve_urgent(s: Snapshot, held: Reservations, plan: Plan, rows: Array, now: float) -> None:
    """Start urgent jobs or reserve for them, in this order; those that run keep their place."""
    no_prices, done = np.zeros(len(s.markets)), np.zeros(len(s.kinds), np.bool_)
    for row in rows:
        if _is_loose(s, row):
            _keep(s, held, plan, row, no_prices)
    for row in rows:
        k = s.jobs[row].kind
        if not _is_loose(s, row) and not done[k]:
            done[k] = not serve(s, held, plan, row, now)
