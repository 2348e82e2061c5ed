"""The control plane is killed at random moments, again and again, while jobs come and run.

The real thing: `tieline up` in a process of its own, its HTTP API, its store on disk, real
jobs. Each job tells in files of its own when it started and which accelerators it held.
"""

import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tieline.client import Client, NoControlPlane
from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord
from tieline.model.errors import TielineError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.service.audit import audit
from tieline.store import open_store

Eventually = Callable[[Callable[[], object]], None]

KILLS: Final = 16
BATCHES: Final = 78
BATCH: Final = 4
NETWORK: Final = """
regions: [{id: east}, {id: west}]
sites:
  - id: east-1
    region: east
    engine: {kind: local}
    pools: [{accelerator: nvidia-h200-sxm, nodes: 1, accelerators_per_node: 8}]
  - id: west-1
    region: west
    engine: {kind: local}
    pools:
      - {accelerator: nvidia-h20-96, nodes: 1, accelerators_per_node: 4}
      - {accelerator: huawei-910b2, nodes: 2, accelerators_per_node: 2}
"""
CAPACITY: Final = {
    "east-1/nvidia-h200-sxm": 8,
    "west-1/nvidia-h20-96": 4,
    "west-1/huawei-910b2": 4,
}
COMPLAINTS: Final = "complaints"
#: One line at the start, whoever starts it and however often; one at the end.
COMMAND: Final = """
echo "$TIELINE_TOKEN" >> "starts/$TIELINE_JOB"
begin=$(date +%s%N)
sleep 0.05
echo "$TIELINE_POOL $TIELINE_ACCELERATORS $begin $(date +%s%N)" >> "spans/$TIELINE_JOB"
"""
#: `tieline up`, its imports done ahead: a life begins when a line comes.
AHEAD: Final = """
import sys, tieline.cli.up
from tieline.cli.main import main
sys.stdin.readline()
main()
"""


class Life:
    """One life of the control plane."""

    def __init__(self, folder: Path) -> None:
        """Start a process that is ready to begin."""
        command = ["up", "network.yaml", "--dir", "state", "--listen", "127.0.0.1:0"]
        self.url: str | None = None
        with (folder / COMPLAINTS).open("a") as complaints:
            self.process = subprocess.Popen(
                [sys.executable, "-c", AHEAD, *command],
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def begin(self) -> None:
        """Let it come up; the address shows when it has."""
        self._reader.start()
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def at_work(self) -> bool:
        """Tell whether it has done a round of its loop."""
        if self.url is None:
            return False
        try:
            with Client(self.url) as client:
                return client.health().ok
        except NoControlPlane:
            return False

    def end(self, number: signal.Signals) -> int:
        """Send the signal and wait for the end; give the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout=30)
        if self._reader.ident is not None:
            self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://\S+\d", line):
                self.url = found.group()


@dataclass
class Town:
    """Where lives follow one another, and the user who submits through all of them."""

    folder: Path
    life: Life
    next_life: Life
    kills: int = 0
    killed_at_work: int = 0
    over: bool = False
    acknowledged: list[str] = field(default_factory=list)

    @property
    def store_url(self) -> str:
        """Where the jobs are kept."""
        return f"sqlite:///{self.folder}/state/tieline.db"

    def kill(self) -> None:
        """Kill the present life, and begin the next."""
        assert self.life.end(signal.SIGKILL) == -signal.SIGKILL
        self.kills += 1
        if (self.folder / "state/tieline.db").exists():
            with closing(open_store(self.store_url)) as store:
                at_a_site = [status for status in Status if status.holds_accelerators]
                self.killed_at_work += bool(store.jobs(status=at_a_site, limit=1))
        self.life, self.next_life = self.next_life, Life(self.folder)
        self.life.begin()

    def submit_all(self) -> None:
        """Submit a few jobs in every life, each batch until it is acknowledged."""
        rng = random.Random(2)  # noqa: S311 - reproducible on purpose
        for batch in range(BATCHES):
            specs = [job(rng) for _ in range(BATCH)]
            while self.kills < batch * KILLS // BATCHES or not self._submit(specs, f"b{batch}"):
                if self.over:
                    return
                time.sleep(0.02)

    def _submit(self, specs: list[JobSpec], key: str) -> bool:
        url = self.life.url
        if url is None:
            return False
        try:
            with Client(url) as client:
                self.acknowledged += [one.id for one in client.submit(specs, key=key)]
        except TielineError:  # killed meanwhile: whether it has them is unknown
            return False
        return True

    def wait_for_all(self) -> None:
        """Wait, in the last life, until every acknowledged job has ended."""
        assert self.life.url is not None
        with Client(self.life.url) as client:
            jobs = client.jobs(limit=len(self.acknowledged) + 1)
            client.wait(jobs, timeout_s=60)


def job(rng: random.Random) -> JobSpec:
    """Give a short job for any of the pools."""
    return JobSpec(
        tenant="lab",
        workload=Workload("hpc"),
        count=rng.choice([1, 1, 1, 2, 4]),
        commands={"cuda": COMMAND, "cann": COMMAND},
        estimate_s=rng.choice([0.05, 0.1]),
    )


@pytest.fixture
def town(
    tmp_path: Path, eventually: Eventually, processes_of: Callable[[Path], list[int]]
) -> Iterator[Town]:
    """Give the first life; afterwards demand that nothing is left running."""
    (tmp_path / "network.yaml").write_text(NETWORK)
    (tmp_path / "starts").mkdir()
    (tmp_path / "spans").mkdir()
    town = Town(tmp_path, Life(tmp_path), Life(tmp_path))
    try:
        town.life.begin()
        for _ in range(6):  # on a new machine the first life compiles the kernels
            with suppress(AssertionError):
                eventually(town.life.at_work)
        yield town
    finally:
        town.over = True
        for life in (town.life, town.next_life):
            if life.process.poll() is None:
                life.end(signal.SIGKILL)
    eventually(lambda: processes_of(tmp_path) == [])


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_run_twice_however_often_it_is_killed(
    town: Town, eventually: Eventually
) -> None:
    """Every acknowledged job is there and ran once, on accelerators that were its own."""
    rng = random.Random(1)  # noqa: S311 - reproducible on purpose
    user = threading.Thread(target=town.submit_all, daemon=True)
    user.start()
    while town.kills < KILLS:
        if rng.random() < 0.75:  # else it may be killed on its way up
            wait_for_work(town, eventually)
        time.sleep(rng.uniform(0.0, 1.2))
        town.kill()
    user.join()
    wait_for_work(town, eventually)
    town.wait_for_all()
    assert town.life.end(signal.SIGTERM) == 0
    assert town.killed_at_work >= KILLS // 3

    with closing(open_store(town.store_url)) as store:
        jobs = store.jobs(limit=10_000)
    assert len(town.acknowledged) == BATCHES * BATCH
    assert sorted(one.id for one in jobs) == sorted(town.acknowledged)
    assert {one.id: one.detail for one in jobs if one.status is not Status.SUCCEEDED} == {}
    starts = {path.name: path.read_text().split() for path in (town.folder / "starts").iterdir()}
    assert starts == {one.id: [one.token] for one in jobs}
    check_accelerators(town.folder / "spans", {one.id: one for one in jobs})
    assert audit(town.store_url)[1] == []
    assert (town.folder / COMPLAINTS).read_text() == ""


def wait_for_work(town: Town, eventually: Eventually) -> None:
    """Wait until the present life works; when it does not, say what it said."""
    try:
        eventually(town.life.at_work)
    except AssertionError:
        said = (town.folder / COMPLAINTS).read_text()
        pytest.fail(
            f"{town.life.url=} {town.life.process.poll()=} after {town.kills} kills: {said}"
        )


def check_accelerators(spans: Path, jobs: dict[str, JobRecord]) -> None:
    """Demand that each job held as many as it asked for, and no two the same at once."""
    held: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for path in spans.iterdir():
        pool, slots, begin, end = path.read_text().split()
        numbers = [int(slot) for slot in slots.split(",")]
        assert pool == jobs[path.name].pool
        assert len(numbers) == jobs[path.name].spec.count
        for number in numbers:
            assert number in range(CAPACITY[pool])
            held.setdefault((pool, number), []).append((int(begin), int(end)))
    for times in held.values():
        assert all(end <= begin for (_, end), (begin, _) in pairwise(sorted(times)))
