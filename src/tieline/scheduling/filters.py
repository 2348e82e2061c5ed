"""Which kinds of job may use which markets, and why not: typed reasons.

Runs once per kind, not per cycle. What differs from pool to pool of a market (size, home) or
changes with time (free accelerators, used quotas, closed sites) is checked by the planning
kernels and explained by `tieline.scheduling.explain`.
"""

from collections.abc import Mapping, Sequence

from tieline.model.accelerator import Accelerator
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Pool, Tenant
from tieline.model.reasons import Reason
from tieline.rules.access import effective_sensitivity, may_reside, trusted
from tieline.rules.quota import quota, total_quota


def chip_bars(
    kind: JobKind,
    pool: Pool,
    accelerator: Accelerator,
    tenant: Tenant,
    datasets: Sequence[Dataset],
    rate: float,
) -> Reason:
    """Give the reasons that lie in what a pool is, wherever it stands; empty if none.

    Parameters
    ----------
    datasets
        Those the kind reads.
    rate
        Of the kind on these accelerators; 0 gives `Reason.SPEED`.
    """
    stacks = pool.stacks or frozenset({accelerator.stack})
    sensitivities = effective_sensitivity(kind.sensitivity, datasets)
    return _together(
        {
            Reason.STACK: bool(kind.stacks) and not kind.stacks & stacks,
            Reason.MEMORY: 0 < accelerator.memory_bytes < kind.memory_bytes,
            Reason.TRUST: not trusted(pool, sensitivities),
            Reason.QUOTA: kind.count > min(quota(tenant, accelerator.id), total_quota(tenant)),
            Reason.SPEED: rate <= 0,
        }
    )


def place_bars(
    kind: JobKind, region: str, datasets: Sequence[Dataset], staging_s: float, *, fits: bool
) -> Reason:
    """Give the reasons that lie in where a pool stands; empty if none.

    Parameters
    ----------
    staging_s
        Time to bring the data there [s]; inf gives `Reason.LINK`.
    fits
        Whether the caches of the region have room for it at all.
    """
    return _together(
        {
            Reason.RESIDENCY: not may_reside(region, kind.residency, datasets),
            Reason.LINK: staging_s == float("inf"),
            Reason.STORAGE: not fits,
        }
    )


def _together(found: Mapping[Reason, bool]) -> Reason:
    result = Reason(0)
    for reason, applies in found.items():
        if applies:
            result |= reason
    return result
