"""What becomes of every job in a simulated world, and how far each attempt has come."""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tieline.control.cycle import NO_ROWS, Rows
from tieline.control.state import State
from tieline.model.snapshot import Snapshot


@dataclass(frozen=True)
class Schedule:
    """What became of every job. Axes: J jobs, P pools; nan and -1 where a job never started."""

    start_s: NDArray[np.float64]
    """Axis J: the first start [s]."""
    end_s: NDArray[np.float64]
    """Axis J [s]."""
    pool: NDArray[np.int32]
    """Axis J: where it ended."""
    stops: NDArray[np.int32]
    """Axis J: how often it was stopped before its end."""
    redone_s: NDArray[np.float64]
    """Axis J: work lost by stops [s at rate 1]; restarts are not counted."""
    busy_s: NDArray[np.float64]
    """Axis P: time that accelerators were held, summed [accelerator-seconds]."""
    moved: NDArray[np.float64]
    """Two elements: what was moved over links before jobs started [bytes], for what [USD]."""
    cycles: int = 0

    @classmethod
    def empty(cls, jobs: int, pools: int) -> "Schedule":
        """Give the schedule of jobs that have not started."""
        return cls(
            start_s=np.full(jobs, np.nan),
            end_s=np.full(jobs, np.nan),
            pool=np.full(jobs, -1, np.int32),
            stops=np.zeros(jobs, np.int32),
            redone_s=np.zeros(jobs),
            busy_s=np.zeros(pools),
            moved=np.zeros(2),
        )


class Attempts:
    """True progress: when each running job began, and what is left of those that stopped."""

    def __init__(self, state: State, duration_s: NDArray[np.float64], schedule: Schedule) -> None:
        """Start with nothing done.

        Parameters
        ----------
        duration_s
            Shape (J,): true run time at rate 1 [s].
        schedule
            Filled in as attempts begin and stop. A job that has an end in it runs already.
        """
        self._state = state
        self._left = duration_s.copy()
        self._schedule = schedule
        jobs = state.snapshot.jobs[: len(duration_s)]
        self._began = jobs["began"].copy()
        under_way = np.flatnonzero(np.isfinite(schedule.end_s))
        schedule.pool[under_way] = jobs["pool"][under_way]
        # With those stopped since, until their time comes.
        self._ends = list(zip(schedule.end_s[under_way].tolist(), under_way.tolist(), strict=True))
        heapq.heapify(self._ends)
        self._look(state.snapshot)

    @property
    def any_running(self) -> bool:
        """Whether any job runs."""
        return bool(self._ends)

    @property
    def next_end_s(self) -> float:
        """When the next job ends [s]; inf when none runs."""
        return self._ends[0][0] if self._ends else np.inf

    def ended(self, now: float) -> Rows:
        """Take out and give the jobs that end at this moment."""
        if not self._ends or self._ends[0][0] != now:
            return NO_ROWS
        rows = []
        while self._ends and self._ends[0][0] == now:
            rows.append(heapq.heappop(self._ends)[1])
        self._drop_stopped()
        return np.array(rows, np.int64)

    def _drop_stopped(self) -> None:
        """Leave at the top of the heap an end that still holds."""
        ends, end_s = self._ends, self._schedule.end_s
        while ends and end_s[ends[0][1]] != ends[0][0]:
            heapq.heappop(ends)

    def _look(self, s: Snapshot) -> None:
        """Keep the arrays at hand: looking a field up costs as much as all the rest."""
        self._seen, self._kind, self._market = s, s.jobs["kind"], s.pools["market"]
        self._stage, self._rate = s.stage, s.rate

    def begin(self, row: int, pool: int, now: float) -> None:
        """Start the job."""
        if self._seen is not self._state.snapshot:
            self._look(self._state.snapshot)
        schedule, k, m = self._schedule, self._kind[row], self._market[pool]
        # In the order in which `run_time` adds.
        finish = now + (self._stage[k, m] + self._left[row] / self._rate[k, m])
        if schedule.pool[row] < 0:
            schedule.start_s[row] = now
        self._began[row] = now
        schedule.end_s[row] = finish
        schedule.pool[row] = pool
        heapq.heappush(self._ends, (finish, row))

    def stop(self, row: int, now: float) -> None:
        """Stop the job: what it has done since its last checkpoint is to be done again."""
        s, schedule = self._state.snapshot, self._schedule
        k, pool = s.jobs["kind"][row], schedule.pool[row]
        m, held_s = s.pools["market"][pool], now - self._began[row]
        ran_s = max(0.0, held_s - s.stage[k, m])
        every = s.kinds["checkpoint"][k]
        lost_s = ran_s % every if every > 0 else 0.0
        left_s = schedule.end_s[row] - now + lost_s
        self._left[row] = min(self._left[row], left_s * s.rate[k, m])
        schedule.busy_s[pool] += held_s * s.kinds["count"][k]
        schedule.redone_s[row] += lost_s * s.rate[k, m]
        schedule.stops[row] += 1
        schedule.end_s[row] = np.nan
        self._drop_stopped()

    def close(self) -> None:
        """Count what the attempts held that came to their end."""
        s, schedule = self._state.snapshot, self._schedule
        done = np.flatnonzero(schedule.pool >= 0)
        counts = s.kinds["count"][s.jobs["kind"][done]]
        held_s = schedule.end_s[done] - self._began[done]
        np.add.at(schedule.busy_s, schedule.pool[done], held_s * counts)


class Coming:
    """Jobs that are still to be submitted."""

    def __init__(self, submit_s: NDArray[np.float64], arriving: NDArray[np.int64]) -> None:
        """Take the rows in order of submission; `submit_s` has shape (J,)."""
        self._rows = arriving
        self._times = submit_s[arriving].tolist()
        self._times.append(np.inf)
        self._at = 0
        self.next_s: float = self._times[0]
        """When the next one is submitted [s]; inf when none is left."""

    @property
    def any_left(self) -> bool:
        """Whether any is left."""
        return self._at < len(self._rows)

    def at(self, now: float) -> Rows:
        """Give the rows that are submitted at this moment."""
        if self.next_s != now:
            return NO_ROWS
        first = self._at
        while self._times[self._at] == now:
            self._at += 1
        self.next_s = self._times[self._at]
        return self._rows[first : self._at]
