"""Why a waiting job waits, and what is to be expected: worked out on a copy, within a time."""

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from tieline.control.ports import JobRecord, Store
from tieline.control.state import State
from tieline.files.fit import Offer, name_faults
from tieline.model.job import JobKind
from tieline.scheduling.explain import explain
from tieline.service.live.roster import Scene
from tieline.service.live.run_times import RunTimes
from tieline.service.views import Why
from tieline.simulation.futures import Past
from tieline.simulation.outlook import outlook
from tieline.simulation.remedies import Case

#: Jobs that later submissions are drawn from: the newest.
_SUBMITTED: Final = 2_000
#: Time for the forecast, and for trying changes after it [s].
_FORECAST_S: Final = 0.8
_CHANGES_S: Final = 0.7


def foresee(
    record: JobRecord, scene: Scene, now: float, offer: Offer, store: Store, run_times: RunTimes
) -> Why:
    """Give the answer of every pool to a waiting job, its forecast, and what would hasten it.

    Parameters
    ----------
    scene
        Taken over, and written.

    Notes
    -----
    Takes up to some two seconds while thousands of jobs wait, and says what it left out.
    """
    state, pools = scene.state, offer.network.pools
    told = explain(state.snapshot, state.policy, pools, scene.row)
    past = _past(state, offer, store, run_times, now)
    case = Case(
        state, scene.row, now, offer.accelerators, record.spec.min_count or record.spec.count
    )
    begin = time.monotonic()
    found = outlook(
        case,
        past,
        np.random.default_rng(record.seq),
        _until(begin + _FORECAST_S),
        _until(begin + _FORECAST_S + _CHANGES_S),
    )
    return Why(
        record,
        told.sentence,
        run_times.estimate(record.spec),
        explanation=told,
        outlook=found,
        names=scene.names,
        pools=[pool.id for pool in pools],
    )


def _until(end_s: float) -> Callable[[], bool]:
    return lambda: time.monotonic() < end_s


def _past(state: State, offer: Offer, store: Store, run_times: RunTimes, now: float) -> Past:
    """Give what the newest jobs of the store tell; their kinds are made known to the state."""
    recent = [job for job in reversed(store.jobs(limit=_SUBMITTED)) if job.submitted_at <= now]
    recent = [job for job in recent if next(name_faults(job.spec, offer), None) is None]
    recent.sort(key=lambda job: job.submitted_at)
    ended = np.array(run_times.ended, np.float64).reshape(-1, 2)
    return Past(
        submit_s=np.array([job.submitted_at for job in recent]),
        kind=np.array([state.intern(JobKind.of(job.spec)) for job in recent], np.int32),
        work=np.array([run_times.estimate(job.spec).work_s for job in recent]),
        ended_work=ended[:, 0],
        ended_ratio=ended[:, 1],
    )
