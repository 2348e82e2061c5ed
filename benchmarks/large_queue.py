"""What the control plane costs when 100,000 jobs wait and 10,000 run: memory, and a tick.

Real store on disk, real scheduler. The sites are doubles that answer from memory: ten thousand
real runs do not fit on one machine. `python benchmarks/large_queue.py [--json]`.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tieline.control.ports import RunOrder, RunPhase, RunReport
from tieline.files.fit import Offer
from tieline.model.job import JobSpec
from tieline.model.network import Network, Pool, Region, Site, Tenant
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named
from tieline.service.composition import SystemClock
from tieline.service.leadership import Term
from tieline.service.live.links import Links
from tieline.service.live.loop import Loop, LoopSettings
from tieline.service.steady import SteadyClock
from tieline.store import open_store

RUNNING: Final = 10_000
QUEUED: Final = 100_000
BATCH: Final = 5_000
TICKS: Final = 20
#: What one process may take with so many jobs [bytes].
GOAL: Final = 1 << 30
SITES: Final = tuple(
    Site(
        f"s{n}",
        f"r{n % 3}",
        (Pool(f"s{n}/p", f"s{n}", "nvidia-h200-sxm", RUNNING // 80, accelerators_per_node=8),),
    )
    for n in range(10)
)
NETWORK: Final = Network(
    "large",
    tuple(Region(f"r{n}") for n in range(3)),
    SITES,
    tenants=tuple(Tenant(f"t{n}") for n in range(20)),
)


class Double:
    """Stands in for a site: every order runs at once, and for ever."""

    lease_s = None

    def __init__(self, site: Site) -> None:
        """Run nothing yet."""
        self._site = site
        self._reports: dict[str, RunReport] = {}

    def submit(self, order: RunOrder) -> None:
        """Run an order."""
        self._reports[order.token] = RunReport(order.token, RunPhase.RUNNING, time.time())

    def observe(self) -> Mapping[str, RunReport]:
        """Give all runs."""
        return dict(self._reports)

    def capacity(self) -> Mapping[str, int]:
        """Give all accelerators."""
        return {pool.id: pool.capacity for pool in self._site.pools}

    def cancel(self, token: str) -> None:
        """Do nothing."""

    def log(self, token: str, offset: int = 0, limit: int = 1 << 16) -> bytes:
        """Give no output."""
        del token, offset, limit
        return b""

    def forget(self, tokens: Sequence[str]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def job(number: int) -> JobSpec:
    """Give a job unlike most others."""
    return JobSpec(
        f"t{number % 20}",
        Workload(("training", "decode", "hpc")[number % 3]),
        1,
        {"cuda": "python train.py --data /data/sets/one"},
        name=f"train-{number % 500}",
        estimate_s=600.0 + number % 977,
    )


def memory(what: str) -> int:
    """Give a figure of this process's memory, such as `VmRSS` [bytes]."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


def took(call: Callable[[], object]) -> float:
    """Give how long a call takes [s]."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def measured(folder: Path) -> dict[str, float]:
    """Give the figures."""
    store = open_store(f"sqlite:///{folder}/jobs.db")
    for first in range(0, RUNNING + QUEUED, BATCH):
        store.add_jobs([job(first + n) for n in range(BATCH)], now=time.time())
    engines = {site.id: Double(site) for site in SITES}
    clock = SteadyClock(SystemClock())
    settings = LoopSettings()
    loop = Loop(
        offer=Offer(NETWORK),
        policy=policy_named("price"),
        store=store,
        links=Links(NETWORK, engines, store, settings.patience, Term()),
        clock=clock,
        settings=settings,
    )

    def tick() -> None:
        loop.tick(clock.now())

    first_s = took(tick)
    while loop.counts().get("running", 0) < RUNNING:
        time.sleep(0.3)
        tick()
    quiet, news = [], []
    for number in range(TICKS):
        time.sleep(0.3)
        quiet.append(took(tick))
        store.add_jobs([job(number)], now=time.time())
        news.append(took(tick))
    found = {
        "first_tick_s": first_s,
        "tick_s": statistics.median(quiet),
        "tick_with_a_submission_and_a_cycle_s": statistics.median(news),
        "memory_bytes": memory("VmRSS"),
        "peak_bytes": memory("VmHWM"),
        "of_goal": memory("VmHWM") / GOAL,
    }
    loop.close()
    store.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder))
    if options.json:
        print(json.dumps(found))
        return
    print(f"{RUNNING:,} run, {QUEUED:,} wait")
    print(f"first tick, which places them  {found['first_tick_s']:8.2f} s")
    print(f"tick without news              {found['tick_s']:8.3f} s")
    print(f"with a submission and a cycle  {found['tick_with_a_submission_and_a_cycle_s']:8.3f} s")
    print(
        f"memory {found['memory_bytes'] / 2**20:,.0f} MiB, at most "
        f"{found['peak_bytes'] / 2**20:,.0f} MiB: {found['of_goal']:.2f} of the goal of 1 GiB"
    )


if __name__ == "__main__":
    main()
