"""How many accelerators a tenant may hold at once."""

from tieline.model.network import Tenant

#: Stands for "no quota" in arrays; far above any network.
UNLIMITED = 1 << 60


def quota(tenant: Tenant, accelerator: str) -> int:
    """Give the tenant's quota of one accelerator model, `UNLIMITED` where none is set."""
    return tenant.quotas.get(accelerator, UNLIMITED)


def total_quota(tenant: Tenant) -> int:
    """Give the tenant's quota over all models, `UNLIMITED` where none is set."""
    return tenant.quotas.get("total", UNLIMITED)
