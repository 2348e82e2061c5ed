"""Fetching public traces, from a real server on this machine."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from tieline.model.errors import InputError
from tieline.traces import download as module
from tieline.traces.download import PUBLIC, DownloadError, PublicTrace, download
from tieline.traces.registry import FORMATS

BODY = b"submit_s,duration_s,count\n0,60,1\n" * 4000
SMALL = PublicTrace(
    path="someone/repository/0123456789012345678901234567890123456789/jobs.csv",
    file="jobs.csv",
    bytes=len(BODY),
    sha256=hashlib.sha256(BODY).hexdigest(),
    format="native",
    about="a test",
    licence="none",
    cite="nobody",
)
Answer = Callable[[BaseHTTPRequestHandler], None]


def whole(handler: BaseHTTPRequestHandler, body: bytes = BODY) -> None:
    """Answer with a file."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serve(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """Run a server that answers every request this way; give its address and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish a small file under the name `small`."""
    monkeypatch.setattr(module, "PUBLIC", {"small": SMALL})


@pytest.mark.usefixtures("small")
def test_a_file_is_fetched_checked_and_kept(tmp_path: Path) -> None:
    """The file arrives whole under its name; a second call asks nobody."""
    seen: list[tuple[int, int]] = []
    with serve(whole) as (url, asked):
        path = download(
            "small", tmp_path / "new", base_url=url + "/", on_bytes=lambda *n: seen.append(n)
        )
        assert path.read_bytes() == BODY
        assert download("small", tmp_path / "new", base_url=url) == path
    assert asked == [f"/{SMALL.path}"]
    assert seen[-1] == (len(BODY), len(BODY))
    assert [one.name for one in path.parent.iterdir()] == ["jobs.csv"]


@pytest.mark.usefixtures("small")
def test_a_file_that_was_changed_is_fetched_again(tmp_path: Path) -> None:
    """What is there is kept only with the right checksum."""
    (tmp_path / "jobs.csv").write_bytes(BODY[:-1])
    with serve(whole) as (url, asked):
        assert download("small", tmp_path, base_url=url).read_bytes() == BODY
    assert len(asked) == 1


def fetch_philly(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user behind a mirror does."""
    command = "from tieline.cli.main import main; main()"
    arguments = ["trace", "download", "philly", "--json", "--to", str(folder), "--mirror", url]
    return subprocess.run(
        [sys.executable, "-c", command, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    """Promise a whole file and close the connection after half."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    handler.wfile.write(BODY[: len(BODY) // 2])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda handler: handler.send_error(404), "the server answers 404"),
        (cut_short, "cannot be reached .*closed"),
        (
            lambda handler: whole(handler, BODY[:-9]),
            f"sent {len(BODY) - 9:,} of {len(BODY):,} bytes; try",
        ),
        (
            lambda handler: whole(handler, BODY + b"x"),
            f"more than the {len(BODY):,} bytes it should",
        ),
        (lambda handler: whole(handler, b"x" + BODY[1:]), "is not the file it was .sha256"),
    ],
    ids=["missing", "cut short", "too short", "too long", "changed"],
)
def test_a_bad_answer_leaves_nothing(answer: Answer, message: str, tmp_path: Path) -> None:
    """An answer that is not the file gives one line and leaves no file behind."""
    with serve(answer) as (url, _), pytest.raises(DownloadError, match=message) as caught:
        download("small", tmp_path, base_url=url)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says nothing is left after the time limit."""
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    done = threading.Event()

    def silent(handler: BaseHTTPRequestHandler) -> None:
        del handler
        done.wait(20)

    with serve(silent) as (url, _):
        with pytest.raises(DownloadError, match=r"cannot be reached .*timed out"):
            download("small", tmp_path, base_url=url)
        done.set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_slow_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that trickles is left when the whole file takes too long."""
    monkeypatch.setattr(module, "DEADLINE_S", 0.2)
    done = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        for _ in range(1000):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return
            if done.wait(0.02):
                return

    with serve(trickle) as (url, _):
        with pytest.raises(DownloadError, match="not here after 0 s"):
            download("small", tmp_path, base_url=url)
        done.set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Where the folder is a file, the error names it."""
    (tmp_path / "taken").write_text("")
    with serve(whole) as (url, _), pytest.raises(InputError, match=r"taken.*cannot be written"):
        download("small", tmp_path / "taken", base_url=url)


def test_the_command_says_when_there_is_no_network(tmp_path: Path) -> None:
    """Nobody answers: one line, code 1, no file."""
    with serve(whole) as (url, _):
        pass  # the port is free again: nobody listens there
    run = fetch_philly(tmp_path, url)
    assert (run.returncode, run.stdout) == (1, "")
    assert "cannot be reached" in run.stderr
    assert run.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_fetches_the_real_file(traces: Path, tmp_path: Path) -> None:
    """Served from a mirror, Philly passes its checksum; licence and source are told."""
    packed = traces / "philly_jobs" / "philly.csv.zst"
    body = "\n".join(pl.read_lines(packed)["line"]).encode() + b"\n"
    with serve(lambda handler: whole(handler, body)) as (url, asked):
        run = fetch_philly(tmp_path, url)
    found = json.loads(run.stdout)
    assert asked == [f"/{PUBLIC['philly'].path}"]
    assert "CC-BY-4.0" in found["licence"]
    assert "ATC '19" in found["cite"]
    assert (tmp_path / "philly.csv").read_bytes() == body


def test_public_traces_are_fixed_and_readable() -> None:
    """Each has a full commit, size, checksum, licence, citation and a known format."""
    for name, public in PUBLIC.items():
        commit = public.path.split("/")[2]
        assert len(commit) == 40, name
        assert int(commit, 16), name
        assert len(public.sha256) == 64, name
        assert public.bytes > 0, name
        assert public.format in FORMATS, name
        assert public.licence, name
        assert public.cite, name
