"""Everything the loop knows, as arrays that are updated, not rebuilt.

One `State` belongs to one loop, live or replayed. It is changed only by `run_cycle` and by its
own methods; all are deterministic, so the same calls in the same order give the same arrays.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.control.holding import restore
from tieline.control.layout import empty_snapshot
from tieline.control.preemption import LOOSE
from tieline.control.terms import Terms
from tieline.control.waiting import lay_queue
from tieline.model.accelerator import Accelerator
from tieline.model.errors import InputError
from tieline.model.job import JobKind
from tieline.model.network import Network, Tenant
from tieline.model.rates import RateBook
from tieline.model.reasons import Reason
from tieline.model.snapshot import JOB, KIND, Snapshot
from tieline.rules.quota import quota, total_quota
from tieline.scheduling.policy import Policy
from tieline.scheduling.room import Plan, new_plan

#: The largest gang that an array of counts can hold; far above any network.
_LARGEST_GANG: Final = 2**31 - 1


class State:
    """The network, the kinds of job seen, all jobs, and who holds what."""

    def __init__(
        self,
        network: Network,
        policy: Policy,
        accelerators: Mapping[str, Accelerator],
        rates: RateBook,
    ) -> None:
        """Start empty: every accelerator free, no job known.

        Parameters
        ----------
        accelerators
            By id; every pool's model must be among them.
        rates
            Speeds; `JOB.work` is stated in seconds at this book's rate 1.
        """
        self.network = network
        self.policy = policy
        self.rates = rates
        self.kinds: list[JobKind] = []
        self.n_jobs = 0
        self._kind_row: dict[JobKind, int] = {}
        self._site_row = {site.id: row for row, site in enumerate(network.sites)}
        self._tenants = {tenant.id: tenant for tenant in network.tenants}
        self._tenant_row: dict[str, int] = {}
        self.plan = new_plan(network.capacity)
        self.seated = new_plan(network.capacity)
        self.loose = np.empty(network.capacity, LOOSE)
        self.may_stop = False
        """Whether the policy may stop any kind of job that is known."""
        self.models, self.snapshot = empty_snapshot(network)
        self._terms = Terms(network, accelerators, rates, self.snapshot)

    @property
    def by_work(self) -> bool:
        """Whether jobs of a kind wait in order of work."""
        return self.policy.order == "work"

    def intern(self, kind: JobKind) -> int:
        """Give the kind's row, working out where it may run when it is new.

        Raises
        ------
        InputError
            A gang smaller than 1 or too large to count, a dataset the network does not
            have, or a rate that is negative or not finite. The kind was not taken in.
        """
        row = self._kind_row.get(kind)
        return self._append_kind(kind) if row is None else row

    def warm(self, rows: NDArray[np.int32] | NDArray[np.int64]) -> None:
        """Prepare for running jobs to be weighed against others: see `Snapshot.warm`.

        For the market where it runs a job counts as if its work were shorter by what a stop
        would cost it; in any other one it starts again, as a stopped one does.
        """
        s = self.snapshot
        kinds, markets = s.jobs["kind"][rows], s.pools["market"][s.jobs["pool"][rows]]
        missing = (s.kinds["stopped"][kinds] >= 0) & (s.warm[kinds, markets] < 0)
        for kind, market in zip(kinds[missing].tolist(), markets[missing].tolist(), strict=True):
            if self.snapshot.warm[kind, market] < 0:
                self._append_warm(kind, market)

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
        """
        # More may hold accelerators than there are, and the rest of the network fills up too.
        running = np.zeros(len(self.snapshot.running) + len(rows), np.int32)
        running[: len(self.snapshot.running)] = self.snapshot.running
        s = self.snapshot = self.snapshot._replace(running=running)
        counts = s.kinds["count"][s.jobs["kind"][rows]]
        for i in np.argsort(-counts, kind="stable"):
            restore(s, rows[i], pools[i], began[i], self.plan.seats)
        if self.may_stop:
            self.warm(rows)

    def bars(self) -> NDArray[np.uint16]:
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
        return fork, rows

    def _append_kind(self, kind: JobKind) -> int:
        if not 1 <= kind.count <= _LARGEST_GANG:
            raise InputError(
                f"a job of tenant {kind.tenant} asks for {kind.count} accelerators; allowed: "
                f"1 to {_LARGEST_GANG}"
            )
        tenant_row = self._tenant(kind.tenant)
        tenant = self._tenants[kind.tenant]
        terms = self._terms.of(kind, tenant)
        row = self._kind_row[kind] = len(self.kinds)
        self.kinds.append(kind)
        self._room_for_kinds(len(self.kinds))
        s = self.snapshot
        record = s.kinds[row]
        record["count"], record["tenant"] = kind.count, tenant_row
        record["home"] = self._site_row.get(tenant.home or "", -1)
        record["weight"] = 2.0**kind.priority
        s.rate[row], s.barred[row], s.stage[row], s.charge[row], s.pace[row] = terms
        record["restart"], record["checkpoint"] = kind.restart_s, kind.checkpoint_s
        record["cold"], record["stopped"], s.warm[row] = row, -1, -1
        record["accounted"], record["share"] = self.policy.accounts, tenant.share
        rate = s.rate[row, s.pools["market"]]
        used = s.pools["capacity"] * ((rate > 0) & (s.pools["capacity"] >= kind.count))
        record["best"] = rate.max(where=used > 0, initial=0.0)
        record["mean"] = rate @ used / max(1, used.sum())
        self._without_slack(row)
        if kind.restart_s < inf:
            self._append_stopped(row)
        return row

    def _append_stopped(self, cold: int) -> None:
        """Add the kind for jobs of this one that were stopped: they start later everywhere."""
        row = self._append_like(cold)
        s = self.snapshot
        for time in (s.stage, s.charge):
            time[row] += s.kinds[row]["restart"]
        s.kinds["stopped"][[cold, row]] = row
        self.may_stop = self.policy.preempts

    def _append_warm(self, kind: int, market: int) -> None:
        row = self._append_like(kind)
        s = self.snapshot
        cold, stopped = s.kinds[kind]["cold"], s.kinds[kind]["stopped"]
        # Half of what lies between two checkpoints is lost on average.
        loss = s.kinds[kind]["restart"] + s.kinds[kind]["checkpoint"] / 2
        s.stage[row] = s.stage[stopped]
        s.charge[row] = s.charge[cold] + loss
        s.stage[row, market], s.charge[row, market] = 0.0, -loss
        s.warm[kind, market] = row

    def _append_like(self, kind: int) -> int:
        """Add a copy of the kind, without jobs; give its row."""
        row = len(self.kinds)
        self.kinds.append(self.kinds[kind])
        self._room_for_kinds(row + 1)
        s = self.snapshot
        s.kinds[row] = s.kinds[kind]
        s.kinds[row]["active"] = s.kinds[row]["level"] = 0
        for table in (s.rate, s.barred, s.stage, s.charge, s.pace):
            table[row] = table[kind]
        s.warm[row] = -1
        self._without_slack(row)
        return row

    def _without_slack(self, row: int) -> None:
        """Let a new kind have no place in the queue yet: its first job has it laid anew."""
        record, end = self.snapshot.kinds[row], len(self.snapshot.queue)
        for field in ("start", "end", "region_first", "region_last"):
            record[field] = end

    def _room_for_kinds(self, n: int) -> None:
        s = self.snapshot
        if n <= len(s.kinds):
            return
        more = max(16, len(s.kinds))
        self.snapshot = s._replace(
            kinds=np.concatenate([s.kinds, np.zeros(more, KIND)]),
            **{
                name: np.pad(getattr(s, name), ((0, more), (0, 0)))
                for name in ("rate", "barred", "stage", "charge", "pace", "warm")
            },
        )

    def _tenant(self, name: str) -> int:
        row = self._tenant_row.get(name)
        if row is not None:
            return row
        tenant = self._tenants.setdefault(name, Tenant(id=name))
        if tenant.home is None and len(self.network.sites) == 1:
            tenant = replace(tenant, home=self.network.sites[0].id)
            self._tenants[name] = tenant
        row = self._tenant_row[name] = len(self._tenant_row)
        limits = [quota(tenant, model) for model in self.models] + [total_quota(tenant)]
        s = self.snapshot
        self.snapshot = s._replace(
            used=np.vstack([s.used, np.zeros((1, s.used.shape[1]), np.int64)]),
            limit=np.vstack([s.limit, np.array(limits, np.int64)[None, :]]),
        )
        return row
