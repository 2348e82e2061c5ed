"""Why a job runs where it does, seen against the home centre of its tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tieline.files.fit import Offer, usable_pools
from tieline.model.job import JobSpec
from tieline.model.network import Pool
from tieline.wire.schemas import Job


class Cause(StrEnum):
    """Why a job went there and not elsewhere."""

    HOME = "at home"
    CANNOT = "home cannot"
    FULL = "home full"
    FASTER = "faster"
    DEARER = "home in demand"


@dataclass(frozen=True, slots=True)
class Placed:
    """One placement and its cause."""

    job: Job
    pool: Pool
    cause: Cause
    rate: float
    """On this pool's accelerators; the reference accelerator has 1."""
    home_rate: float | None
    """The best rate at home; None when home cannot run it."""

    @property
    def words(self) -> str:
        """The cause with its rates."""
        home = "" if self.home_rate is None else f" (home {self.home_rate:.2g})"
        return f"{self.cause}: rate {self.rate:.2g}{home}"


def placed(job: Job, spec: JobSpec, jobs: Sequence[Job], offer: Offer) -> Placed:
    """Give the placement of a job that has a pool.

    Parameters
    ----------
    jobs
        All jobs so far: those that held accelerators when this one was placed.
    """
    pools = {pool.id: pool for pool in offer.network.pools}
    pool, home = pools[job.pool or ""], offer.tenants[spec.tenant].home
    at_home = [one for one in usable_pools(spec, offer) if one.site == home]
    rates = {one.id: _rate(spec, one, offer) for one in (pool, *at_home)}
    home_rate = max((rates[one.id] for one in at_home), default=None)
    if pool.site == home:
        cause = Cause.HOME
    elif home_rate is None:
        cause = Cause.CANNOT
    elif all(_free(one, job, jobs) < spec.count for one in at_home):
        cause = Cause.FULL
    else:
        cause = Cause.FASTER if rates[pool.id] > home_rate else Cause.DEARER
    return Placed(job, pool, cause, rates[pool.id], home_rate)


def _rate(spec: JobSpec, pool: Pool, offer: Offer) -> float:
    return offer.rates.rate(spec.workload, pool.accelerator, spec.count).value


def _free(pool: Pool, this: Job, jobs: Sequence[Job]) -> int:
    """Give the accelerators left for a job at the moment of its placement.

    What was placed at the same moment was decided together with it, and counts as held.
    """
    at = this.placed_at or 0.0
    held = sum(
        job.count
        for job in jobs
        if job.pool == pool.id
        and job.id != this.id
        and (job.placed_at or 0.0) <= at
        and (job.ended_at is None or job.ended_at > at)
    )
    return pool.capacity - held
