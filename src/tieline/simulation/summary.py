"""What a replay comes to, in numbers: completion times, waits, use, prices, and the limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tieline.model.accelerator import Basis
from tieline.model.reasons import Reason
from tieline.simulation.bound import Bound
from tieline.simulation.conditions import Knowledge
from tieline.simulation.replay import Replay


@dataclass(frozen=True)
class Tenant:
    """How one tenant fared."""

    jobs: int
    """Jobs that ran."""
    mean_wait_s: float | None
    mean_jct_s: float | None


@dataclass(frozen=True)
class Summary:
    """One replay in numbers. Completion time (JCT) is end minus submission.

    Means and percentiles are over the jobs that ran; None where none did.
    """

    finished: int
    rejected: int
    """Jobs that no pool can ever run under the policy."""
    rejected_for: Mapping[str, int]
    """Rejected jobs by what keeps them off the pool they come closest to; a job with two
    reasons counts under both."""
    mean_jct_s: float | None
    p50_jct_s: float | None
    p95_jct_s: float | None
    p99_jct_s: float | None
    mean_wait_s: float | None
    p95_wait_s: float | None
    makespan_s: float | None
    """Last end minus first submission."""
    utilisation: float | None
    """Accelerator-seconds used / (capacity x makespan)."""
    deadlines: int
    """Jobs that ran and had a deadline."""
    deadlines_missed: int
    """Of these, how many ended after it."""
    bound_s: float | None
    """Lower bound on the mean completion time of the jobs that ran, under any schedule."""
    bound_ratio: float | None
    """Mean completion time / lower bound, >= 1."""
    gap_mean: float | None
    """Mean certified gap of the clearing; None for a policy without one."""
    gap_max: float | None
    cycles: int
    stops: int
    """How often a running job was stopped, to go on later or elsewhere."""
    redone_s: float
    """Accelerator-seconds at rate 1 that stops made jobs do again; restarts are not counted."""
    moved_bytes: float
    """Data moved over links before jobs started."""
    moved_usd: float
    """What moving it cost."""
    utilisation_by_pool: Mapping[str, float]
    mean_price_by_pool: Mapping[str, float] | None
    """Weighted by time over the makespan [finished jobs per accelerator-second]; None for a
    policy without prices."""
    estimates: Mapping[Knowledge, int]
    """Jobs by where their estimates came from."""
    rate_basis: Mapping[Basis, int]
    """Jobs that ran, by how their rate is known where they ran."""
    by_tenant: Mapping[str, Tenant]


@dataclass(frozen=True)
class SameJobs:
    """Several policies on the jobs that ran under every one of them."""

    jobs: int
    mean_jct_s: Mapping[str, float | None]
    mean_wait_s: Mapping[str, float | None]


def summarise(replay: Replay, bound: Bound | None) -> Summary:
    """Give the summary of a replay.

    Parameters
    ----------
    bound
        For the jobs that ran; None when none did.
    """
    ran = replay.ran
    jct, wait = replay.jct_s[ran], replay.wait_s[ran]
    mean_jct = mean(jct)
    used = replay.schedule.busy_s
    span = float(replay.schedule.end_s[ran].max()) if ran.any() else None
    clearing, due = replay.clearing, _deadlines(replay)[ran]
    return Summary(
        finished=int(ran.sum()),
        rejected=int((~ran).sum()),
        rejected_for=_rejected_for(replay),
        mean_jct_s=mean_jct,
        p50_jct_s=_percentile(jct, 50),
        p95_jct_s=_percentile(jct, 95),
        p99_jct_s=_percentile(jct, 99),
        mean_wait_s=mean(wait),
        p95_wait_s=_percentile(wait, 95),
        makespan_s=span,
        utilisation=float(used.sum()) / (replay.network.capacity * span) if span else None,
        deadlines=int(np.isfinite(due).sum()),
        deadlines_missed=int((replay.schedule.end_s[ran] > due).sum()),
        bound_s=bound.best_s if bound else None,
        bound_ratio=mean_jct / bound.best_s if mean_jct and bound else None,
        gap_mean=clearing.gap_mean if clearing else None,
        gap_max=clearing.gap_max if clearing else None,
        cycles=replay.schedule.cycles,
        stops=int(replay.schedule.stops.sum()),
        redone_s=float(replay.schedule.redone_s @ replay.trace.count),
        moved_bytes=float(replay.schedule.moved[0]),
        moved_usd=float(replay.schedule.moved[1]),
        utilisation_by_pool=_by_pool(replay, used / _capacities(replay), span),
        mean_price_by_pool=(
            _by_pool(replay, clearing.mean(1.0), span) if clearing is not None else None
        ),
        estimates=replay.estimates,
        rate_basis=replay.basis,
        by_tenant=_by_tenant(replay),
    )


def same_jobs(replays: Sequence[Replay]) -> SameJobs | None:
    """Give the means over the jobs that ran in all replays; None when all ran the same."""
    everywhere = np.logical_and.reduce([replay.ran for replay in replays])
    if all(np.array_equal(replay.ran, everywhere) for replay in replays):
        return None
    return SameJobs(
        jobs=int(everywhere.sum()),
        mean_jct_s={one.policy.name: mean(one.jct_s[everywhere]) for one in replays},
        mean_wait_s={one.policy.name: mean(one.wait_s[everywhere]) for one in replays},
    )


def mean(values: NDArray[np.float64]) -> float | None:
    """Give the mean; None for no values."""
    return float(values.mean()) if len(values) else None


def _percentile(values: NDArray[np.float64], percent: float) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None


def _deadlines(replay: Replay) -> NDArray[np.float64]:
    """Give the deadline of each job [s], inf where there is none; axis J."""
    given = replay.trace.deadline_s
    return np.full(len(replay.trace), np.inf) if given is None else given


def _rejected_for(replay: Replay) -> dict[str, int]:
    counts = {reason: int(((replay.blocked & int(reason)) != 0).sum()) for reason in Reason}
    return {str(reason.name).lower(): count for reason, count in counts.items() if count}


def _capacities(replay: Replay) -> NDArray[np.int64]:
    return np.array([pool.capacity for pool in replay.network.pools])


def _by_pool(
    replay: Replay, totals: NDArray[np.float64], span_s: float | None
) -> dict[str, float]:
    """Give totals over the replay as means over time, by pool."""
    if not span_s:
        return {}
    means = (totals / span_s).tolist()
    return {pool.id: value for pool, value in zip(replay.network.pools, means, strict=True)}


def _by_tenant(replay: Replay) -> dict[str, Tenant]:
    ran, tenant = replay.ran, replay.trace.tenant
    jobs = np.bincount(tenant[ran], minlength=len(replay.trace.tenants))
    wait = np.bincount(tenant[ran], replay.wait_s[ran], len(jobs))
    jct = np.bincount(tenant[ran], replay.jct_s[ran], len(jobs))
    rows = zip(replay.trace.tenants, jobs.tolist(), wait.tolist(), jct.tolist(), strict=True)
    return {name: Tenant(n, w / n if n else None, c / n if n else None) for name, n, w, c in rows}
