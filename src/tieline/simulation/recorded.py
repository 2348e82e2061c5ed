"""Cycles of a live run, recorded and run again by the replay's loop.

recorder = Recorder()
... a live loop that calls recorder.run_cycle in place of control.run_cycle ...
list(differences(recorder.cycles, fresh_state))      empty: one scheduler
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from tieline.control.cycle import Actions, Observations, run_cycle
from tieline.control.state import State
from tieline.model.job import JobKind
from tieline.model.snapshot import Snapshot
from tieline.scheduling.policy import Decision
from tieline.simulation.driver import World, drive


@dataclass(frozen=True)
class RecordedCycle:
    """What one cycle was given, and what it did."""

    before: Snapshot
    """A copy of all arrays at its start."""
    kinds: tuple[JobKind, ...]
    """Axis K of `before`."""
    n_jobs: int
    """Rows of `before.jobs` that are in use."""
    seen: Observations
    now: float
    actions: Actions


class Recorder:
    """Keeps every cycle that is run through it."""

    def __init__(self) -> None:
        """Start without any."""
        self.cycles: list[RecordedCycle] = []

    def run_cycle(
        self, state: State, seen: Observations, now: float
    ) -> tuple[Actions, State, Decision]:
        """Run `control.run_cycle` and keep what it was given and what it did."""
        before = deepcopy(state.snapshot)
        kinds, n_jobs = tuple(state.kinds), state.n_jobs
        actions, state, decision = run_cycle(state, seen, now)
        self.cycles.append(RecordedCycle(before, kinds, n_jobs, seen, now, actions))
        return actions, state, decision


def differences(cycles: Sequence[RecordedCycle], state: State) -> Iterator[str]:
    """Run recorded cycles again and give every difference, in plain words; none is right.

    The state is built up by the replay itself: only jobs, times and observations come from
    the recording.

    Parameters
    ----------
    cycles
        All cycles of a live run that began without a job.
    state
        Untouched, of the same network and policy.
    """
    found: list[str] = []
    drive(state, _recorded_world(cycles, state, found))
    yield from found


def _recorded_world(cycles: Sequence[RecordedCycle], state: State, found: list[str]) -> World:
    """Let the recorded things happen; note where state or actions are not as recorded."""
    for number, cycle in enumerate(cycles):
        _admit(cycle, state)
        found += [
            f"cycle {number} at {cycle.now}: {name} differs before it"
            for name in Snapshot._fields
            if not np.array_equal(getattr(cycle.before, name), getattr(state.snapshot, name))
        ]
        actions = yield cycle.now, cycle.seen
        if not _equal(actions, cycle.actions):
            found.append(f"cycle {number} at {cycle.now}: {actions}, recorded {cycle.actions}")


def _admit(cycle: RecordedCycle, state: State) -> None:
    """Make the jobs known that the live run had come to know by then."""
    for kind in cycle.kinds[len(state.kinds) :]:
        state.intern(kind)
    new = cycle.before.jobs[state.n_jobs : cycle.n_jobs]
    if len(new):
        state.add(new["kind"], new["work"], new["submitted"], new["deadline"])


def _equal(one: Actions, other: Actions) -> bool:
    same = all(np.array_equal(a, b) for a, b in zip(one[:-1], other[:-1], strict=True))
    return same and one.moves == other.moves
