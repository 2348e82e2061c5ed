"""Replay speed: jobs per CPU second through the whole scheduling cycle, beside a plain heap.

    python benchmarks/replay.py [--json] [--repeats N]

The plain heap simulates strict first come, first served on one pool and nothing else: about
the most a simulator in this language can do, and the measure of what the cycle costs.
"""

import argparse
import heapq
import json
import resource
import statistics
import time

import numpy as np
from _inputs import NETWORKS, TRACES

from tieline.control.state import State
from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.model.network import Network
from tieline.model.rates import RateBook
from tieline.model.trace import Trace
from tieline.scheduling.registry import policy_named
from tieline.simulation.driver import simulate
from tieline.simulation.replay import first_jobs
from tieline.simulation.workload import add_trace, recorded_on
from tieline.traces.registry import read_trace

VENUS = TRACES / "helios_venus_jobs" / "helios_trace.csv.zst"

#: (network, policy, jobs per CPU second it must reach).
CASES = (
    ("pool-1000", "fifo", 20_000),
    ("pool-1000", "price", 10_000),
    ("pool-600", "fifo", None),
    ("pool-600", "price", 5_000),
)


def plain_heap(trace: Trace, accelerators: int) -> float:
    """Give the mean completion time [s] of strict FIFO on one pool, by a heap alone."""
    ends: list[tuple[float, int]] = []
    free, start, total = accelerators, 0.0, 0.0
    jobs = zip(
        trace.submit_s.tolist(), trace.duration_s.tolist(), trace.count.tolist(), strict=True
    )
    for submit, duration, count in jobs:
        start = max(start, submit)
        while ends and ends[0][0] <= start:
            free += heapq.heappop(ends)[1]
        while free < count:
            start, freed = heapq.heappop(ends)
            free += freed
        free -= count
        heapq.heappush(ends, (start + duration, count))
        total += start + duration - submit
    return total / len(trace)


def replayed(trace: Trace, network: Network, policy: str) -> float:
    """Give the mean completion time [s] through the scheduling cycle."""
    accelerators = {**catalogue(), **{chip.id: chip for chip in network.accelerators}}
    rates = RateBook(accelerators, relative_to=recorded_on(network, trace))
    state = State(network, policy_named(policy), accelerators, rates)
    runnable = add_trace(state, trace)
    schedule = simulate(state, trace.submit_s, trace.duration_s, runnable)
    return float(np.mean(schedule.end_s - trace.submit_s))


def cpu_seconds(repeats: int, run: object, *args: object) -> tuple[float, float]:
    """Give the median CPU seconds of the repeats, and what the run gave."""
    taken, result = [], 0.0
    for _ in range(repeats):
        begin = time.process_time()
        result = run(*args)  # type: ignore[operator]
        taken.append(time.process_time() - begin)
    return statistics.median(taken), result


def main() -> None:
    """Measure every case and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    trace = read_trace(VENUS)
    rows = []
    for name, policy, target in CASES:
        network = read_network(NETWORKS / f"{name}.yaml")
        replayed(first_jobs(trace, 100), network, policy)  # compiles what is not compiled yet
        plain_s, plain_jct = cpu_seconds(options.repeats, plain_heap, trace, network.capacity)
        cpu_s, jct = cpu_seconds(options.repeats, replayed, trace, network, policy)
        rows.append(
            {
                "network": name,
                "policy": policy,
                "jobs": len(trace),
                "mean_jct_s": jct,
                "plain_fifo_jct_s": plain_jct,
                "cpu_s": cpu_s,
                "jobs_per_cpu_s": len(trace) / cpu_s,
                "target_jobs_per_cpu_s": target,
                "plain_heap_jobs_per_cpu_s": len(trace) / plain_s,
                "cost_over_plain_heap": cpu_s / plain_s,
                "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    if options.json:
        print(json.dumps({"replay": rows}, indent=2))
        return
    print(f"Venus, {len(trace):,} jobs; medians of {options.repeats}")
    print("network    policy  jobs/CPU s   target   plain heap   cost ratio   peak MiB")
    for row in rows:
        goal = row["target_jobs_per_cpu_s"] or "-"
        print(
            f"{row['network']:10s} {row['policy']:6s} {row['jobs_per_cpu_s']:11,.0f} {goal:>8}"
            f" {row['plain_heap_jobs_per_cpu_s']:12,.0f} {row['cost_over_plain_heap']:12.1f}"
            f" {row['peak_rss_mib']:10.0f}"
        )


if __name__ == "__main__":
    main()
