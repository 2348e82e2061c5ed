"""The control plane as the API sees it: one object, one method per question or request."""

from collections.abc import Mapping, Sequence
from typing import Final

from tieline.control.history import Estimate
from tieline.control.lifecycle import Status
from tieline.control.ports import Clock, Engine, JobRecord, Store, StoredEvent
from tieline.files.document import Document
from tieline.files.fit import Offer, name_faults
from tieline.model.accelerator import Rate
from tieline.model.errors import NotFoundError, TielineError
from tieline.model.job import JobSpec
from tieline.service.foresight import foresee
from tieline.service.loop import Loop
from tieline.service.views import Health, PoolView, Prices, Why, statement


class ControlPlane:
    """Takes requests, answers questions, and leaves the work to the loop.

    Threads may share it. Every method is quick, `why` within two seconds: none waits for the
    loop or, apart from `log`, for a site. Any of them may raise `StoreUnavailable`: nothing was
    done, try again later.
    """

    def __init__(
        self,
        *,
        offer: Offer,
        store: Store,
        engines: Mapping[str, Engine],
        loop: Loop,
        clock: Clock,
    ) -> None:
        """Join the parts; `engines` is by site id."""
        self.network: Final = offer.network
        self._offer = offer
        self._store = store
        self._engines = engines
        self._loop = loop
        self._clock = clock
        self._site = {pool.id: pool.site for pool in self.network.pools}

    def submit(
        self, specs: Sequence[JobSpec], key: str | None = None, *, count: int = 1
    ) -> list[JobRecord]:
        """Store jobs, each `count` times in a row, and give them, in order: all or none.

        They survive a crash from here on. A job that no pool can run is taken too: it waits,
        and `why` says what bars it.

        Parameters
        ----------
        key
            A second call with the same key, specs and count adds nothing and gives the first
            call's jobs, as they are now.

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
        records = self._store.add_jobs(repeated, now=self._clock.now(), key=key)
        self._loop.wake()
        return records

    def cancel(self, job_id: str) -> JobRecord:
        """Ask for the end of a job and give it as it is now; it ends soon after. Idempotent.

        An ended job stays as it is.

        Raises
        ------
        NotFoundError
            No such job.
        """
        record = self._store.request_cancel(job_id, now=self._clock.now())
        self._loop.wake()
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

        There are no rates for work of an unknown kind.

        Raises
        ------
        NotFoundError
            No such job.
        """
        record = self._store.job(job_id)
        workload, count = record.spec.workload, record.spec.count
        models = dict.fromkeys(pool.accelerator for pool in self._offer.network.pools)
        try:
            rates = {one: self._offer.rates.rate(workload, one, count) for one in models}
        except TielineError:
            rates = {}
        return record, self._loop.estimate(job_id), rates

    def estimate(self, job_id: str) -> Estimate | None:
        """Give how long a job is taken to run, and how that is known; None for an ended one."""
        return self._loop.estimate(job_id)

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
        block, up to the engine's own time-out.

        Raises
        ------
        NotFoundError
            No such job; or its output is no longer kept, or was kept by a site that the
            network no longer has.
        EngineUnavailable
            The site does not answer.
        """
        record = self._store.job(job_id)
        pool = record.pool or self._last_pool(record)
        if pool is None:
            return b""
        engine = self._engines.get(self._site.get(pool, ""))
        if engine is None:
            raise NotFoundError(
                f"the output of {job_id} is at {pool}, which the network no longer has"
            )
        data = engine.log(record.token, offset, limit)
        if not data and record.status.ended and self._loop.has_forgotten(record):
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
        """
        record = self._store.job(job_id)
        found = self._loop.scene(job_id)
        if found is not None and record.status is Status.QUEUED:
            scene, now = found
            return foresee(record, scene, now, self._offer, self._store, self._loop.run_times)
        sentence = self._loop.set_aside(job_id) or statement(record)
        return Why(record, sentence, self._loop.estimate(job_id))

    def pools(self) -> list[PoolView]:
        """Give every pool as it is now, in the order of the network."""
        return self._loop.pools()

    def prices(self) -> Prices:
        """Give the prices of the last cycle and their recent history."""
        return self._loop.prices(self._clock.now())

    def health(self) -> Health:
        """Give whether the loop runs and the sites answer."""
        return self._loop.health()
