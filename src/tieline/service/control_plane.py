"""The control plane as the API sees it: one object, one method per question or request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tieline.control.governance import Drain, Leader
from tieline.control.history import Estimate
from tieline.control.lifecycle import Status
from tieline.control.ports import Clock, JobRecord, Store, StoredEvent
from tieline.files.document import Document
from tieline.files.fit import Offer, name_faults
from tieline.model.accelerator import Rate
from tieline.model.errors import NotFoundError, NotLeader, TielineError
from tieline.model.job import JobSpec
from tieline.service.access.tokens import Tokens
from tieline.service.live.foresight import foresee
from tieline.service.live.loop import Loop
from tieline.service.views import Health, PoolView, Present, Prices, SiteView, Why, statement

_AT_A_SITE: Final = [status for status in Status if status.holds_accelerators]
#: A position in the event log that it never reaches.
_BEYOND: Final = 2**62


class ControlPlane:
    """Takes requests, answers questions, and leaves the work to the loop.

    Threads may share it. Every method is quick, `why` within two seconds: none waits for the
    loop or, apart from `log`, for a site. Any of them may raise `StoreUnavailable`: nothing was
    done, try again later.

    Several control planes may share a store, and one of them leads. What only the loop knows
    only that one tells; the others raise `NotLeader`, and `leader` says whom to ask. All else
    every one of them does alike.
    """

    def __init__(
        self, *, offer: Offer, store: Store, clock: Clock, loop: Callable[[], Loop | None]
    ) -> None:
        """Join the parts; `loop` gives the one that runs in this process, None while none does."""
        self.network: Final = offer.network
        self._offer = offer
        self._store = store
        self._clock = clock
        self._loop_now = loop
        self.tokens: Final = Tokens(store, clock)
        """By which callers of the API are known."""

    @property
    def epoch(self) -> int | None:
        """The epoch in which this process leads; None while it does not."""
        loop = self._loop_now()
        return None if loop is None else loop.epoch

    def leader(self) -> Leader | None:
        """Give the control plane that leads, however silent it is; None when none does."""
        return self._store.leader()

    def submit(
        self, specs: Sequence[JobSpec], key: str | None = None, *, count: int = 1, by: str = ""
    ) -> list[JobRecord]:
        """Store jobs, each `count` times in a row, and give them, in order: all or none.

        They survive a crash from here on. A job that no pool can run is taken too: it waits,
        and `why` says what bars it.

        Parameters
        ----------
        key
            A second call with the same key, specs and count adds nothing and gives the first
            call's jobs, as they are now.
        by
            Who asks, for the event log.

        Raises
        ------
        FileErrors
            A job names a tenant, dataset, region, sensitivity, accelerator or stack that does
            not exist; fields are named as in `{"jobs": [...]}`. Tenants are checked only
            when the network lists any.
        ConflictError
            The key was used for other specs.
        """
        Document("submission", None).demand(
            fault._replace(loc=("jobs", number, *fault.loc))
            for number, spec in enumerate(specs)
            for fault in name_faults(spec, self._offer)
        )
        repeated = [spec for spec in specs for _ in range(count)]
        records = self._store.add_jobs(repeated, now=self._clock.now(), key=key, by=by)
        self._wake()
        return records

    def cancel(self, job_id: str, *, by: str = "") -> JobRecord:
        """Ask for the end of a job and give it as it is now; it ends soon after. Idempotent.

        An ended job stays as it is.

        Raises
        ------
        NotFoundError
            No such job.
        """
        record = self._store.request_cancel(job_id, now=self._clock.now(), by=by)
        self._wake()
        return record

    def job(self, job_id: str) -> JobRecord:
        """Give one job.

        Raises
        ------
        NotFoundError
            No such job.
        """
        return self._store.job(job_id)

    def detail(self, job_id: str) -> tuple[JobRecord, Estimate | None, Mapping[str, Rate]]:
        """Give one job with its estimate and its rate on each accelerator of the network.

        There are no rates for work of an unknown kind, and no estimate for an open job while
        nobody leads.

        Raises
        ------
        NotFoundError
            No such job.
        NotLeader
            The job is open, and another control plane, which leads, knows the estimate.
        """
        record = self._store.job(job_id)
        workload, count = record.spec.workload, record.spec.count
        models = dict.fromkeys(pool.accelerator for pool in self._offer.network.pools)
        try:
            rates = {one: self._offer.rates.rate(workload, one, count) for one in models}
        except TielineError:
            rates = {}
        loop = self._loop_now()
        if loop is None and not record.status.ended and self.leader() is not None:
            raise _not_here()
        return record, None if loop is None else loop.estimate(job_id), rates

    def estimate(self, job_id: str) -> Estimate | None:
        """Give how long a job is taken to run, and how that is known; None for an ended one.

        Raises
        ------
        NotLeader
            Another control plane knows.
        """
        return self._loop().estimate(job_id)

    def jobs(
        self,
        *,
        status: Sequence[Status] = (),
        tenant: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[JobRecord]:
        """Give at most `limit` jobs, newest first, with `seq` below `before` where given."""
        return self._store.jobs(status=status, tenant=tenant, limit=limit, before=before)

    def events(
        self, job_id: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[StoredEvent]:
        """Give events in order, of one job or of all, with `seq` above `after`.

        Raises
        ------
        NotFoundError
            No such job.
        """
        if job_id is not None:
            self._store.job(job_id)
        return self._store.events(job_id, after=after, limit=limit)

    def log(self, job_id: str, offset: int = 0, limit: int = 1 << 16) -> bytes:
        """Give at most `limit` bytes of a job's output from `offset` on; empty when there is none.

        The output is that of the present or last attempt. Asks the job's site and so may
        block, for `Patience.output_s` at most.

        Raises
        ------
        NotFoundError
            No such job; or its output is no longer kept, or was kept by a site that the
            network no longer has.
        EngineUnavailable
            The site does not answer.
        NotLeader
            Another control plane speaks with the site.
        """
        record = self._store.job(job_id)
        pool = record.pool or self._last_pool(record)
        if pool is None:
            return b""
        link = self._loop().link(pool)
        if link is None:
            raise NotFoundError(
                f"the output of {job_id} is at {pool}, which the network no longer has"
            )
        data = link.output(record.token, offset, limit)
        if not data and record.status.ended and record.token not in link.reports:
            raise NotFoundError(
                f"the output of {job_id} is no longer kept: a site keeps that of its newest runs"
            )
        return data

    def _last_pool(self, record: JobRecord) -> str | None:
        """Give where the last attempt of a job that waits again was; None without any."""
        told = self._store.events(record.id) if record.attempt else []
        pools = [str(line.data["pool"]) for line in told if "pool" in line.data]
        return pools[-1] if pools else None

    def why(self, job_id: str) -> Why:
        """Give why a job is where it is: each pool's answer while it waits, else a sentence.

        Raises
        ------
        NotFoundError
            No such job.
        NotLeader
            The job is open, and another control plane knows.
        """
        record = self._store.job(job_id)
        if record.status.ended:
            return Why(record, statement(record))
        loop = self._loop()
        found = loop.scene(job_id)
        if found is not None and record.status is Status.QUEUED:
            scene, now = found
            return foresee(record, scene, now, self._offer, self._store, loop.run_times)
        sentence = loop.set_aside(job_id) or statement(record)
        return Why(record, sentence, loop.estimate(job_id))

    def pools(self) -> list[PoolView]:
        """Give every pool as it is now, in the order of the network.

        Raises
        ------
        NotLeader
            Another control plane knows.
        """
        return self._loop().pools()

    def sites(self) -> list[SiteView]:
        """Give every site as it is now, in the order of the network.

        Raises
        ------
        NotLeader
            Another control plane knows.
        """
        return self._loop().sites()

    def site(self, site_id: str) -> SiteView:
        """Give one site as the loop knows it; elsewhere as the network file and the store do.

        Raises
        ------
        NotFoundError
            The network has no such site.
        """
        self._demand_site(site_id)
        loop = self._loop_now()
        if loop is not None:
            return next(view for view in loop.sites() if view.id == site_id)
        there = next(site for site in self.network.sites if site.id == site_id)
        pools = {pool.id for pool in there.pools}
        held = self._store.jobs(status=_AT_A_SITE, limit=max(1, self.network.capacity))
        drain = self._store.drained().get(site_id)
        return SiteView(
            id=site_id,
            region=there.region,
            engine=there.engine,
            state="open" if drain is None else "drained",
            problem="" if drain is None else drain.told,
            running=sum(job.pool in pools for job in held),
            usable=None,
            capacity=sum(pool.capacity for pool in there.pools),
            heard_ago_s=None,
        )

    def drain(self, site: str, *, by: str = "", reason: str = "") -> Drain:
        """Close a site to new work until `resume`; what runs there runs on. Idempotent.

        Raises
        ------
        NotFoundError
            The network has no such site.
        """
        self._demand_site(site)
        drain = self._store.drain(site, now=self._clock.now(), by=by, reason=reason)
        self._wake()
        return drain

    def resume(self, site: str, *, by: str = "") -> None:
        """Open a drained site again, and trust one that came and went. Idempotent.

        Raises
        ------
        NotFoundError
            The network has no such site.
        """
        self._demand_site(site)
        self._store.resume(site, now=self._clock.now(), by=by)
        self._wake()

    def prices(self) -> Prices:
        """Give the prices of the last cycle and their recent history.

        Raises
        ------
        NotLeader
            Another control plane knows.
        """
        return self._loop().prices()

    def health(self) -> Health:
        """Give whether the loop runs and the sites answer.

        Raises
        ------
        NotLeader
            Another control plane knows.
        """
        return self._loop().health()

    def ready(self) -> bool:
        """Tell whether requests can be met: the store answers, and somebody leads."""
        return self.leader() is not None

    def present(self) -> Present:
        """Give what is now in numbers; what only the loop knows is empty where none runs."""
        leader, loop = self.leader(), self._loop_now()
        there = Present(
            leads=loop is not None,
            epoch=leader.epoch if leader else 0,
            audit_head=self._store.news(_BEYOND).position,
        )
        if loop is None:
            return there
        latest = loop.prices().latest
        return replace(
            there,
            jobs=loop.counts(),
            gap=latest.gap if latest else None,
            pools=loop.pools(),
            sites={site.id: site.state for site in loop.sites()},
        )

    def _loop(self) -> Loop:
        loop = self._loop_now()
        if loop is None:
            raise _not_here()
        return loop

    def _wake(self) -> None:
        """Let the loop go round now, if it runs here; elsewhere it learns of news by itself."""
        loop = self._loop_now()
        if loop is not None:
            loop.wake()

    def _demand_site(self, site: str) -> None:
        known = [one.id for one in self.network.sites]
        if site not in known:
            raise NotFoundError(f"there is no site {site!r}; there are {', '.join(known)}")


def _not_here() -> NotLeader:
    return NotLeader(
        "this control plane does not lead now, and only the one that leads can answer"
    )
