"""Why a job does not run on a pool: typed, counted, and told apart as *never* or *not now*."""

from enum import IntFlag
from typing import Final


class Reason(IntFlag):
    """One bit per reason; a job and a pool can have several."""

    STACK = 1 << 0
    """The job is built for no stack the pool has."""
    MEMORY = 1 << 1
    """The accelerator's memory is too small."""
    GANG = 1 << 2
    """The gang is larger than the whole pool."""
    RESIDENCY = 1 << 3
    """The job or its data may not be in that region."""
    TRUST = 1 << 4
    """The pool may not serve work of that sensitivity."""
    QUOTA = 1 << 5
    """The gang is larger than the tenant's quota, so it can never start there."""
    SPEED = 1 << 6
    """The workload makes no progress on that accelerator (rate 0)."""
    HOME = 1 << 7
    """Not the tenant's home site; counts only under `isolated`."""
    CLOSED = 1 << 8
    """The site is drained or does not answer."""
    BUSY = 1 << 9
    """Too few accelerators are free."""
    FRAGMENTED = 1 << 10
    """Enough accelerators are free, but not together on one node."""
    QUOTA_USED = 1 << 11
    """The tenant's quota is used up at the moment."""
    TURN = 1 << 12
    """An earlier job waits for the same accelerators, or has them reserved."""
    PRICE = 1 << 13
    """The pool's price is above what the job is worth there now."""
    LINK = 1 << 14
    """No link leads from the job's data to that region."""
    STORAGE = 1 << 15
    """The job's data is larger than what the sites of that region keep for copies."""
    DATA = 1 << 16
    """The job's data is not in that region yet, and is brought there before the job starts."""


#: Reasons that no waiting cures: the network, the job or a rule must change.
NEVER: Final = (
    Reason.STACK
    | Reason.MEMORY
    | Reason.GANG
    | Reason.RESIDENCY
    | Reason.TRUST
    | Reason.QUOTA
    | Reason.SPEED
    | Reason.LINK
    | Reason.STORAGE
)

#: Plain words for each reason, with room for the numbers that belong to it.
WORDS: Final = {
    Reason.STACK: "built for another software stack",
    Reason.MEMORY: "needs more memory per accelerator",
    Reason.GANG: "the gang is larger than the pool",
    Reason.RESIDENCY: "the job or its data may not be in this region",
    Reason.TRUST: "the pool is not trusted with this sensitivity",
    Reason.QUOTA: "the gang is larger than the tenant's quota",
    Reason.SPEED: "this workload makes no progress on this accelerator",
    Reason.LINK: "no link leads from its data to this region",
    Reason.STORAGE: "its data is larger than the cache of this region",
    Reason.HOME: "not the tenant's home site",
    Reason.DATA: "its data is not in this region yet",
    Reason.CLOSED: "the site is closed or does not answer",
    Reason.BUSY: "too few accelerators are free",
    Reason.FRAGMENTED: "enough accelerators are free, but not on one node",
    Reason.QUOTA_USED: "the tenant's quota is used up now",
    Reason.TURN: "an earlier job is waiting for these accelerators",
    Reason.PRICE: "other jobs are worth more here now",
}
