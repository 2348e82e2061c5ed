"""What the scheduler of a replay is told about run times, and what it learns from ended jobs."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tieline.control.cycle import Rows
from tieline.control.history import History, Likeness, work_left
from tieline.control.state import State
from tieline.model.errors import InputError
from tieline.model.job import DEFAULT_ESTIMATE_S
from tieline.model.trace import Trace
from tieline.simulation.conditions import Conditions, Knowledge

#: Each kind of luck draws from its own stream, so that one does not change the other.
_OFF, _SILENT = 1, 2


class Estimates:
    """The estimator of a replay (`tieline.simulation.driver.Estimator`)."""

    def __init__(self, state: State, trace: Trace, conditions: Conditions) -> None:
        """Draw every job's luck; nothing is written before the first submission.

        Parameters
        ----------
        state
            Knows the jobs of the trace, in their order.

        Raises
        ------
        InputError
            The users' estimates are asked for, and the trace has none.
        """
        self._state = state
        self._trace = trace
        self._said = conditions.estimates
        self._given = _given(trace, conditions)
        self._factor = conditions.error ** (2.0 * _luck(len(trace), conditions, _OFF) - 1.0)
        self._work_s = np.zeros(len(trace))
        # Where everything is said, nobody needs to look at what has ended.
        self._history = History() if np.isnan(self._given).any() else None
        self._counts = Counter[Knowledge]()

    @property
    def counts(self) -> Mapping[Knowledge, int]:
        """Jobs submitted so far, by where their estimates came from."""
        return dict(self._counts)

    def at_submission(self, rows: Rows, now: float) -> None:
        """Write the work of jobs that are about to be submitted for the first time."""
        del now
        if not len(rows):
            return
        work_s = self._given[rows]
        if self._history is None:
            self._counts[self._said] += len(rows)
        else:
            for i, row in enumerate(rows.tolist()):
                found = self._history.estimate(self._likeness(row), float(work_s[i]))
                work_s[i] = found.work_s
                self._counts[self._said if found.basis == "user" else found.basis] += 1
        self._work_s[rows] = work_s * self._factor[rows]
        self._state.snapshot.jobs["work"][rows] = self._work_s[rows]

    def at_end(self, rows: Rows, now: float) -> None:
        """Learn from jobs that are finished."""
        del now
        if self._history is not None:
            for row in rows.tolist():
                self._history.note(self._likeness(row), float(self._trace.duration_s[row]))

    def left(self, row: int, done_s: float) -> float:
        """Give the work left of a job that has done `done_s` of it; all in seconds at rate 1."""
        return work_left(float(self._work_s[row]), done_s)

    def _likeness(self, row: int) -> Likeness:
        trace = self._trace
        label = -1 if trace.label is None else int(trace.label[row])
        return Likeness(
            int(trace.tenant[row]),
            None if label < 0 else label,
            int(trace.workload[row]),
            int(trace.count[row]),
        )


def _given(trace: Trace, conditions: Conditions) -> NDArray[np.float64]:
    """Give what is said of each job [s], nan where nothing is; axis J."""
    if conditions.estimates == "default":
        return np.full(len(trace), DEFAULT_ESTIMATE_S)
    said = trace.duration_s if conditions.estimates == "exact" else trace.estimate_s
    if conditions.estimates == "history":
        return np.full(len(trace), np.nan)
    if said is None:
        raise InputError(
            f"trace {trace.name}: it does not say how long users expected their jobs to run; "
            "allowed are the estimates exact, history and default"
        )
    silent = _luck(len(trace), conditions, _SILENT) < conditions.missing
    return np.where(silent, np.nan, said)


def _luck(n: int, conditions: Conditions, stream: int) -> NDArray[np.float64]:
    """Give every job's luck, in [0, 1); that of a row depends on nothing but the seed."""
    chance = np.random.default_rng((conditions.seed, stream))  # noqa: TID251 - seeded
    return chance.random(n)
