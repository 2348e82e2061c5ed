"""A world in lock-step rounds, as round-based schedulers such as Gavel have.

All jobs are decided anew at the start of each round; nothing starts in between. A job does
as many whole steps as fit into the round, at least one, and the round ends when the last job
in it is done with its steps. Source: Narayanan et al., OSDI '20, and its simulator.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tieline.control.cycle import NO_ROWS, Actions, Observations, Rows
from tieline.control.state import State
from tieline.simulation.driver import Estimator, Watcher, World, drive
from tieline.simulation.schedule import Schedule


@dataclass(frozen=True)
class Rounds:
    """How long a round is, and how fine the work of each job is divided."""

    length_s: float
    """> 0."""
    step_s: NDArray[np.float64]
    """Shape (J,): run time of one step at rate 1 [s]; 0 for jobs that need not stop at whole
    steps."""


def steps_of(duration_s: NDArray[np.float64], step_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give whole steps per job; jobs without steps (step 0) count in seconds."""
    whole = step_s > 0
    return np.where(whole, np.round(duration_s / np.where(whole, step_s, 1.0)), duration_s)


class _Progress:
    """Remaining steps of each job, who runs, and what a round does to them."""

    def __init__(
        self,
        state: State,
        duration_s: NDArray[np.float64],
        rounds: Rounds,
        schedule: Schedule,
    ) -> None:
        step_s = rounds.step_s
        self._state = state
        self._step_s = np.where(step_s > 0, step_s, 1.0)
        self._whole = step_s > 0
        self._all = steps_of(duration_s, step_s)
        self._left = self._all.copy()
        self._length_s = rounds.length_s
        self._schedule = schedule
        self._delay_s: dict[int, float] = {}
        """By row of a running job: time before its work goes on [s]."""

    @property
    def running(self) -> bool:
        """Whether any job runs."""
        return bool(self._delay_s)

    def seen(self, arrived: Rows, estimator: Estimator | None) -> Observations:
        """Give what the scheduler sees before a round: who ended, came, and how far all are."""
        ended = [row for row in self._delay_s if self._left[row] <= 0]
        for row in ended:
            del self._delay_s[row]
        rows = np.array(list(self._delay_s), np.int64)
        return Observations(
            ended=np.array(ended, np.int64) if ended else NO_ROWS,
            submitted=arrived,
            reported=rows,
            left=self._work_left(rows, estimator),
        )

    def _work_left(self, rows: Rows, estimator: Estimator | None) -> NDArray[np.float64]:
        """Give what is taken to be left of running jobs [s at rate 1]."""
        left = self._left[rows] * self._step_s[rows]
        if estimator is None:
            return left
        done = (self._all[rows] - self._left[rows]) * self._step_s[rows]
        pairs = zip(rows.tolist(), done.tolist(), strict=True)
        return np.array([estimator.left(row, done_s) for row, done_s in pairs])

    def begin(self, actions: Actions, now: float) -> None:
        """Start jobs: each waits for what comes before its work."""
        s, schedule = self._state.snapshot, self._schedule
        for row, pool in zip(actions.rows.tolist(), actions.pools.tolist(), strict=True):
            self._delay_s[row] = float(s.stage[s.jobs["kind"][row], s.pools["market"][pool]])
            if schedule.pool[row] < 0:
                schedule.start_s[row] = now
            schedule.pool[row] = pool

    def stop(self, rows: Rows) -> None:
        """Stop jobs; they keep the steps they have done."""
        for row in rows.tolist():
            del self._delay_s[row]
        self._schedule.stops[rows] += 1

    def round(self, now: float) -> float:
        """Run a round; give the time it takes [s]."""
        s, schedule, longest = self._state.snapshot, self._schedule, 0.0
        for row, delay_s in self._delay_s.items():
            pool, k = schedule.pool[row], s.jobs["kind"][row]
            took_s = self._run(row, float(s.rate[k, s.pools["market"][pool]]), delay_s)
            schedule.end_s[row] = now + took_s
            longest = max(longest, took_s)
            self._delay_s[row] = 0.0
        for row in self._delay_s:
            count = s.kinds["count"][s.jobs["kind"][row]]
            schedule.busy_s[schedule.pool[row]] += count * longest
        return longest

    def _run(self, row: int, rate: float, delay_s: float) -> float:
        """Run the job for a round at the rate, `delay_s` late; give the time it took [s]."""
        speed = rate / self._step_s[row]  # steps per second
        steps = speed * max(0.0, self._length_s - delay_s)
        if self._whole[row]:
            # A hair above the product, so that 359.99999 steps of 360 count as 360.
            steps = max(1.0, float(np.floor(steps * (1.0 + 1e-12))))
        steps = min(steps, self._left[row])
        self._left[row] -= steps
        return delay_s + float(steps) / speed


def round_world(
    state: State,
    submit_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    arriving: NDArray[np.int64],
    rounds: Rounds,
    schedule: Schedule,
    estimator: Estimator | None = None,
) -> World:
    """Yield what has happened by the start of each round, and fill the schedule.

    Parameters
    ----------
    submit_s, duration_s
        Shape (J,): submission, and true run time at rate 1 [s].
    arriving
        Rows in order of submission.
    schedule
        Shape (J,): written.

    Notes
    -----
    Whoever is told to stop has stopped at that instant: the round begins when nobody is.
    """
    progress = _Progress(state, duration_s, rounds, schedule)
    at, unfinished = 0, 0
    now = float(submit_s[arriving[0]]) if len(arriving) else 0.0
    while at < len(arriving) or unfinished:
        first = at
        while at < len(arriving) and submit_s[arriving[at]] <= now:
            at += 1
        arrived = arriving[first:at]
        seen = progress.seen(arrived, estimator)
        if estimator is not None:
            estimator.at_end(seen.ended, now)
            estimator.at_submission(arrived, now)
        unfinished += len(arrived) - len(seen.ended)
        actions = yield now, seen
        progress.begin(actions, now)
        while len(actions.stops):
            stopped = actions.stops.astype(np.int64)
            progress.stop(stopped)
            actions = yield now, Observations(ended=stopped, submitted=stopped)
            progress.begin(actions, now)
        if progress.running:
            now += progress.round(now)
        elif at < len(arriving):
            now = float(submit_s[arriving[at]])


def simulate_rounds(
    state: State,
    submit_s: NDArray[np.float64],
    duration_s: NDArray[np.float64],
    runnable: NDArray[np.bool_],
    rounds: Rounds,
    watch: Watcher | None = None,
    estimator: Estimator | None = None,
) -> Schedule:
    """Run jobs 0..J-1 of an untouched state in rounds and give the schedule.

    See `round_world` for the arguments and `simulate` for the same without rounds. Jobs whose
    kind may not be stopped keep what they hold from round to round.
    """
    schedule = Schedule.empty(len(submit_s), len(state.network.pools))
    arriving = np.flatnonzero(runnable)
    world = round_world(state, submit_s, duration_s, arriving, rounds, schedule, estimator)
    return replace(schedule, cycles=drive(state, world, watch))
