"""One control plane in a process of its own, for all tests of the commands that talk to one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from terminal import JOB, NETWORK, Terminal
from tieline.client import Client, find_url
from tieline.control.lifecycle import Status


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve the network from a real process; give the state folder in which it left its note."""
    folder = tmp_path_factory.mktemp("live")
    network, home = folder / "network.yaml", folder / "state"
    network.write_text(NETWORK)
    command = [str(Path(sys.executable).with_name("tieline")), "up", str(network)]
    process = subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"XDG_STATE_HOME": str(home)},
    )
    assert process.stdout is not None
    assert " is up at http://127.0.0.1:" in process.stdout.readline()
    yield home
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert "stopped" in said
    assert process.returncode == 0


@pytest.fixture
def tieline(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terminal]:
    """Give a terminal of 80 columns whose user has started the control plane; end its jobs."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("TIELINE_URL", "TIELINE_TOKEN", "TIELINE_CA"):
        monkeypatch.delenv(name, raising=False)
    terminal = Terminal(capsys, monkeypatch)
    yield terminal
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.delenv("TIELINE_URL", raising=False)
    with Client(find_url()) as client:
        left = client.jobs(status=[status for status in Status if not status.ended])
        client.wait([client.cancel(job.id) for job in left], timeout_s=30)


@pytest.fixture
def job_file(tmp_path: Path) -> Callable[..., str]:
    """Give the function that writes a job file."""

    def write(
        command: str = "echo hello",
        *,
        name: str = "greet",
        count: int = 1,
        sensitivity: str = "open",
    ) -> str:
        file = tmp_path / f"{name}.yaml"
        text = JOB.format(
            command=json.dumps(command), name=name, count=count, sensitivity=sensitivity
        )
        file.write_text(text)
        return str(file)

    return write
