"""Running jobs decided anew, as kernels: let go of what may be stopped, decide, take hold again.

    loosen   every running job that may be stopped waits as well, with what is left of it;
             what it holds counts as free
    decide   as ever: who is worth more elsewhere, or more than one that runs
    tighten  whoever was planned where it is stays on its seats; the others are to stop; all
             hold again what they held

A stop takes effect when it is observed: the job then waits, and what it held is decided in the
cycle that sees it. Whoever gains from a stop starts in that cycle, so nobody starts on what is
still in use.
"""

from typing import Final

import numpy as np

from tieline.control.holding import occupy, vacate
from tieline.control.waiting import insert, remove
from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.room import Plan
from tieline.scheduling.seats import largest_free, seat

#: A running job that is decided anew: what it is put back to.
LOOSE: Final = np.dtype(
    [
        ("row", np.int32),
        ("kind", np.int32),
        ("pool", np.int32),
        ("block", np.int32),
        ("work", np.float64),
        ("left", np.float64),  # work that is left of it [s at rate 1]
        ("fate", np.int8),  # one of `_UNPLANNED`, `_STAYS`, `_MOVES`
    ],
    align=True,
)
_UNPLANNED: Final = 0
_STAYS: Final = 1
_MOVES: Final = 2


@compiled
def loosen(s: Snapshot, loose: Array, now: float, by_work: bool) -> tuple[int, int]:
    """Let running jobs that may be stopped wait as well; give their number and of those queued.

    The rest, if the queue had no slack for them, is to be queued by the caller.

    Parameters
    ----------
    loose
        Dtype `LOOSE`, shape (accelerators,): written.
    """
    n = 0
    for i in range(s.n_running[0]):
        row = s.running[i]
        job = s.jobs[row]
        if s.kinds[job.kind].stopped < 0 or job.stopping or job.began >= now:
            continue
        if s.warm[job.kind, s.pools[job.pool].market] < 0:
            continue
        # One that has outlived its estimate is taken to go on for as long again.
        left_s = abs(job.ends - now)
        if left_s > s.kinds[job.kind].restart:
            rate = s.rate[job.kind, s.pools[job.pool].market]
            loose[n].row, loose[n].kind, loose[n].pool = row, job.kind, job.pool
            loose[n].work, loose[n].left, loose[n].fate = job.work, left_s * rate, _UNPLANNED
            n += 1
    queued = 0
    for i in range(n):
        row = loose[i].row
        loose[i].block = vacate(s, row)
        s.jobs[row].kind = s.warm[loose[i].kind, s.pools[loose[i].pool].market]
        s.jobs[row].work = loose[i].left
        s.jobs[row].running = -2 - i
        if queued == i and insert(s, row, by_work):
            queued += 1
    return n, queued


@compiled
def _loose_at(s: Snapshot, row: int) -> int:
    """Give the job's place among the loose ones, or below 0."""
    return -2 - s.jobs[row].running


@compiled
def _are_free(s: Snapshot, node_free: Array, block: int) -> bool:
    while block >= 0:
        if node_free[s.blocks[block].node] < s.blocks[block].amount:
            return False
        block = s.blocks[block].next
    return True


@compiled
def _take_blocks(s: Snapshot, node_free: Array, block: int) -> None:
    while block >= 0:
        node_free[s.blocks[block].node] -= s.blocks[block].amount
        block = s.blocks[block].next


@compiled
def _keep_stayers(s: Snapshot, plan: Plan, loose: Array, node_free: Array) -> None:
    """Give those planned in the market they are in the seats they have."""
    for i in range(plan.size[0]):
        at = _loose_at(s, plan.placements[i].row)
        if at >= 0:
            market = s.pools[plan.placements[i].pool].market
            if s.pools[loose[at].pool].market == market:
                loose[at].fate = _STAYS
                _take_blocks(s, node_free, loose[at].block)


@compiled
def _fits(s: Snapshot, node_free: Array, n: int, p: int) -> bool:
    first, last = s.pools[p].first, s.pools[p].last
    if not s.pools[p].open or node_free[first:last].sum() < n:
        return False
    return n > s.pools[p].size or largest_free(node_free, first, last) >= n


@compiled
def _pool_for(s: Snapshot, node_free: Array, n: int, planned: int) -> int:
    """Give the planned pool if the gang fits there, else one that is alike, or -1."""
    if _fits(s, node_free, n, planned):
        return planned
    m = s.pools[planned].market
    for i in range(s.markets[m].first, s.markets[m].last):
        if _fits(s, node_free, n, s.market_pools[i]):
            return s.market_pools[i]
    return -1


@compiled
def _seat_others(s: Snapshot, plan: Plan, seated: Plan, loose: Array, node_free: Array) -> None:
    """Seat everybody else anew, in the order planned; movers only keep their seats free."""
    at, size = 0, 0
    for i in range(plan.size[0]):
        row = plan.placements[i].row
        mover = _loose_at(s, row)
        if mover >= 0 and loose[mover].fate == _STAYS:
            continue
        n = s.kinds[s.jobs[row].kind].count
        p = _pool_for(s, node_free, n, plan.placements[i].pool)
        if p < 0:
            continue
        first, last = s.pools[p].first, s.pools[p].last
        after = seat(node_free, first, last, s.pools[p].size, n, seated.seats, at)
        if mover >= 0:
            loose[mover].fate = _MOVES
            continue
        placed = seated.placements[size]
        placed.row, placed.kind, placed.pool = row, s.jobs[row].kind, p
        placed.first, placed.last = at, after
        at, size = after, size + 1
    seated.size[0] = size


@compiled
def tighten(
    s: Snapshot, plan: Plan, seated: Plan, loose: Array, now: float, by_work: bool, stops: Array
) -> int:
    """Let the loose jobs hold again what they held; give the number of those that are to stop.

    Parameters
    ----------
    plan
        What was decided with them loose; read only.
    seated
        Written: the placements of jobs that were not running, on seats that no stayer has.
        Seats of a job that is to stop may be among them.
    loose
        Dtype `LOOSE`, shape (loose jobs,).
    stops
        Shape (at least loose jobs,): written; rows of those that are to stop.
    """
    node_free = s.node_free.copy()
    _keep_stayers(s, plan, loose, node_free)
    _seat_others(s, plan, seated, loose, node_free)
    n_stops = 0
    for i in range(len(loose)):
        if loose[i].fate == _UNPLANNED and _are_free(s, node_free, loose[i].block):
            loose[i].fate = _STAYS  # nobody gains from its stop
            _take_blocks(s, node_free, loose[i].block)
        row = loose[i].row
        remove(s, row, by_work)
        s.jobs[row].kind, s.jobs[row].work = loose[i].kind, loose[i].work
        occupy(s, row, loose[i].pool, loose[i].block)
        if loose[i].fate != _STAYS:
            _tell_to_stop(s, row, loose[i].left, now)
            stops[n_stops] = row
            n_stops += 1
    return n_stops


@compiled
def _tell_to_stop(s: Snapshot, row: int, left: float, now: float) -> None:
    """Take down that the job is to stop, and what will be left of it: lost work included."""
    k, m = s.jobs[row].kind, s.pools[s.jobs[row].pool].market
    every, ran = s.kinds[k].checkpoint, now - s.jobs[row].began - s.stage[k, m]
    lost = ran % every if every > 0.0 and ran > 0.0 else 0.0
    s.jobs[row].work = left + lost * s.rate[k, m]
    s.jobs[row].served += now - s.jobs[row].began
    s.jobs[row].stopping = True


@compiled
def resume(s: Snapshot, row: int) -> None:
    """Let a job that was told to stop, and did, be of the kind that starts again."""
    if s.jobs[row].stopping:
        s.jobs[row].stopping = False
        s.jobs[row].kind = s.kinds[s.jobs[row].kind].stopped
