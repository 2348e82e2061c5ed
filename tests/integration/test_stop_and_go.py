"""A real centre on which a long job makes way for a short one, and jobs that take what is free."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tieline.client import Client
from tieline.control.lifecycle import Status
from tieline.model.job import JobSpec
from tieline.model.workload import Workload

NETWORK: Final = """
name: solo
regions: [{id: east}]
sites:
  - id: one
    region: east
    engine: {kind: local}
    pools: [{accelerator: nvidia-h200-sxm, nodes: 1, accelerators_per_node: COUNT}]
"""
#: Counts on from where it was saved until it may finish; told to stop, it saves when it may.
LONG: Final = """
begin=$(date +%s%N)
span() { echo "$TIELINE_ACCELERATORS $begin $(date +%s%N)" >> spans; }
save() { until [ -e may-save ]; do sleep 0.02; done; echo "$n" > saved; span; exit 0; }
n=$(cat saved || echo 0)
trap save TERM
echo "attempt $TIELINE_ATTEMPT from $n"
echo "$n" > from-$TIELINE_ATTEMPT
until [ -e may-finish ]; do sleep 0.02 & wait $!; n=$((n + 1)); echo "$n" > at; done
span
"""
SHORT: Final = """
begin=$(date +%s%N)
until [ -e may-go ]; do sleep 0.02; done
echo "$TIELINE_ACCELERATORS $begin $(date +%s%N)" >> spans
"""
Eventually = Callable[[Callable[[], object]], None]

pytestmark = pytest.mark.timeout(300)  # on a new machine the kernels are compiled first


class Centre:
    """One centre, its folder, and the control planes that follow one another on it."""

    def __init__(self, folder: Path, count: int) -> None:
        """Prepare a centre of so many accelerators; nothing is started."""
        self.folder = folder
        (folder / "solo.yaml").write_text(NETWORK.replace("COUNT", str(count)))
        self.process: subprocess.Popen[str] | None = None

    def serve(self) -> Client:
        """Start a control plane and give a client of it."""
        code = "from tieline.cli.main import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "up", "solo.yaml", "--listen", "127.0.0.1:0"],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        found = re.search(r"http://\S+\d", self.process.stdout.readline())
        assert found, self.process.communicate(timeout=30)
        return Client(found.group())

    def kill(self) -> None:
        """Kill the present control plane; the jobs run on."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()

    def killed(self, client: Client, *, kill: bool) -> Client:
        """Give a client of the next control plane where this one is killed, else the same."""
        if not kill:
            return client
        client.close()
        self.kill()
        return self.serve()

    def let(self, name: str) -> None:
        """Allow a job what it waits for."""
        (self.folder / name).touch()

    def number(self, name: str) -> int:
        """Read a number that a job wrote; 0 before."""
        file = self.folder / name
        return int((file.read_text() if file.exists() else "") or 0)


@pytest.fixture
def centre(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    eventually: Eventually,
    processes_of: Callable[[Path], list[int]],
) -> Iterator[Centre]:
    """Give a centre; afterwards nothing that was started on it is left."""
    centre = Centre(tmp_path, request.param)
    yield centre
    centre.kill()
    for pid in processes_of(tmp_path):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: processes_of(tmp_path) == [])


def job(command: str, estimate_s: float) -> JobSpec:
    """Give a job of one accelerator."""
    return JobSpec("lab", Workload("hpc"), 1, {"cuda": command}, estimate_s=estimate_s)


@pytest.mark.parametrize("centre", [1], indirect=True)
@pytest.mark.parametrize("kill", [False, True])
def test_a_long_job_makes_way_and_goes_on_where_it_was(
    centre: Centre, eventually: Eventually, *, kill: bool
) -> None:
    """Stopped, it saves; the short one runs; then it goes on, killed control planes or not."""
    client = centre.serve()
    (long,) = client.submit([replace(job(LONG, 36_000.0), preemptible=True, restart_s=60.0)])
    eventually(lambda: centre.number("at") > 3)
    (short,) = client.submit([job(SHORT, 1.0)])
    eventually(lambda: client.job(long.id).status is Status.STOPPING)
    client = centre.killed(client, kill=kill)
    eventually(lambda: client.health().ok)
    assert client.job(long.id).status is Status.STOPPING
    assert client.job(short.id).status is Status.QUEUED
    assert client.pools().pools[0].free == 0
    centre.let("may-save")
    eventually(lambda: client.job(short.id).status is Status.RUNNING)
    client = centre.killed(client, kill=kill)
    waits = client.job(long.id)
    assert (waits.status, waits.stops, waits.pool) == (Status.QUEUED, 1, None)
    assert b"attempt 1 from 0\n" in client.log(long.id)  # a shell may say "Terminated" after it
    saved = centre.number("saved")
    assert saved > 3
    centre.let("may-go")
    eventually(lambda: centre.number("at") > saved)
    assert client.job(short.id).status is Status.SUCCEEDED
    eventually(lambda: client.job(long.id).status is Status.RUNNING)
    centre.let("may-finish")
    with closing(client):
        eventually(lambda: client.job(long.id).status is Status.SUCCEEDED)
        assert client.log(long.id) == f"attempt 2 from {saved}\n".encode()
        assert [event.event for event in client.events(long.id).events] == [
            *("submitted", "placed", "started", "preempted", "stopped"),
            *("placed", "started", "succeeded"),
        ]
    assert centre.number("from-2") == saved
    check_spans(centre.folder / "spans", runs=3)


def check_spans(file: Path, runs: int) -> None:
    """Demand that so many runs held the only accelerator, one after the other."""
    lines = [line.split() for line in file.read_text().splitlines()]
    assert [slots for slots, *_ in lines] == ["0"] * runs
    times = sorted((int(begin), int(end)) for _, begin, end in lines)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(times))


@pytest.mark.parametrize("centre", [2], indirect=True)
def test_a_job_of_several_sizes_takes_an_empty_centre_and_keeps_it_in_a_crash(
    centre: Centre, eventually: Eventually
) -> None:
    """It is given all it can use, is told so, and holds it under the next control plane."""
    client = centre.serve()
    told = job(f"echo $TIELINE_ACCELERATORS\n{SHORT}", 600.0)
    (wide,) = client.submit([replace(told, max_count=2)])
    eventually(lambda: client.job(wide.id).status is Status.RUNNING)
    assert client.job(wide.id).count == 2
    client = centre.killed(client, kill=True)
    (other,) = client.submit([job("true", 1.0)])
    eventually(lambda: client.health().ok)
    assert client.pools().pools[0].free == 0
    assert client.job(other.id).status is Status.QUEUED
    centre.let("may-go")
    with closing(client):
        eventually(lambda: client.job(other.id).status is Status.SUCCEEDED)
        ended = client.job(wide.id)
        assert (ended.status, ended.count) == (Status.SUCCEEDED, 2)
        assert client.log(wide.id) == b"0,1\n"


#: Does so many steps in all, in as many runs as it takes; two runs at once would be noted.
STEPS: Final = 50
STEADY: Final = f"""
begin=$(date +%s%N)
n=$(cat "saved-$TIELINE_JOB" || echo 0)
leave() {{
  trap '' TERM
  echo "$n" > "saved-$TIELINE_JOB"
  rmdir "alive-$TIELINE_JOB"
  echo "$TIELINE_ACCELERATORS $begin $(date +%s%N)" >> spans
  exit 0
}}
trap leave TERM
mkdir "alive-$TIELINE_JOB" || touch twice
while [ "$n" -lt {STEPS} ]; do sleep 0.1 & wait $!; n=$((n + 1)); done
leave
"""
BRIEF: Final = """
begin=$(date +%s%N)
sleep 0.2
echo "$TIELINE_ACCELERATORS $begin $(date +%s%N)" >> spans
"""
KILLS: Final = 4


@pytest.mark.parametrize("centre", [2], indirect=True)
def test_stops_and_kills_lose_nothing_and_run_nothing_twice(
    centre: Centre, eventually: Eventually
) -> None:
    """Killed at random while jobs make way, each does all its work in one run at a time."""
    rng = random.Random(1)  # noqa: S311 - reproducible on purpose
    client = centre.serve()
    steady = replace(job(STEADY, 600.0), preemptible=True, restart_s=1.0)
    jobs = client.submit([steady] * 3)
    for _ in range(KILLS):
        if rng.random() < 0.75:  # else it may be killed on its way up
            eventually(lambda: client.health().ok)  # noqa: B023 - called at once
        jobs += client.submit([job(BRIEF, 0.2)] * 2)
        time.sleep(rng.uniform(0.0, 1.2))
        client = centre.killed(client, kill=True)
    with closing(client):
        ended = client.wait(jobs, timeout_s=90)
    assert {one.status for one in ended} == {Status.SUCCEEDED}
    assert [centre.number(f"saved-{one.id}") for one in jobs[:3]] == [STEPS] * 3
    assert sum(one.stops for one in ended) > 0
    assert not (centre.folder / "twice").exists()
    lines = [line.split() for line in (centre.folder / "spans").read_text().splitlines()]
    # One that was told to stop as soon as it had begun may have left none.
    assert len(ended) <= len(lines) <= sum(1 + one.stops for one in ended)
    for slot in "01":
        held = sorted((int(begin), int(end)) for slots, begin, end in lines if slots == slot)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(held))
