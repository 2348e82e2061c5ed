"""The open jobs: each as its latest record and as its row of the state.

`admit` and `put` are the ways in; both note what the scheduler must hear of in the next
cycle. The state is touched under one lock, so that other threads can look at it.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Final, NamedTuple

import numpy as np

from tieline.control.cycle import NO_ROWS, Actions, Observations, Rows
from tieline.control.history import Estimate
from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord
from tieline.control.state import State
from tieline.files.fit import Offer, name_faults
from tieline.model.errors import TielineError
from tieline.model.job import JobKind, JobSpec
from tieline.model.network import Pool
from tieline.scheduling.policy import Decision, Policy
from tieline.service.live.run_times import RunTimes
from tieline.service.views import PoolView, PriceReading

#: `control.run_cycle`, or what records its calls.
Cycle = Callable[[State, Observations, float], tuple[Actions, State, Decision]]

#: Rows of ended jobs are kept until there are so many, and so many times the open ones.
_MANY_ROWS: Final = 100_000
_SPARSE: Final = 4

#: What a job does that can be told to stop.
_HEEDFUL: Final = (Status.SUBMITTED, Status.RUNNING)


class Placement(NamedTuple):
    """A job that is to start."""

    record: JobRecord
    pool: Pool
    size: int
    """Accelerators that it is given."""


class Stop(NamedTuple):
    """A job that is to stop."""

    record: JobRecord
    left_s: float
    """Work that will be left of it, estimated, at rate 1."""


class Round(NamedTuple):
    """What one cycle decided."""

    placements: list[Placement]
    """In order."""
    stops: list[Stop]
    reading: PriceReading


class Scene(NamedTuple):
    """The state around one waiting job, to be looked at without the lock."""

    state: State
    """As `State.fork` gives it."""
    row: int
    names: tuple[str, ...]
    """Job ids by row."""


class Roster:
    """What the loop knows between two ticks; made anew from the store whenever in doubt."""

    def __init__(
        self, offer: Offer, policy: Policy, run_cycle: Cycle, run_times: RunTimes
    ) -> None:
        """Start without a job, every pool free."""
        self._offer = offer
        self._run_times = run_times
        self._run_cycle = run_cycle
        self._lock = threading.Lock()
        self._state = State(offer.network, policy, offer.accelerators, offer.rates)
        self._pools: Final = offer.network.pools
        self._pool_row = {pool.id: row for row, pool in enumerate(self._pools)}
        self._records: dict[str, JobRecord] = {}
        self._row: dict[str, int] = {}
        self._job_at: dict[int, str] = {}
        self._held: dict[str | None, dict[str, JobRecord]] = {}
        self._lost: dict[str, JobRecord] = {}
        self._aside: dict[str, str] = {}
        self._estimate: dict[str, Estimate] = {}
        self._ended: list[int] = []
        self._withdrawn: list[int] = []
        self._submitted: dict[int, None] = {}
        self._withheld: dict[str, int] = {}

    # ------------------------------------------------------------------ what is known

    def record(self, job_id: str) -> JobRecord | None:
        """Give an open job; None when it has ended or was never admitted."""
        return self._records.get(job_id)

    def held_at(self, site: str | None) -> Collection[JobRecord]:
        """Give the jobs that hold accelerators at a site; None: where the network has no site."""
        return self._held.get(site, {}).values()

    def lost(self) -> Collection[JobRecord]:
        """Give the jobs whose attempt is lost and of which nothing has become yet."""
        return self._lost.values()

    def counts(self) -> Mapping[str, int]:
        """Give how many open jobs there are, by the name of their status; for all threads."""
        found = Counter(record.status for record in tuple(self._records.values()))
        return {status.name.lower(): number for status, number in found.items()}

    @property
    def any_held(self) -> bool:
        """Whether any job holds accelerators."""
        return any(self._held.values())

    @property
    def sparse(self) -> bool:
        """Whether most rows belong to ended jobs, so that a new roster would be smaller."""
        rows = self._state.n_jobs
        return rows > _MANY_ROWS and rows > _SPARSE * len(self._records)

    def set_aside(self, job_id: str) -> str:
        """Give why the scheduler does not consider a job; empty when it does."""
        return self._aside.get(job_id, "")

    def estimate(self, job_id: str) -> Estimate | None:
        """Give how long an open job is taken to run; None for one it does not consider."""
        return self._estimate.get(job_id)

    # ------------------------------------------------------------------------ changes

    def admit(self, records: Sequence[JobRecord]) -> None:
        """Take in jobs as stored: those that wait, and those that hold accelerators."""
        new = [record for record in records if record.id not in self._records]
        with self._lock:
            kinds = {record.id: self._kind(record) for record in new}
            rows = [record for record in new if kinds[record.id] is not None]
            self._add_rows(rows, [kinds[record.id] for record in rows])
            self._restore([record for record in rows if self._site(record) is not None])
        for record in new:
            self.put(record)

    def put(self, record: JobRecord) -> None:
        """Replace a job's record by a later one, and note what that means for the scheduler."""
        before = self._records.pop(record.id, None)
        self._note(before, record)
        for index in (*self._held.values(), self._lost):
            index.pop(record.id, None)
        if record.status.ended:
            self._aside.pop(record.id, None)
            self._estimate.pop(record.id, None)
            self._job_at.pop(self._row.pop(record.id, -1), None)
            return
        self._records[record.id] = record
        if record.status.holds_accelerators:
            self._held.setdefault(self._site(record), {})[record.id] = record
        elif record.status is Status.LOST:
            self._lost[record.id] = record

    # -------------------------------------------------------------------------- cycle

    def changed(self, shut: Collection[str], withheld: Mapping[str, int]) -> bool:
        """Whether there is news for the scheduler; see `cycle` for what is given."""
        if withheld != self._withheld:
            return True
        opened, closed = self._turned(shut)
        events = self._ended or self._withdrawn or self._submitted
        return bool(events) or bool(len(opened) or len(closed))

    @property
    def waiting(self) -> bool:
        """Whether any job waits."""
        kinds = self._state.snapshot.kinds
        return bool((kinds["end"] > kinds["start"]).any())

    def cycle(self, shut: Collection[str], withheld: Mapping[str, int], now: float) -> Round:
        """Run one cycle; give what is to start and to stop, and the prices.

        Only jobs that are submitted or running, at a site that is not shut, are told to stop.

        Parameters
        ----------
        shut
            Ids of the sites that take no new work.
        withheld
            By pool id, the accelerators that cannot be used now; none where it is not named.
        """
        with self._lock:
            seen = self._observations(shut, withheld)
            with self._state.sparing(self._not_to_stop(shut)):
                actions, self._state, decision = self._run_cycle(self._state, seen, now)
            reading = self._reading(decision, now)
            left_s = self._state.snapshot.jobs["work"][actions.stops].tolist()
        given = zip(*(one.tolist() for one in actions[:3]), strict=True)
        stops = zip(actions.stops.tolist(), left_s, strict=True)
        return Round(
            [Placement(self._at(row), self._pools[p], count) for row, p, count in given],
            [Stop(self._at(row), left) for row, left in stops],
            reading,
        )

    def _at(self, row: int) -> JobRecord:
        return self._records[self._job_at[row]]

    def _not_to_stop(self, shut: Collection[str]) -> Rows:
        """Give the rows of jobs that hold accelerators and cannot be told to stop now."""
        if not self._state.may_stop:
            return NO_ROWS
        rows = [
            self._row[job_id]
            for site, held in self._held.items()
            for job_id, record in held.items()
            if record.status is not Status.STOPPING
            and (site in shut or record.status not in _HEEDFUL)
            and job_id in self._row
        ]
        return np.array(rows, np.int64)

    def _observations(self, shut: Collection[str], withheld: Mapping[str, int]) -> Observations:
        opened, closed = self._turned(shut)
        known = {*withheld, *self._withheld}
        resized = [p for p in known if withheld.get(p, 0) != self._withheld.get(p, 0)]
        seen = Observations(
            ended=np.array(self._ended, np.int64),
            submitted=np.array([*self._submitted], np.int64),
            withdrawn=np.array(self._withdrawn, np.int64),
            opened=opened,
            closed=closed,
            resized=np.array([self._pool_row[pool] for pool in resized], np.int64),
            withheld=np.array([withheld.get(pool, 0) for pool in resized], np.int64),
        )
        self._withheld = dict(withheld)
        self._ended, self._withdrawn, self._submitted = [], [], {}
        return seen

    def _turned(self, shut: Collection[str]) -> tuple[Rows, Rows]:
        """Give the pools that open and those that close."""
        wanted = np.array([pool.site not in shut for pool in self._pools])
        is_open = self._state.snapshot.pools["open"]
        return np.flatnonzero(wanted & ~is_open), np.flatnonzero(~wanted & is_open)

    def _reading(self, decision: Decision, now: float) -> PriceReading:
        gap = None if decision.prices is None else decision.gap
        prices = self._state.snapshot.prices.tolist()
        return PriceReading(now, dict(zip(self._pool_row, prices, strict=True)), gap)

    # ------------------------------------------------------------- for other threads

    def scene(self, job_id: str) -> Scene | None:
        """Give a copy of all a waiting job competes with; None for a job that does not wait."""
        with self._lock:
            row = self._row.get(job_id)
            if row is None or not self._state.snapshot.jobs[row]["waiting"]:
                return None
            state, rows = self._state.fork()
        names = tuple(self._job_at.get(one, "?") for one in rows.tolist())
        return Scene(state, int(np.searchsorted(rows, row)), names)

    def pool_views(self, obstacles: Mapping[str, str]) -> list[PoolView]:
        """Give every pool as it is now; `obstacles` says why each site takes no new work."""
        with self._lock:
            s = self._state.snapshot
            pools, prices, node_free = s.pools.copy(), s.prices.copy(), s.node_free.copy()
            holding = s.jobs["pool"][s.running[: s.n_running[0]]]
            may_run = self._state.rates_by_pool() > 0
            waiting = (s.kinds["end"] - s.kinds["start"])[: len(may_run)] @ may_run
            withheld = self._state.withheld.copy()
        running = np.bincount(holding, minlength=len(pools))
        region = self._offer.network.site_region
        return [
            PoolView(
                pool=pool,
                region=region[pool.site],
                usable=pool.capacity - withheld.get(row, 0),
                free=int(pools["free"][row]),
                largest=int(node_free[pools["first"][row] : pools["last"][row]].max()),
                running=int(running[row]),
                waiting=int(waiting[row]),
                price=float(prices[row]),
                open=bool(pools["open"][row]),
                problem=obstacles[pool.site],
            )
            for row, pool in enumerate(self._pools)
        ]

    # ------------------------------------------------------------------------- inside

    def _site(self, record: JobRecord) -> str | None:
        """Give the site where a job holds accelerators; None when there is none."""
        row = self._pool_row.get(record.pool or "") if record.status.holds_accelerators else None
        return None if row is None else self._pools[row].site

    def _note(self, before: JobRecord | None, after: JobRecord) -> None:
        row = self._row.get(after.id)
        if row is None:
            return
        waited = before is not None and before.status is Status.QUEUED
        held = before is not None and before.status.holds_accelerators
        if held and not after.status.holds_accelerators:
            self._ended.append(row)
        if waited and after.status.ended:
            self._withdrawn.append(row)
        if after.status is Status.QUEUED and not waited and after.id not in self._aside:
            ran = before is not None and before.status is not Status.STOPPING
            self._submitted[self._row_anew(row, after) if ran else row] = None

    def _row_anew(self, row: int, record: JobRecord) -> int:
        """Give the row of a job that waits again; a new one where the old is of another size."""
        with self._lock:
            kind = self._kind_now(record)
            if self._state.snapshot.jobs[row]["kind"] == kind:
                return row
            del self._job_at[row]
            self._add_rows([record], [kind])
        return self._row[record.id]

    def _kind(self, record: JobRecord) -> int | None:
        """Give the row of a job's kind; None for a job set aside that holds nothing here."""
        spec = record.spec
        try:
            fault = next(name_faults(spec, self._offer), None)
            if fault is None:
                return self._kind_now(record)
            reason = f"{fault.found}; {fault.allowed}"
        except TielineError as error:
            reason = str(error)
        self._aside[record.id] = f"The network cannot take it as it is: {reason}."
        if self._site(record) is None:
            return None
        # It runs, and only has to hold what it holds.
        return self._state.intern(JobKind(spec.tenant, spec.workload, record.size))

    def _kind_now(self, record: JobRecord) -> int:
        """Give the row of a job's kind: one that waits is of the smallest size."""
        kind = JobKind.of(record.spec)
        row = self._state.intern(kind)
        stopped = record.stops > 0 and record.spec.preemptible
        count = kind.sizes[0] if record.count is None else record.count
        found = self._state.sized(row, count, stopped=stopped)
        if found is None:  # given by a version that knew other sizes
            one = self._state.intern(replace(kind, count=count, least=0, most=0))
            found = self._state.sized(one, count, stopped=stopped)
        return row if found is None else found

    def _add_rows(self, records: Sequence[JobRecord], kinds: Sequence[int | None]) -> None:
        found = [self._run_times.estimate(record.spec) for record in records]
        first = self._state.add(
            np.array(kinds, np.int32),
            np.array(
                [
                    estimate.work_s if record.left_s is None else record.left_s
                    for record, estimate in zip(records, found, strict=True)
                ]
            ),
            np.array([record.submitted_at for record in records]),
            np.array([_deadline(record.spec) for record in records]),
        )
        for row, record in enumerate(records, first):
            self._row[record.id], self._job_at[row] = row, record.id
            self._estimate[record.id] = found[row - first]

    def _restore(self, records: Sequence[JobRecord]) -> None:
        self._state.restore(
            np.array([self._row[record.id] for record in records], np.int64),
            np.array([self._pool_row[record.pool or ""] for record in records], np.int64),
            np.array([record.started_at or record.placed_at or 0.0 for record in records]),
            np.array(
                [
                    record.status is Status.STOPPING and record.id not in self._aside
                    for record in records
                ],
                np.bool_,
            ),
        )


def _deadline(spec: JobSpec) -> float:
    """Give when the job should be done [UTC epoch]; inf without a deadline."""
    return inf if spec.deadline_s is None else spec.deadline_s
