"""The event loop of a replay: exact times, a cycle whenever something changed.

`drive` is the loop; a *world* says what happens next and hears what was started. Recorded
cycles of a live run are another world (`tieline.simulation.recorded`).
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tieline.control.cycle import NO_ROWS, Actions, Observations, Rows, run_cycle
from tieline.control.state import State
from tieline.model.errors import InputError
from tieline.scheduling.policy import Decision
from tieline.simulation.schedule import Attempts, Coming, Schedule
from tieline.simulation.transfers import Transfers

#: Called after each cycle: (now, decision).
Watcher = Callable[[float, Decision], None]

#: Yields (now, what happened), in order of time, and is sent what was started then.
World = Generator[tuple[float, Observations], Actions, None]


class Estimator(Protocol):
    """Tells the scheduler how long jobs run, where that is not the truth.

    It writes `JOB.work` of the state. At one instant it hears of the ends first.
    """

    def at_submission(self, rows: Rows, now: float) -> None:
        """Write the work of jobs that are about to be submitted for the first time."""

    def at_end(self, rows: Rows, now: float) -> None:
        """Learn from jobs that are finished."""

    def left(self, row: int, done_s: float) -> float:
        """Give the work left of a job that has done `done_s` of it; all in seconds at rate 1."""


@dataclass(frozen=True)
class Visits:
    """When to look into a replay, and who looks."""

    moments_s: Sequence[float]
    """Ascending [s]."""
    look: Callable[[float, State, Schedule], None]
    """(moment, state, schedule): the state as the last cycle up to the moment left it, and the
    schedule so far, in which running jobs have their true ends. Both are to be left as they
    are; the number of cycles is not in it yet."""


def drive(state: State, world: World, watch: Watcher | None = None) -> int:
    """Run a cycle for everything that happens in the world; give the number of cycles.

    Parameters
    ----------
    watch
        Called after every cycle.
    """
    cycles = 0
    happens = next(world, None)
    while happens is not None:
        now, seen = happens
        actions, state, decision = run_cycle(state, seen, now)
        cycles += 1
        if watch is not None:
            watch(now, decision)
        try:
            happens = world.send(actions)
        except StopIteration:
            happens = None
    return cycles


def simulate(
    state: State,
    submit_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    runnable: NDArray[np.bool_],
    watch: Watcher | None = None,
    estimator: Estimator | None = None,
    visits: Visits | None = None,
) -> Schedule:
    """Run jobs 0..J-1 of an untouched state to their ends and give the schedule.

    Parameters
    ----------
    submit_s
        Shape (J,), ascending [s].
    duration_s
        Shape (J,): true run time at rate 1 [s]; on pool p it takes duration / rate.
    runnable
        Shape (J,): jobs that are False here are never submitted.
    watch
        Called after every cycle.
    estimator
        Without one the work of every job stays as it is in the state.
    visits
        Change nothing.

    Raises
    ------
    InputError
        Submissions are not finite and ascending, or a duration is negative or not finite,
        also once it is divided by the rate of the slowest pool.

    Notes
    -----
    Everything that happens at the same instant is one cycle: arrivals of data first, then ends
    of jobs, then submissions.
    Ties between jobs are broken by row, so the schedule is a function of the arguments. A
    job of no duration ends in a cycle of its own at the instant it started.
    """
    _check(state, submit_s, duration_s)
    schedule = Schedule.empty(len(submit_s), len(state.network.pools))
    arriving = np.flatnonzero(runnable)
    world = trace_world(state, submit_s, duration_s, arriving, schedule, estimator)
    if visits is not None:
        world = _visited(world, visits, state, schedule)
    return replace(schedule, cycles=drive(state, world, watch))


def _check(state: State, submit_s: NDArray[np.float64], duration_s: NDArray[np.float64]) -> None:
    if not np.isfinite(submit_s).all() or (np.diff(submit_s) < 0).any():
        raise InputError("submissions must be finite and in ascending order [s]")
    rate = state.snapshot.rate
    slowest = rate[rate > 0].min(initial=1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        valid = (duration_s >= 0) & np.isfinite(duration_s / slowest)
    if not valid.all():
        row = int(np.argmin(valid))
        raise InputError(
            f"job {row} runs {duration_s[row]} s at rate 1, and the slowest pool has rate "
            f"{slowest}; allowed: a finite run time of 0 or more"
        )


def trace_world(
    state: State,
    submit_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    arriving: NDArray[np.int64],
    schedule: Schedule,
    estimator: Estimator | None,
) -> World:
    """Submit the arriving rows at their times, end what was started, and fill the schedule.

    Parameters
    ----------
    submit_s, duration_s
        Shape (J,), as for `simulate`; J rows of the state, of which others may run already.
    arriving
        Rows in order of submission.
    schedule
        Shape (J,): written. A job that has an end in it runs, and ends then.

    Notes
    -----
    A job that is told to stop has stopped at that instant, and waits again. Data that is to be
    moved shares the links with all that is under way.
    """
    now, attempts = 0.0, Attempts(state, duration_s, schedule)
    coming, transfers = Coming(submit_s, arriving), Transfers(state.replicas, schedule)
    stopped = NO_ROWS
    while len(stopped) or attempts.any_running or coming.any_left or transfers.next_s < inf:
        if not len(stopped):
            now = min(coming.next_s, attempts.next_end_s, transfers.next_s)
        ended, submitted = attempts.ended(now), coming.at(now)
        if estimator is not None:
            estimator.at_end(ended, now)
            estimator.at_submission(submitted, now)
        if len(stopped):
            ended = np.concatenate([ended, stopped])
            submitted = np.concatenate([stopped, submitted])
        arrived = transfers.arrived(now)
        actions = yield now, Observations(ended=ended, submitted=submitted, arrived=arrived)
        for row, pool in zip(actions.rows.tolist(), actions.pools.tolist(), strict=True):
            attempts.begin(row, pool, now)
        if actions.moves:
            transfers.begin(actions.moves, now)
        stopped = NO_ROWS
        if len(actions.stops):
            stopped = actions.stops.astype(np.int64)
            for row in actions.stops.tolist():
                attempts.stop(row, now)
    attempts.close()


def _visited(world: World, visits: Visits, state: State, schedule: Schedule) -> World:
    """Give the same world, with a look at the state when each moment has passed."""
    left = list(reversed(visits.moments_s))
    happens = next(world, None)
    while happens is not None:
        while left and left[-1] < happens[0]:
            visits.look(left.pop(), state, schedule)
        actions = yield happens
        try:
            happens = world.send(actions)
        except StopIteration:
            happens = None
    while left:
        visits.look(left.pop(), state, schedule)
