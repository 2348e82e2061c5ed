"""One scheduling cycle at full size: CPU seconds, certified gap, memory.

    python benchmarks/cycle.py [--jobs N] [--sites M] [--policy P] [--json]

Sites in at most 31 regions with full links, each with pools of eight accelerator models;
about four million accelerators at 1,000 sites. Jobs of six workload classes, gangs of 1 to
1,024, each reading one of 200 datasets that lie in one or two regions, so that where a job
goes depends on speed, link and price alike; a fifth more is asked for than is free. Without
arguments it measures how the cycle grows with jobs and sites.
"""

import argparse
import json
import resource
import time
from itertools import product

import numpy as np

from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.model.catalogue import catalogue
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site, Tenant
from tieline.model.rates import RateBook
from tieline.model.workload import WORKLOAD_CLASSES, Workload
from tieline.scheduling.registry import policy_named

MODELS = (
    "nvidia-h200-sxm",
    "nvidia-h20-96",
    "huawei-910b2",
    "huawei-910c",
    "cambricon-mlu590",
    "amd-mi308x",
    "hygon-k100ai",
    "metax-c550",
)
REGIONS = 31
DATASETS = 200
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
#: Shares of gang sizes, falling as in the Helios and Philly traces; the tail is assumed.
COUNT_SHARES = (0.20, 0.08, 0.10, 0.22, 0.10, 0.09, 0.09, 0.06, 0.03, 0.02, 0.01)
#: Accelerators asked for per free accelerator.
LOAD = 1.2


def build_network(n_sites: int, accelerators: int, rng: np.random.Generator) -> Network:
    """Give a network of about that many accelerators in nodes of eight."""
    n_regions = min(REGIONS, n_sites)
    regions = [f"region-{i}" for i in range(n_regions)]
    links = [
        Link((a, b), float(rng.choice([10, 25, 100, 400])) * 1e9 / 8)
        for i, a in enumerate(regions)
        for b in regions[:i]
    ]
    nodes = np.maximum(1, rng.dirichlet(np.ones(n_sites * len(MODELS))) * accelerators / 8)
    sites = []
    for i in range(n_sites):
        pools = tuple(
            Pool(f"site-{i}/{model}", f"site-{i}", model, int(nodes[i * len(MODELS) + m]), 8)
            for m, model in enumerate(MODELS)
        )
        sites.append(Site(f"site-{i}", regions[i % n_regions], pools))
    datasets = [
        Dataset(
            f"data-{i}",
            float(rng.lognormal(27, 2)),
            frozenset(f"site-{j}" for j in rng.integers(0, n_sites, rng.integers(1, 3))),
        )
        for i in range(DATASETS)
    ]
    return Network(
        name="full",
        regions=tuple(Region(region) for region in regions),
        sites=tuple(sites),
        links=tuple(links),
        tenants=(Tenant("all"),),
        datasets=tuple(datasets),
    )


def build_state(n_jobs: int, n_sites: int, policy: str, seed: int) -> State:
    """Give a state that knows the jobs, none of them submitted yet."""
    rng = np.random.default_rng(seed)
    counts = rng.choice(COUNTS, n_jobs, p=COUNT_SHARES)
    network = build_network(n_sites, int(counts.sum() / LOAD), rng)
    accelerators = catalogue()
    state = State(network, policy_named(policy), accelerators, RateBook(accelerators))
    classes = rng.integers(0, len(WORKLOAD_CLASSES), n_jobs)
    data = rng.integers(0, DATASETS, n_jobs)
    parts = np.stack([classes, counts, data], axis=1)
    distinct, inverse = np.unique(parts, axis=0, return_inverse=True)
    kinds = np.array(
        [
            state.intern(
                JobKind("all", Workload(WORKLOAD_CLASSES[c]), int(n), datasets=(f"data-{d}",))
            )
            for c, n, d in distinct
        ],
        np.int32,
    )
    work = rng.lognormal(8, 2, n_jobs) + 30.0
    state.add(kinds[inverse.reshape(-1)], work, np.zeros(n_jobs))
    return state


def measure(n_jobs: int, n_sites: int, policy: str, seed: int = 0) -> dict[str, float]:
    """Measure the cycle that sees all jobs for the first time, with no prices to start from."""
    began = time.process_time()
    state = build_state(n_jobs, n_sites, policy, seed)
    setup_s = time.process_time() - began
    state.lay_queue_anew(np.arange(n_jobs))
    began, wall = time.process_time(), time.perf_counter()
    actions, _, decision = run_cycle(state, Observations(), 0.0)
    cpu_s, wall_s = time.process_time() - began, time.perf_counter() - wall
    return {
        "jobs": n_jobs,
        "sites": n_sites,
        "pools": len(state.network.pools),
        "markets": len(state.snapshot.markets),
        "kinds": len(state.kinds),
        "accelerators": state.network.capacity,
        "placed": len(actions.rows),
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "gap": decision.gap,
        "setup_cpu_s": setup_s,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure one size, or the growth over several."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--sites", type=int)
    parser.add_argument("--policy", default="price")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measure(200, 2, options.policy)  # compiles what is not compiled yet
    if options.jobs or options.sites:
        row = measure(options.jobs or 100_000, options.sites or 1000, options.policy)
        print(json.dumps(row, indent=2) if options.json else row)
        return
    rows = [
        measure(jobs, sites, options.policy)
        for jobs, sites in product((1_000, 10_000, 100_000), (10, 100, 1_000))
    ]
    if options.json:
        print(json.dumps({"cycle": rows}, indent=2))
        return
    print("   jobs  sites  pools markets  kinds accelerators   CPU s     gap  peak MiB")
    for row in rows:
        print(
            f"{row['jobs']:7,} {row['sites']:6,} {row['pools']:6,} {row['markets']:7,}"
            f" {row['kinds']:6,} {row['accelerators']:12,} {row['cpu_s']:7.3f}"
            f" {row['gap']:7.2%} {row['rss_mib']:9.0f}"
        )


if __name__ == "__main__":
    main()
