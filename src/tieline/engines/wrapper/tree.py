"""The processes of a run: they hang together, and all of them can be ended."""
# Part of what is sent to sites (`bundle`).
# ruff: noqa: PTH123, PTH208

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from ctypes import CDLL

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def prctl(option: int, value: int) -> None:
    """Set an option of this process that Python has no name for."""
    if CDLL(None).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(f"prctl({option}) is refused here: processes cannot be held together")


def start_ticks(pid: int) -> int:
    """Give when the process started [clock ticks since boot]: with its id, its identity."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[19])


class Tree:
    """The processes below this one; `status` is that of the first, once it has ended."""

    def __init__(self, first: int) -> None:
        """Watch over the child `first` and everything that descends from it."""
        self.first = first
        self.status: int | None = None

    def reap(self) -> bool:
        """Collect the dead; tell whether anything is alive.

        This process is a subreaper: orphans of the tree become its children. So *no child
        is left* means *no descendant is left*, however they tried to get away.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.first:
                self.status = status

    def end(self, grace_s: float, meanwhile: Callable[[], object] = bool) -> None:
        """End every process: SIGTERM, and after the grace SIGKILL until none is left.

        `meanwhile` is called ten times a second.
        """
        kill_at = time.monotonic() + grace_s
        pause_s = 0.001
        if self.reap():
            _signal_descendants(signal.SIGTERM, signal.SIGCONT)
        while self.reap():
            if time.monotonic() >= kill_at:
                _signal_descendants(signal.SIGKILL)
            meanwhile()
            signal.sigtimedwait([signal.SIGCHLD], pause_s)
            pause_s = min(2 * pause_s, 0.1)


def _signal_descendants(*numbers: int) -> None:
    to_visit = [os.getpid()]
    for pid in to_visit:  # grows on the way
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                    to_visit += [int(child) for child in file.read().split()]
    for pid in to_visit[1:]:
        with suppress(ProcessLookupError, PermissionError):
            for number in numbers:
                os.kill(pid, number)
