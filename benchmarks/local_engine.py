"""What the local engine costs: to submit, to wrap a run, to look at many.

Prints one line per figure. `python benchmarks/local_engine.py [RUNS]`; 200 runs by default.
"""

import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tieline.control.ports import RunOrder, RunPhase
from tieline.engines.local import LocalEngine
from tieline.engines.wrapper.rundir import ENDED_PHASES
from tieline.model.network import Pool, Site

SITE: Final = Site("s", "r", (Pool("s/p", "s", "nvidia-h20", nodes=25, accelerators_per_node=8),))
LIVE: Final = 100
LOOKS: Final = 50


def order(run: str, command: str) -> RunOrder:
    """Give an order for one accelerator."""
    return RunOrder(run, run.partition(".")[0], "lab-a", "s/p", 1, command)


def wait_until_ended(engine: LocalEngine) -> None:
    """Wait until no run is left that has not ended."""
    while any(report.phase not in ENDED_PHASES for report in engine.observe().values()):
        time.sleep(0.02)


def first_line(engine: LocalEngine, folder: Path) -> list[float]:
    """Give the times from submission to the first line of the command, one at a time [s]."""
    delays = []
    for number in range(20):
        token = f"first-{number}.1"
        submitted_at = time.time()
        engine.submit(order(token, f"date +%s.%N > {folder / token}"))
        wait_until_ended(engine)
        delays.append(float((folder / token).read_text()) - submitted_at)
    return delays


def processor_s() -> float:
    """Give the processor time of all children that were waited for [s]."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def throughput(engine: LocalEngine, runs: int) -> None:
    """Print how fast many short runs are submitted and done, and what their wrappers use."""
    before_s, start = processor_s(), time.perf_counter()
    for number in range(runs):
        engine.submit(order(f"many-{number}.1", ":"))
    submitted = time.perf_counter()
    wait_until_ended(engine)
    done = time.perf_counter()
    time.sleep(0.2)  # the last wrappers write their result before they exit
    engine.close()
    print(f"submit               {runs / (submitted - start):8.0f} calls/s")
    print(f"short runs           {runs / (done - start):8.1f} runs/s from submission to end")
    print(f"processor per run    {1e3 * (processor_s() - before_s) / runs:8.1f} ms")


def observation(engine: LocalEngine, folder: Path, ended: int) -> None:
    """Print what a look at many ended and some live runs costs, and a live run's memory."""
    for number in range(LIVE):
        engine.submit(order(f"live-{number}.1", "exec sleep 600"))
    while sum(r.phase is RunPhase.RUNNING for r in engine.observe().values()) < LIVE:
        time.sleep(0.02)
    times = []
    for _ in range(LOOKS):
        start = time.perf_counter()
        engine.observe()
        times.append(time.perf_counter() - start)
    fresh = LocalEngine(SITE, folder / "site")
    start = time.perf_counter()
    fresh.observe()
    first = time.perf_counter() - start
    fresh.close()
    what = f"{ended} ended + {LIVE} live runs"
    print(f"observe              {1e3 * statistics.median(times):8.2f} ms, {what}")
    print(f"observe, first time  {1e3 * first:8.2f} ms")
    print(f"memory per live run  {memory_of_wrappers(folder) / LIVE / 1e6:8.2f} MB, two processes")
    for number in range(LIVE):
        engine.cancel(f"live-{number}.1")
    wait_until_ended(engine)


def memory_of_wrappers(folder: Path) -> int:
    """Give the memory of all wrappers, shared pages counted once [bytes]."""
    mark = str(folder / "site" / "wrapper.pyc").encode()
    total = 0
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and mark in (process / "cmdline").read_bytes():
            lines = (process / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
    return total


def main(runs: int) -> None:
    """Print every figure."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = LocalEngine(SITE, folder / "site", workdir=folder, slot_wait_s=60)
        delays = first_line(engine, folder)
        print(f"first line after     {1e3 * statistics.median(delays):8.1f} ms (median)")
        throughput(engine, runs)
        observation(engine, folder, runs + len(delays))
        engine.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
