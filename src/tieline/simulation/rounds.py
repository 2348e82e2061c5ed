"""A world in lock-step rounds, as round-based schedulers such as Gavel have.

All jobs are decided anew at the start of each round; nothing starts in between. A job does
as many whole steps as fit into the round, at least one, and the round ends when the last job
in it is done with its steps. Source: Narayanan et al., OSDI '20, and its simulator.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tieline.control.cycle import NO_ROWS, Observations
from tieline.control.state import State
from tieline.simulation.driver import Schedule, Watcher, World, drive


@dataclass(frozen=True)
class Rounds:
    """How long a round is, and what starting again costs."""

    length_s: float
    """> 0."""
    restart_s: float = 0.0
    """Time lost whenever a job that has run goes on elsewhere, or after a pause [s]."""


def steps_of(duration_s: NDArray[np.float64], step_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give whole steps per job; jobs without steps (step 0) count in seconds."""
    whole = step_s > 0
    return np.where(whole, np.round(duration_s / np.where(whole, step_s, 1.0)), duration_s)


class _Progress:
    """Remaining steps of each job, and what a round does to them."""

    def __init__(
        self, duration_s: NDArray[np.float64], step_s: NDArray[np.float64], rounds: Rounds
    ) -> None:
        self.step_s = np.where(step_s > 0, step_s, 1.0)
        self.whole = step_s > 0
        self.left = steps_of(duration_s, step_s)
        self.rounds = rounds

    def work(self, row: int) -> float:
        """Give the run time left at rate 1 [s]."""
        return float(self.left[row] * self.step_s[row])

    def run(self, row: int, rate: float, delay_s: float) -> float:
        """Run the job for a round at the rate, `delay_s` late; give the time it took [s]."""
        speed = rate / self.step_s[row]  # steps per second
        steps = speed * max(0.0, self.rounds.length_s - delay_s)
        if self.whole[row]:
            # A hair above the product, so that 359.99999 steps of 360 count as 360.
            steps = max(1.0, float(np.floor(steps * (1.0 + 1e-12))))
        steps = min(steps, self.left[row])
        self.left[row] -= steps
        return delay_s + float(steps) / speed


def round_world(
    state: State,
    submit_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    step_s: NDArray[np.float64],
    runnable: NDArray[np.bool_],
    rounds: Rounds,
    schedule: Schedule,
) -> World:
    """Yield one set of observations per round, and fill the schedule.

    Parameters
    ----------
    duration_s
        Shape (J,): true run time at rate 1 [s].
    step_s
        Shape (J,): run time of one step at rate 1 [s]; 0 for jobs that need not stop at
        whole steps.
    schedule
        Shape (J,): written; `start_s` is the first start, `pool` the last one.

    Notes
    -----
    A running job is told to the cycle as ended and submitted again, with what is left of it.
    Where a restart costs time, its kind becomes one that starts late everywhere but where it
    is loaded (`State.warm`), so that a policy weighs a move against staying.
    """
    progress = _Progress(duration_s, step_s, rounds)
    s = state.snapshot
    market = s.pools["market"]
    cold = s.jobs["kind"].copy()
    loaded = np.full(len(submit_s), -1)
    arriving = np.flatnonzero(runnable)
    running: dict[int, int] = {}
    at, unfinished = 0, 0
    now = float(submit_s[arriving[0]]) if len(arriving) else 0.0
    while at < len(arriving) or unfinished:
        first = at
        while at < len(arriving) and submit_s[arriving[at]] <= now:
            at += 1
        again = [row for row in running if progress.left[row] > 0]
        unfinished += at - first - (len(running) - len(again))
        for row in again:
            state.snapshot.jobs["work"][row] = progress.work(row)
            if rounds.restart_s > 0:
                kind = state.warm(int(cold[row]), int(loaded[row]), rounds.restart_s)
                state.snapshot.jobs["kind"][row] = kind
        ended = np.array(list(running), np.int64) if running else NO_ROWS
        submitted = np.concatenate([np.array(again, np.int64), arriving[first:at]])
        if not unfinished and at == len(arriving):
            yield now, Observations(ended=ended)
            return
        actions = yield now, Observations(ended=ended, submitted=submitted)
        before, running, longest = running, {}, 0.0
        for row, pool in zip(actions.rows.tolist(), actions.pools.tolist(), strict=True):
            m = int(market[pool])
            running[row] = m
            stays = before.get(row) == m
            delay_s = 0.0 if stays or loaded[row] < 0 else rounds.restart_s
            loaded[row] = m
            took_s = progress.run(row, float(state.snapshot.rate[cold[row], m]), delay_s)
            longest = max(longest, took_s)
            if np.isnan(schedule.start_s[row]):
                schedule.start_s[row] = now
            schedule.end_s[row] = now + took_s
            schedule.pool[row] = pool
        now = now + longest if running else float(submit_s[arriving[at]])


def simulate_rounds(
    state: State,
    submit_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    step_s: NDArray[np.float64],
    runnable: NDArray[np.bool_],
    rounds: Rounds,
    watch: Watcher | None = None,
) -> Schedule:
    """Run jobs 0..J-1 of an untouched state in rounds and give the schedule.

    See `round_world` for the arguments and `simulate` for the same without rounds.
    """
    n = len(submit_s)
    schedule = Schedule(np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, np.int32), 0)
    world = round_world(state, submit_s, duration_s, step_s, runnable, rounds, schedule)
    return replace(schedule, cycles=drive(state, world, watch))
