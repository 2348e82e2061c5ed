"""The event loop of a replay: exact times, a cycle whenever something changed.

`drive` is the loop; a *world* says what happens next and hears what was started. Recorded
cycles of a live run are another world (`tieline.simulation.recorded`).
"""

import heapq
from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tieline.control.cycle import NO_ROWS, Actions, Observations, run_cycle
from tieline.control.state import State
from tieline.model.errors import InputError
from tieline.scheduling.policy import Decision
from tieline.simulation.schedule import Attempts, Schedule

#: Called after each cycle: (now, decision).
Watcher = Callable[[float, Decision], None]

#: Yields (now, what happened), in order of time, and is sent what was started then.
World = Generator[tuple[float, Observations], Actions, None]


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

    Raises
    ------
    InputError
        Submissions are not finite and ascending, or a duration is negative or not finite,
        also once it is divided by the rate of the slowest pool.

    Notes
    -----
    Everything that happens at the same instant is one cycle: ends first, then submissions.
    Ties between jobs are broken by row, so the schedule is a function of the arguments. A
    job of no duration ends in a cycle of its own at the instant it started.
    """
    _check(state, submit_s, duration_s)
    schedule = Schedule.empty(len(submit_s), len(state.network.pools))
    world = _trace_world(state, submit_s, duration_s, np.flatnonzero(runnable), schedule)
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


def _trace_world(
    state: State,
    submit_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    arriving: NDArray[np.int64],
    schedule: Schedule,
) -> World:
    """Submit the arriving rows at their times, end what was started, and fill the schedule.

    A job that is told to stop has stopped at that instant, and waits again.
    """
    attempts = Attempts(state, duration_s, schedule)
    times = submit_s[arriving].tolist()
    times.append(np.inf)
    ends: list[tuple[float, int]] = []
    at, n_arriving, now = 0, len(arriving), 0.0
    stopped = NO_ROWS
    while at < n_arriving or ends or len(stopped):
        if not len(stopped):
            now = times[at]
            if ends and ends[0][0] < now:
                now = ends[0][0]
        ended: list[int] = []
        while ends and ends[0][0] == now:
            finish, row = heapq.heappop(ends)
            if attempts.ends(row, finish):
                ended.append(row)
        first = at
        while times[at] == now:
            at += 1
        seen = Observations(
            ended=np.array(ended, np.int64) if ended else NO_ROWS,
            submitted=arriving[first:at] if at > first else NO_ROWS,
        )
        if len(stopped):
            seen = Observations(
                ended=np.concatenate([seen.ended, stopped]),
                submitted=np.concatenate([stopped, seen.submitted]),
            )
        elif not ended and at == first:  # a stop has made this end void
            continue
        actions = yield now, seen
        for row, pool in zip(actions.rows.tolist(), actions.pools.tolist(), strict=True):
            heapq.heappush(ends, (attempts.begin(row, pool, now), row))
        stopped = NO_ROWS
        if len(actions.stops):
            stopped = actions.stops.astype(np.int64)
            for row in actions.stops.tolist():
                attempts.stop(row, now)
    attempts.close()
