"""`fair`: weighted max-min of service across unequal chips; the tenant with the least is next.

A tenant's turn comes by

    (served / all served + held now / capacity) / share / suits^(1/4)

where served and held count accelerators at the job's rate relative to its best (see
`tieline.scheduling.accounts`), so a tenant on slow chips is owed more of them, and `suits` is
that rate on the fastest pool with room. With suits to the power of 1 that would be
proportional fairness, without it max-min, which gives most chips to whom they suit least.

Within a tenant the oldest job goes first. A job whose turn it is and that must wait has a
reservation. Younger ones of its tenant that could take what it waits for stand behind it: they
get what nobody else wants, and what they hold does not count against it. So its tenant falls
back until the job starts, and a large gang is not passed over for ever.

Alpha-fairness: Mo and Walrand, "Fair end-to-end window-based congestion control", IEEE/ACM
Transactions on Networking 8 (2000); here alpha = 4.
"""

from math import nan
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.accounts import holds, served_by_tenant, suits
from tieline.scheduling.compiled import compiled
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.reservation import Reservations, no_reservations, serve
from tieline.scheduling.room import Plan, Room, eligible, within_quota

_NONE: Final = -1

#: 1 / alpha. At 1/4 a chip goes to a tenant that it suits half as well when that one has had
#: 16 % less; Gavel's cases lose 2 % of mean completion time against proportional fairness.
_ADVANTAGE: Final = 0.25


class _Turns(NamedTuple):
    """Who is next. Axes: T tenants, K kinds."""

    first: NDArray[np.int64]
    """Axis T: a kind of the tenant that waits; -1 where none does."""
    following: NDArray[np.int64]
    """Axis K: the next kind of the same tenant; -1 after the last."""
    cursor: NDArray[np.int64]
    """Axis K: the first job not yet tried."""
    behind: NDArray[np.bool_]
    """Axis K: whether it stands behind a job of its tenant that waits for room."""
    served: NDArray[np.float64]
    """Axis T: the tenant's part of all service, per share."""
    holds: NDArray[np.float64]
    """Axis T: what the tenant holds [accelerators at relative rates]."""
    counts: NDArray[np.float64]
    """Axis T: as much of it as counts against its next job."""
    keys: NDArray[np.float64]
    rows: NDArray[np.int64]
    """A heap of the next job of each tenant, by turn."""


@compiled
def _oldest(s: Snapshot, turns: _Turns, t: int) -> int:
    """Give the tenant's oldest job not yet tried and not behind another, or -1."""
    oldest, k = _NONE, turns.first[t]
    while k != _NONE:
        if not turns.behind[k] and turns.cursor[k] < s.kinds[k].end:
            row = s.queue[turns.cursor[k]]
            if oldest == _NONE or row < oldest:
                oldest = row
        k = turns.following[k]
    return oldest


@compiled
def _turns(s: Snapshot, now: float) -> _Turns:
    """Give the turns at the start of a decision; the heap is empty.

    Jobs younger than their tenant's oldest waiting one do not count against it.
    """
    n, served, total = len(s.used), served_by_tenant(s, now), 0.0
    turns = _Turns(
        first=np.full(n, _NONE),
        following=np.full(len(s.kinds), _NONE),
        cursor=s.kinds["start"].copy(),
        behind=np.zeros(len(s.kinds), np.bool_),
        served=served,
        holds=np.zeros(n, np.float64),
        counts=np.zeros(n, np.float64),
        keys=np.empty(n, np.float64),
        rows=np.empty(n, np.int64),
    )
    for k in range(len(s.kinds)):
        if s.kinds[k].start < s.kinds[k].end and s.kinds[k].best > 0.0:
            t = s.kinds[k].tenant
            if turns.first[t] == _NONE:
                total += served[t] * s.kinds[k].share
            turns.following[k] = turns.first[t]
            turns.first[t] = k
    if total > 0.0:
        served /= total
    oldest = np.empty(n, np.int64)
    for t in range(n):  # a comprehension here makes the compiler drop the writes above
        oldest[t] = _oldest(s, turns, t)
    for i in range(s.n_running[0]):
        row = s.running[i]
        t, amount = s.kinds[s.jobs[row].kind].tenant, holds(s, row, s.jobs[row].pool)
        turns.holds[t] += amount
        if row < oldest[t]:
            turns.counts[t] += amount
    return turns


@compiled
def _key(s: Snapshot, turns: _Turns, room: Room, row: int) -> float:
    """Give what the job's turn goes by: the least is next."""
    k = s.jobs[row].kind
    t = s.kinds[k].tenant
    held = turns.counts[t] / s.pools["capacity"].sum() / s.kinds[k].share
    return (turns.served[t] + held) / suits(s, room, k) ** _ADVANTAGE


@compiled
def _waits_for_room(s: Snapshot, held: Reservations, k: int) -> bool:
    """Whether nothing but room keeps the kind from starting."""
    for p in range(len(s.pools)):
        if s.pools[p].open and eligible(s, k, p, False) and within_quota(s, held.room.used, k, p):
            return True
    return False


@compiled
def _stand_behind(s: Snapshot, turns: _Turns, k: int) -> None:
    """Let the kinds of the tenant that could take what kind `k` waits for stand behind it."""
    other = turns.first[s.kinds[k].tenant]
    while other != _NONE:
        for m in range(len(s.markets)):
            if s.rate[k, m] > 0.0 and s.rate[other, m] > 0.0:
                turns.behind[other] = True
        other = turns.following[other]


@compiled
def _take_turns(
    s: Snapshot, turns: _Turns, held: Reservations, plan: Plan, now: float, strict: bool
) -> None:
    """Serve the job whose turn it is until no job is left to try.

    With `strict`, jobs that could take what an older one of their tenant waits for are left.
    Turns only come later as a decision goes on, so a stale key is renewed at the top.
    """
    size = 0
    for t in range(len(turns.first)):
        row = _oldest(s, turns, t)
        if row != _NONE:
            size = push(turns.keys, turns.rows, size, _key(s, turns, held.room, row), row)
    while size > 0:
        row = turns.rows[0]
        key = _key(s, turns, held.room, row)
        if key > turns.keys[0]:
            turns.keys[0] = key
            sift(turns.keys, turns.rows, size)
            continue
        k, planned = s.jobs[row].kind, plan.size[0]
        t = s.kinds[k].tenant
        goes_on = serve(s, held, plan, row, now)
        if plan.size[0] > planned:
            turns.holds[t] += holds(s, row, plan.placements[planned].pool)
        elif strict and _waits_for_room(s, held, k):
            _stand_behind(s, turns, k)
        turns.counts[t] = turns.holds[t]
        turns.cursor[k] = turns.cursor[k] + 1 if goes_on else s.kinds[k].end
        turns.rows[0] = _oldest(s, turns, t)
        if turns.rows[0] == _NONE:
            size = drop_top(turns.keys, turns.rows, size)
        else:
            turns.keys[0] = _key(s, turns, held.room, turns.rows[0])
            sift(turns.keys, turns.rows, size)


@compiled
def _plan_fair(s: Snapshot, plan: Plan, now: float) -> None:
    """Take turns, then let those past that stood behind an older job of their own tenant.

    Notes
    -----
    O(K + running jobs + tried jobs x (P + log T + kinds of the tenant)).
    """
    held, turns = no_reservations(s), _turns(s, now)
    _take_turns(s, turns, held, plan, now, True)
    turns.behind[:] = False
    _take_turns(s, turns, held, plan, now, False)


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    _plan_fair(snapshot, plan, now)
    return Decision(plan, nan, nan, None)


FAIR = Policy(
    name="fair",
    summary="weighted max-min of service between tenants, across unequal chips",
    order="submission",
    decide=_decide,
    preempts=True,
    accounts=True,
)
