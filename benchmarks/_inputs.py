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


@dataclass(frozen=True)
class GavelCase:
    """One of Gavel's cases. Axis J: jobs."""

    network: Network
    trace: Trace
    step_s: NDArray[np.float64]
    """Axis J: time of one step on the reference accelerator [s]."""
    floor_s: float
    """Mean completion time if each job were alone on its fastest accelerators."""

    def state(self, policy: Policy, restart_s: float, *, tenant_per_job: bool = False) -> State:
        """Give an untouched state that knows the jobs.

        Parameters
        ----------
        restart_s
            Time that a stop and a new start cost a job; inf means that none is stopped.
        tenant_per_job
            Whether each job belongs to a tenant of its own, for policies that share between
            tenants where Gavel's share between jobs.
        """
        accelerators = {**catalogue(), **{chip.id: chip for chip in self.network.accelerators}}
        rates = RateBook(
            accelerators,
            relative_to=recorded_on(self.network, self.trace),
            throughputs=self.trace.throughputs,
        )
        state = State(self.network, replace(policy, preempts=True), accelerators, rates)
        trace = self.trace
        if tenant_per_job:
            n = len(trace)
            tenants = tuple(f"job-{row}" for row in range(n))
            trace = replace(trace, tenant=np.arange(n, dtype=np.int32), tenants=tenants)
        if not add_trace(state, trace, restart_s).all():
            raise AssertionError("every job of the case can run")
        return state


def gavel_case(name: str) -> GavelCase:
    """Read `las96` or `mm100`, its table of measured speeds and its cluster."""
    network = read_network(NETWORKS / "gavel.yaml")
    trace = read_trace(GAVEL / f"{name}.csv", "gavel")
    table = trace.throughputs
    if table is None:
        raise AssertionError("the reader gives the table of measured speeds")
    speeds = {chip.id: np.empty(len(trace)) for chip in network.accelerators}
    for row, (workload, count) in enumerate(zip(trace.workload, trace.count, strict=True)):
        model = trace.workloads[workload].model or ""
        for chip, speed in speeds.items():
            speed[row] = table.steps_per_s.get((model, chip, int(count)), 0.0)
    step_s = 1.0 / speeds[table.reference]
    alone = trace.duration_s / step_s / np.max(list(speeds.values()), axis=0)
    return GavelCase(network, trace, step_s, float(alone.mean()))
