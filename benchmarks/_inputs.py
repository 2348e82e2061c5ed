"""Where the recorded inputs lie, and how a benchmark reads them."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tieline.control.state import State
from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.model.network import Network
from tieline.model.rates import RateBook
from tieline.model.trace import Trace
from tieline.scheduling.policy import Policy
from tieline.simulation.workload import add_trace, recorded_on
from tieline.traces.registry import read_trace

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = ROOT / "examples" / "networks"
TRACES = Path(os.environ.get("TIELINE_TRACES", ROOT.parent / "shared" / "traces"))
GAVEL = TRACES / "gavel_cases"


def state_of(network: Network, trace: Trace, policy: Policy, restart_s: float = 0.0) -> State:
    """Give an untouched state that knows the jobs of the trace, all of which can run.

    Under every policy jobs may be stopped, and a stop and a new start cost `restart_s`.
    """
    accelerators = {**catalogue(), **{chip.id: chip for chip in network.accelerators}}
    rates = RateBook(
        accelerators, relative_to=recorded_on(network, trace), throughputs=trace.throughputs
    )
    state = State(network, replace(policy, preempts=True), accelerators, rates)
    if not add_trace(state, trace, restart_s).all():
        raise AssertionError("a job of the trace can run nowhere")
    return state


def tenant_per_job(trace: Trace) -> Trace:
    """Give the trace with a tenant of its own for each job.

    For policies that share between tenants where the peer's share between jobs.
    """
    n = len(trace)
    tenants = tuple(f"job-{row}" for row in range(n))
    return replace(trace, tenant=np.arange(n, dtype=np.int32), tenants=tenants)


@dataclass(frozen=True)
class GavelCase:
    """One of Gavel's cases. Axis J: jobs."""

    network: Network
    trace: Trace
    step_s: NDArray[np.float64]
    """Axis J: time of one step on the reference accelerator [s]."""
    speed: NDArray[np.float64]
    """Axes J, pools of the network: steps per second of the whole gang."""
    floor_s: float
    """Mean completion time if each job were alone on its fastest accelerators."""


def gavel_case(name: str) -> GavelCase:
    """Read `las96` or `mm100`, its table of measured speeds and its cluster."""
    network = read_network(NETWORKS / "gavel.yaml")
    trace = read_trace(GAVEL / f"{name}.csv", "gavel")
    table = trace.throughputs
    if table is None:
        raise AssertionError("the reader gives the table of measured speeds")
    speed = np.empty((len(trace), len(network.pools)))
    for row, (workload, count) in enumerate(zip(trace.workload, trace.count, strict=True)):
        model = trace.workloads[workload].model or ""
        for column, pool in enumerate(network.pools):
            key = (model, pool.accelerator, int(count))
            speed[row, column] = table.steps_per_s.get(key, 0.0)
    reference = [pool.accelerator for pool in network.pools].index(table.reference)
    step_s = 1.0 / speed[:, reference]
    alone = trace.duration_s / step_s / speed.max(axis=1)
    return GavelCase(network, trace, step_s, speed, float(alone.mean()))
