"""Everything the loop knows, as arrays that are updated, not rebuilt.

One `State` belongs to one loop, live or replayed. It is changed only by `run_cycle` and by its
own methods; all are deterministic, so the same calls in the same order give the same arrays.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.control.holding import restore, withhold
from tieline.control.kinds import Kinds
from tieline.control.preemption import LOOSE
from tieline.control.waiting import lay_queue
from tieline.model.accelerator import Accelerator
from tieline.model.errors import InputError
from tieline.model.network import Network
from tieline.model.rates import RateBook
from tieline.model.reasons import Reason
from tieline.model.snapshot import JOB, Snapshot
from tieline.scheduling.growth import EXTRA, grow
from tieline.scheduling.policy import Policy
from tieline.scheduling.room import Plan, new_plan

#: The largest gang that an array of counts can hold; far above any network.
_LARGEST_GANG: Final = 2**31 - 1


class State(Kinds):
    """The network, the kinds of job seen, all jobs, and who holds what."""

    def __init__(
        self,
        network: Network,
        policy: Policy,
        accelerators: Mapping[str, Accelerator],
        rates: RateBook,
        *,
        moves_data: bool = False,
    ) -> None:
        """Start empty, with no job known; see `Kinds` for the arguments."""
        super().__init__(network, policy, accelerators, rates, moves_data=moves_data)
        self.n_jobs = 0
        self.plan = new_plan(network.capacity)
        self.seated = new_plan(network.capacity)
        self.loose = np.empty(network.capacity, LOOSE)
        self.bound: dict[int, int] = {}
        """Region of each waiting job whose data is on its way there for it."""
        self.withheld: dict[int, int] = {}
        """Accelerators that cannot be used now, by pool row; see `withhold`."""
        self._out = np.zeros_like(self.snapshot.node_free)

    @property
    def by_work(self) -> bool:
        """Whether jobs of a kind wait in order of work."""
        return self.policy.order == "work"

    @contextmanager
    def sparing(self, rows: NDArray[np.int64]) -> Iterator[None]:
        """Let no cycle within the block tell these jobs to stop; none is stopping already."""
        self.snapshot.jobs["stopping"][rows] = True
        try:
            yield
        finally:
            self.snapshot.jobs["stopping"][rows] = False

    def larger(self, plan: Plan) -> Plan:
        """Give the plan with larger gangs where nobody else could use the room; scratch."""
        spare = self.seated if plan is self.plan else self.plan
        grow(self.snapshot, plan, spare, np.empty(2 * self.network.capacity, EXTRA))
        return spare

    def add(
        self,
        kinds: NDArray[np.int32],
        work: NDArray[np.float64],
        submitted: NDArray[np.float64],
        deadline: NDArray[np.float64] | None = None,
    ) -> int:
        """Make jobs known, not yet waiting; give the row of the first, the rest follow.

        Parameters
        ----------
        kinds
            Shape (new,): rows from `intern`.
        work
            Shape (new,): estimated run time at rate 1 [s], >= 0.
        submitted
            Shape (new,) [s].
        deadline
            Shape (new,): when each should be done [s]; inf for one without. None: all are.

        Raises
        ------
        InputError
            A kind that is not known, work that is negative or not finite, or a submission
            that is not finite. None of the jobs was taken in.
        """
        wrong = ~((kinds >= 0) & (kinds < len(self.kinds)))
        wrong |= ~((work >= 0) & (work < inf)) | ~np.isfinite(submitted)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise InputError(
                f"job {i} of {len(kinds)}: kind {kinds[i]}, work {work[i]} s, submitted at "
                f"{submitted[i]} s; allowed: a known kind, finite times, work of 0 or more"
            )
        first, after = self.n_jobs, self.n_jobs + len(kinds)
        jobs = self.snapshot.jobs
        if after > len(jobs):
            grown = np.zeros(max(after, 2 * len(jobs)), JOB)
            grown[:first] = jobs[:first]
            self.snapshot = self.snapshot._replace(jobs=grown)
            jobs = grown
        new = jobs[first:after]
        new["kind"], new["work"], new["submitted"] = kinds, work, submitted
        new["pool"] = new["block"] = new["running"] = -1
        new["ends"], new["waiting"], new["due"] = 0.0, False, -1.0
        new["deadline"] = inf if deadline is None else deadline
        new["served"], new["stopping"] = 0.0, False
        self.n_jobs = after
        return first

    def restore(
        self,
        rows: NDArray[np.int64],
        pools: NDArray[np.int64],
        began: NDArray[np.float64],
        stopping: NDArray[np.bool_] | None = None,
    ) -> None:
        """Let jobs hold accelerators that they took before this state began.

        Larger gangs choose their nodes first. More may be held than there is, as after a
        pool has shrunk: it takes no new work until enough has ended.

        Parameters
        ----------
        rows, pools
            Shape (held,): jobs that hold nothing and do not wait, and where each one is.
        began
            Shape (held,): when each attempt began [s].
        stopping
            Shape (held,): which of them were told to stop; none when absent.
        """
        # More may hold accelerators than there are, and the rest of the network fills up too.
        running = np.zeros(len(self.snapshot.running) + len(rows), np.int32)
        running[: len(self.snapshot.running)] = self.snapshot.running
        s = self.snapshot = self.snapshot._replace(running=running)
        counts = s.kinds["count"][s.jobs["kind"][rows]]
        for i in np.argsort(-counts, kind="stable"):
            restore(s, rows[i], pools[i], began[i], self.plan.seats)
        if stopping is not None:
            s.jobs["stopping"][rows] = stopping
        if self.may_stop:
            self.warm(rows)

    def withhold(self, amounts: Mapping[int, int]) -> None:
        """Take accelerators that cannot be used now out of what is free; give others back.

        They are taken where most is free; which ones they are nobody says. What jobs hold they
        keep: where more is withheld than is free, `free` falls below 0, and what is released
        later is withheld then.

        Parameters
        ----------
        amounts
            By pool row, of every pool where it has changed: 0 or more.
        """
        after = {**self.withheld, **amounts}
        for p, n in after.items():
            withhold(self.snapshot, p, self.withheld.get(p, 0), n, self._out)
        self.withheld = {p: n for p, n in after.items() if n}

    def bars(self) -> NDArray[np.uint32]:
        """Give the reasons that keep each kind off each pool for good, axes K, P.

        Bits of `Reason`; `HOME` is among them only under policies that keep tenants at home.
        """
        s, n = self.snapshot, len(self.kinds)
        bars = s.barred[:n, s.pools["market"]].copy()
        kinds = s.kinds[:n, None]
        bars[kinds["count"] > s.pools["capacity"]] |= int(Reason.GANG)
        if self.policy.home_only:
            bars[kinds["home"] != s.pools["site"]] |= int(Reason.HOME)
        return bars

    def rates_by_pool(self) -> NDArray[np.float64]:
        """Give the rate of each kind on each pool, axes K, P; 0 where it can never run."""
        s, n = self.snapshot, len(self.kinds)
        return np.where(self.bars() == 0, s.rate[:n, s.pools["market"]], 0.0)

    def lay_queue_anew(self, joining: Sequence[int] | NDArray[np.int64] = ()) -> None:
        """Give every kind fresh slack, and let the `joining` rows wait as well."""
        s = self.snapshot
        s.jobs["waiting"][np.asarray(joining, np.int64)] = True
        waiting = np.flatnonzero(s.jobs["waiting"])
        queue = lay_queue(s.jobs, s.kinds, waiting, by_work=self.by_work)
        self.snapshot = s._replace(queue=queue)

    def fork(self) -> tuple["State", NDArray[np.int64]]:
        """Give a state of its own with the open jobs alone, and the row of each in this one.

        They keep their order, so it decides as this one does. Neither writes what the other
        reads.

        Notes
        -----
        O(J + open jobs x log(open jobs)), and a copy of all else.
        """
        s, fork = self.snapshot, copy(self)
        held = s.running[: s.n_running[0]]
        rows = np.union1d(held, np.flatnonzero(s.jobs["waiting"][: self.n_jobs])).astype(np.int64)
        tables = {name: array.copy() for name, array in s._asdict().items() if name != "jobs"}
        jobs = s.jobs[rows]
        tables["running"][: len(held)] = np.searchsorted(rows, held)
        waiting = np.flatnonzero(jobs["waiting"])
        tables["queue"] = lay_queue(jobs, tables["kinds"], waiting, by_work=self.by_work)
        fork.snapshot, fork.n_jobs = Snapshot(jobs=jobs, **tables), len(rows)
        for name, value in vars(self).items():
            if isinstance(value, dict | list):
                setattr(fork, name, value.copy())
            elif isinstance(value, Plan):  # scratch
                setattr(fork, name, new_plan(self.network.capacity))
        fork.loose = np.empty_like(self.loose)
        fork._out = self._out.copy()  # noqa: SLF001 - of its own kind
        fork.replicas = self.replicas.copy()
        place = {int(row): i for i, row in enumerate(rows)}
        fork.bound = {place[row]: to for row, to in self.bound.items() if row in place}
        return fork, rows
