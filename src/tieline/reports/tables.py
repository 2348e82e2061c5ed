"""A replay as tables: every job, and the prices by the hour."""

import numpy as np
import polars as pl

from tieline.model.reasons import Reason
from tieline.simulation.replay import Replay


def jobs_table(replay: Replay) -> pl.DataFrame:
    """Give one row per job, in order of submission; times in seconds since the first one.

    `start_s`, `end_s` and `pool` are null for a job that was rejected, `rejected_for` for one
    that ran.
    """
    trace, schedule = replay.trace, replay.schedule
    ids = trace.job_ids or tuple(map(str, range(len(trace))))
    pools: list[str | None] = [*(pool.id for pool in replay.network.pools), None]
    words = {bits: _words(bits) for bits in np.unique(replay.blocked).tolist()}
    return pl.DataFrame(
        {
            "job": pl.Series(ids, dtype=pl.String),
            "tenant": pl.Series([trace.tenants[i] for i in trace.tenant], dtype=pl.Categorical),
            "workload": pl.Series(
                [str(trace.workloads[i]) for i in trace.workload], dtype=pl.Categorical
            ),
            "count": trace.count,
            "submit_s": trace.submit_s,
            "duration_s": trace.duration_s,
            "start_s": pl.Series(schedule.start_s).fill_nan(None),
            "end_s": pl.Series(schedule.end_s).fill_nan(None),
            "pool": pl.Series(
                [pools[row] for row in schedule.pool.tolist()], dtype=pl.Categorical
            ),
            "rejected_for": pl.Series(
                [words[bits] for bits in replay.blocked.tolist()], dtype=pl.Categorical
            ),
        }
    )


def prices_table(replay: Replay) -> pl.DataFrame | None:
    """Give the mean price of each pool in each hour in which any pool had one.

    Columns `hour` (since the first submission), `pool`, `price` [finished jobs per
    accelerator-second]. None for a policy without prices.
    """
    if replay.clearing is None:
        return None
    hours, prices = replay.clearing.hour, replay.clearing.price
    names = [pool.id for pool in replay.network.pools]
    return pl.DataFrame(
        {
            "hour": np.repeat(hours, len(names)),
            "pool": pl.Series(names * len(hours), dtype=pl.Categorical),
            "price": prices.reshape(-1),
        }
    )


def _words(bits: int) -> str | None:
    named = [str(reason.name).lower() for reason in Reason if bits & int(reason)]
    return ", ".join(named) or None
