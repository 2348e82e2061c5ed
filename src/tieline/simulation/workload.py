"""From a trace to rows of a state: kinds interned once, jobs added as arrays."""

from collections import Counter
from math import inf

import numpy as np
from numpy.typing import NDArray

from tieline.control.state import State
from tieline.model.catalogue import nearest
from tieline.model.errors import InputError
from tieline.model.job import JobKind
from tieline.model.network import Network
from tieline.model.throughputs import ThroughputTable
from tieline.model.trace import Trace


def speeds(network: Network, trace: Trace) -> ThroughputTable | None:
    """Give all measured speeds: those that came with the trace before those of the network."""
    if trace.throughputs is None:
        return network.throughputs
    return trace.throughputs.over(network.throughputs)


def recorded_on(network: Network, trace: Trace) -> str:
    """Give the accelerator that the trace's run times hold for.

    A trace that does not say is taken to come from the network's most numerous model (ties:
    the first by name); reports label that as assumed.
    """
    if trace.throughputs is not None:
        return trace.throughputs.reference
    if trace.accelerator is not None:
        return trace.accelerator
    counts = Counter[str]()
    for pool in network.pools:
        counts[pool.accelerator] += pool.capacity
    return min(counts, key=lambda model: (-counts[model], model))


def add_trace(state: State, trace: Trace, restart_s: float = inf) -> NDArray[np.bool_]:
    """Make the trace's jobs known to an empty state, row by row; tell which can ever run.

    Parameters
    ----------
    restart_s
        Time that a stop and a new start cost each of them; inf means that none may be stopped.

    Returns
    -------
    bool array, shape (J,)
        False where no pool can ever run the job under the state's policy.

    Raises
    ------
    InputError
        The trace names a dataset that the network does not have.
    """
    _check_datasets(state.network, trace)
    dataset = np.full(len(trace), -1, np.int32) if trace.dataset is None else trace.dataset
    parts = np.stack([trace.tenant, trace.workload, trace.count, dataset], axis=1)
    distinct, inverse = np.unique(parts, axis=0, return_inverse=True)
    kinds = np.array(
        [
            state.intern(
                JobKind(
                    trace.tenants[t],
                    trace.workloads[w],
                    n,
                    datasets=(trace.datasets[d],) if d >= 0 else (),
                    restart_s=restart_s,
                )
            )
            for t, w, n, d in distinct.tolist()
        ],
        np.int32,
    )
    runnable = np.any(state.rates_by_pool() > 0, axis=1)[kinds]
    inverse = inverse.reshape(-1)
    state.add(kinds[inverse], trace.duration_s, trace.submit_s, trace.deadline_s)
    return runnable[inverse]


def _check_datasets(network: Network, trace: Trace) -> None:
    """Refuse a trace whose jobs use data that the network does not have."""
    known = {dataset.id for dataset in network.datasets}
    for name in trace.datasets:
        if name not in known:
            names = ", ".join(nearest(name, known)) or "none"
            raise InputError(
                f"trace {trace.name}, column dataset: found {name!r}, which is no dataset of "
                f"network {network.name} (nearest: {names}); add it to the network file"
            )


def step_times(trace: Trace) -> NDArray[np.float64]:
    """Give the run time of one step of each job on the recorded accelerator [s]; axis J.

    0 where the trace has no measured speed for it: such a job can stop anywhere.
    """
    if trace.throughputs is None:
        return np.zeros(len(trace))
    table, step_s = trace.throughputs, np.zeros(len(trace))
    parts = np.stack([trace.workload, trace.count], axis=1)
    distinct, inverse = np.unique(parts, axis=0, return_inverse=True)
    for row, (w, n) in enumerate(distinct.tolist()):
        model = trace.workloads[w].model or ""
        steps = table.steps_per_s.get((model, table.reference, n), 0.0)
        step_s[inverse.reshape(-1) == row] = 1.0 / steps if steps > 0 else 0.0
    return step_s
