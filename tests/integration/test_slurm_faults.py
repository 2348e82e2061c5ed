"""The Slurm engine when a site fails, hangs, forgets or lies."""

import http.server
import json
import os
import shlex
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from bed.machine import Daemon
from bed.slurm import Cluster
from engine_bench import (
    OTHER_USER,
    REACHING,
    USER,
    Bench,
    make_idle,
    phase,
    save_state,
    shared_folder,
    slurm_bench,
    slurm_options,
    slurm_site,
)
from tieline.control.ports import Engine, RunOrder, RunPhase
from tieline.engines.slurm import SlurmEngine
from tieline.model.errors import EngineUnavailable
from tieline.model.network import Pool, Site

POOL: Final = "s/mlu590"
TIMEOUT_S: Final = 2.0

Eventually = Callable[[Callable[[], object]], None]

_NUMBERS: Final = count()


@pytest.fixture
def cluster(slurm_clusters: Mapping[str, Cluster]) -> Iterator[Cluster]:
    """Give the cluster `gamma`; leave it idle, with all its servers running."""
    cluster = slurm_clusters["gamma"]
    yield cluster
    make_idle(cluster)


@pytest.fixture
def folder(cluster: Cluster) -> Path:
    """Give a new folder that the cluster shares."""
    return shared_folder(cluster, f"faults-{next(_NUMBERS)}")


def site_of(options: Mapping[str, str]) -> Site:
    """Give a site with short time-outs."""
    pools = (Pool(POOL, "s", "cambricon-mlu590", 4, 8, gres="gpu:mlu590"),)
    quick = {**options, "timeout": f"{TIMEOUT_S:g}"}
    return replace(slurm_site(quick), id="s", pools=pools)


@pytest.fixture(params=["slurm-cli", "slurm-rest", "slurm-ssh"])
def bench(
    request: pytest.FixtureRequest, cluster: Cluster, folder: Path, eventually: Eventually
) -> Bench:
    """Give a site for each way to a cluster."""
    site = site_of(REACHING[request.param](cluster, folder))
    return slurm_bench(cluster, site, folder, eventually)


@pytest.fixture
def engine(bench: Bench) -> Iterator[Engine]:
    """Give an engine on the site."""
    engine = bench.open()
    yield engine
    engine.close()


def order(command: str, run: str = "job.1", count: int = 1) -> RunOrder:
    """Give an order of one tenant."""
    return RunOrder(run, run.partition(".")[0], "lab-a", POOL, count, command)


@contextmanager
def stopped(cluster: Cluster, *servers: str) -> Iterator[None]:
    """Let servers hang."""
    for server in servers:
        cluster.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        for server in servers:
            cluster.kill(server, signal.SIGCONT)


def test_every_way_runs_jobs(bench: Bench, engine: Engine) -> None:
    """A job runs to its end whichever way its site is reached, ssh included."""
    engine.submit(order("id -un; exit 3"))
    assert bench.ended(engine, "job.1")[0].exit_code == 3
    assert engine.log("job.1") == b"games\n"
    assert engine.capacity() == {POOL: 32}
    engine.submit(order("sleep 100", "job.2"))
    engine.cancel("job.2")
    assert bench.ended(engine, "job.2")[0].phase is RunPhase.STOPPED


def test_unix_sockets(cluster: Cluster, folder: Path, eventually: Eventually) -> None:
    """A slurmrestd of the account itself needs no token; one of root runs nothing for it."""
    options = {**slurm_options(cluster, folder), "socket": str(cluster.shared / "{user}.sock")}
    bench = slurm_bench(cluster, site_of(options), folder, eventually)
    server = Daemon(
        cluster.machine,
        *("slurmrestd", "-f", str(cluster.conf), "-s", "openapi/v0.0.38", "-a", "rest_auth/local"),
        f"unix:{cluster.shared}/{USER}.sock",
        user=USER,
        environment={"SLURM_CONF": str(cluster.conf)},
        sees_us=True,
    )
    server.start()
    engine = bench.open()
    eventually(lambda: has_room(engine))
    engine.submit(order("id -un"))
    assert bench.ended(engine, "job.1")[0].phase is RunPhase.SUCCEEDED
    assert engine.log("job.1") == b"games\n"
    engine.close()
    server.kill()
    of_root = SlurmEngine(site_of({**options, "socket": str(cluster.rest_socket)}))
    bench.drive(of_root, order("touch ran", "job.2"))
    report = of_root.observe()["job.2"]
    assert report.phase is RunPhase.FAILED
    assert "belongs to another user than the one that is to run it" in report.detail
    assert not bench.exists("ran")()
    of_root.close()


def has_room(engine: Engine) -> bool:
    """Tell whether the site takes work."""
    with suppress(EngineUnavailable):
        return bool(engine.capacity())
    return False


@contextmanager
def in_time(longest_s: float = TIMEOUT_S) -> Iterator[None]:
    """Demand that what is done takes no longer than the engine's time-out."""
    began = time.monotonic()
    try:
        yield
    finally:
        assert time.monotonic() - began < longest_s + 2  # the machine is shared


@pytest.mark.parametrize("bench", ["slurm-cli", "slurm-rest"], indirect=True)
def test_a_hung_controller(cluster: Cluster, bench: Bench, engine: Engine) -> None:
    """While the controller hangs each call ends in time, and runs are still seen through."""
    engine.submit(order("echo line >> lines; sleep 1; exit 3"))
    bench.eventually(lambda: phase(engine) is RunPhase.RUNNING)
    with stopped(cluster, "slurmctld", "slurmrestd"):
        for call in (
            engine.capacity,
            lambda: engine.submit(order("echo line >> lines", "job.2")),
            lambda: engine.cancel("job.3"),
            engine.capacity,
            engine.observe,
        ):
            with in_time(), suppress(EngineUnavailable):
                call()
        with pytest.raises(EngineUnavailable, match=r"^site s"):
            engine.capacity()
        bench.eventually(lambda: phase(engine) is RunPhase.FAILED)
    bench.drive(engine, order("echo line >> lines", "job.2"))
    assert (bench.output / "lines").read_text() == "line\nline\n"


def test_a_hung_helper(bench: Bench, engine: Engine) -> None:
    """A helper that hangs is given up in time, and another one does its work."""
    engine.submit(order("touch up; sleep 100"))
    bench.eventually(bench.exists("up"))
    helpers = [pid for pid in children() if b"exec(compile(" in arguments(pid)]
    assert helpers
    for pid in helpers:
        os.kill(pid, signal.SIGSTOP)
    words = "its helper for user games does not answer"
    with in_time(), pytest.raises(EngineUnavailable, match=words):
        engine.observe()
    assert phase(engine) is RunPhase.RUNNING
    assert not [pid for pid in helpers if Path(f"/proc/{pid}").exists()]
    engine.cancel("job.1")
    bench.ended(engine, "job.1")


def children() -> list[int]:
    """Give the processes that this one has started."""
    lists = Path("/proc/self/task").glob("*/children")
    return [int(pid) for file in lists for pid in file.read_text().split()]


def arguments(pid: int) -> bytes:
    """Give the arguments of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def resume(cluster: Cluster) -> None:
    """Let nodes take jobs again; one may have come back by itself meanwhile."""
    with suppress(ChildProcessError):
        cluster.resume_nodes()


@pytest.mark.parametrize("bench", ["slurm-cli", "slurm-rest"], indirect=True)
def test_a_controller_that_forgets(cluster: Cluster, bench: Bench, engine: Engine) -> None:
    """When the controller is killed right after a submission, each job runs once all the same.

    It forgets jobs that it had taken, gives their ids to others, and starts some a second time.
    """
    save_state(cluster)
    orders = [
        order(f"echo line >> lines-{number}; sleep 2", f"job-{number}.1", 8) for number in range(6)
    ]
    for once in orders:
        engine.submit(once)
    cluster.kill("slurmctld")
    cluster.start("slurmctld")
    words = ("--wrap=sleep 1", "-J", "theirs", "-o", "/dev/null")
    cluster.run("sbatch", *words, user=OTHER_USER)  # may get the id of a forgotten one
    # Where it started one a second time, it takes the node out of service.
    bench.drive(engine, *orders, meanwhile=lambda: resume(cluster))
    written = [(bench.output / f"lines-{number}").read_text() for number in range(6)]
    assert written == ["line\n"] * 6
    assert {report.phase for report in engine.observe().values()} == {RunPhase.SUCCEEDED}


@pytest.mark.parametrize("bench", ["slurm-cli", "slurm-rest"], indirect=True)
def test_a_site_that_is_back(cluster: Cluster, bench: Bench, engine: Engine) -> None:
    """While the controller is down runs are seen from their files, and it is asked again later."""
    save_state(cluster)
    engine.submit(order("sleep 1; exit 3"))
    bench.eventually(lambda: phase(engine) is RunPhase.RUNNING)
    cluster.kill("slurmctld")
    try:
        bench.ended(engine, "job.1")
        with pytest.raises(EngineUnavailable):
            engine.submit(order("true", "job.2"))
    finally:
        cluster.start("slurmctld")
    bench.drive(engine, order("true", "job.2"))
    assert engine.observe()["job.2"].phase is RunPhase.SUCCEEDED


# ---------------------------------------------------------------------- hostile sites

ODD: Final[list[bytes]] = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"errors": 1}',
    b'{"errors": []}',
    b'{"errors": [null, 1, {"error": 5}, {"error": "\\u001b[31m$(reboot)"}]}',
    b'{"errors": [], "job_id": -1, "jobs": 3, "nodes": {}, "partitions": "x"}',
    b'{"errors": [], "job_id": "1; reboot", "jobs": [[], {"job_id": 1e999}], "nodes": [1]}',
    json.dumps(
        {
            "errors": [],
            "job_id": 7,
            "jobs": [{"job_id": 7, "name": "../../etc", "job_state": "$(reboot)"}],
            "nodes": [{"name": "../x", "state": "IDLE", "gres": "gpu:mlu590:99999999999"}],
            "partitions": [{"name": "a;b", "flags": ["default"], "state": "UP"}],
        }
    ).encode(),
]


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers every request with the same odd text."""

    content = b""

    def do_GET(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    do_POST = do_DELETE = do_GET  # noqa: N815 - named by the library

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Drip(Liar):
    """Sends a byte now and then, for ever."""

    def do_GET(self) -> None:
        """Answer without end."""
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                self.wfile.write(b"x")
                time.sleep(0.2)

    do_POST = do_DELETE = do_GET  # noqa: N815 - named by the library


class Flood(Liar):
    """Sends without end, as fast as it goes."""

    def do_GET(self) -> None:
        """Answer without end."""
        with suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                self.wfile.write(b"[" * (1 << 20))

    do_POST = do_DELETE = do_GET  # noqa: N815 - named by the library


@contextmanager
def serving(handler: type[Liar], pem: Path | None = None) -> Iterator[str]:
    """Give the address of a server that lies."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http{'s' * bool(pem)}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def call_all(engine: Engine) -> None:
    """Make every call; nothing is raised but that the site is not there, and all in time."""
    for call in (
        lambda: engine.submit(order("true")),
        engine.observe,
        engine.capacity,
        lambda: engine.cancel("job.1"),
        lambda: engine.log("job.1"),
        lambda: engine.forget(["job.1"]),
    ):
        with in_time(2 * TIMEOUT_S), suppress(EngineUnavailable):
            call()


def rest_engine(folder: Path, url: str) -> SlurmEngine:
    """Give an engine whose slurmrestd is at an address."""
    token = folder / "token"
    token.write_text("a.b.c")
    token.chmod(0o600)
    options = {"directory": str(folder), "url": url, "jwt_file": str(token)}
    return SlurmEngine(site_of(options))


@pytest.mark.parametrize("content", ODD)
def test_a_rest_server_that_lies(folder: Path, content: bytes) -> None:
    """Whatever slurmrestd answers, the site is unavailable at worst."""
    handler = type("Liar", (Liar,), {"content": content})
    with serving(handler) as url:
        engine = rest_engine(folder, url)
        call_all(engine)
        engine.close()


@pytest.mark.parametrize("handler", [Drip, Flood])
def test_a_rest_server_without_end(folder: Path, handler: type[Liar]) -> None:
    """An answer that never ends is given up in time, however it is drawn out."""
    with serving(handler) as url:
        engine = rest_engine(folder, url)
        call_all(engine)
        engine.close()


def certificate(folder: Path) -> Path:
    """Give a file with a key and a certificate for 127.0.0.1 that vouches for itself."""
    file = folder / "server.pem"
    words = ("-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test")
    extension = ("-addext", "subjectAltName=IP:127.0.0.1")
    key = folder / "server.key"
    command = ["/usr/bin/openssl", "req", *words, *extension, "-keyout", key, "-out", file]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    file.write_text(file.read_text() + key.read_text())
    return file


def test_an_encrypted_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slurmrestd behind TLS is reached when its certificate is good, and only then."""
    content = b'{"errors": [], "partitions": []}'
    handler = type("Liar", (Liar,), {"content": content})
    pem = certificate(folder)
    with serving(handler, pem) as url:
        engine = rest_engine(folder, url)
        with pytest.raises(EngineUnavailable, match="certificate verify failed"):
            engine.submit(order("true"))
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        with pytest.raises(EngineUnavailable, match="Slurm shows no partition"):
            engine.submit(order("true"))
        engine.close()


ANSWERS: Final[list[object]] = [
    [],
    {"done": 5},
    {"done": {}},
    {"refused": "\u001b[31m$(reboot)"},
    {
        "done": {
            "runs": {"../x": {}, "a.1": 7, "b.1": {"ended": {"phase": "x"}, "job": "$(reboot)"}},
            "gone": [1],
            "now": "x",
            "code": 0,
            "out": 1,
            "job": "; reboot",
            "data": "!",
        }
    },
]
HELPERS: Final = [
    *(f"while read -r x; do echo {shlex.quote(json.dumps(answer))}; done" for answer in ANSWERS),
    "cat > /dev/null",
    "exit 1",
    "head -c 3; echo; cat > /dev/null",
    "cat /dev/zero",
    "yes",
    "echo 'no such user' >&2; exit 1",
]


@pytest.mark.parametrize("script", HELPERS)
def test_a_helper_that_lies(folder: Path, script: str) -> None:
    """Whatever comes from the login node, the site is unavailable at worst."""
    program = folder / "python"
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)
    options = {"directory": str(folder), "python": str(program)}
    engine = SlurmEngine(site_of(options))
    call_all(engine)
    engine.close()


def test_links_in_run_directories(bench: Bench, engine: Engine) -> None:
    """What a job puts into the place of its files leads to nothing that is not its own."""
    engine.submit(order("true"))
    bench.ended(engine, "job.1")
    secret = bench.output.parent / "secret"
    secret.write_text('{"phase": "succeeded", "detail": "hush"}')
    secret.chmod(0o600)
    run = bench.runs / "job.1"
    for name in ("ended.json", "log", "slurm.json", "claim.json"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(secret)
    os.mkfifo(bench.runs / "pipe.1")
    (bench.runs / "a b").mkdir()
    (bench.runs / "link.1").symlink_to("/")
    again = bench.open()
    assert "hush" not in repr(again.observe())
    assert again.log("job.1") == b""
    again.forget(["job.1", "link.1", "pipe.1"])
    assert secret.exists()
    again.close()
