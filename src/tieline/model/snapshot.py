"""What a decision sees: arrays with named axes, updated in place from cycle to cycle.

Axes: J jobs (rows in order of acknowledgement), K kinds of job, P pools, M markets, N nodes,
T tenants, A accelerator models, Q the queue, B blocks of accelerators held by jobs.

A market is a set of pools between which a job has no preference: the same model, region,
trust and stacks. Speeds, filters, staging and prices belong to markets; capacity, nodes and
the tenants' homes belong to pools. A thousand sites in thirty regions are few markets.

A decision reads a snapshot and never writes to it; only `tieline.control.State` does. Record
arrays keep the fields that are read together in one cache line, and cost one argument in a
call to a compiled kernel instead of one per field.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

JOB: Final = np.dtype(
    [
        ("kind", np.int32),  # row in `kinds`
        ("pool", np.int32),  # where it holds accelerators; -1 when it holds none
        ("work", np.float64),  # estimated run time at rate 1 [s]
        ("submitted", np.float64),  # [s]
        ("served", np.float64),  # time it ran in attempts that it was told to stop [s]
        ("began", np.float64),  # start of the present attempt [s]
        ("ends", np.float64),  # estimated end of the present attempt [s]
        ("deadline", np.float64),  # when it should be done [s]; inf without one
        ("block", np.int32),  # first block it holds; -1 when none
        ("running", np.int32),  # place in `running`; -1 when it holds nothing, less while loose
        ("waiting", np.bool_),  # whether it is in the queue
        ("stopping", np.bool_),  # whether it was told to stop, and has not ended yet
        # Reading of its kind's `clock` at its end under an equal split; -1 without accounts.
        ("due", np.float64),
    ],
    align=True,
)

KIND: Final = np.dtype(
    [
        ("count", np.int32),  # accelerators of the gang
        ("tenant", np.int32),
        ("home", np.int32),  # site row of the tenant's home; -1 when it has none
        ("weight", np.float64),  # factor on the value of the job, > 0
        ("restart", np.float64),  # time lost by a stop [s]; inf = may not be stopped
        ("checkpoint", np.float64),  # between checkpoints [s]; 0 = it saves when told to stop
        ("cold", np.int32),  # row of the kind for jobs that have not begun
        ("stopped", np.int32),  # row of the kind for jobs that were stopped; -1 = never are
        ("larger", np.int32),  # row of the kind on the next larger gang; -1 = none
        ("start", np.int64),  # its waiting jobs are queue[start:end] ...
        ("end", np.int64),
        ("region_first", np.int64),  # ... inside its region queue[region_first:region_last]
        ("region_last", np.int64),
        # Accounts, up to time `since`; kept only for a policy that asks for them.
        ("accounted", np.bool_),
        ("active", np.int32),  # jobs that waited or ran then
        ("share", np.float64),  # of the tenant, > 0
        ("best", np.float64),  # highest rate on any pool; 0 when it runs nowhere
        ("mean", np.float64),  # rate of an equal part of every pool that can run it
        ("since", np.float64),  # [s]
        ("served", np.float64),  # the tenant's accelerator-seconds, at rates relative to `best`
        ("level", np.float64),  # accelerators the kind holds since then, likewise
        ("clock", np.float64),  # work that an equal split would have done on a job [s at rate 1]
        ("clock_rate", np.float64),  # of the clock, since then
    ],
    align=True,
)

POOL: Final = np.dtype(
    [
        ("capacity", np.int32),
        ("free", np.int32),
        ("first", np.int32),  # first node; its nodes are first..last-1 on axis N
        ("last", np.int32),
        ("size", np.int32),  # accelerators per node
        ("accelerator", np.int32),
        ("site", np.int32),
        ("market", np.int32),
        ("open", np.bool_),  # whether new work may start there
    ],
    align=True,
)

MARKET: Final = np.dtype(
    [
        ("first", np.int32),  # its pools are market_pools[first:last]
        ("last", np.int32),
        ("accelerator", np.int32),
        ("region", np.int32),
    ],
    align=True,
)

#: Accelerators of one job on one node. Blocks of a job form a list that ends with -1; the
#: unused ones form another, which starts at block 0.
BLOCK: Final = np.dtype([("node", np.int32), ("amount", np.int32), ("next", np.int32)])


class Snapshot(NamedTuple):
    """The whole state a decision depends on, apart from the time. Read only for decisions."""

    jobs: NDArray[np.void]
    """Axis J, dtype `JOB`."""
    kinds: NDArray[np.void]
    """Axis K, dtype `KIND`; rows beyond the kinds known are empty."""
    rate: NDArray[np.float64]
    """Axes K, M: progress relative to the rate `JOB.work` is stated in; 0 = never runs there."""
    barred: NDArray[np.uint32]
    """Axes K, M: bits of `Reason` that the filters found."""
    stage: NDArray[np.float64]
    """Axes K, M: time before the work begins there [s], >= 0: staging, restart; inf = never."""
    charge: NDArray[np.float64]
    """Axes K, M: `stage` and all else that counts like time before the work [s], such as the
    cost of moving data; below 0 where staying saves a restart; inf = never."""
    pace: NDArray[np.float64]
    """Axes K, M: 1 / rate [s per unit of work]; inf = never."""
    absent: NDArray[np.bool_]
    """Axes K, M: whether data must be brought there before a job may start; False everywhere
    where nobody moves data ahead, so that jobs fetch their data themselves."""
    warm: NDArray[np.int32]
    """Axes K, M: row of the kind for jobs that run there and may be stopped; -1 = none yet."""
    markets: NDArray[np.void]
    """Axis M, dtype `MARKET`."""
    market_pools: NDArray[np.int32]
    """Axis P: pool rows grouped by market."""
    pools: NDArray[np.void]
    """Axis P, dtype `POOL`."""
    node_free: NDArray[np.int32]
    """Axis N: free accelerators of each node."""
    used: NDArray[np.int64]
    """Axes T, A + 1: accelerators in use by tenant and model; the last column is the total."""
    limit: NDArray[np.int64]
    """Axes T, A + 1: quotas; a very large number where there is none."""
    queue: NDArray[np.int32]
    """Axis Q: rows of waiting jobs, grouped by kind with slack around each group; in the
    policy's order within a kind."""
    running: NDArray[np.int32]
    """Rows of jobs that hold accelerators, in no order; the first `n_running` count."""
    n_running: NDArray[np.int64]
    """One element."""
    blocks: NDArray[np.void]
    """Axis B, dtype `BLOCK`."""
    prices: NDArray[np.float64]
    """Axis P: prices of the last cycle [finished jobs per accelerator-second]; 0 at first."""
