"""The real control plane of the demo: a process of its own, in a folder of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from tieline.client import Client, NoControlPlane
from tieline.control.lifecycle import Status
from tieline.model.errors import TielineError

#: How long the control plane may take to start [s]: on a first run it compiles the kernels.
_START_S: Final = 120.0
#: How long the jobs may take to end once they were asked to [s].
_END_S: Final = 15.0
_POLL_S: Final = 0.1
_MAIN: Final = "from tieline.cli.main import main; main()"


@contextmanager
def serving(network_file: Path, folder: Path, policy: str) -> Iterator[Client]:
    """Give a client of a control plane that serves the network until the block ends.

    Nothing is left running: however the block ends, its jobs are ended, then the process.
    """
    command = [sys.executable, "-c", _MAIN, "up", str(network_file)]
    command += ["--listen", "127.0.0.1:0", "--dir", str(folder / "network"), "--policy", policy]
    log = folder / "up.log"
    with log.open("wb") as output, _termination_raises():
        # A session of its own: Ctrl-C is for this process, which then ends the jobs first.
        process = subprocess.Popen(  # noqa: S603 - ourselves
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"XDG_STATE_HOME": str(folder)},
            start_new_session=True,
        )
        try:
            with _connected(process, folder / "tieline" / "address", log) as client:
                try:
                    yield client
                finally:
                    with suppress(TielineError):
                        _end_jobs(client)
        finally:
            _end(process)


def _connected(process: subprocess.Popen[bytes], note: Path, log: Path) -> Client:
    """Wait until the control plane, which leaves its address in the note, answers."""
    give_up = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < give_up:
        if note.exists():
            client = Client(note.read_text(encoding="utf-8").strip())
            with suppress(NoControlPlane):
                client.health()
                return client
            client.close()
        time.sleep(_POLL_S)
    said = log.read_text(encoding="utf-8", errors="replace").strip()
    raise TielineError(f"the control plane did not start: {said or 'it said nothing'}")


def _end_jobs(client: Client) -> None:
    alive = [status for status in Status if not status.ended]
    give_up = time.monotonic() + _END_S
    for job in client.jobs(status=alive, limit=1000):
        if time.monotonic() < give_up:  # each call has a patience of its own
            client.cancel(job.id)
    while client.jobs(status=alive, limit=1) and time.monotonic() < give_up:
        time.sleep(_POLL_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _termination_raises() -> Iterator[None]:
    """Turn a request to terminate into an exception, so that what was begun is undone."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        del frame
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
