"""`tieline demo` as a newcomer runs it: a process, with everything it starts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tieline.cli.demo.workload import IMPOSSIBLE, plan
from tieline.files.fit import Offer, usable_pools
from tieline.files.network import read_network

TIELINE = Path(sys.executable).with_name("tieline")
ROOT = Path(__file__).parents[2]
#: A busy machine starts processes late; what a job does itself is not late.
SLACK_S = 1.5


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Give the folder for temporary files of a demo; check that nothing of it is left."""
    yield tmp_path
    assert list(tmp_path.iterdir()) == []
    assert processes_that_know(tmp_path) == []


def processes_that_know(folder: Path) -> list[int]:
    """Give the processes that have the folder in their environment or arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                known = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:  # gone meanwhile, or of somebody else
                continue
            if os.fsencode(folder) in known:
                found.append(int(entry.name))
    return found


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a demo whose temporary files are in the folder."""
    return subprocess.Popen(
        [TIELINE, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder), "COLUMNS": "80"},
    )


def test_the_demo_shows_what_joining_gives(folder: Path) -> None:
    """Real jobs run where they may and as fast as the chip allows; joined beats separate."""
    demo = start(folder, "--seed", "3", "--json")
    out, err = demo.communicate(timeout=110)
    assert demo.returncode == 0, err
    told = json.loads(out)
    jobs: list[dict[str, Any]] = told["jobs"]
    offer = Offer(read_network(ROOT / "examples" / "networks" / "demo.yaml"))
    planned = plan(offer, 3)
    assert [job["name"] for job in jobs] == [one.spec.name for one in planned]
    assert {job["status"] for job in jobs if job["name"] != IMPOSSIBLE} == {"succeeded"}
    for job, one in zip(jobs, planned, strict=True):
        pools = [pool.id for pool in usable_pools(one.spec, offer)]
        assert job["pool"] in (pools or [None])
        if job["pool"] is not None:
            ran_s = job["ended_s"] - job["started_s"]
            expected_s = (one.spec.estimate_s or 0.0) / job["rate"]
            # The start is noted just after the command began, later on a busy machine.
            assert expected_s - SLACK_S <= ran_s <= expected_s + SLACK_S
    assert {job["pool"] for job in jobs if job["count"] == 16} == {"delta-1/nvidia-h200-sxm"}
    assert {job["cause"] for job in jobs} >= {"at home", "home full", "home cannot"}
    check_never(told)
    check_comparison(told, planned=len(planned))
    assert told["took_s"] < 60 or os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


def check_never(told: dict[str, Any]) -> None:
    """The job that nobody can run is explained, and cancelled."""
    (never,) = told["never"]
    assert never["never"] is True
    assert never["job"]["name"] == IMPOSSIBLE
    assert "No pool can ever run it" in never["sentence"]
    assert len(never["pools"]) == 4
    assert all(one["never"] and one["words"] for one in never["pools"])
    (impossible,) = (job for job in told["jobs"] if job["name"] == IMPOSSIBLE)
    assert (impossible["status"], impossible["pool"]) == ("cancelled", None)


def check_comparison(told: dict[str, Any], *, planned: int) -> None:
    """Live and replay agree about the same policy; separate centres are far behind."""
    live, same, apart = told["outcomes"]
    assert [one["name"] for one in told["outcomes"]] == ["live", "price", "isolated"]
    assert [one["finished"] for one in told["outcomes"]] == [planned - 1, planned - 1, planned - 2]
    assert [one["rejected"] for one in told["outcomes"]] == [1, 1, 2]
    assert told["compared_jobs"] == planned - 2
    assert same["mean_jct_s"] == pytest.approx(live["mean_jct_s"], rel=0.5)
    assert apart["mean_jct_s"] > 1.5 * live["mean_jct_s"]
    assert apart["mean_wait_s"] > live["mean_wait_s"]
    assert max(live["mean_price_per_h"].values()) > 0
    assert 0 < live["utilisation"] <= 1
    assert f"{live['mean_jct_s']:.1f} s" in told["conclusion"]
    assert f"{apart['mean_jct_s']:.1f} s" in told["conclusion"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    """Ctrl-C or a termination in the middle ends jobs and control plane, and removes all files."""
    demo = start(folder)
    assert demo.stdout is not None
    while "nvidia-h200-sxm" not in demo.stdout.readline():  # until the first job is placed
        assert demo.poll() is None
    time.sleep(1.0)
    assert processes_that_know(folder)
    demo.send_signal(number)
    _, err = demo.communicate(timeout=60)
    assert demo.returncode == (1 if number == signal.SIGINT else 128 + number)
    assert "Traceback" not in err


def test_the_network_of_the_demo_is_the_example() -> None:
    """The network that ships inside the package is the one among the examples."""
    example = ROOT / "examples" / "networks" / "demo.yaml"
    assert (files("tieline.cli.demo") / "network.yaml").read_text() == example.read_text()
