"""`fair`: weighted max-min of service across unequal chips; the tenant with the least is next.

A tenant's turn comes by

    (served / all served + held now / capacity) / share

where both count accelerators at the job's rate relative to its best (see
`tieline.scheduling.accounts`), so a tenant on slow chips is owed more of them. The turn is
divided by that rate on the fastest pool with room: a chip goes to a tenant that it suits half
as well only if that one has had half as much.

Within a tenant the oldest job goes first. It is not set back by younger ones of its tenant that
were let past it: what they hold does not count against it. A job whose turn it is and that
must wait has a reservation, so that a large gang is not passed over for ever.
"""

from math import nan

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.accounts import holds, served_by_tenant, suits
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, push, sift
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.reservation import no_reservations, serve
from tieline.scheduling.room import Plan, Room

_NONE = -1


@compiled
def _kinds_of_tenants(s: Snapshot) -> tuple[Array, Array]:
    """Give the first kind of each tenant that can run, and the next of the same tenant."""
    first = np.full(len(s.used), _NONE)
    following = np.full(len(s.kinds), _NONE)
    for k in range(len(s.kinds)):
        if s.kinds[k].start < s.kinds[k].end and s.kinds[k].best > 0.0:
            t = s.kinds[k].tenant
            following[k] = first[t]
            first[t] = k
    return first, following


@compiled
def _oldest(s: Snapshot, cursor: Array, k: int, following: Array) -> int:
    """Give the oldest job not yet tried of the kind and those that follow, or -1."""
    oldest = _NONE
    while k != _NONE:
        if cursor[k] < s.kinds[k].end:
            row = s.queue[cursor[k]]
            if oldest == _NONE or row < oldest:
                oldest = row
        k = following[k]
    return oldest


@compiled
def _held_by_older(s: Snapshot, oldest: Array) -> tuple[Array, Array]:
    """Give what each tenant holds, in all and by jobs older than its oldest waiting one."""
    held, by_older = np.zeros(len(oldest), np.float64), np.zeros(len(oldest), np.float64)
    for i in range(s.n_running[0]):
        row = s.running[i]
        t, amount = s.kinds[s.jobs[row].kind].tenant, holds(s, row, s.jobs[row].pool)
        held[t] += amount
        if row < oldest[t]:
            by_older[t] += amount
    return held, by_older


@compiled
def _turn(s: Snapshot, room: Room, row: int, served: Array, held: Array, whole: float) -> float:
    """Give the key of the job: the least has its turn; `whole` is the capacity."""
    k = s.jobs[row].kind
    t = s.kinds[k].tenant
    return (served[t] + held[t] / whole / s.kinds[k].share) / suits(s, room, k)


@compiled
def _served_parts(s: Snapshot, first: Array, now: float) -> Array:
    """Give each tenant's part of all the service of those that wait, per share; shape (T,)."""
    served, total = served_by_tenant(s, now), 0.0
    for t in range(len(first)):
        if first[t] != _NONE:
            total += served[t] * s.kinds[first[t]].share
    return served / total if total > 0.0 else served


@compiled
def _plan_fair(s: Snapshot, plan: Plan, now: float) -> None:
    """Serve the tenant whose turn it is, job by job, until nobody can start.

    Notes
    -----
    O(K + running jobs + tried jobs x (P + log T + kinds of the tenant)). Turns only come
    later as a decision goes on, so a stale key is renewed when it comes to the top.
    """
    held = no_reservations(s)
    first, following = _kinds_of_tenants(s)
    served, whole = _served_parts(s, first, now), float(s.pools["capacity"].sum())
    cursor = s.kinds["start"].copy()
    oldest = np.array([_oldest(s, cursor, k, following) for k in first])
    holding, counted = _held_by_older(s, oldest)
    keys, rows = np.empty(len(first), np.float64), np.empty(len(first), np.int64)
    size = 0
    for row in oldest:
        if row != _NONE:
            key = _turn(s, held.room, row, served, counted, whole)
            size = push(keys, rows, size, key, row)
    while size > 0:
        row = rows[0]
        k = s.jobs[row].kind
        t = s.kinds[k].tenant
        key = _turn(s, held.room, row, served, counted, whole)
        if key > keys[0]:
            keys[0] = key
            sift(keys, rows, size)
            continue
        planned = plan.size[0]
        goes_on = serve(s, held, plan, row, now)
        if plan.size[0] > planned:
            holding[t] += holds(s, row, plan.placements[planned].pool)
        counted[t] = holding[t]
        cursor[k] = cursor[k] + 1 if goes_on else s.kinds[k].end
        rows[0] = _oldest(s, cursor, first[t], following)
        if rows[0] == _NONE:
            size = drop_top(keys, rows, size)
        else:
            keys[0] = _turn(s, held.room, rows[0], served, counted, whole)
            sift(keys, rows, size)


def _decide(snapshot: Snapshot, plan: Plan, now: float) -> Decision:
    _plan_fair(snapshot, plan, now)
    return Decision(plan, nan, nan, None)


FAIR = Policy(
    name="fair",
    summary="weighted max-min of service between tenants, across unequal chips",
    order="submission",
    decide=_decide,
    accounts=True,
)
