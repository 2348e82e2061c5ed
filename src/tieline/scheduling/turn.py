"""Nobody is passed over for ever: reservations for the clearing.

A clearing looks at one moment. A gang that finds no room together is passed over by smaller
jobs that are worth less, again and again. So after the clearing

- what it planned that is worth no less than any job it left waiting stays planned;
- everybody else has a turn in order of value per accelerator: a job starts, or reserves nodes
  (`tieline.scheduling.reservation`), and those after it start where that disturbs nobody.

Urgent jobs have the first turns, the longest waiting first: one whose deadline can just be met,
and one that has waited for much longer than it runs.
"""

from typing import Final

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.fill import next_waiting
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.offers import value
from tieline.scheduling.reservation import (
    Reservations,
    may_reserve,
    no_reservations,
    place,
    reserve,
    shut_too_late,
)
from tieline.scheduling.room import Plan, Room, eligible, has_room, within_quota

#: A job has waited for too long after so long [s], and so many times what it runs. Less costs the
#: mean: for Venus on 600 GPUs it was 11,627 s with a day, 11,425 with three, 10,715 without end.
_PATIENCE_S: Final = 259_200.0
_PATIENCE_RUNS: Final = 10.0
#: A deadline presses when the job must start within so long [s], and so many times what it runs.
_SPARE_S: Final = 600.0
_SPARE_RUNS: Final = 0.5
#: Urgent jobs looked at in one decision, and reservations held.
_MOST_URGENT: Final = 64
_MOST_RESERVED: Final = 16
#: Values that differ by less are equal.
_EXACT: Final = 1e-12


@compiled
def worth(s: Snapshot, row: int) -> tuple[float, float]:
    """Give the job's highest value per accelerator anywhere, and its shortest run time there [s].

    0 and inf where it can never run.
    """
    k = s.jobs[row].kind
    best, run_s = 0.0, np.inf
    for m in range(len(s.markets)):
        if s.rate[k, m] > 0.0:
            best = max(best, value(s, row, k, m))
            run_s = min(run_s, s.stage[k, m] + s.jobs[row].work * s.pace[k, m])
    return best / s.kinds[k].count, run_s


@compiled
def _is_urgent(s: Snapshot, row: int, now: float) -> bool:
    job = s.jobs[row]
    _, run_s = worth(s, row)
    late_s = job.deadline - run_s  # when it must have started
    if now <= late_s <= now + _SPARE_S + _SPARE_RUNS * run_s:
        return True
    # A loose job runs, and waits only in this decision: what counts is how long it waited before.
    # One that was urgent then keeps its place, or smaller ones would stop it again and again.
    until = job.began if job.running < -1 else now
    return until - job.submitted - job.served > _PATIENCE_S + _PATIENCE_RUNS * run_s


@compiled
def _fits_somewhere(s: Snapshot, k: int) -> bool:
    for p in range(len(s.pools)):
        if eligible(s, k, p, False):
            return True
    return False


@compiled
def urgent_jobs(s: Snapshot, now: float) -> Array:
    """Give the places in the queue of urgent jobs; at most so many.

    Those that run come first, then the longest waiting.
    """
    places, since = np.empty(16, np.int64), np.empty(16, np.float64)
    n = 0
    for k in range(len(s.kinds)):
        for q in range(s.kinds[k].start, s.kinds[k].end):
            job = s.jobs[s.queue[q]]
            # Most are not; a call would cost ten times this look.
            if now - job.submitted <= _PATIENCE_S and job.deadline == np.inf:
                continue
            if not _is_urgent(s, s.queue[q], now):
                continue
            if not _fits_somewhere(s, k):
                break
            if n == len(places):
                places, since = np.append(places, places), np.append(since, since)
            places[n], since[n] = q, job.submitted if job.running >= -1 else -np.inf
            n += 1
    return places[:n][np.argsort(since[:n], kind="mergesort")][:_MOST_URGENT]


@compiled
def any_runs_on(s: Snapshot, now: float) -> bool:
    """Whether a job runs that is not decided anew.

    Where all are, nobody need wait for room to come together: what is worth more takes it.
    """
    for i in range(s.n_running[0]):
        if s.jobs[s.running[i]].began < now:
            return True
    return False


@compiled
def passed_over(s: Snapshot, plan: Plan, prices: Array) -> bool:
    """Whether something is planned in a pool where a job worth more goes on waiting.

    Parameters
    ----------
    prices
        Axis P: the highest value per accelerator of those that wait.
    """
    for i in range(plan.size[0]):
        row, p = plan.placements[i].row, plan.placements[i].pool
        k = s.jobs[row].kind
        own = value(s, row, k, s.pools[p].market) / s.kinds[k].count
        if own < prices[p] * (1.0 - _EXACT):
            return True
    return False


@compiled
def _best_pool(s: Snapshot, room: Room, row: int, shut: Array) -> int:
    """Give the pool where the job is worth most among those with room and not shut, or -1.

    Equal value: the pool with the fewest free accelerators, then the lowest row.
    """
    k = s.jobs[row].kind
    best, highest = -1, 0.0
    for p in range(len(s.pools)):
        if shut[p] or not has_room(s, room, k, p) or not eligible(s, k, p, False):
            continue
        if not within_quota(s, room.used, k, p):
            continue
        own = value(s, row, k, s.pools[p].market)
        if own > highest or (own == highest and room.free[p] < room.free[best]):
            best, highest = p, own
    return best


@compiled
def _start(s: Snapshot, held: Reservations, plan: Plan, row: int, now: float) -> bool:
    """Start the job where it is worth most, if it disturbs no reservation; tell whether."""
    late = _best_pool(s, held.late, row, held.nowhere)
    shut_too_late(s, held, row, now)
    early = _best_pool(s, held.room, row, held.shut)
    if late < 0 and early < 0:
        return False
    k, outlasts = s.jobs[row].kind, early < 0
    if late >= 0 and early >= 0:
        there = value(s, row, k, s.pools[late].market)
        outlasts = there >= value(s, row, k, s.pools[early].market)
    place(s, held, plan, row, late if outlasts else early, outlasts)
    return True


@compiled
def place_of(s: Snapshot, row: int) -> int:
    """Give the job's place in the queue; those that are planned stand near the front."""
    q = s.kinds[s.jobs[row].kind].start
    while s.queue[q] != row:
        q += 1
    return q


@compiled
def _keep_the_best(
    s: Snapshot, held: Reservations, plan: Plan, best: Array, prices: Array, planned: Array
) -> None:
    """Plan those of `best` again that are worth no less than anybody who waits for their pool.

    Parameters
    ----------
    best
        Dtype `PLACEMENT`: what the clearing planned.
    planned
        Axis Q: whom a turn has been given to; written.
    """
    for i in range(len(best)):
        row, p = best[i].row, best[i].pool
        k, q = s.jobs[row].kind, place_of(s, row)
        own = value(s, row, k, s.pools[p].market) / s.kinds[k].count
        if planned[q] or own < prices[p] * (1.0 - _EXACT) or not has_room(s, held.late, k, p):
            continue
        if within_quota(s, held.late.used, k, p):
            place(s, held, plan, row, p, True)
            planned[q] = True


@compiled
def _reserved_until(s: Snapshot, held: Reservations, until: Array) -> None:
    """Write, per market, by when a job must end that disturbs no reservation [s]; shape (M,)."""
    until[:] = -np.inf
    for p in range(len(s.pools)):
        until[s.pools[p].market] = max(until[s.pools[p].market], held.begins[p])


@compiled
def _heads(s: Snapshot, planned: Array, cursor: Array, keys: Array, kinds: Array) -> int:
    """Fill a heap with the first job of each kind that has had no turn, by its worth."""
    size = 0
    for k in range(len(s.kinds)):
        end = s.kinds[k].end
        while cursor[k] < end and planned[cursor[k]]:
            cursor[k] += 1
        if cursor[k] < end:
            # `worth` written out: a call hands over the whole snapshot.
            work, pace, charge, best = s.jobs[s.queue[cursor[k]]].work, s.pace[k], s.charge[k], 0.0
            for m in range(len(pace)):
                if pace[m] < np.inf:
                    best = max(best, 1.0 / max(1.0, charge[m] + work * pace[m]))
            if best > 0.0:
                worth_each = best * s.kinds[k].weight / s.kinds[k].count
                size = push(keys, kinds, size, -worth_each, k)
    return size


@compiled
def _take_the_rest(
    s: Snapshot, held: Reservations, plan: Plan, planned: Array, now: float, reserved: int
) -> tuple[float, float]:
    """Give all others a turn, in order of value per accelerator; give value and a bound on it.

    Jobs of a kind wait in order of work: where one cannot start, no later one can. The bound
    holds where one market has room.
    """
    keys, kinds = np.empty(len(s.kinds), np.float64), np.empty(len(s.kinds), np.int64)
    until, cursor = np.empty(len(s.markets), np.float64), s.kinds["start"].copy()
    _reserved_until(s, held, until)
    size = _heads(s, planned, cursor, keys, kinds)
    placed, bound = 0.0, -1.0
    while size > 0:
        k = kinds[0]
        row, n = s.queue[cursor[k]], s.kinds[k].count
        work, pace, stage = s.jobs[row].work, s.pace[k], s.stage[k]
        hopeless, may_ask = True, reserved < _MOST_RESERVED
        for m in range(len(pace)):  # cheap, for most jobs get no further
            if pace[m] < np.inf:
                may_ask &= until[m] == np.inf
                if held.late.most[m] >= n:
                    hopeless = False
                elif held.room.most[m] >= n:
                    hopeless &= now + stage[m] + work * pace[m] > until[m]
        if not hopeless and _start(s, held, plan, row, now):
            placed -= keys[0] * n
            planned[cursor[k]] = True
            if next_waiting(s, planned, cursor, k):
                keys[0] = -worth(s, s.queue[cursor[k]])[0]
                sift(keys, kinds, size)
            else:
                size = drop_top(keys, kinds, size)
            continue
        if bound < 0.0:
            bound = placed - keys[0] * held.room.free.sum()
        if may_ask and may_reserve(s, held, k):
            reserve(s, held, plan, row, now)
            reserved += 1
            _reserved_until(s, held, until)
        size = drop_top(keys, kinds, size)
    return placed, max(placed, bound)


@compiled
def take_turns(
    s: Snapshot, plan: Plan, prices: Array, urgent: Array, now: float
) -> tuple[float, float]:
    """Replace the plan of a clearing by one in which nobody is passed over.

    Parameters
    ----------
    prices
        Axis P: of the clearing.
    urgent
        `urgent_jobs(s, now)`.

    Returns
    -------
    tuple of float
        The value of those that started in the last turns, and a bound on it: of the whole plan
        where nothing was planned before and nobody is urgent.

    Notes
    -----
    O(K (M + log K) + started x P) and, for each reservation, O(P x running jobs).
    """
    best = plan.placements[: plan.size[0]].copy()
    plan.size[0] = 0
    held, planned = no_reservations(s), np.zeros(len(s.queue), np.bool_)
    reserved = 0
    for q in urgent:
        row = s.queue[q]
        started = _start(s, held, plan, row, now)
        if not started and reserved < _MOST_RESERVED and may_reserve(s, held, s.jobs[row].kind):
            reserve(s, held, plan, row, now)
            reserved += 1
        planned[q] = True
    _keep_the_best(s, held, plan, best, prices, planned)
    return _take_the_rest(s, held, plan, planned, now, reserved)
