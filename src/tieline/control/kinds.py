"""The kinds of job seen: one row of the tables for each, its sizes, and what becomes of it.

A kind has a row for each of its sizes (the smallest waits), the same again for jobs that were
stopped, and one for each market in which its jobs run and may be stopped.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.control.layout import empty_snapshot
from tieline.control.replicas import Replicas
from tieline.control.terms import Row, Terms
from tieline.model.accelerator import Accelerator
from tieline.model.errors import InputError
from tieline.model.job import JobKind
from tieline.model.network import Network, Tenant
from tieline.model.rates import RateBook
from tieline.model.snapshot import KIND
from tieline.rules.quota import quota, total_quota
from tieline.scheduling.policy import Policy

#: The largest gang that an array of counts can hold; far above any network.
_LARGEST_GANG: Final = 2**31 - 1


class Kinds:
    """The network and the kinds of job seen, as tables of a snapshot."""

    def __init__(
        self,
        network: Network,
        policy: Policy,
        accelerators: Mapping[str, Accelerator],
        rates: RateBook,
        *,
        moves_data: bool = False,
    ) -> None:
        """Start without a kind: every accelerator free.

        Parameters
        ----------
        accelerators
            By id; every pool's model must be among them.
        rates
            Speeds; `JOB.work` is stated in seconds at this book's rate 1.
        moves_data
            Whether somebody carries out `Actions.moves`, so that data is in place when a job
            starts. Otherwise jobs fetch their data themselves and hold accelerators meanwhile.
        """
        self.network = network
        self.policy = policy
        self.rates = rates
        self.kinds: list[JobKind] = []
        self._kind_row: dict[JobKind, int] = {}
        self._site_row = {site.id: row for row, site in enumerate(network.sites)}
        self._tenants = {tenant.id: tenant for tenant in network.tenants}
        self._tenant_row: dict[str, int] = {}
        self.may_stop = False
        """Whether the policy may stop any kind of job that is known."""
        self.may_grow = False
        """Whether any kind of job that is known has several sizes."""
        self.models, self.snapshot = empty_snapshot(network)
        self._terms = Terms(network, accelerators, rates, self.snapshot, moves_data=moves_data)
        self.moves_data = moves_data
        self.replicas = Replicas(network)
        self.data_kinds: dict[int, NDArray[np.int64]] = {}
        """Datasets of each kind that has data that is moved ahead; derived kinds not included."""

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

    def sized(self, kind: int, count: int, *, stopped: bool) -> int | None:
        """Give the row of a kind's size; None when it has none with so many accelerators.

        Parameters
        ----------
        kind
            From `intern`: the smallest size.
        stopped
            Whether the job was stopped before, and so starts later.
        """
        kinds = self.snapshot.kinds
        row = int(kinds[kind]["stopped"] if stopped else kind)
        while row >= 0 and kinds[row]["count"] != count:
            row = int(kinds[row]["larger"])
        return row if row >= 0 else None

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

    def renew(self, cold: int, now: float) -> None:
        """Bring the times of a kind with data, and of those derived from it, up to date."""
        s = self.snapshot
        open_to_it, absent = s.barred[cold] == 0, s.absent[cold]
        for row in self._sizes(cold):
            stage, charge, absent = self._terms.data(self.kinds[row], self.replicas, now)
            s.stage[row] = np.where(open_to_it, stage, inf)
            s.charge[row] = np.where(open_to_it, charge, inf)
        stopped = self._sizes(int(s.kinds[cold]["stopped"]))
        for row in stopped:
            self._time_stopped(row)
        s.absent[self.family(cold)] = absent
        for kind in {*self._sizes(cold), *stopped}:
            for market in np.flatnonzero(s.warm[kind] >= 0).tolist():
                self._time_warm(int(s.warm[kind, market]), market)

    def family(self, cold: int) -> list[int]:
        """Give the kind and all derived from it: its sizes, of stopped and of running jobs."""
        s = self.snapshot
        kinds = [*self._sizes(cold), *self._sizes(int(s.kinds[cold]["stopped"]))]
        warm = s.warm[kinds]
        return kinds + list(warm[warm >= 0].tolist())

    def _sizes(self, row: int) -> list[int]:
        """Give the row and those of the larger sizes; nothing for a row below 0."""
        rows = []
        while row >= 0:
            rows.append(row)
            row = int(self.snapshot.kinds[row]["larger"])
        return rows

    def _append_kind(self, kind: JobKind) -> int:
        """Add a kind, one row for each of its sizes; give that of the smallest, which waits."""
        if not 1 <= kind.count <= _LARGEST_GANG:
            raise InputError(
                f"a job of tenant {kind.tenant} asks for {kind.count} accelerators; allowed: "
                f"1 to {_LARGEST_GANG}"
            )
        tenant_row = self._tenant(kind.tenant)
        tenant = self._tenants[kind.tenant]
        sizes = [replace(kind, count=n, least=0, most=0) for n in kind.sizes]
        terms = [self._terms.of(one, tenant, self.replicas, 0.0) for one in sizes]
        rows = [
            self._append_size(one, row_terms.faster((one.count / kind.count) ** kind.scaling))
            for one, row_terms in zip(sizes, terms, strict=True)
        ]
        records = self.snapshot.kinds
        records["tenant"][rows], records["share"][rows] = tenant_row, tenant.share
        records["home"][rows] = self._site_row.get(tenant.home or "", -1)
        self._chain(rows)
        if kind.restart_s < inf:
            self._append_stopped(rows)
        self.may_grow |= len(rows) > 1
        self._kind_row[kind] = rows[0]
        return rows[0]

    def _append_size(self, kind: JobKind, terms: Row) -> int:
        """Add a row for a kind of one size."""
        row = len(self.kinds)
        self.kinds.append(kind)
        self._room_for_kinds(row + 1)
        s = self.snapshot
        record = s.kinds[row]
        record["count"], record["weight"] = kind.count, 2.0**kind.priority
        s.rate[row], s.barred[row], s.stage[row], s.charge[row], s.pace[row] = terms[:-1]
        s.absent[row] = terms.absent
        if kind.datasets and self.moves_data:
            self.data_kinds[row] = self.replicas.rows(kind.datasets)
        record["restart"], record["checkpoint"] = kind.restart_s, kind.checkpoint_s
        record["cold"], record["stopped"], s.warm[row] = row, -1, -1
        record["accounted"] = self.policy.accounts
        rate = s.rate[row, s.pools["market"]]
        used = s.pools["capacity"] * ((rate > 0) & (s.pools["capacity"] >= kind.count))
        record["best"] = rate.max(where=used > 0, initial=0.0)
        record["mean"] = rate @ used / max(1, used.sum())
        self._without_slack(row)
        return row

    def _chain(self, rows: list[int]) -> None:
        """Let each row know the next larger size."""
        self.snapshot.kinds["larger"][rows] = [*rows[1:], -1]

    def _append_stopped(self, cold: list[int]) -> None:
        """Add the kinds for jobs of these sizes that were stopped: they start later everywhere."""
        rows = [self._append_like(row) for row in cold]
        self.snapshot.kinds["stopped"][[*cold, *rows]] = rows[0]
        for row in rows:
            self._time_stopped(row)
        self._chain(rows)
        self.may_stop = self.policy.preempts

    def _time_stopped(self, row: int) -> None:
        """Write the times of a kind of stopped jobs, given those of the cold one."""
        s = self.snapshot
        cold, restart = s.kinds[row]["cold"], s.kinds[row]["restart"]
        s.stage[row], s.charge[row] = s.stage[cold] + restart, s.charge[cold] + restart

    def _append_warm(self, kind: int, market: int) -> None:
        row = self._append_like(kind)
        self.snapshot.kinds[row]["larger"] = -1
        self.snapshot.warm[kind, market] = row
        self._time_warm(row, market)

    def _time_warm(self, row: int, market: int) -> None:
        """Write the times of a kind that runs there, given those of the cold and stopped ones."""
        s = self.snapshot
        cold, stopped = s.kinds[row]["cold"], s.kinds[row]["stopped"]
        # Half of what lies between two checkpoints is lost on average.
        loss = s.kinds[row]["restart"] + s.kinds[row]["checkpoint"] / 2
        s.stage[row] = s.stage[stopped]
        s.charge[row] = s.charge[cold] + loss
        s.stage[row, market], s.charge[row, market] = 0.0, -loss

    def _append_like(self, kind: int) -> int:
        """Add a copy of the kind, without jobs; give its row."""
        row = len(self.kinds)
        self.kinds.append(self.kinds[kind])
        self._room_for_kinds(row + 1)
        s = self.snapshot
        s.kinds[row] = s.kinds[kind]
        s.kinds[row]["active"] = s.kinds[row]["level"] = 0
        for table in (s.rate, s.barred, s.stage, s.charge, s.pace, s.absent):
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
                for name in ("rate", "barred", "stage", "charge", "pace", "absent", "warm")
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
