"""Who holds which accelerators, as kernels: apply a plan after checking it, release a job."""

from tieline.control.accounts import settle
from tieline.control.waiting import remove
from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.room import Plan, eligible, run_time, within_quota
from tieline.scheduling.seats import largest_free, seat


@compiled
def release(s: Snapshot, row: int) -> None:
    """Give back what the job holds; nothing happens when it holds nothing."""
    if s.jobs[row].pool < 0:
        return
    block = vacate(s, row)
    while block >= 0:
        following = s.blocks[block].next
        s.blocks[block].next = s.blocks[0].next
        s.blocks[0].next = block
        block = following


@compiled
def vacate(s: Snapshot, row: int) -> int:
    """Count what the job holds as free, and give the first of its blocks, which stay its own."""
    p, held = s.jobs[row].pool, s.jobs[row].block
    t, n = s.kinds[s.jobs[row].kind].tenant, s.kinds[s.jobs[row].kind].count
    block = held
    while block >= 0:
        s.node_free[s.blocks[block].node] += s.blocks[block].amount
        block = s.blocks[block].next
    s.pools[p].free += n
    s.used[t, s.pools[p].accelerator] -= n
    s.used[t, s.limit.shape[1] - 1] -= n
    last = s.running[s.n_running[0] - 1]
    s.running[s.jobs[row].running] = last
    s.jobs[last].running = s.jobs[row].running
    s.n_running[0] -= 1
    s.jobs[row].pool = -1
    s.jobs[row].block = -1
    s.jobs[row].running = -1
    return held


@compiled
def hold(s: Snapshot, row: int, p: int, seats: Array, now: float) -> None:
    """Give the job the listed seats on a pool; the caller has checked that they are free."""
    held = -1
    for i in range(len(seats)):
        block = s.blocks[0].next
        s.blocks[0].next = s.blocks[block].next
        s.blocks[block].node = seats[i].node
        s.blocks[block].amount = seats[i].amount
        s.blocks[block].next = held
        held = block
    occupy(s, row, p, held)
    s.jobs[row].began = now
    s.jobs[row].ends = now + run_time(s, row, p)


@compiled
def occupy(s: Snapshot, row: int, p: int, held: int) -> None:
    """Count the blocks of a pool from `held` on as the job's: what `vacate` undid."""
    t, n = s.kinds[s.jobs[row].kind].tenant, s.kinds[s.jobs[row].kind].count
    block = held
    while block >= 0:
        s.node_free[s.blocks[block].node] -= s.blocks[block].amount
        block = s.blocks[block].next
    s.pools[p].free -= n
    s.used[t, s.pools[p].accelerator] += n
    s.used[t, s.limit.shape[1] - 1] += n
    s.running[s.n_running[0]] = row
    s.jobs[row].running = s.n_running[0]
    s.n_running[0] += 1
    s.jobs[row].pool = p
    s.jobs[row].block = held


@compiled
def let_go(s: Snapshot, held: Array) -> int:
    """Count all that running jobs hold as free, for `take_hold`; give their number.

    Parameters
    ----------
    held
        Shape (accelerators, 3): written; row, pool and first block of each.
    """
    n = s.n_running[0]
    for i in range(n):
        row = s.running[n - 1 - i]
        held[i, 0], held[i, 1] = row, s.jobs[row].pool
        held[i, 2] = vacate(s, row)
    return n


@compiled
def take_hold(s: Snapshot, held: Array, n: int) -> None:
    """Undo `let_go`."""
    for i in range(n):
        row, p, block = held[n - 1 - i]
        occupy(s, row, p, block)


@compiled
def restore(s: Snapshot, row: int, p: int, began: float, seats: Array) -> None:
    """Let the job hold accelerators of a pool that it took before this state began.

    It sits where there is room, spread over nodes where it must be; what the pool does not
    have any more, it holds without a seat, so that `free` falls below 0.

    Parameters
    ----------
    seats
        Dtype `SEAT`: scratch, as long as the pool has nodes.
    """
    k = s.jobs[row].kind
    n, first, last = s.kinds[k].count, s.pools[p].first, s.pools[p].last
    amount = min(n, s.pools[p].size)
    n_seats = 0
    if largest_free(s.node_free, first, last) >= amount and s.node_free[first:last].sum() >= n:
        n_seats = seat(s.node_free, first, last, s.pools[p].size, n, seats, 0)
        for i in range(n_seats):
            s.node_free[seats[i].node] += seats[i].amount  # `hold` takes them
    else:
        for node in range(first, last):
            taken = min(n, s.node_free[node])
            if taken > 0:
                seats[n_seats].node = node
                seats[n_seats].amount = taken
                n_seats += 1
                n -= taken
    hold(s, row, p, seats[:n_seats], began)
    if s.rate[k, s.pools[p].market] <= 0.0:  # a rule has changed since
        s.jobs[row].ends = began + s.jobs[row].work


@compiled
def withhold(s: Snapshot, p: int, before: int, now: int, out: Array) -> None:
    """Count `now` accelerators of a pool as out of use, no longer `before`: the emptiest nodes.

    Parameters
    ----------
    out
        Axis N: written; how many of each node count as out of use. Where fewer are free on
        nodes than are out of use the rest has no node.
    """
    first, last = s.pools[p].first, s.pools[p].last
    for node in range(first, last):
        s.node_free[node] += out[node]
        out[node] = 0
    s.pools[p].free += before - now
    left = now
    for level in range(s.pools[p].size, 0, -1):
        for node in range(first, last):
            if left > 0 and s.node_free[node] == level:
                out[node] = min(level, left)
                s.node_free[node] -= out[node]
                left -= out[node]


@compiled
def _seated(s: Snapshot, p: int, seats: Array) -> int:
    """Give the accelerators listed, or -1 when they are not all free on nodes of the pool."""
    total, valid = 0, 0
    for i in range(len(seats)):
        node, amount = seats[i].node, seats[i].amount
        if node < s.pools[p].first or node >= s.pools[p].last:
            break
        if amount < 1 or amount > s.node_free[node]:
            break
        s.node_free[node] -= amount  # so that a node listed twice is seen
        total += amount
        valid += 1
    for i in range(valid):
        s.node_free[seats[i].node] += seats[i].amount
    return total if valid == len(seats) else -1


@compiled
def _holds_true(s: Snapshot, plan: Plan, i: int) -> bool:
    """Whether placement `i` is still possible on the state as it is now."""
    row, k, p = plan.placements[i].row, plan.placements[i].kind, plan.placements[i].pool
    if not (s.jobs[row].waiting and s.pools[p].open and eligible(s, k, p, False)):
        return False
    seats = plan.seats[plan.placements[i].first : plan.placements[i].last]
    n = s.kinds[k].count
    fits = _seated(s, p, seats) == n and n <= s.pools[p].free
    return fits and within_quota(s, s.used, k, p)


@compiled
def apply_plan(s: Snapshot, plan: Plan, now: float, by_work: bool) -> int:
    """Start every placement that is still possible; give their number.

    The plan is left with the accepted placements alone. A refused one leaves its job waiting.
    """
    accepted = 0
    for i in range(plan.size[0]):
        if not _holds_true(s, plan, i):
            continue
        placement = plan.placements[i]
        remove(s, placement.row, by_work)
        s.jobs[placement.row].kind = placement.kind
        seats = plan.seats[placement.first : placement.last]
        hold(s, placement.row, placement.pool, seats, now)
        plan.placements[accepted] = placement
        accepted += 1
    plan.size[0] = accepted
    if len(s.kinds) > 0 and s.kinds[0].accounted:
        settle(s, now)
    return accepted
