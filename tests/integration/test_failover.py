"""Several control planes on one store: each answers, one leads, another takes over."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from bed import postgres
from terminal import NETWORK
from tieline.client import Client
from tieline.control.lifecycle import Status
from tieline.model.errors import TielineError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload

TIELINE: Final = str(Path(sys.executable).with_name("tieline"))
JOB: Final = JobSpec("lab", Workload("hpc"), 1, {"cuda": "sleep 0.2"})
Eventually = Callable[[Callable[[], object]], None]


class Processes:
    """Control planes on one store and, as their sites are local, with one directory."""

    def __init__(self, folder: Path, store_url: str) -> None:
        self.folder = folder
        self._command = [TIELINE, "up", str(folder / "network.yaml"), "--store", store_url]
        self._command += ["--dir", str(folder / "state"), "--listen", "127.0.0.1:0"]
        self.all: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> tuple[subprocess.Popen[str], Client]:
        """Start one; give it and a client of it."""
        process = subprocess.Popen(
            [*self._command, *options],
            env=os.environ | {"XDG_STATE_HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.all.append(process)
        assert process.stdout is not None
        words = process.stdout.readline().split()
        url = next(word for word in words if word.startswith("http"))
        return process, Client(url.rstrip(":;,"))


@pytest.fixture
def processes(tmp_path: Path, postgres_server: postgres.Server) -> Iterator[Processes]:
    """Give control planes that share a store; all are ended afterwards."""
    (tmp_path / "network.yaml").write_text(NETWORK)
    made = Processes(tmp_path, postgres_server.url())
    yield made
    for process in made.all:
        process.kill()
        process.communicate(timeout=30)


def works(client: Client) -> bool:
    """Tell whether a control plane answers for one that leads, and all is well."""
    try:
        return client.health().ok
    except TielineError:
        return False


@pytest.mark.timeout(240)
def test_another_one_leads_when_the_leader_is_killed(
    processes: Processes, eventually: Eventually
) -> None:
    """Jobs given to any of them run, before and after the leader is killed."""
    leader, first = processes.start()
    for _ in range(3):  # on a new machine it may have to compile
        try:
            eventually(lambda: works(first))
            break
        except AssertionError:
            continue
    _, standby = processes.start()
    _, front = processes.start("--api-only")
    eventually(lambda: works(standby) and works(front))
    (job,) = first.wait(front.submit([JOB]), timeout_s=60)
    assert job.status is Status.SUCCEEDED
    assert standby.pools() == front.pools()
    leader.send_signal(signal.SIGKILL)
    jobs = standby.submit([JOB], count=3)
    done = front.wait(jobs, timeout_s=60)
    assert [one.status for one in done] == [Status.SUCCEEDED] * 3
    eventually(lambda: works(front))
    assert {site.state for site in front.sites().sites} == {"open"}
    for client in (first, standby, front):
        client.close()
