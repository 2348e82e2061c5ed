"""What wrong estimates cost: `price` on two real traces, told the truth, less, or nothing.

    python benchmarks/estimates.py [--json] [--case NAME ...] [--policy P] [--seeds N]

Philly: Microsoft's eleven virtual clusters as one network, with 40 % of their nodes, where
hardly a job waits, and with 25 %, where many do. Venus: one SenseTime cluster with 60 % of its
nodes. Errors and silences are drawn from seeds 0, 1, ...; the row gives the mean over them, the
lowest and the highest. `fifo` with exact estimates stands beside: it looks at none.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from _inputs import NETWORKS, TRACES

from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.model.trace import Trace
from tieline.scheduling.registry import DEFAULT_POLICY, POLICIES, policy_named
from tieline.simulation.conditions import Conditions
from tieline.simulation.replay import replay
from tieline.simulation.scaling import scaled
from tieline.traces.registry import read_trace

PHILLY = TRACES / "philly_jobs" / "philly.csv.zst"
VENUS = TRACES / "helios_venus_jobs" / "helios_trace.csv.zst"

#: Name: network, trace, factor on the nodes of every pool.
CASES: dict[str, tuple[str, Path, float]] = {
    "philly-0.4": ("philly.yaml", PHILLY, 0.4),
    "philly-0.25": ("philly.yaml", PHILLY, 0.25),
    "venus-0.6": ("venus.yaml", VENUS, 0.6),
}


class Row(NamedTuple):
    """How long jobs took under one set of conditions."""

    case: str
    jobs: int
    accelerators: int
    policy: str
    estimates: str
    replays: int
    mean_jct_s: float
    lowest_s: float
    highest_s: float
    over_exact: float
    """Mean completion / that of the same policy with exact estimates."""


def conditions_of(trace: Trace) -> Iterator[tuple[str, Conditions]]:
    """Give what the scheduler is told, by name."""
    yield "exact", Conditions()
    if trace.estimate_s is not None:
        yield "user", Conditions("user")
    yield "history", Conditions("history")
    yield "default", Conditions("default")
    yield "off by up to 3", Conditions(error=3.0)
    yield "off by up to 10", Conditions(error=10.0)
    yield "50 % missing", Conditions(missing=0.5)


def run(case: str, policy: str, seeds: int) -> Iterator[Row]:
    """Give a row for all that the scheduler can be told, and one for `fifo`."""
    file, path, scale = CASES[case]
    network = scaled(read_network(NETWORKS / file), scale)
    trace = read_trace(str(path))
    accelerators = {**catalogue(), **{chip.id: chip for chip in network.accelerators}}

    def mean_jct_s(name: str, conditions: Conditions) -> float:
        done = replay(network, trace, policy_named(name), accelerators, conditions=conditions)
        return float(done.jct_s[done.ran].mean())

    exact = 0.0
    told = [(name, policy, one) for name, one in conditions_of(trace)]
    for name, policy_name, one in (*told, ("exact", "fifo", Conditions())):
        drawn = one.error > 1 or one.missing > 0
        means = [
            mean_jct_s(policy_name, replace(one, seed=seed))
            for seed in range(seeds if drawn else 1)
        ]
        mean = sum(means) / len(means)
        exact = exact or mean
        yield Row(
            case,
            len(trace),
            network.capacity,
            policy_name,
            name,
            len(means),
            mean,
            min(means),
            max(means),
            mean / exact,
        )


def print_row(row: Row, *, first: bool) -> None:
    """Print a row, and before the first one what it is about."""
    if first:
        print(f"\n{row.case}: {row.jobs:,} jobs on {row.accelerators:,} accelerators")
        print("policy    estimates          mean completion s   / exact   lowest .. highest")
    spread = f"{row.lowest_s:,.0f} .. {row.highest_s:,.0f}" if row.replays > 1 else ""
    print(
        f"{row.policy:9s} {row.estimates:17s} {row.mean_jct_s:18,.1f} {row.over_exact:9.3f}"
        f"   {spread}".rstrip(),
        flush=True,
    )


def main() -> None:
    """Run the cases and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--policy", choices=list(POLICIES), default=DEFAULT_POLICY)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("--seeds: at least 1")
    rows: list[Row] = []
    for case in options.case or CASES:
        for number, row in enumerate(run(case, options.policy, options.seeds)):
            rows.append(row)
            if not options.json:
                print_row(row, first=number == 0)
    if options.json:
        json.dump({"estimates": [row._asdict() for row in rows]}, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
