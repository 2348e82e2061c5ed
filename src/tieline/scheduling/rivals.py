"""Who stands between a waiting job and a pool: those that run there, those that come first."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.model.snapshot import Snapshot
from tieline.scheduling.policy import Policy

#: Rivals that are named; the others are counted.
_NAMED: Final = 3

_Floats = NDArray[np.float64]
_Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rival:
    """A job that a waiting one would have to beat."""

    row: int
    running: bool
    """Whether it runs there; else it waits and comes first."""
    count: int
    worth: float
    """What it is worth there [finished jobs per accelerator-second]."""
    ends_s: float
    """Estimated end, if it runs [s]; nan if it waits."""


@dataclass(frozen=True, slots=True)
class Contest:
    """The competition of one job for one pool."""

    running: int
    """Jobs that run there."""
    ahead: int
    """Waiting jobs that may use the pool and come first."""
    top: tuple[Rival, ...]
    """Up to three of both: the best bids, or the first in line under policies that go by it."""
    to_beat: float | None
    """What the job would have to be worth there to come before all that wait, in the unit of
    `Rival.worth`; 0 when it does. None under policies that go by turn."""


NO_CONTEST: Final = Contest(0, 0, (), None)


class Rivals:
    """The rivals of one waiting job, pool by pool.

    Under policies in order of work, a waiting job comes first when it is worth more per
    accelerator; under those in order of submission, when it was submitted before.
    `finish-time` and `fair` weigh lateness and the tenants' turns besides.
    """

    def __init__(self, snapshot: Snapshot, policy: Policy, row: int) -> None:
        """Gather the jobs that wait and those that run."""
        self._s, self._row = snapshot, row
        self._by_work, self._home_only = policy.order == "work", policy.home_only
        self._running = snapshot.running[: snapshot.n_running[0]].astype(np.int64)
        self._at = snapshot.jobs["pool"][self._running]
        waiting = np.flatnonzero(snapshot.jobs["waiting"])
        self._waiting = waiting[waiting != row]
        self._kind = snapshot.jobs["kind"][self._waiting]
        self._known: dict[tuple[int, int, int], tuple[_Rows, _Floats]] = {}

    def at(self, p: int) -> Contest:
        """Give the contest for a pool that the job may use."""
        rows, worth = self._ahead(p)
        running = self._running[self._at == p]
        bids = worth_of(self._s, running, int(self._s.pools[p]["market"]))
        everyone, bid = np.concatenate([rows, running]), np.concatenate([worth, bids])
        order = np.lexsort((everyone, -bid)) if self._by_work else np.argsort(everyone)
        return Contest(
            running=len(running),
            ahead=len(rows),
            top=tuple(self._rival(int(everyone[i]), float(bid[i])) for i in order[:_NAMED]),
            to_beat=float(worth.max(initial=0.0)) if self._by_work else None,
        )

    def _rival(self, row: int, worth: float) -> Rival:
        job = self._s.jobs[row]
        running = bool(job["pool"] >= 0)
        count = int(self._s.kinds[job["kind"]]["count"])
        return Rival(row, running, count, worth, float(job["ends"]) if running else np.nan)

    def _ahead(self, p: int) -> tuple[_Rows, _Floats]:
        """Give the waiting jobs that come first at the pool, and what each is worth there."""
        s, pool = self._s, self._s.pools[p]
        m, home = int(pool["market"]), int(pool["site"]) if self._home_only else -1
        key = m, int(pool["capacity"]), home
        if key not in self._known:
            may = (s.rate[:, m] > 0) & (s.kinds["count"] <= pool["capacity"])
            if self._home_only:
                may &= s.kinds["home"] == home
            rows = self._waiting[may[self._kind]]
            worth = worth_of(s, rows, m)
            own = worth_of(s, np.array([self._row]), m)[0]
            earlier = rows < self._row
            first = (worth > own) | ((worth == own) & earlier) if self._by_work else earlier
            self._known[key] = rows[first], worth[first]
        return self._known[key]


def worth_of(s: Snapshot, rows: _Rows, m: int) -> _Floats:
    """Give what jobs are worth in a market [finished jobs per accelerator-second].

    Their value (`tieline.scheduling.offers.value`) over the gang; 0 where they never run.
    """
    kinds = s.jobs["kind"][rows]
    with np.errstate(invalid="ignore"):  # 0 x infinity where the market bars the job
        run_s = s.stage[kinds, m] + s.jobs["work"][rows] * s.pace[kinds, m]
    worth: _Floats = s.kinds["weight"][kinds] / np.maximum(1.0, run_s) / s.kinds["count"][kinds]
    return np.where(s.rate[kinds, m] > 0, worth, 0.0)
