"""`tieline up` as a process: how it starts, what it refuses, how it ends and goes on."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from front import certificate
from tieline.cli.up import up
from tieline.client import Client, Unauthorised
from tieline.control.lifecycle import Status
from tieline.model.errors import InputError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.service.store_tokens import tokens_of

NETWORK: Final = """
name: solo
regions: [{id: east}]
sites:
  - id: one
    region: east
    engine: {kind: local}
    pools: [{accelerator: nvidia-h200-sxm, nodes: 1, accelerators_per_node: 4}]
"""
UP: Final = [sys.executable, "-c", "from tieline.cli.main import main; main()", "up"]
Eventually = Callable[[Callable[[], object]], None]

pytestmark = pytest.mark.timeout(300)  # on a new machine the kernels are compiled first


class Machine:
    """A user's machine: a home, a network file, and the control planes started on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.started: list[subprocess.Popen[str]] = []
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
        }
        (home / "solo.yaml").write_text(NETWORK)

    @property
    def note(self) -> Path:
        """Where the address of the control plane stands."""
        return self.home / "state/tieline/address"

    def up(self, *options: str) -> subprocess.Popen[str]:
        """Start a control plane."""
        process = subprocess.Popen(
            [*UP, "solo.yaml", *options],
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def serving(self) -> tuple[subprocess.Popen[str], Client]:
        """Start a control plane at a free port and give a client of it."""
        process = self.up("--listen", "127.0.0.1:0")
        assert process.stdout is not None
        found = re.search(r"http://\S+\d", process.stdout.readline())
        assert found, process.communicate(timeout=30)
        return process, Client(found.group())

    def refused(self, *options: str) -> tuple[int, str]:
        """Give exit code and complaint of a control plane that does not start."""
        process = self.up(*options)
        out, complaint = process.communicate(timeout=60)
        assert out == ""
        return process.returncode, complaint


@pytest.fixture
def machine(
    tmp_path: Path, eventually: Eventually, processes_of: Callable[[Path], list[int]]
) -> Iterator[Machine]:
    """Give a machine; afterwards nothing that was started on it is left."""
    machine = Machine(tmp_path)
    yield machine
    for process in machine.started:
        process.kill()
        process.communicate()
    for pid in processes_of(tmp_path):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: processes_of(tmp_path) == [])


def job(command: str) -> JobSpec:
    """Give a job of one accelerator."""
    return JobSpec("lab", Workload("hpc"), 1, {"cuda": command}, estimate_s=1.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_jobs_run_on_when_it_stops_and_are_taken_up_again(
    machine: Machine, eventually: Eventually, number: signal.Signals
) -> None:
    """Asked to end, it says so and leaves jobs alone; the next one sees them to their end."""
    process, client = machine.serving()
    with closing(client):
        (one,) = client.submit([job("until [ -e go ]; do sleep 0.05; done; echo done")])
        eventually(lambda: client.job(one.id).status is Status.RUNNING)
        assert machine.note.read_text().strip() == client.url
    process.send_signal(number)
    out, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (0, "")
    assert out == "stopped; 1 job runs on, the next `tieline up` goes on from here\n"
    assert not machine.note.exists()
    (machine.home / "go").touch()
    process, client = machine.serving()
    with closing(client):
        eventually(lambda: client.job(one.id).status is Status.SUCCEEDED)
        assert client.log(one.id) == b"done\n"
        assert [event.event for event in client.events(one.id).events] == [
            "submitted",
            "placed",
            "started",
            "succeeded",
        ]


def test_a_second_one_on_the_same_network_is_refused(machine: Machine) -> None:
    """Two control planes of one network would place the same jobs: the second is refused."""
    first, client = machine.serving()
    client.close()
    code, complaint = machine.refused("--listen", "127.0.0.1:0")
    assert code == 1
    assert "another control plane uses it" in complaint
    assert f"(process {first.pid})" in complaint
    assert complaint.count("\n") == 1
    first.kill()
    first.communicate()
    _, client = machine.serving()  # the lock of a killed one is free at once
    client.close()


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("nonsense", "write HOST:PORT"),
        ("127.0.0.1", "write HOST:PORT"),
        ("127.0.0.1:99999", "write HOST:PORT"),
        ("127.0.0.1:80/x", "write HOST:PORT"),
        ("0.0.0.0:8421", "others can reach it; needed: --access"),
        ("example.org:8421", "needed: --access .*; and --tls-cert and --tls-key"),
    ],
)
def test_an_address_that_cannot_be_is_refused(machine: Machine, listen: str, words: str) -> None:
    """What is no address, or an address that others can reach, is refused in one line."""
    network = str(machine.home / "solo.yaml")
    with pytest.raises(InputError, match=words) as refusal:
        up.main([network, "--listen", listen], standalone_mode=False)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--listen", "0.0.0.0:0", "--access", "access.yaml"), "needed: --tls-cert and --tls-key"),
        (("--listen", "0.0.0.0:0", "--behind-tls-proxy"), "needed: --access ACCESS.yaml"),
        (("--behind-tls-proxy",), "needed: --access ACCESS.yaml"),
        (("--tls-cert", "cert.pem"), "--tls-cert, --tls-key: give both or none"),
        (("--tls-cert", "no.pem", "--tls-key", "key.pem"), "--tls-cert no.pem: No such file"),
        (("--tls-cert", "cert.pem", "--tls-key", "access.yaml"), "no certificate in PEM with its"),
        (("--tls-cert", "cert.pem", "--tls-key", "locked.pem"), "without password"),
        (("--tls-cert", "cert.pem", "--tls-key", "key.pem", "--behind-tls-proxy"), "does TLS"),
        (("--api-only",), "--api-only: needs a --store that several processes share"),
        (("--access", "wrong.yaml"), "wrong.yaml:1: token: unknown field"),
        (("--access", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_a_front_that_does_not_fit_is_refused(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], words: str
) -> None:
    """What others can reach needs access rules and TLS; each lack is told in one line."""
    monkeypatch.chdir(machine.home)
    certificate(machine.home)
    Path("access.yaml").write_text("tokens: true")
    Path("wrong.yaml").write_text("token: true")
    with pytest.raises(InputError) as refusal:
        up.main(["solo.yaml", *options], standalone_mode=False)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_it_faces_a_network(machine: Machine) -> None:
    """With access rules and a certificate it is reached from elsewhere, by those who are known."""
    certificate(machine.home)
    (machine.home / "access.yaml").write_text("hosts: [127.0.0.1]")
    process = machine.up(
        *("--listen", "0.0.0.0:0", "--access", "access.yaml", "--dir", "state"),
        *("--tls-cert", "cert.pem", "--tls-key", "key.pem"),
        *("--log-format", "json", "--verbose"),
    )
    assert process.stdout is not None
    found = re.search(r"https://127\.0\.0\.1:\d+", process.stdout.readline())
    assert found, process.communicate(timeout=30)
    url = found.group()
    authority = str(machine.home / "cert.pem")
    with tokens_of(f"sqlite:///{machine.home}/state/tieline.db") as tokens:
        made = tokens.create_token("ann", "member", tenant="lab")
    with Client(url, ca=authority) as stranger, pytest.raises(Unauthorised):
        stranger.jobs()
    with Client(url, ca=authority, token=made.token) as client:
        assert client.whoami().tenant == "lab"
        (done,) = client.wait(client.submit([job("true")]))
        assert done.status is Status.SUCCEEDED
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=30)
    lines = [json.loads(line) for line in log.splitlines()]
    asked = [line for line in lines if line["event"] == "request"]
    assert {line["caller"] for line in asked} == {"ann", "-"}
    assert all(line["request"] and line["time"] and line["level"] for line in asked)
    assert made.token[20:] not in log


def test_a_port_in_use_is_told(machine: Machine) -> None:
    """When something else listens at the port, the complaint names it and the way out."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        code, complaint = machine.refused("--listen", listen)
    assert code == 2
    assert complaint == (
        f"tieline: --listen {listen}: Address already in use; port 0 takes a free one\n"
    )


def test_at_rest_it_uses_hardly_any_processor_time(
    machine: Machine, eventually: Eventually
) -> None:
    """With no job to look after it costs less than 5 % of a processor."""
    process, client = machine.serving()
    with closing(client):
        eventually(lambda: client.health().ok)
    before, begin = cpu_s(process.pid), time.monotonic()
    time.sleep(2.0)
    used = cpu_s(process.pid) - before
    assert used / (time.monotonic() - begin) < 0.05


def cpu_s(pid: int) -> float:
    """Give the processor time that a process has used [s]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
