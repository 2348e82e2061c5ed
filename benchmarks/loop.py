"""What the live loop costs: a tick while many jobs wait, an order on its way, start-up.

Real store on disk, real local engine. Prints one line per figure.
`python benchmarks/loop.py [WAITING]`; 10,000 waiting jobs by default.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tieline.control.lifecycle import Status
from tieline.engines.local import LocalEngine
from tieline.files.fit import Offer
from tieline.model.job import JobSpec
from tieline.model.network import Network, Pool, Region, Site
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named
from tieline.service.composition import Placement, SystemClock, running
from tieline.service.leadership import Term
from tieline.service.live.links import Links
from tieline.service.live.loop import Loop, LoopSettings
from tieline.service.steady import SteadyClock
from tieline.store import open_store

RUNNING: Final = 100
TICKS: Final = 50
POOLS: Final = tuple(
    Pool(f"s{n}/p", f"s{n}", model, nodes=5, accelerators_per_node=8)
    for n, model in enumerate(("nvidia-h200-sxm", "nvidia-h20-96", "nvidia-h100-sxm"))
)
NETWORK: Final = Network(
    "bench", (Region("r"),), tuple(Site(pool.site, "r", (pool,)) for pool in POOLS)
)


def job(count: int, seconds: float, command: str) -> JobSpec:
    """Give a job for any of the pools."""
    return JobSpec("lab", Workload("training"), count, {"cuda": command}, estimate_s=seconds)


def timed(name: str, call: Callable[[], object], times: int) -> None:
    """Print the median and the longest time of a call [ms]."""
    took = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        took.append(1e3 * (time.perf_counter() - begin))
    print(f"{name:52} median {statistics.median(took):8.1f} ms   longest {max(took):8.1f} ms")


def ticks(folder: Path, waiting: int) -> None:
    """Print what a tick costs while many wait and a hundred run."""
    store = open_store(f"sqlite:///{folder}/jobs.db")
    engines = {
        site.id: LocalEngine(site, folder / site.id, workdir=folder) for site in NETWORK.sites
    }

    clock = SteadyClock(SystemClock())

    def new_loop() -> Loop:
        settings = LoopSettings()
        return Loop(
            offer=Offer(NETWORK),
            policy=policy_named("price"),
            store=store,
            links=Links(NETWORK, engines, store, settings.patience, Term()),
            clock=clock,
            settings=settings,
        )

    loop = new_loop()
    loop.tick(clock.now())  # loads the kernels
    store.add_jobs([job(1, 1.0, "sleep 600")] * RUNNING, now=time.time())
    at_a_site = [status for status in Status if status.holds_accelerators]
    while len(store.jobs(status=at_a_site, limit=RUNNING)) < RUNNING:
        loop.tick(clock.now())
    blocked = job(40, 3600.0, "true")  # no pool has so many free
    specs = [blocked, *(job(size, 10.0 * size, "true") for size in (33, 36, 38, 39))]
    store.add_jobs((specs * (waiting // len(specs) + 1))[:waiting], now=time.time())
    timed(f"tick that brings {waiting:,} jobs", lambda: loop.tick(clock.now()), 1)
    time.sleep(1.0)
    timed(f"tick, {waiting:,} wait, {RUNNING} run, no news", lambda: loop.tick(clock.now()), TICKS)

    def with_news() -> None:
        store.add_jobs([blocked], now=time.time())
        loop.tick(clock.now())

    timed("the same with a submission and a cycle", with_news, TICKS)
    loop.close()
    again = new_loop()
    timed("first tick after a crash", lambda: again.tick(clock.now()), 1)
    again.close()
    for engine in engines.values():
        for token in engine.observe():
            engine.cancel(token)
        while any(report.ended_at is None for report in engine.observe().values()):
            time.sleep(0.05)
        engine.close()
    store.close()


def latency(folder: Path) -> None:
    """Print the time from a submission to the first line of the job's command."""
    delays = []
    with running(NETWORK, Placement(folder / "state", workdir=folder)) as plane:
        while not plane.health().ok:
            time.sleep(0.05)
        for number in range(20):
            line = folder / f"line-{number}"
            begin = time.time()
            plane.submit([job(1, 1.0, f"date +%s.%N > {line}.new && mv {line}.new {line}")])
            while not line.exists():
                time.sleep(0.002)
            delays.append(1e3 * (float(line.read_text()) - begin))
            time.sleep(0.3)
    print(
        f"{'from submission to the first line':52} median {statistics.median(delays):8.1f} ms   "
        f"longest {max(delays):8.1f} ms"
    )


def main() -> None:
    """Measure in folders that are removed at the end."""
    waiting = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        ticks(Path(folder), waiting)
    with tempfile.TemporaryDirectory() as folder:
        latency(Path(folder))


if __name__ == "__main__":
    main()
