"""Replay: a trace through the scheduler, in simulated time, and what became of every job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.control.state import State
from tieline.model.accelerator import BASES, Accelerator, Basis
from tieline.model.network import Network
from tieline.model.rates import RateBook
from tieline.model.reasons import Reason
from tieline.model.trace import Trace
from tieline.scheduling.policy import Decision, Policy
from tieline.simulation.conditions import Conditions, Knowledge
from tieline.simulation.driver import Visits, simulate
from tieline.simulation.estimates import Estimates
from tieline.simulation.price_record import PriceRecord, PriceRecorder
from tieline.simulation.rounds import Rounds, simulate_rounds
from tieline.simulation.schedule import Schedule
from tieline.simulation.workload import add_trace, recorded_on, speeds, step_times

#: Cycles between two reports of progress.
_STRIDE: Final = 2048


@dataclass(frozen=True)
class Replay:
    """A finished replay. Axes: J jobs, K kinds of job, M markets (alike pools)."""

    network: Network
    trace: Trace
    policy: Policy
    recorded_on: str
    """Accelerator on which the run times of the trace hold."""
    schedule: Schedule
    kind: NDArray[np.int32]
    """Axis J: row of axis K."""
    rate: NDArray[np.float64]
    """Axes K, M: progress relative to the recorded run time; 0 = never runs there, whatever
    the policy."""
    capacity: NDArray[np.int64]
    """Axis M: accelerators."""
    blocked: NDArray[np.uint32]
    """Axis J: bits of `Reason` that keep a rejected job off the pool it comes closest to; 0
    for a job that ran."""
    clearing: PriceRecord | None
    """None for a policy without prices."""
    conditions: Conditions
    estimates: Mapping[Knowledge, int]
    """Jobs submitted, by where their estimates came from."""
    basis: Mapping[Basis, int]
    """Jobs that ran, by how the rate is known of their kind where they ran."""

    @property
    def ran(self) -> NDArray[np.bool_]:
        """Whether each job ran; one that did not was rejected, never merely left waiting."""
        return self.blocked == 0

    @property
    def wait_s(self) -> NDArray[np.float64]:
        """Start minus submission of each job; nan where it did not run."""
        return self.schedule.start_s - self.trace.submit_s

    @property
    def jct_s(self) -> NDArray[np.float64]:
        """Completion time, end minus submission, of each job; nan where it did not run."""
        return self.schedule.end_s - self.trace.submit_s


def replay(  # noqa: PLR0913 - four parts, and options
    network: Network,
    trace: Trace,
    policy: Policy,
    accelerators: Mapping[str, Accelerator],
    *,
    relative_to: str | None = None,
    conditions: Conditions | None = None,
    on_progress: Callable[[float], None] | None = None,
    visits: Visits | None = None,
) -> Replay:
    """Run the jobs of a trace on a network under a policy, to the end of the last one.

    Parameters
    ----------
    accelerators
        By id; the model of every pool must be among them.
    relative_to
        Accelerator on which the trace's run times hold; by default what `recorded_on` gives.
    conditions
        What the scheduler is told; by default every run time as it is.
    on_progress
        Called now and then with the simulated time [s].
    visits
        When to look into the replay; they change nothing. Not for one in rounds.

    Returns
    -------
    Replay
        The same arguments give the same schedule, to the last bit. Every job either ran or
        is blocked for good on every pool.

    Raises
    ------
    NotFoundError
        `relative_to` is no accelerator known (code `not-found`).
    InputError
        The users' estimates are asked for, and the trace has none (code `input`).
    """
    conditions = conditions or Conditions()
    base = relative_to or recorded_on(network, trace)
    rates = RateBook(accelerators, relative_to=base, throughputs=speeds(network, trace))
    preempts = policy.preempts or conditions.round_s is not None
    state = State(
        network,
        replace(policy, preempts=preempts),
        accelerators,
        rates,
        # In a world that moves it; in rounds jobs fetch their data themselves.
        moves_data=conditions.round_s is None,
    )
    runnable = add_trace(state, trace, conditions.stop_s)
    estimates = None if conditions.all_known else Estimates(state, trace, conditions)
    recorder = PriceRecorder(len(network.pools))
    cycles = 0

    def watch(now: float, decision: Decision) -> None:
        nonlocal cycles
        recorder.note(now, decision)
        cycles += 1
        if on_progress is not None and cycles % _STRIDE == 0:
            on_progress(now)

    jobs = (state, trace.submit_s, trace.duration_s, runnable)
    if conditions.round_s is None:
        schedule = simulate(*jobs, watch, estimator=estimates, visits=visits)
    else:
        rounds = Rounds(conditions.round_s, step_times(trace))
        schedule = simulate_rounds(*jobs, rounds, watch, estimates)
    kind, pools = state.snapshot.jobs["kind"].copy(), state.snapshot.pools
    return Replay(
        network=network,
        trace=trace,
        policy=policy,
        recorded_on=base,
        schedule=schedule,
        kind=kind,
        rate=_rates(state),
        capacity=np.bincount(pools["market"], pools["capacity"]).astype(np.int64),
        blocked=np.where(runnable, np.uint32(0), _closest_bars(state)[kind]),
        clearing=recorder.record(),
        conditions=conditions,
        estimates=estimates.counts if estimates else {"exact": int(runnable.sum())},
        basis=_bases(state, schedule.pool, kind),
    )


def _bases(state: State, pools: NDArray[np.int32], kinds: NDArray[np.int32]) -> dict[Basis, int]:
    """Count jobs by the basis of their rates; both have axis J, and -1 is no pool."""
    models = np.array([state.models.index(pool.accelerator) for pool in state.network.pools])
    started = pools >= 0
    pairs = kinds[started].astype(np.int64) * len(state.models) + models[pools[started]]
    counts: dict[Basis, int] = dict.fromkeys(BASES, 0)
    for pair, jobs in zip(*(part.tolist() for part in np.unique_counts(pairs)), strict=True):
        kind, model = state.kinds[pair // len(state.models)], pair % len(state.models)
        counts[state.rates.rate(kind.workload, state.models[model], kind.count).basis] += jobs
    return {basis: jobs for basis, jobs in counts.items() if jobs}


def _rates(state: State) -> NDArray[np.float64]:
    """Give the rate of each kind in each market, 0 where the gang fits no pool; axes K, M."""
    s, n = state.snapshot, len(state.kinds)
    largest = np.zeros(len(s.markets), np.int32)
    np.maximum.at(largest, s.pools["market"], s.pools["capacity"])
    rates: NDArray[np.float64] = np.where(s.kinds["count"][:n, None] > largest, 0.0, s.rate[:n])
    return rates


def _closest_bars(state: State) -> NDArray[np.uint32]:
    """Give, per kind, the reasons that bar it from the pool it comes closest to; axis K.

    That is a pool at home under a policy that keeps tenants there, then the one with the
    fewest reasons, then the first.
    """
    home = int(Reason.HOME)
    bars = state.bars()
    distance = np.bitwise_count(bars) + np.where(bars & home, np.uint8(len(Reason)), np.uint8(0))
    closest = distance.argmin(axis=1)
    return bars[np.arange(len(bars)), closest]


def part_of(trace: Trace, first: int, last: int) -> Trace:
    """Give the jobs first..last-1 of a trace; times stay as they are."""
    columns = {field.name: getattr(trace, field.name) for field in fields(trace)}
    cut = {
        name: column[first:last]
        for name, column in columns.items()
        if name == "job_ids" or isinstance(column, np.ndarray)
    }
    return replace(trace, **cut)


def first_jobs(trace: Trace, limit: int) -> Trace:
    """Give the trace cut after its first jobs, with a note that says so."""
    if limit >= len(trace):
        return trace
    note = f"Only the first {limit:,} of {len(trace):,} jobs are replayed."
    return replace(part_of(trace, 0, limit), notes=(*trace.notes, note))
