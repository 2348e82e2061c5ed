"""What it takes to audit a store with a long history: time and memory for a million lines.

Beside it the least anybody could do: read the same lines with plain `sqlite3` and hash each once.
`python benchmarks/audit.py [--jobs N] [--json]`; four lines to a job, 250,000 jobs by default.
"""

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tieline.control.chain import Break
from tieline.control.lifecycle import Event
from tieline.control.ports import Change
from tieline.model.job import JobSpec
from tieline.model.network import Network, Pool, Region, Site
from tieline.model.workload import Workload
from tieline.service.audit import audit, verify_log
from tieline.store import open_store

BATCH: Final = 5_000
SPEC: Final = JobSpec(
    "lab-a", Workload("training"), 8, {"cuda": "python train.py --data /data/sets/one"}
)
#: Large enough for all jobs at once.
POOL: Final = Pool("here/h200", "here", "nvidia-h200-sxm", 1_000_000, 8)
NETWORK: Final = Network("n", (Region("r"),), (Site("here", "r", (POOL,)),))
LINES: Final = "select seq, at, job, event, data, hash from events order by seq"


def lived(file: Path, jobs: int) -> None:
    """Make a store in which so many jobs were placed, have started and succeeded."""
    with closing(open_store(f"sqlite:///{file}")) as store:
        for _ in range(0, jobs, BATCH):
            records = store.add_jobs([SPEC] * BATCH, now=time.time())
            for event, brings in (
                (Event.PLACED, {"pool": POOL.id}),
                (Event.STARTED, {"started_at": 10.0}),
                (Event.SUCCEEDED, {"ended_at": 20.0, "exit_code": 0}),
            ):
                records = store.record(
                    [Change(one.id, one.version, event, time.time(), **brings) for one in records]
                )


def plain(file: Path) -> int:
    """Read every line and hash it; give how many there are."""
    lines, last = 0, ""
    with closing(sqlite3.connect(file)) as connection:
        for seq, at, job, event, data, mark in connection.execute(LINES):
            text = f"{mark}\n[{seq},{at},{job},{event},{data}]"
            last = sha256(text.encode()).hexdigest()
            lines += 1
    return lines if last else 0


def verified(file: Path) -> int:
    """Verify the chain; give how many lines there are."""
    head = verify_log(f"sqlite:///{file}")
    if isinstance(head, Break):
        raise SystemExit(head.text)
    return head.seq


def checked(file: Path) -> int:
    """Check all that is promised, also of the pool; give how many lines there are."""
    head, findings = audit(f"sqlite:///{file}", NETWORK)
    if findings:
        raise SystemExit(str(findings[0]))
    return head.seq


def peak() -> int:
    """Give the most memory this process has had [bytes]; `getrusage` would count its parent's."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def measured(work: Callable[[Path], int], file: Path) -> dict[str, float]:
    """Give lines, time [s] and the growth of memory [bytes] of one reading."""
    before = peak()
    begin = time.perf_counter()
    lines = work(file)
    took = time.perf_counter() - begin
    return {
        "lines": lines,
        "seconds": took,
        "lines_per_s": lines / took,
        "more_memory_bytes": peak() - before,
    }


def alone(work: Callable[[Path], int], file: Path) -> dict[str, float]:
    """Measure in a process of its own, whose memory nobody has used before."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (work, file))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=250_000)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "store.db"
        lived(file, options.jobs)
        found = {
            "plain reading": alone(plain, file),
            "audit verify": alone(verified, file),
            "audit check": alone(checked, file),
        }
    bound = found["plain reading"]["seconds"]
    for one in found.values():
        one["times_plain"] = one["seconds"] / bound
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['audit verify']['lines']:,} lines of {options.jobs:,} jobs on SQLite")
    for what, one in found.items():
        print(
            f"{what:14} {one['seconds']:7.1f} s {one['lines_per_s']:10,.0f} lines/s "
            f"({one['times_plain']:5.1f} x plain) {one['more_memory_bytes'] / 2**20:5.0f} MiB more"
        )


if __name__ == "__main__":
    main()
