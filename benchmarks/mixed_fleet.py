"""A real mixed fleet split over eight regions, apart and joined: balance and completion.

    python benchmarks/mixed_fleet.py [--json] [--jobs N] [--policy P ...] [--seed N]

Recorded: the machines of Alibaba's PAI cluster, 2020 (1,814 with GPUs, 6,742 GPUs of five
types), and the first jobs of Helios Venus (submission, run time, gang). Assumed, as no public
record has jobs of several centres on several chips:

- how the machines lie: each type's are dealt to the regions in shares drawn from a flat
  Dirichlet distribution;
- whose the jobs are: drawn over Venus' virtual clusters in proportion to their GPUs on 28
  September 2020; the clusters, largest first, have their homes in the regions in turn. That
  is the skew: the largest cluster has a quarter of all jobs;
- when they come: six times as densely as recorded, as the fleet is six times Venus;
- rates, by the roofline of the catalogue from FP16 and memory bandwidth of the data sheets:
  70 % of the jobs are training, which compute limits, 30 % batch inference, which memory
  limits. MISC is not disclosed and taken as K80;
- data: each cluster's jobs read one dataset of its home region, links of 10 to 100 Gbit/s.

The demand of a region is the accelerator-seconds that its jobs hold, whenever they run: before
joining the jobs of its tenants, after it the jobs that ran there. Over its accelerators times
the span of the submissions that is its demand : supply. Above 1 it cannot keep up. MAST
(Choudhury et al., OSDI '24) reports GPUs asked for over GPUs there of Meta's most overloaded
region, high-priority work: 2.63 before, 0.98 after.
"""

import argparse
import csv
import io
import json
import tarfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from _inputs import TRACES
from numpy.typing import NDArray

from tieline.control.state import State
from tieline.model.accelerator import Accelerator, Figure
from tieline.model.catalogue import catalogue
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site, Tenant
from tieline.model.rates import RateBook
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named
from tieline.simulation.bound import Demand, lower_bound
from tieline.simulation.driver import simulate
from tieline.traces.registry import read_trace

REGIONS = 8
DENSER = 6.0
INFERENCE_SHARE = 0.3
#: Dense FP16 without sparsity [TFLOPS] and memory bandwidth [TB/s] per GPU, NVIDIA data sheets.
SHEETS = {
    "V100": (125.0, 0.900),
    "V100M32": (125.0, 0.900),
    "T4": (65.0, 0.320),
    "P100": (21.2, 0.732),
    "MISC": (4.4, 0.240),
}
REFERENCE = "V100"
LINKS_GBIT_S = (10.0, 25.0, 100.0)
#: Median size of a dataset [bytes], and the spread of its logarithm.
DATASET_BYTES, DATASET_SPREAD = 1e11, 1.0
POLICIES = ("isolated", "backfill", "price")


@dataclass(frozen=True)
class Jobs:
    """Axis J, in order of submission."""

    submit_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    """Run time at rate 1 [s]."""
    count: NDArray[np.int32]
    tenant: NDArray[np.int64]
    inference: NDArray[np.bool_]

    def first(self, n: int) -> "Jobs":
        """Give the first n."""
        return Jobs(
            self.submit_s[:n],
            self.duration_s[:n],
            self.count[:n],
            self.tenant[:n],
            self.inference[:n],
        )


class Row(NamedTuple):
    """How a policy served the jobs that ran under all policies."""

    policy: str
    jobs: int
    mean_jct_s: float
    over_bound: float
    worst_demand_supply: float
    demand_supply: list[float]
    """By region."""
    cpu_s: float


def accelerators() -> tuple[Accelerator, ...]:
    """Give the types of the fleet."""

    def figure(value: float, unit: str) -> Figure:
        return Figure(value, unit, "NVIDIA data sheet; FP16 stands in for BF16", "2020", "high")

    return tuple(
        Accelerator(
            name,
            f"{name} of the PAI fleet",
            "NVIDIA",
            "US",
            "cuda",
            {"bf16_tflops": figure(tflops, "TFLOPS"), "memory_bw_tbs": figure(tbs, "TB/s")},
        )
        for name, (tflops, tbs) in SHEETS.items()
    )


def machines() -> Counter[tuple[str, int]]:
    """Give the number of machines by GPU type and GPUs per machine."""
    folder = TRACES / "pai2020_machines"
    header = (folder / "pai_machine_spec.header").read_text(encoding="utf-8").strip().split(",")
    with tarfile.open(folder / "pai_machine_spec.tar.gz") as archive:
        file = archive.extractfile("pai_machine_spec.csv")
        if file is None:
            raise AssertionError("the archive holds the table")
        rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"), header))
    gpus = ((row["gpu_type"], int(row["cap_gpu"])) for row in rows)
    return Counter((kind, n) for kind, n in gpus if n > 0)


def clusters() -> list[tuple[str, int]]:
    """Give Venus' virtual clusters with their GPUs on the last day, largest first."""
    path = TRACES / "helios_config" / "Venus_gpu_number.csv"
    with path.open(encoding="utf-8", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    sizes = [(name, int(n)) for name, n in last.items() if name not in {"date", "total"}]
    return sorted((item for item in sizes if item[1] > 0), key=lambda item: (-item[1], item[0]))


def build_network(rng: np.random.Generator) -> Network:
    """Give the fleet, dealt to one site per region."""
    pools: list[list[Pool]] = [[] for _ in range(REGIONS)]
    for (kind, per_node), number in sorted(machines().items()):
        dealt = rng.multinomial(number, rng.dirichlet(np.ones(REGIONS)))
        for r, nodes in enumerate(dealt.tolist()):
            if nodes:
                pools[r].append(Pool(f"site-{r}/{kind}", f"site-{r}", kind, nodes, per_node))
    names = [f"region-{r}" for r in range(REGIONS)]
    tenants = [Tenant(vc, home=f"site-{i % REGIONS}") for i, (vc, _) in enumerate(clusters())]
    return Network(
        name="mixed-fleet",
        accelerators=accelerators(),
        regions=tuple(Region(name) for name in names),
        sites=tuple(Site(f"site-{r}", names[r], tuple(pools[r])) for r in range(REGIONS)),
        links=tuple(
            Link((names[a], names[b]), float(rng.choice(LINKS_GBIT_S)) * 1e9 / 8)
            for a in range(REGIONS)
            for b in range(a)
        ),
        tenants=tuple(tenants),
        datasets=tuple(
            Dataset(
                f"of-{tenant.id}",
                float(rng.lognormal(np.log(DATASET_BYTES), DATASET_SPREAD)),
                frozenset({tenant.home or ""}),
            )
            for tenant in tenants
        ),
    )


def draw_jobs(n: int, rng: np.random.Generator) -> Jobs:
    """Give the first jobs of Venus, each with a tenant and a kind of work."""
    trace = read_trace(str(TRACES / "helios_venus_jobs" / "helios_trace.csv.zst"))
    n = min(n, len(trace))
    sizes = np.array([size for _, size in clusters()], np.float64)
    return Jobs(
        trace.submit_s[:n] / DENSER,
        trace.duration_s[:n].copy(),
        trace.count[:n].copy(),
        rng.choice(len(sizes), n, p=sizes / sizes.sum()),
        rng.random(n) < INFERENCE_SHARE,
    )


def add_jobs(state: State, jobs: Jobs) -> NDArray[np.int32]:
    """Make the jobs known to the state; give their kinds, axis J."""
    parts = np.stack([jobs.tenant, jobs.inference, jobs.count], axis=1)
    distinct, inverse = np.unique(parts, axis=0, return_inverse=True)
    tenants, kinds = state.network.tenants, []
    for t, inference, n in distinct.tolist():
        workload = Workload("batch-inference" if inference else "training")
        name = tenants[t].id
        kinds.append(state.intern(JobKind(name, workload, n, datasets=(f"of-{name}",))))
    rows = np.array(kinds, np.int32)[inverse.reshape(-1)]
    state.add(rows, jobs.duration_s, jobs.submit_s)
    return rows


class Outcome(NamedTuple):
    """What became of the jobs under a policy, before it is known which all policies ran."""

    state: State
    kind: NDArray[np.int32]
    end_s: NDArray[np.float64]
    held_s: NDArray[np.float64]
    """Axis J: time its accelerators were held [s]."""
    region: NDArray[np.int64]
    """Axis J: where it ran."""
    cpu_s: float


def run(network: Network, jobs: Jobs, policy: str) -> Outcome:
    """Replay the jobs under a policy."""
    book = {**catalogue(), **{chip.id: chip for chip in network.accelerators}}
    state = State(network, policy_named(policy), book, RateBook(book, relative_to=REFERENCE))
    kind = add_jobs(state, jobs)
    runnable = np.any(state.rates_by_pool() > 0, axis=1)[kind]
    began = time.process_time()
    schedule = simulate(state, jobs.submit_s, jobs.duration_s, runnable)
    cpu_s = time.process_time() - began
    region_of_site = {site.id: r for r, site in enumerate(network.sites)}
    region = np.array([region_of_site[pool.site] for pool in network.pools])
    held_s = schedule.end_s - schedule.start_s
    return Outcome(state, kind, schedule.end_s, held_s, region[schedule.pool], cpu_s)


def bound(one: Outcome, jobs: Jobs, ran: NDArray[np.bool_]) -> float:
    """Give a lower bound on the mean completion time of the jobs that ran, data at hand."""
    s = one.state.snapshot
    size = np.bincount(s.pools["market"], s.pools["capacity"]).astype(np.int64)
    largest = np.zeros(len(s.markets), np.int64)
    np.maximum.at(largest, s.pools["market"], s.pools["capacity"])
    known = len(one.state.kinds)
    rate = np.where(s.kinds["count"][:known, None] > largest, 0.0, s.rate[:known])
    return lower_bound(
        Demand(
            submit_s=jobs.submit_s[ran],
            work=jobs.duration_s[ran],
            count=jobs.count[ran].astype(np.int64),
            kind=one.kind[ran],
            rate=rate,
            capacity=size,
        )
    ).best_s


def measure(n: int, policies: Sequence[str], seed: int) -> list[Row]:
    """Replay every policy and compare them on the jobs that ran under all of them."""
    network = build_network(np.random.default_rng(seed))
    jobs = draw_jobs(n, np.random.default_rng(seed + 1))
    outcomes = {}
    for policy in policies:
        run(network, jobs.first(50), policy)  # compiles what is not compiled yet
        outcomes[policy] = run(network, jobs, policy)
    ran: NDArray[np.bool_] = np.isfinite(np.sum([one.end_s for one in outcomes.values()], axis=0))
    best_s = bound(next(iter(outcomes.values())), jobs, ran)
    size = np.array([sum(pool.capacity for pool in site.pools) for site in network.sites])
    span_s = float(jobs.submit_s[-1] - jobs.submit_s[0])
    rows = []
    for policy, one in outcomes.items():
        held = np.bincount(one.region[ran], (one.held_s * jobs.count)[ran], REGIONS)
        mean = float((one.end_s - jobs.submit_s)[ran].mean())
        ratios = held / (size * span_s)
        rows.append(
            Row(
                policy,
                int(ran.sum()),
                mean,
                mean / best_s,
                float(ratios.max()),
                ratios.tolist(),
                one.cpu_s,
            )
        )
    return rows


def main() -> None:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--jobs", type=int, default=25_000)
    parser.add_argument("--policy", action="append")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = measure(options.jobs, options.policy or POLICIES, options.seed)
    if options.json:
        print(json.dumps({"mixed_fleet": [row._asdict() for row in rows]}, indent=2))
        return
    print(f"{rows[0].jobs:,} of {options.jobs:,} jobs ran under all policies; rates are assumed")
    print("policy     mean completion s   /bound   worst demand:supply   CPU s   by region")
    for row in rows:
        print(
            f"{row.policy:10s} {row.mean_jct_s:17,.0f} {row.over_bound:8.3f}"
            f" {row.worst_demand_supply:21.2f} {row.cpu_s:7.1f}"
            f"   {' '.join(f'{ratio:.2f}' for ratio in row.demand_supply)}"
        )
    print("MAST's most overloaded region: 2.63 before, 0.98 after")


if __name__ == "__main__":
    main()
