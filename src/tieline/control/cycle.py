"""One cycle: observe, decide, act. Called alike by the live loop and by the replay.

observations -> absorb -> decide(snapshot) -> apply (checks again) -> actions
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.control.holding import apply_plan, release
from tieline.control.state import State
from tieline.control.waiting import insert, remove
from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.decide import decide
from tieline.scheduling.policy import Decision

Rows = NDArray[np.int64]

NO_ROWS: Final[Rows] = np.zeros(0, np.int64)
NO_ROWS.flags.writeable = True

#: From this many joining jobs on, laying the queue anew is cheaper than inserting them.
_BULK: Final = 256


@dataclass(frozen=True, slots=True)
class Observations:
    """What happened since the last cycle, as job rows in the order it happened."""

    ended: Rows = field(default_factory=lambda: NO_ROWS)
    """Jobs that hold accelerators no longer, for whatever reason."""
    submitted: Rows = field(default_factory=lambda: NO_ROWS)
    """Jobs that wait from now on: new ones, and ended ones that are to run again."""
    withdrawn: Rows = field(default_factory=lambda: NO_ROWS)
    """Waiting jobs that were cancelled."""
    opened: Rows = field(default_factory=lambda: NO_ROWS)
    """Pools that take new work from now on."""
    closed: Rows = field(default_factory=lambda: NO_ROWS)
    """Pools that take none: drained, or their site does not answer."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do: start each job on its pool, in this order."""

    rows: NDArray[np.int32]
    pools: NDArray[np.int32]


@compiled
def _absorb(s: Snapshot, ended: Array, withdrawn: Array, submitted: Array, by_work: bool) -> int:
    """Apply observations; give the index of the first submission that found no slack."""
    for i in range(len(ended)):
        release(s, ended[i])
    for i in range(len(withdrawn)):
        if s.jobs[withdrawn[i]].waiting:
            remove(s, withdrawn[i], by_work)
    for i in range(len(submitted)):
        row = submitted[i]
        if not s.jobs[row].waiting and not insert(s, row, by_work):
            return i
    return len(submitted)


def absorb(state: State, seen: Observations) -> None:
    """Bring the state up to date with what happened."""
    if len(seen.opened):
        state.snapshot.pools["open"][seen.opened] = True
    if len(seen.closed):
        state.snapshot.pools["open"][seen.closed] = False
    bulk = len(seen.submitted) >= _BULK
    joining = NO_ROWS if bulk else seen.submitted
    done = _absorb(state.snapshot, seen.ended, seen.withdrawn, joining, state.by_work)
    left = seen.submitted if bulk else seen.submitted[done:]
    if len(left):
        waiting = state.snapshot.jobs["waiting"][left]
        state.lay_queue_anew(np.unique(left[~waiting]))


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
        same actions. The decision's plan is scratch: it is valid until the next cycle.
    """
    absorb(state, seen)
    decision = decide(state.snapshot, state.policy, state.plan, now)
    n = apply_plan(state.snapshot, state.plan, now, state.by_work)
    if decision.prices is not None:
        state.snapshot.prices[:] = decision.prices
    started = state.plan.placements[:n]
    actions = Actions(started["row"].copy(), started["pool"].copy())
    return actions, state, decision
