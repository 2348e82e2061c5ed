"""One cycle: observe, decide, act. Called alike by the live loop and by the replay.

observations -> absorb -> decide(snapshot) -> apply (checks again) -> actions
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.control.holding import apply_plan, release
from tieline.control.preemption import loosen, resume, tighten
from tieline.control.replicas import Move
from tieline.control.staging import make_way, note_use, send_ahead, step_in
from tieline.control.state import State
from tieline.control.waiting import insert, remove
from tieline.model.errors import InputError
from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.decide import decide
from tieline.scheduling.policy import Decision

Rows = NDArray[np.int64]

NO_ROWS: Final[Rows] = np.zeros(0, np.int64)
NO_STOPS: Final = np.zeros(0, np.int32)
NO_WORK: Final = np.zeros(0, np.float64)

#: From this many joining jobs on, laying the queue anew is cheaper than inserting them.
_BULK: Final = 256


class Observations(NamedTuple):
    """What happened since the last cycle, as job rows in the order it happened."""

    ended: Rows = NO_ROWS
    """Jobs that hold accelerators no longer, for whatever reason."""
    submitted: Rows = NO_ROWS
    """Jobs that wait from now on: new ones, and ended ones that are to run again. One that
    waits or holds accelerators already stays as it is."""
    withdrawn: Rows = NO_ROWS
    """Jobs that shall not start any more; one may be among `submitted` as well."""
    opened: Rows = NO_ROWS
    """Pools that take new work from now on."""
    closed: Rows = NO_ROWS
    """Pools that take none: drained, or their site does not answer."""
    reported: Rows = NO_ROWS
    """Running jobs that say how far they are ..."""
    left: NDArray[np.float64] = NO_WORK
    """... and the work that is left of each of them [s at rate 1]."""
    arrived: tuple[Move, ...] = ()
    """Data that is now where it was to be moved."""
    resized: Rows = NO_ROWS
    """Pools of which more or fewer accelerators can be used than before ..."""
    withheld: Rows = NO_ROWS
    """... and how many of each cannot be now: they do not work, or strangers hold them."""


class Actions(NamedTuple):
    """What to do: start each job on its pool, in this order, stop others, and move data."""

    rows: NDArray[np.int32]
    pools: NDArray[np.int32]
    counts: NDArray[np.int32]
    """Accelerators that each is given: those it asks for, or another of its sizes."""
    stops: NDArray[np.int32]
    """Running jobs to be stopped; each is to be observed as ended, and as submitted again."""
    moves: tuple[Move, ...] = ()
    """Each is to be observed as arrived."""


@compiled
def _all_below(rows: Array, n: int) -> bool:
    for i in range(len(rows)):
        if not 0 <= rows[i] < n:
            return False
    return True


@compiled
def _absorb(
    s: Snapshot,
    n_jobs: int,
    ended: Array,
    submitted: Array,
    withdrawn: Array,
    bulk: bool,
    by_work: bool,
) -> int:
    """Apply observations; give the index of the first submission that is still to be queued.

    That is the first without slack, or 0 where they are to be queued in bulk. -1 means that
    a row is not known; then nothing was changed.
    """
    for rows in (ended, submitted, withdrawn):
        if not _all_below(rows, n_jobs):
            return -1
    for i in range(len(ended)):
        release(s, ended[i])
    for i in range(len(submitted)):
        if s.jobs[submitted[i]].pool < 0:
            resume(s, submitted[i])
    joined = 0
    while joined < len(submitted) and not bulk:
        row = submitted[joined]
        if not s.jobs[row].waiting and s.jobs[row].pool < 0 and not insert(s, row, by_work):
            break
        joined += 1
    for i in range(len(withdrawn)):
        if s.jobs[withdrawn[i]].waiting:
            remove(s, withdrawn[i], by_work)
    return joined


def _rows(given: Rows) -> Rows:
    """Give the rows in the one form the kernels are compiled for."""
    if given is NO_ROWS:  # by far the most frequent, and this runs once per event
        return given
    return given if given.dtype == np.int64 and given.flags.carray else np.array(given, np.int64)


def absorb(state: State, seen: Observations, now: float) -> None:
    """Bring the state up to date with what happened."""
    ended, submitted, withdrawn = _rows(seen.ended), _rows(seen.submitted), _rows(seen.withdrawn)
    if seen.arrived:
        state.replicas.arrive(seen.arrived, now)
    if len(seen.opened):
        state.snapshot.pools["open"][seen.opened] = True
    if len(seen.closed):
        state.snapshot.pools["open"][seen.closed] = False
    s, bulk = state.snapshot, len(submitted) >= _BULK
    joined = _absorb(s, state.n_jobs, ended, submitted, withdrawn, bulk, state.by_work)
    if joined < 0:
        raise InputError(
            f"observations name a job row outside 0..{state.n_jobs - 1}; add the job first"
        )
    if state.withheld or len(seen.resized):
        state.withhold(dict(zip(seen.resized.tolist(), seen.withheld.tolist(), strict=True)))
    if len(seen.reported):
        running, kind = s.jobs["pool"][seen.reported], s.jobs["kind"][seen.reported]
        left_s = seen.left * s.pace[kind, s.pools["market"][running]]
        s.jobs["ends"][seen.reported] = np.where(running >= 0, now + left_s, 0.0)
    left = submitted[joined:]
    if len(left):
        jobs = s.jobs[left]
        may_join = left[~jobs["waiting"] & (jobs["pool"] < 0)]
        state.lay_queue_anew(np.setdiff1d(may_join, withdrawn))


def run_cycle(state: State, seen: Observations, now: float) -> tuple[Actions, State, Decision]:
    """Give what to start now, the state after it, and the decision with its certificate.

    Parameters
    ----------
    state
        Updated in place and returned; the caller must not keep the old one.
    seen
        What happened since the last cycle.
    now
        [s], on the clock of the state; never smaller than in the last cycle.

    Returns
    -------
    tuple of Actions, State, Decision
        Accelerators held never exceed capacity on any node or a tenant's quota; each started
        job was waiting and waits no more. The same state, observations and time give the
        same actions. The decision's plan holds what was started; it is scratch, valid until
        the next cycle.

    Raises
    ------
    InputError
        An observation names a job that is not known.
    """
    now = float(now)
    absorb(state, seen, now)
    aside = make_way(state, now) if state.data_kinds else None
    decision, stops = _decide(state, now)
    if aside is not None:
        step_in(state, aside)
    plan = decision.plan
    if state.may_grow and not len(stops):  # what a stop frees is decided next
        plan = state.larger(plan)
    n = apply_plan(state.snapshot, plan, now, state.by_work)
    if decision.prices is not None:
        state.snapshot.prices[:] = decision.prices
    started = plan.placements[:n]
    counts = state.snapshot.kinds["count"][started["kind"]]
    actions = Actions(started["row"].copy(), started["pool"].copy(), counts, stops)
    if state.may_stop and n:
        state.warm(actions.rows)
    if aside is not None:
        note_use(state, actions.rows, now)
        actions = actions._replace(moves=(*aside.moves, *send_ahead(state, now)))
    return actions, state, decision._replace(plan=plan)


def _decide(state: State, now: float) -> tuple[Decision, NDArray[np.int32]]:
    """Give the decision, with running jobs decided anew where the policy may stop them."""
    if not state.may_stop:
        return decide(state.snapshot, state.policy, state.plan, now), NO_STOPS
    loose = state.loose
    n, queued = loosen(state.snapshot, loose, now, state.by_work)
    if queued < n:
        state.lay_queue_anew(loose["row"][queued:n])
    decision = decide(state.snapshot, state.policy, state.plan, now)
    if n == 0:
        return decision, NO_STOPS
    stops = np.empty(n, np.int32)
    n_stops = tighten(
        state.snapshot, state.plan, state.seated, loose[:n], now, state.by_work, stops
    )
    return decision._replace(plan=state.seated), stops[:n_stops]
