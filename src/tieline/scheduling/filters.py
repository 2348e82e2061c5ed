"""Which kinds of job may use which markets, and why not: one function, typed reasons.

Runs once per kind, not per cycle. What differs from pool to pool of a market (size, home) or
changes with time (free accelerators, used quotas, closed sites) is checked by the planning
kernels and explained by `tieline.scheduling.explain`.
"""

from collections.abc import Mapping

from tieline.model.accelerator import Accelerator
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Pool, Tenant
from tieline.model.reasons import Reason
from tieline.rules.access import effective_sensitivity, may_reside, trusted
from tieline.rules.quota import quota, total_quota


def bars(
    kind: JobKind,
    pool: Pool,
    *,
    region: str,
    accelerator: Accelerator,
    tenant: Tenant,
    datasets: Mapping[str, Dataset],
    rate: float,
) -> Reason:
    """Give every reason that keeps the kind off the pool's market for good; empty if none.

    Parameters
    ----------
    pool
        Any pool of the market.
    region
        The market's.
    rate
        Of the kind on the market's accelerators; 0 gives `Reason.SPEED`.
    """
    used = [datasets[name] for name in kind.datasets]
    stacks = pool.stacks or frozenset({accelerator.stack})
    sensitivities = effective_sensitivity(kind.sensitivity, used)
    found = {
        Reason.STACK: bool(kind.stacks) and not kind.stacks & stacks,
        Reason.MEMORY: 0 < accelerator.memory_bytes < kind.memory_bytes,
        Reason.RESIDENCY: not may_reside(region, kind.residency, used),
        Reason.TRUST: not trusted(pool, sensitivities),
        Reason.QUOTA: kind.count > min(quota(tenant, accelerator.id), total_quota(tenant)),
        Reason.SPEED: rate <= 0,
    }
    result = Reason(0)
    for reason, applies in found.items():
        if applies:
            result |= reason
    return result
