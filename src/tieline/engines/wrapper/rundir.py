"""A run directory of this machine, as its engine sees it.

The engine writes `order.json` and `cancel`, the wrapper all the rest.
"""

import errno
import os
import signal
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tieline.control.ports import RunPhase, RunReport
from tieline.engines.wrapper.files import (
    CANCEL,
    CLAIM,
    ENDED,
    LOCK,
    LOG,
    ORDER,
    STARTED,
    read_file,
    read_record,
    write_json,
)
from tieline.engines.wrapper.slots import is_locked, try_lock
from tieline.engines.wrapper.tree import start_ticks

#: Phases after which nothing more can happen to a run.
ENDED_PHASES: Final = frozenset(
    {
        RunPhase.SUCCEEDED,
        RunPhase.FAILED,
        RunPhase.STOPPED,
        RunPhase.EVICTED,
        RunPhase.VANISHED,
    }
)

_MAX_DETAIL: Final = 1000
_LAST_MOMENT_S: Final = 253_402_300_799.0
"""End of the year 9999: what comes after cannot be shown as a date."""
_MARK: Final = b"TIELINE_RUN="


class RunDirectory:
    """One run: whether it is alive, what became of it, its output."""

    def __init__(self, path: Path) -> None:
        """Look at the run in the directory, which need not exist."""
        self.path = path

    @contextmanager
    def lock(self) -> Iterator[int | None]:
        """Make the directory and hold the run's lock; None when something of it is alive.

        A wrapper that inherits the file descriptor goes on holding the lock.
        """
        self.path.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            yield fd if try_lock(fd) else None
        finally:
            os.close(fd)

    def may_start(self) -> bool:
        """Tell whether the run is neither claimed nor cancelled."""
        return not any((self.path / name).exists() for name in (CLAIM, CANCEL))

    def write_order(self, order: Mapping[str, object]) -> None:
        """Write what the wrapper is to run."""
        write_json(str(self.path / ORDER), order)

    def report(self, token: str) -> RunReport | None:
        """Give what is known of the run; None when it was never started and never will be."""
        # Look at the lock first: it is freed only after the end record is written.
        alive = self._is_alive()
        ended = self._record(ENDED)
        if ended is not None:
            return ended_report(token, ended)
        started = self._record(STARTED)
        started_at = number(started, "at")
        if alive:
            phase = RunPhase.ACCEPTED if started is None else RunPhase.RUNNING
            return RunReport(token, phase, started_at)
        if (self.path / CLAIM).exists():
            detail = "its wrapper was killed"
            return RunReport(token, RunPhase.VANISHED, started_at, detail=detail)
        if (self.path / CANCEL).exists():
            return RunReport(token, RunPhase.STOPPED, detail="cancelled before it started")
        return None

    def request_end(self) -> None:
        """Mark the run as cancelled and wake its wrapper; a run without one never starts."""
        # The mark comes before the look at the claim, and the wrapper claims before it looks
        # for the mark: at least one of the two sees the other.
        self.path.mkdir(mode=0o700, exist_ok=True)
        if (self.path / ENDED).exists():
            return
        (self.path / CANCEL).touch(mode=0o600)
        claim = self._record(CLAIM)
        if claim and self._is_alive():
            _terminate(claim.get("pid"), claim.get("start"))

    def log(self, offset: int, limit: int) -> bytes:
        """Give at most `limit` bytes of output from `offset` on."""
        return read_file(str(self.path / LOG), limit, offset) or b""

    def _is_alive(self) -> bool:
        try:
            fd = os.open(self.path / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR}:
                return False
            raise
        try:
            return is_locked(fd)
        finally:
            os.close(fd)

    def _record(self, name: str) -> Mapping[str, object] | None:
        return read_record(str(self.path / name))


def end_strays(runs: Collection[str]) -> set[str]:
    """Kill what is left of runs that nobody guards any more; give those that had anything left.

    Needed only when both processes of a wrapper were killed at once. Processes are known by
    the run directory in their environment. Cost: one pass over all processes of the machine.
    """
    found = set()
    for entry in Path("/proc").iterdir():
        pid = int(entry.name) if entry.name.isdecimal() else 0
        run = _marked_run(pid)
        if run not in runs:
            continue
        with suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            try:
                if _marked_run(pid) == run:  # the same process still
                    found.add(run)
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)
    return found


def _marked_run(pid: int) -> str:
    with suppress(OSError):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        for item in environment.split(b"\0") if _MARK in environment else ():
            if item.startswith(_MARK):
                return os.fsdecode(item.removeprefix(_MARK))
    return ""


def _terminate(pid: object, start: object) -> None:
    if not isinstance(pid, int) or pid <= 1:
        return
    with suppress(ProcessLookupError, FileNotFoundError, OverflowError):
        process = os.pidfd_open(pid)
        try:
            if start_ticks(pid) == start:  # else the id was given to another process
                signal.pidfd_send_signal(process, signal.SIGTERM)
        finally:
            os.close(process)


def ended_report(token: str, record: Mapping[str, object]) -> RunReport:
    """Give what an end record says, whatever is in it."""
    phase, detail, code = (record.get(key) for key in ("phase", "detail", "exit_code"))
    if not isinstance(phase, str) or phase not in ENDED_PHASES or not isinstance(detail, str):
        return RunReport(token, RunPhase.FAILED, detail="its end record is damaged")
    return RunReport(
        token,
        RunPhase(phase),
        started_at=number(record, "started_at"),
        ended_at=number(record, "ended_at"),
        exit_code=code if isinstance(code, int) and code in range(256) else None,
        detail=printable(detail),
    )


def printable(text: str) -> str:
    """Give the text as it can be shown: on one line, not too long."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:_MAX_DETAIL])


def number(record: Mapping[str, object] | None, key: str) -> float | None:
    """Give a moment that a record may hold; None when it does not."""
    value = (record or {}).get(key)
    return value if isinstance(value, float) and 0 <= value <= _LAST_MOMENT_S else None
