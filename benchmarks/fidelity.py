"""Is the simulator right? Peers' rules in our world, beside their simulators and real GPUs.

    python benchmarks/fidelity.py [--json]

Gavel. Its max-min fairness (a linear program for the shares, then rounds by priority), decided
by a policy of the same rule and run in our rounds, beside the results of its own simulator.

Shockwave (Zheng et al., NSDI '23). 120 jobs ran on 32 real GPUs, 8 machines of 4, in rounds of
120 s under six policies. Compared are the three whose rule can be run with what the files
hold: `max_min_fairness`, `finish_time_fairness` and `min_total_duration` treat a job as a given
amount of work on equal GPUs. Not compared: `max_sum_throughput_perf` and `allox` decide by
measured steps per second at every batch size, which the files do not have, and `shockwave` by a
model of how batch sizes will grow.

All jobs but four change their batch size while they run. Their run time alone with all changes
is read from the results: completion / rho is the same in all runs, and is the run time times
120 jobs / 32 GPUs. A job that goes on after a pause loses 20 s, as in Shockwave's own
simulator. The makespan of `finish_time_fairness` is an hour short in the file: the clocks went
back during the run (its authors' analyze_fidelity.py adds it).
"""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from _gavel_rule import (
    FinishTimeShares,
    Floats,
    GavelRule,
    Rows,
    Shares,
    makespan_shares,
    max_min_shares,
)
from _inputs import GAVEL, TRACES, gavel_case, state_of

from tieline.model.accelerator import Accelerator
from tieline.model.network import Network, Pool, Region, Site, Tenant
from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.simulation.rounds import Rounds, simulate_rounds

SHOCKWAVE = TRACES / "shockwave_physical"
#: GPUs of a machine, machines.
MACHINES = (4, 8)
GPUS = float(np.prod(MACHINES))
#: Lost by a job that goes on after a pause [s].
RESTART_S = 20.0
#: Share by which our mean may differ from Gavel's simulator, and from the real GPUs.
GAVEL_TARGET, PHYSICAL_TARGET = 0.01, 0.10
CLOCKS_BACK_S = {"finish_time_fairness": 3600.0}


class GavelRow(NamedTuple):
    """A case of Gavel's under its max-min fairness."""

    case: str
    mean_jct_s: float
    gavel_mean_jct_s: float
    over_gavel: float
    correlation: float
    """Of the completion times, job by job."""
    cpu_s: float


class PhysicalRow(NamedTuple):
    """A policy of Shockwave's experiment: ours over the real GPUs, and its simulator's."""

    policy: str
    mean_jct_s: float
    physical_mean_jct_s: float
    over_physical_jct: float
    their_over_physical_jct: float
    makespan_s: float
    physical_makespan_s: float
    over_physical_makespan: float
    their_over_physical_makespan: float
    correlation: float
    """Of the completion times, job by job."""


class Results(NamedTuple):
    """What the file holds of one run."""

    makespan_s: float
    jct_s: Floats
    rho: Floats


def gavel_row(name: str) -> GavelRow:
    """Run a case under Gavel's rule in our rounds."""
    case = gavel_case(name)
    trace, count = case.trace, case.trace.count.astype(np.float64)
    workers = np.array([pool.capacity for pool in case.network.pools], np.float64)

    def shares(rows: Rows, now: float, left: Floats) -> Floats:
        del now, left
        return max_min_shares(case.speed[rows], count[rows], workers)

    rule = GavelRule(shares, case.speed, count, round_s=360.0, reset_s=1920.0)
    state = state_of(case.network, trace, rule.policy("max-min"))
    every = np.ones(len(trace), np.bool_)
    began = time.process_time()
    rounds = Rounds(360.0, case.step_s)
    schedule = simulate_rounds(state, trace.submit_s, trace.duration_s, every, rounds)
    cpu_s = time.process_time() - began
    jct_s = schedule.end_s - trace.submit_s
    path = GAVEL / f"{name}_per_job_jct_seconds.json"
    theirs = np.array(json.loads(path.read_text(encoding="utf-8"))["max_min_fairness_perf"])
    return GavelRow(
        name,
        float(jct_s.mean()),
        float(theirs.mean()),
        float(jct_s.mean() / theirs.mean()),
        float(np.corrcoef(jct_s, theirs)[0, 1]),
        cpu_s,
    )


def physical_results() -> dict[tuple[str, str], Results]:
    """Read the runs of the experiment by policy and mode, `physical` or `simulation`."""
    text = (SHOCKWAVE / "tacc_32gpus_results.json").read_text(encoding="utf-8")
    found = {}
    for name, run in json.loads(text).items():
        if name.startswith("tacc_32gpus_comparison/"):
            jct_s, rho = np.array(run["jct_list"]), np.array(run["ftf_list"])
            makespan_s = float(run["makespan"])
            if run["mode"] == "physical":
                makespan_s += CLOCKS_BACK_S.get(run["policy"], 0.0)
            found[run["policy"], run["mode"]] = Results(makespan_s, jct_s, rho)
    return found


def physical_trace(results: Sequence[Results]) -> Trace:
    """Give the jobs of the experiment, with the run times that its results imply."""
    (path,) = SHOCKWAVE.glob("*.trace")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    n = len(rows)
    split_s = np.array([one.jct_s / one.rho for one in results])
    if (split_s.std(axis=0) > 1e-4 * split_s.mean(axis=0)).any():
        raise AssertionError("completion / rho of a job differs between the runs")
    return Trace(
        name="shockwave",
        submit_s=np.array([float(row[11]) for row in rows]),
        duration_s=split_s.mean(axis=0) / (n / GPUS),
        count=np.array([int(row[6]) for row in rows], np.int32),
        tenant=np.zeros(n, np.int32),
        workload=np.zeros(n, np.int32),
        tenants=("all",),
        workloads=(Workload("training"),),
        accelerator="gpu",
    )


def cluster() -> Network:
    """Give the cluster of the experiment; equal GPUs, so their speed does not matter."""
    per_node, nodes = MACHINES
    return Network(
        name="tacc",
        accelerators=(Accelerator("gpu", "GPU of the experiment", "NVIDIA", "US", "cuda"),),
        regions=(Region("tacc"),),
        sites=(Site("tacc-1", "tacc", (Pool("tacc-1/gpu", "tacc-1", "gpu", nodes, per_node),)),),
        tenants=(Tenant("all"),),
    )


def aims(trace: Trace) -> dict[str, Shares]:
    """Give the shares by the policy's name in the experiment."""
    count = trace.count.astype(np.float64)

    def max_min(rows: Rows, now: float, left: Floats) -> Floats:
        del now, left
        return max_min_shares(np.ones((len(rows), 1)), count[rows], np.array([GPUS]))

    def makespan(rows: Rows, now: float, left: Floats) -> Floats:
        del now
        return makespan_shares(left, count[rows], GPUS)

    return {
        "max_min_fairness": max_min,
        "finish_time_fairness": FinishTimeShares(trace.submit_s, count, GPUS),
        "min_total_duration": makespan,
    }


def physical_row(
    trace: Trace, policy: str, shares: Shares, real: Results, theirs: Results
) -> PhysicalRow:
    """Run a policy of the experiment in our rounds."""
    n = len(trace)
    count = trace.count.astype(np.float64)
    rule = GavelRule(shares, np.ones((n, 1)), count, round_s=120.0, reset_s=1000.0)
    state = state_of(cluster(), trace, rule.policy(policy), RESTART_S)
    rounds = Rounds(120.0, np.zeros(n))
    every = np.ones(n, np.bool_)
    schedule = simulate_rounds(state, trace.submit_s, trace.duration_s, every, rounds)
    jct_s, makespan_s = schedule.end_s - trace.submit_s, float(schedule.end_s.max())
    mean = partial(np.mean, dtype=np.float64)
    return PhysicalRow(
        policy,
        float(mean(jct_s)),
        float(mean(real.jct_s)),
        float(mean(jct_s) / mean(real.jct_s)),
        float(mean(theirs.jct_s) / mean(real.jct_s)),
        makespan_s,
        real.makespan_s,
        makespan_s / real.makespan_s,
        theirs.makespan_s / real.makespan_s,
        float(np.corrcoef(jct_s, real.jct_s)[0, 1]),
    )


def print_tables(gavel: Sequence[GavelRow], physical: Sequence[PhysicalRow]) -> None:
    """Print both comparisons."""
    print(f"Gavel's max-min fairness, its rounds (target: within {GAVEL_TARGET:.0%} on las96)")
    print("case    ours mean s   Gavel's mean s   ratio   correlation   CPU s")
    for row in gavel:
        print(
            f"{row.case:7s} {row.mean_jct_s:11,.1f} {row.gavel_mean_jct_s:16,.1f}"
            f" {row.over_gavel:7.4f} {row.correlation:13.4f} {row.cpu_s:7.1f}"
        )
    print(f"\nShockwave's policies on 32 real GPUs (target: within {PHYSICAL_TARGET:.0%})")
    print("                        mean completion [s]            makespan [s]")
    print(
        "policy                  real    ours ratio theirs      real    ours ratio theirs  corr."
    )
    for one in physical:
        print(
            f"{one.policy:21s} {one.physical_mean_jct_s:7,.0f} {one.mean_jct_s:7,.0f}"
            f" {one.over_physical_jct:5.3f} {one.their_over_physical_jct:6.3f}"
            f"   {one.physical_makespan_s:7,.0f} {one.makespan_s:7,.0f}"
            f" {one.over_physical_makespan:5.3f} {one.their_over_physical_makespan:6.3f}"
            f" {one.correlation:6.3f}"
        )


def main() -> None:
    """Run both comparisons and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    gavel = [gavel_row(name) for name in ("las96", "mm100")]
    results = physical_results()
    trace = physical_trace(list(results.values()))
    physical = [
        physical_row(
            trace, policy, shares, results[policy, "physical"], results[policy, "simulation"]
        )
        for policy, shares in aims(trace).items()
    ]
    if options.json:
        document = {
            "gavel": [row._asdict() for row in gavel],
            "physical": [one._asdict() for one in physical],
        }
        print(json.dumps(document, indent=2))
        return
    print_tables(gavel, physical)


if __name__ == "__main__":
    main()
