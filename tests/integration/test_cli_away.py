"""A control plane that goes away, and one that asks who one is, as the command line sees them."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from terminal import JOB, NETWORK, Terminal
from tieline.client import Client

TIELINE = str(Path(sys.executable).with_name("tieline"))
Eventually = Callable[[Callable[[], object]], None]


class Served:
    """A control plane at an address that it keeps, which may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as door:
            self.port = door.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def up(self, *options: str) -> None:
        """Start it."""
        listen = ("--listen", f"127.0.0.1:{self.port}", "--dir", str(self.folder / "state"))
        self.process = subprocess.Popen(
            [TIELINE, "up", "network.yaml", *listen, *options],
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        assert self.process.stdout is not None
        assert " is up at " in self.process.stdout.readline()

    def end(self, number: int) -> None:
        """End it with a signal."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.communicate(timeout=30)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Give a control plane that is not up yet, and let the commands talk to it."""
    (tmp_path / "network.yaml").write_text(NETWORK)
    job = JOB.format(command='"true"', name="short", count=1, sensitivity="open")
    (tmp_path / "short.yaml").write_text(job)
    found = Served(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("TIELINE_URL", found.url)
    for name in ("TIELINE_TOKEN", "TIELINE_CA"):
        monkeypatch.delenv(name, raising=False)
    yield found
    found.end(signal.SIGTERM)


@pytest.fixture
def tieline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Give a terminal."""
    return Terminal(capsys, monkeypatch)


def test_following_goes_on_over_a_restart(served: Served, tmp_path: Path) -> None:
    """Who follows a job misses nothing when the control plane is killed and started again."""
    served.up()
    command = f"echo before; until test -e {tmp_path}/go; do sleep 0.1; done; echo after"
    text = JOB.format(command=f'"{command}"', name="long", count=1, sensitivity="open")
    (tmp_path / "long.yaml").write_text(text)
    process = subprocess.Popen(
        [TIELINE, "submit", "long.yaml", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "before\n"
    served.end(signal.SIGKILL)
    (tmp_path / "go").touch()
    served.up()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "after\n")
    steps = [line.split(" ", 2)[2] for line in err.splitlines()[1:]]
    assert steps[:3] == ["submitted", "placed on one/nvidia-h200-sxm", "started"]
    assert steps[-1] == "succeeded with exit code 0"


def test_who_is_not_known_is_told_what_to_do(served: Served, tieline: Terminal) -> None:
    """Without a token, with a false one and with too weak a one, one line says what helps."""
    store = f"sqlite:///{served.folder}/state/tieline.db"
    (served.folder / "access.yaml").write_text("tokens: true\n")
    served.up("--access", "access.yaml")
    tokens = {
        role: tieline("token", "create", "--store", store, "--name", role, *options).out.strip()
        for role, options in {
            "operator": ("--role", "operator"),
            "member": ("--role", "member", "--tenant", "lab"),
        }.items()
    }
    ran = tieline("jobs")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "set TIELINE_TOKEN, or write the token into the file" in ran.err

    tieline.monkeypatch.setenv("TIELINE_TOKEN", tokens["member"][:-4] + "0000")
    ran = tieline("whoami")
    assert (ran.code, ran.out) == (1, "")
    assert tokens["member"][:-4] not in ran.err

    tieline.monkeypatch.delenv("TIELINE_TOKEN")
    file = served.folder / "tieline" / "token"
    file.parent.mkdir(exist_ok=True)
    file.write_text(tokens["member"])
    file.chmod(0o600)
    assert tieline.good("whoami").out == "member: member of tenant lab\n"
    assert re.match(r"job-000001 ", tieline.good("submit", "short.yaml", "--wait").out)
    assert "short" in tieline.good("jobs").out
    ran = tieline("site", "drain", "one")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)

    with Client(served.url, token=tokens["operator"]) as operator:
        assert operator.drain("one").state == "drained"
        (kept,) = [token.id for token in operator.tokens() if token.role == "member"]
        operator.revoke_token(kept)
        events = [event.event for event in operator.each_event()]
        assert {"submitted", "site-drained", "token-revoked"} <= set(events)
    ran = tieline("jobs")
    assert (ran.code, ran.out) == (1, "")
