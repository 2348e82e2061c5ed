"""Every policy on two real traces under load, each beside a lower bound that none can beat.

    python benchmarks/policies.py [--json] [--case philly|venus] [--policy P ...] [--jobs N]

Philly: Microsoft's eleven virtual clusters with 40 % of their nodes, apart (`isolated`) and as
one network. Venus: one SenseTime cluster with 60 % of its nodes; its trace names no virtual
clusters, so `isolated` is `fifo` there. Estimates are exact. Means are over the jobs that ran
under all policies (Philly has 18 jobs of tenants without a centre of their own); the bound is
the one of `tieline replay`, for those jobs.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _inputs import NETWORKS, TRACES

from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.scheduling.registry import POLICIES, policy_named
from tieline.simulation.bound import bound_of
from tieline.simulation.replay import Replay, first_jobs, replay
from tieline.simulation.scaling import scaled
from tieline.traces.registry import read_trace


@dataclass(frozen=True)
class Case:
    """A trace on a network."""

    name: str
    network: str
    trace: Path
    scale: float
    """Factor on the nodes of every pool."""


CASES = (
    Case("philly", "philly.yaml", TRACES / "philly_jobs" / "philly.csv.zst", 0.4),
    Case("venus", "venus.yaml", TRACES / "helios_venus_jobs" / "helios_trace.csv.zst", 0.6),
)
#: What `price` is to finish jobs sooner than.
RIVALS = ("isolated", "fifo", "backfill", "shortest")


class Row(NamedTuple):
    """How a policy served the jobs of a case that ran under all policies."""

    trace: str
    accelerators: int
    policy: str
    jobs: int
    mean_jct_s: float
    mean_wait_s: float
    bound_s: float
    over_bound: float
    cpu_s: float


def run(case: Case, policies: Sequence[str], jobs: int | None) -> list[Row]:
    """Give a row per policy."""
    network = scaled(read_network(NETWORKS / case.network), case.scale)
    trace = read_trace(str(case.trace))
    trace = trace if jobs is None else first_jobs(trace, jobs)
    accelerators = {**catalogue(), **{chip.id: chip for chip in network.accelerators}}
    replay(network, first_jobs(trace, 100), policy_named(policies[0]), accelerators)  # compiles
    replays: dict[str, Replay] = {}
    cpu_s = {}
    for policy in policies:
        began = time.process_time()
        replays[policy] = replay(network, trace, policy_named(policy), accelerators)
        cpu_s[policy] = time.process_time() - began
    fewest = min(replays.values(), key=lambda one: int(one.ran.sum()))
    both = np.logical_and.reduce([one.ran for one in replays.values()])
    if not np.array_equal(both, fewest.ran):
        raise AssertionError("the policies turn away different jobs")
    bound_s = bound_of(fewest).best_s
    return [
        Row(
            case.name,
            network.capacity,
            policy,
            int(both.sum()),
            float(one.jct_s[both].mean()),
            float(one.wait_s[both].mean()),
            bound_s,
            float(one.jct_s[both].mean()) / bound_s,
            cpu_s[policy],
        )
        for policy, one in replays.items()
    ]


def verdict(rows: Sequence[Row]) -> str:
    """Say whether `price` finishes jobs sooner than its rivals in these rows."""
    means = {row.policy: row.mean_jct_s for row in rows}
    if "price" not in means:
        return ""
    below = [name for name, mean in means.items() if mean <= means["price"] and name != "price"]
    if not below:
        return "`price` has the lowest mean completion"
    told = ", ".join(f"{name} ({means[name] / means['price'] - 1:+.2%})" for name in below)
    open_ = [name for name in below if name in RIVALS]
    return f"`price` is not below {told}" + ("; target not reached" if open_ else "")


def print_case(case: Case, rows: Sequence[Row]) -> None:
    """Print the policies, best first, and what became of the target."""
    print(
        f"\n{case.name} with {case.scale:.0%} of its nodes, {rows[0].accelerators:,} accelerators;"
        f" {rows[0].jobs:,} jobs; lower bound {rows[0].bound_s:,.0f} s"
    )
    print("policy       mean completion s   mean wait s  /bound   CPU s")
    for row in sorted(rows, key=lambda row: row.mean_jct_s):
        print(
            f"{row.policy:12s} {row.mean_jct_s:17,.3f} {row.mean_wait_s:13,.3f}"
            f" {row.over_bound:7.4f} {row.cpu_s:7.1f}"
        )
    print(verdict(rows))


def main() -> None:
    """Run the cases and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", choices=[case.name for case in CASES])
    parser.add_argument("--policy", action="append", choices=list(POLICIES))
    parser.add_argument("--jobs", type=int, help="only the first N jobs of each trace")
    options = parser.parse_args()
    rows: list[Row] = []
    for case in CASES:
        if options.case in (None, case.name):
            found = run(case, options.policy or list(POLICIES), options.jobs)
            rows += found
            if not options.json:
                print_case(case, found)
    if options.json:
        print(json.dumps({"policies": [row._asdict() for row in rows]}, indent=2))


if __name__ == "__main__":
    main()
