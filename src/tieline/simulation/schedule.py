"""What becomes of every job in a simulated world, and how far each attempt has come."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
            Filled in as attempts begin and stop.
        """
        self._state = state
        self._left = duration_s.copy()
        self._schedule = schedule
        self._began = np.zeros(len(duration_s))
        self._look(state.snapshot)

    def _look(self, s: Snapshot) -> None:
        """Keep the arrays at hand: looking a field up costs as much as all the rest."""
        self._seen, self._kind, self._market = s, s.jobs["kind"], s.pools["market"]
        self._stage, self._rate = s.stage, s.rate

    def begin(self, row: int, pool: int, now: float) -> float:
        """Start the job; give when it ends [s]."""
        if self._seen is not self._state.snapshot:
            self._look(self._state.snapshot)
        schedule, k, m = self._schedule, self._kind[row], self._market[pool]
        # In the order in which `run_time` adds.
        finish: float = now + (self._stage[k, m] + self._left[row] / self._rate[k, m])
        if schedule.pool[row] < 0:
            schedule.start_s[row] = now
        self._began[row] = now
        schedule.end_s[row] = finish
        schedule.pool[row] = pool
        return finish

    def ends(self, row: int, finish: float) -> bool:
        """Whether the attempt that was to end then still goes on."""
        return bool(self._schedule.end_s[row] == finish)

    def stop(self, row: int, now: float) -> None:
        """Stop the job: what it has done since its last checkpoint is to be done again."""
        s, schedule = self._state.snapshot, self._schedule
        k, pool = s.jobs["kind"][row], schedule.pool[row]
        m, held_s = s.pools["market"][pool], now - self._began[row]
        ran_s = max(0.0, held_s - s.stage[k, m])
        every = s.kinds["checkpoint"][k]
        lost_s = ran_s % every if every > 0 else 0.0
        self._left[row] = max(0.0, self._left[row] - (ran_s - lost_s) * s.rate[k, m])
        schedule.busy_s[pool] += held_s * s.kinds["count"][k]
        schedule.redone_s[row] += lost_s * s.rate[k, m]
        schedule.stops[row] += 1
        schedule.end_s[row] = np.nan

    def close(self) -> None:
        """Count what the attempts held that came to their end."""
        s, schedule = self._state.snapshot, self._schedule
        done = np.flatnonzero(schedule.pool >= 0)
        counts = s.kinds["count"][s.jobs["kind"][done]]
        held_s = schedule.end_s[done] - self._began[done]
        np.add.at(schedule.busy_s, schedule.pool[done], held_s * counts)
