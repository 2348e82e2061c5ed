"""The wrapper: claims one run, holds its accelerators, sees it through and records its end.

Started as `python -I -S wrapper.py RUN_DIRECTORY` with the run's lock, already taken, as file
descriptor 3. One file that needs nothing but Python on Linux.

    guard  --fork-->  keeper  --fork-->  /bin/sh -c COMMAND  -->  whatever it starts

The keeper does the work. The guard only waits: if the keeper is killed, the guard inherits
every process of the run and ends it, so that no command runs on unseen. Both hold the run's
lock and its accelerator slots, which the kernel frees when the last of them is gone:
*lock free* means *nothing of this run is alive*.
"""
# Start-up is most of what a wrapper costs: neither pathlib nor typing is imported here.
# ruff: noqa: PTH104, PTH108, PTH110, PTH118, PTH120, PTH123, PTH208

import errno
import fcntl
import json
import math
import os
import signal
import struct
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from ctypes import CDLL
from types import SimpleNamespace

# Files of a run directory.
ORDER = "order.json"  # what to run; written by the engine
LOCK = "lock"  # locked from before the wrapper starts until nothing is left of it
CLAIM = "claim.json"  # appears once: from here on the command may have run
STARTED = "started.json"
ENDED = "ended.json"  # the result
CANCEL = "cancel"  # empty; the run must end, or never start
LOG = "log"  # output and errors of the command

LOCK_FD = 3

_SLOT_MUTEX = 1 << 40  # byte of a slot file that is locked while slots are chosen
_SLOT_POLL_S = 0.02
_CANNOT_START = 126  # exit code of shells for a command that cannot be executed
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (signal.SIGCHLD, *_STOP_SIGNALS)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid


# Locks are open-file-description locks on single bytes: shared with forked processes, freed
# by the kernel and, unlike those of flock(2), looked at without being taken.


def _lock_call(fd: int, command: int, kind: int, byte: int, length: int = 1) -> int:
    request = struct.pack(_FLOCK, kind, os.SEEK_SET, byte, length, 0)
    answer: int = struct.unpack(_FLOCK, fcntl.fcntl(fd, command, request))[0]
    return answer


def try_lock(fd: int, byte: int = 0) -> bool:
    """Lock one byte of an open file without waiting; tell whether that succeeded."""
    try:
        _lock_call(fd, fcntl.F_OFD_SETLK, fcntl.F_WRLCK, byte)
    except BlockingIOError:
        return False
    return True


def is_locked(fd: int, byte: int = 0) -> bool:
    """Tell whether somebody else holds the lock of that byte, without touching it."""
    return _lock_call(fd, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, byte) != fcntl.F_UNLCK


def unlock(fd: int, byte: int = 0, length: int = 1) -> None:
    """Free bytes that this open file holds; length 0 means all from `byte` on."""
    _lock_call(fd, fcntl.F_OFD_SETLK, fcntl.F_UNLCK, byte, length)


def write_json(path: str, data: Mapping[str, object], *, durable: bool = False) -> None:
    """Write a file whole or not at all; a durable one also survives a loss of power."""
    temporary = f"{path}.{os.getpid()}.tmp"
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(data, file)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.rename(temporary, path)
    if durable:
        _sync_directory(os.path.dirname(path))


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


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

    def end(self, grace_s: float) -> None:
        """End every process: SIGTERM, and after the grace SIGKILL until none is left."""
        kill_at = time.monotonic() + grace_s
        pause_s = 0.001
        if self.reap():
            _signal_descendants(signal.SIGTERM, signal.SIGCONT)
        while self.reap():
            if time.monotonic() >= kill_at:
                _signal_descendants(signal.SIGKILL)
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


def _prctl(option: int, value: int) -> None:
    if CDLL(None).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(f"prctl({option}) is refused here: processes cannot be held together")


def choose_slots(free: Sequence[int], count: int, per_node: int) -> list[int]:
    """Choose `count` of the free slots, on as few nodes as can be; none when too few are free.

    Slot n lies on node n // per_node. What fits into one node goes where the least is left
    over, else the emptiest node is filled first; the lower node among equals.
    """
    if len(free) < count:
        return []
    nodes: dict[int, list[int]] = {}
    for slot in sorted(free):
        nodes.setdefault(slot // per_node, []).append(slot)
    chosen: list[int] = []
    while need := count - len(chosen):
        sizes = {node: len(slots) for node, slots in nodes.items()}
        best = min(sizes, key=lambda node: (sizes[node] < need, abs(sizes[node] - need)))
        chosen += nodes.pop(best)[:need]
    return sorted(chosen)


class Ended(Exception):  # noqa: N818 - the normal way out, not a fault
    """The run has come to its end; carries its result."""

    def __init__(self, phase: str, detail: str = "", exit_code: int | None = None) -> None:
        """Note a phase of `RunPhase`, plain words, and the exit code (128 + n for signal n)."""
        super().__init__(detail)
        self.phase = phase
        self.detail = detail
        self.exit_code = exit_code


class Keeper:
    """Takes one run from the claim to the end record."""

    def __init__(self, directory: str, order: SimpleNamespace, slots_fd: int) -> None:
        """Prepare the run in the directory; slot n of its pool is byte n of the slot file."""
        self.directory = directory
        self.order = order
        self.slots_fd = slots_fd
        self.started_at: float | None = None

    def run(self) -> None:
        """Claim the token, run the command to its end, free the slots, write the result."""
        if not self.claim():
            return
        try:
            if end := self.asked_to_end(timeout_s=0):
                raise end
            self.watch(self.start(self.take_slots()))
        except Ended as end:
            # Nothing is alive any more: whoever reads the result finds the slots free.
            unlock(self.slots_fd, length=0)
            self.write_result(end)

    def path(self, name: str) -> str:
        """Give the path of a file of this run."""
        return os.path.join(self.directory, name)

    def claim(self) -> bool:
        """Claim the token for this process; False when it was claimed before."""
        mine = self.path(f"{CLAIM}.{os.getpid()}")
        write_json(mine, {"pid": os.getpid(), "start": start_ticks(os.getpid())})
        try:
            os.link(mine, self.path(CLAIM))  # exclusive, and never seen half written
        except FileExistsError:
            return False
        finally:
            os.unlink(mine)
        _sync_directory(self.directory)
        return True

    def asked_to_end(self, timeout_s: float) -> Ended | None:
        """Wait for a signal; give the end it asks for, None when the run is to go on."""
        received = signal.sigtimedwait(_WATCHED, timeout_s)
        if os.path.exists(self.path(CANCEL)):
            return Ended("stopped", "cancelled" + " before it started" * (not self.started_at))
        if received and received.si_signo in _STOP_SIGNALS:
            name = signal.Signals(received.si_signo).name
            return Ended("vanished", f"the site ended its wrapper with {name}")
        return None

    def take_slots(self) -> list[int]:
        """Take the accelerators; when too few stay free, end the run before it starts."""
        order = self.order
        give_up = time.monotonic() + order.slot_wait_s
        available = 0
        while True:
            if try_lock(self.slots_fd, _SLOT_MUTEX):
                free = [slot for slot in range(order.capacity) if try_lock(self.slots_fd, slot)]
                chosen = choose_slots(free, order.count, order.per_node)
                for slot in set(free).difference(chosen):
                    unlock(self.slots_fd, slot)
                unlock(self.slots_fd, _SLOT_MUTEX)
                if chosen:
                    return chosen
                available = len(free)
            if end := self.asked_to_end(_SLOT_POLL_S):
                raise end
            if time.monotonic() >= give_up:
                raise Ended(
                    "failed",
                    f"{order.pool} has {available} accelerators free, {order.count} are needed; "
                    f"waited {order.slot_wait_s:.10g} s, nothing has run",
                )

    def start(self, slots: Sequence[int]) -> Tree:
        """Start the command and give its tree; end the run when that is impossible."""
        read_end, write_end = os.pipe()  # a successful exec closes it
        keeper = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                self.become_command(slots, keeper)
            except BaseException as problem:  # noqa: BLE001 - this copy must never return
                os.write(write_end, str(problem).encode())
            os._exit(_CANNOT_START)
        os.close(write_end)
        refusal = os.read(read_end, 4096).decode()
        os.close(read_end)
        tree = Tree(child)
        if refusal:
            tree.end(grace_s=0)
            raise Ended("failed", f"cannot start: {refusal}", _CANNOT_START)
        self.started_at = time.time()
        with suppress(OSError):  # a note for observers: no reason to end a run
            write_json(self.path(STARTED), {"at": self.started_at, "accelerators": slots})
        return tree

    def become_command(self, slots: Iterable[int], keeper: int) -> None:
        """Turn this process into the user's command; returns only when the keeper is gone."""
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:  # it went before the line above
            return
        order = self.order
        environment = {
            **os.environ,
            **order.env,
            "TIELINE_ACCELERATOR": order.accelerator,
            "TIELINE_ACCELERATORS": ",".join(map(str, slots)),
            "TIELINE_ATTEMPT": str(order.attempt),
            "TIELINE_JOB": order.job_id,
            "TIELINE_POOL": order.pool,
            "TIELINE_RUN": self.directory,
            "TIELINE_TENANT": order.tenant,
            "TIELINE_TOKEN": order.token,
        }
        log = os.open(self.path(LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.chdir(order.workdir)
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve("/bin/sh", ["sh", "-c", order.command], environment)  # noqa: S606 - is one

    def watch(self, tree: Tree) -> None:
        """Wait for the end of the command or bring it about, end what is left, give the result."""
        limit_s: float | None = self.order.time_limit_s
        end_at = math.inf if limit_s is None else time.monotonic() + limit_s
        end = None
        while tree.reap() and tree.status is None and end is None:
            left_s = end_at - time.monotonic()
            if left_s > 0:
                end = self.asked_to_end(min(left_s, 3600.0))
            else:
                end = Ended("failed", f"time limit of {limit_s:.10g} s")
        tree.end(self.order.grace_s)
        code = os.waitstatus_to_exitcode(tree.status or 0)
        if end is None and code < 0:
            end = Ended("failed", f"killed by signal {-code}")
        elif end is None:
            end = Ended("failed" if code else "succeeded")
        end.exit_code = code if code >= 0 else 128 - code
        raise end

    def write_result(self, end: Ended) -> None:
        """Write the end record durably; waits while the disk is full."""
        record = {
            "phase": end.phase,
            "started_at": self.started_at,
            "ended_at": time.time(),
            "exit_code": end.exit_code,
            "detail": end.detail,
        }
        while True:
            try:
                return write_json(self.path(ENDED), record, durable=True)
            except OSError as problem:
                if problem.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
            time.sleep(1.0)


def main(directory: str) -> None:
    """Run the order in the directory, under a guard and a keeper."""
    os.set_inheritable(LOCK_FD, False)
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # among them that of the listing itself, closed by now
            os.close(fd if fd > LOCK_FD else -1)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    with open(os.path.join(directory, ORDER), encoding="utf-8") as file:
        order = SimpleNamespace(**json.load(file))
    slots_fd = os.open(order.slots, os.O_RDWR | os.O_CREAT, 0o600)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.fork()
    if keeper == 0:
        os.setsid()  # a signal to the process group of one does not reach the other
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        Keeper(directory, order, slots_fd).run()
        return
    tree = Tree(keeper)
    while tree.status is None:
        signal.sigwaitinfo([signal.SIGCHLD])
        tree.reap()
    tree.end(grace_s=0)


if __name__ == "__main__":
    main(sys.argv[1])
    os._exit(0)  # leave the memory to the kernel: a tidy interpreter exit costs milliseconds
