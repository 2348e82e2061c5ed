"""The wrapper: claims one run, sees it through and records its end.

Started as `python -I -S WRAPPER RUN_DIRECTORY`, by an engine of this machine or by the scheduler
of a site. WRAPPER is one file that needs nothing but Python 3.9 on Linux (`bundle`).

    guard  --fork-->  keeper  --fork-->  /bin/sh -c COMMAND  -->  whatever it starts

The keeper does the work. The guard only waits: if the keeper is killed, the guard inherits
every process of the run and ends it, so that no command runs on unseen.

A run of this machine comes with its lock, already taken, as file descriptor 3. Both processes
hold it and the accelerators, and the kernel frees them when the last is gone: *lock free* means
*nothing of this run is alive*. A run at a site has a lease instead: see `Pulse`.
"""
# Start-up is most of what a wrapper costs: neither pathlib nor typing is imported here.
# ruff: noqa: PTH110, PTH116, PTH118, PTH123, PTH208

import errno
import json
import math
import os
import signal
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

from tieline.engines.wrapper.files import (
    CANCEL,
    CLAIM,
    ENDED,
    EVICTING,
    LOG,
    ORDER,
    PULSE,
    STARTED,
    TRY_AGAIN,
    read_record,
    write_json,
)
from tieline.engines.wrapper.pulse import Pulse
from tieline.engines.wrapper.slots import Slots
from tieline.engines.wrapper.tree import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    Tree,
    prctl,
    start_ticks,
)

LOCK_FD = 3

_SLOT_POLL_S = 0.02
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLAIM_TRIES = 30  # one a second
_SETTLE_S = 0.1  # a site that ends a run signals all its processes, but not all at one moment
_CANNOT_START = 126  # exit code of shells for a command that cannot be executed
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (signal.SIGCHLD, *_STOP_SIGNALS)
_DEFAULTS = {"slots": None, "lease_s": None, "site_lease": None, "poll_s": 3600.0}
#: Where schedulers say which accelerators a job was given; the first that is set counts.
_GIVEN = (
    "CUDA_VISIBLE_DEVICES",
    "ASCEND_RT_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "MLU_VISIBLE_DEVICES",
    "SLURM_JOB_GPUS",
)


class Ended(Exception):  # noqa: N818 - the normal way out, not a fault
    """The run has come to its end; carries its result."""

    def __init__(self, phase: str, detail: str = "", exit_code: int | None = None) -> None:
        """Note a phase of `RunPhase`, plain words, and the exit code (128 + n for signal n)."""
        super().__init__(detail)
        self.phase = phase
        self.detail = detail
        self.exit_code = exit_code
        self.grace_s: float | None = None
        """Where it differs from that of the order."""


class Keeper:
    """Takes one run from the claim to the end record."""

    def __init__(
        self, directory: str, order: SimpleNamespace, slots: Slots | None, pulse: Pulse | None
    ) -> None:
        """Prepare the run in the directory.

        It takes slots unless a scheduler has given it accelerators, and has a pulse where it
        has a lease.
        """
        self.directory = directory
        self.order = order
        self.slots = slots
        self.pulse = pulse
        self.started_at: float | None = None

    def run(self) -> None:
        """Claim the token, run the command to its end, free the slots, write the result."""
        if not self.claim():
            return
        try:
            if end := self.unwanted() or self.asked_to_end(timeout_s=0):
                raise end
            self.watch(self.start(self.accelerators()))
        except Ended as end:
            # Nothing is alive any more: whoever reads the result finds the slots free.
            if self.slots:
                self.slots.free()
            self.write_result(end)

    def path(self, name: str) -> str:
        """Give the path of a file of this run."""
        return os.path.join(self.directory, name)

    def claim(self) -> bool:
        """Claim the token for this process; False when it was claimed before, or cancelled.

        While the disk is full it is tried again; after a while the wrapper gives up with
        `TRY_AGAIN`. Nothing runs without a durable claim.
        """
        claim = {
            "pid": os.getpid(),
            "start": start_ticks(os.getpid()),
            "host": os.uname().nodename,
            "restarts": os.environ.get("SLURM_RESTART_COUNT", "0"),
        }
        for _ in range(_CLAIM_TRIES):
            try:
                if self.pulse:
                    self.pulse.begin()
                return write_json(self.path(CLAIM), claim, durable=True, exclusive=True)
            except OSError as problem:
                if problem.errno not in _FULL:
                    raise
            if self.pulse:
                self.pulse.renew()
            if self.asked_to_end(1.0):
                return False
        raise SystemExit(TRY_AGAIN)

    def asked_to_end(self, timeout_s: float) -> Ended | None:
        """Wait for a signal; give the end it asks for, None when the run is to go on.

        Comes back early, at the pace at which marks of the engine are looked for.
        """
        received = signal.sigtimedwait(_WATCHED, min(timeout_s, self.order.poll_s))
        if os.path.exists(self.path(CANCEL)):
            return Ended("stopped", "cancelled" + " before it started" * (not self.started_at))
        if received and received.si_signo in _STOP_SIGNALS:
            return _evicted(received.si_signo)
        if self.pulse and self.pulse.beat():
            if os.path.exists(self.path(ENDED)):  # written by an engine, after a long silence
                return Ended("vanished", "it was given up")
            return self.unwanted()
        return None

    def unwanted(self) -> Ended | None:
        """Give the end of a run whose site has not heard from the control plane for its lease."""
        if self.order.site_lease is None:
            return None
        until = (read_record(self.order.site_lease) or {}).get("until")
        if isinstance(until, float) and time.time() + self.order.lease_grace_s < until:
            return None
        end = Ended("evicted", "the site has not heard from the control plane for its lease")
        end.grace_s = self.order.lease_grace_s
        return end

    def accelerators(self) -> str:
        """Take accelerators, or give those that the site's scheduler chose.

        The run ends before it starts when too few stay free.
        """
        order = self.order
        if self.slots is None:
            return next((os.environ[name] for name in _GIVEN if os.environ.get(name)), "")
        give_up = time.monotonic() + order.slot_wait_s
        while True:
            if chosen := self.slots.take(order.count):
                return ",".join(map(str, chosen))
            if end := self.asked_to_end(_SLOT_POLL_S):
                raise end
            if time.monotonic() >= give_up:
                raise Ended(
                    "failed",
                    f"{order.pool} has {self.slots.available} accelerators free, {order.count} "
                    f"are needed; waited {order.slot_wait_s:.10g} s, nothing has run",
                )

    def start(self, accelerators: str) -> Tree:
        """Start the command and give its tree; end the run when that is impossible."""
        read_end, write_end = os.pipe()  # a successful exec closes it
        keeper = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                self.become_command(accelerators, keeper)
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
            write_json(self.path(STARTED), {"at": self.started_at, "accelerators": accelerators})
        return tree

    def become_command(self, accelerators: str, keeper: int) -> None:
        """Turn this process into the user's command; returns only when the keeper is gone."""
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:  # it went before the line above
            return
        order = self.order
        environment = {
            **os.environ,
            **order.env,
            "TIELINE_ACCELERATOR": order.accelerator,
            "TIELINE_ACCELERATORS": accelerators,
            "TIELINE_ATTEMPT": str(order.attempt),
            "TIELINE_JOB": order.job_id,
            "TIELINE_POOL": order.pool,
            "TIELINE_RUN": self.directory,
            "TIELINE_TENANT": order.tenant,
            "TIELINE_TOKEN": order.token,
        }
        environment.pop("SLURM_JWT", None)  # slurmrestd hands the token that it was asked with on
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
                end = self.asked_to_end(left_s)
            else:
                end = Ended("failed", f"time limit of {limit_s:.10g} s")
        if self.pulse:
            end = end or self.settled()
            if end and end.phase == "evicted":
                with suppress(OSError):  # it may be killed before it can record its end
                    write_json(self.path(EVICTING), {"detail": end.detail})
        grace_s = self.order.grace_s if end is None or end.grace_s is None else end.grace_s
        tree.end(grace_s, self.pulse.beat if self.pulse else bool)
        code = os.waitstatus_to_exitcode(tree.status or 0)
        if end is None and code < 0:
            end = Ended("failed", f"killed by signal {-code}")
        elif end is None:
            end = Ended("failed" if code else "succeeded")
        end.exit_code = code if code >= 0 else 128 - code
        raise end

    def settled(self) -> Ended | None:
        """Give the end that the site asked for when the command was a little faster than us."""
        received = signal.sigtimedwait(_STOP_SIGNALS, _SETTLE_S)
        if received is None:
            return None
        if os.path.exists(self.path(CANCEL)):
            return Ended("stopped", "cancelled")
        return _evicted(received.si_signo)

    def write_result(self, end: Ended) -> None:
        """Write the end record durably; waits while the disk is full.

        One that is there stays: an engine that had given up the run has written it.
        """
        record = {
            "phase": end.phase,
            "started_at": self.started_at,
            "ended_at": time.time(),
            "exit_code": end.exit_code,
            "detail": end.detail,
        }
        while True:
            try:
                write_json(self.path(ENDED), record, durable=True, exclusive=True)
            except OSError as problem:
                if problem.errno not in _FULL:
                    raise
            else:
                return
            if self.pulse:
                self.pulse.beat()
            time.sleep(min(1.0, self.order.poll_s))


def _evicted(number: int) -> Ended:
    return Ended("evicted", f"the site ended its wrapper with {signal.Signals(number).name}")


def guard(keeper: int, pulse: Pulse | None) -> int:
    """Wait for the keeper, end what it leaves; give the exit code of this program."""
    tree = Tree(keeper)
    while tree.status is None:
        left_s = pulse.left_s() if pulse else 3600.0
        if left_s <= 0:
            break
        received = signal.sigtimedwait(_WATCHED, left_s)
        if received and received.si_signo in _STOP_SIGNALS:
            os.kill(keeper, signal.SIGTERM)
        tree.reap()
    tree.end(grace_s=0)
    code = os.waitstatus_to_exitcode(tree.status or 0)
    return code if code >= 0 else TRY_AGAIN


def main(directory: str) -> int:
    """Run the order in the directory, under a guard and a keeper; give the exit code."""
    with open(os.path.join(directory, ORDER), encoding="utf-8") as file:
        order = SimpleNamespace(**{**_DEFAULTS, **json.load(file)})
    if os.stat(directory).st_uid != os.geteuid():
        raise SystemExit(f"{directory} belongs to another user than the one that is to run it")
    highest = LOCK_FD if order.slots else 2
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # among them that of the listing itself, closed by now
            os.close(fd if fd > highest else -1)
    if order.slots:
        os.set_inheritable(LOCK_FD, False)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    # Opened before the fork: the guard holds what the keeper takes.
    slots = Slots(order.slots, order.capacity, order.per_node) if order.slots else None
    pulse = Pulse(os.path.join(directory, PULSE), order.lease_s) if order.lease_s else None
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.fork()
    if keeper == 0:
        os.setsid()  # a signal to the process group of one does not reach the other
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        Keeper(directory, order, slots, pulse).run()
        return 0
    return guard(keeper, pulse)


if __name__ == "__main__":
    # Leave the memory to the kernel: a tidy interpreter exit costs milliseconds.
    os._exit(main(sys.argv[1]))
