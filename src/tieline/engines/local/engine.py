"""The local engine: every run is a process of this machine under a wrapper of its own.

    DIRECTORY/site.json            the site this directory belongs to
    DIRECTORY/runs/TOKEN/          one run: see `tieline.engines.wrapper`
    DIRECTORY/slots/POOL.lock      byte n is locked while accelerator n of the pool is in use
    DIRECTORY/trash/               runs that are being removed
    DIRECTORY/wrapper.py[c]        the wrapper as one file, and compiled
    DIRECTORY/wrappers.log         what wrappers have to complain about; normally empty

The engine keeps nothing that matters in memory: another engine object on the same directory,
in this process or a later one, sees and does the same.
"""

import json
import os
import py_compile
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tieline.control.ports import RunOrder, RunPhase, RunReport
from tieline.engines.wrapper.bundle import wrapper_source
from tieline.engines.wrapper.files import write_json
from tieline.engines.wrapper.order import check_order, is_token
from tieline.engines.wrapper.rundir import ENDED_PHASES, RunDirectory, end_strays
from tieline.engines.wrapper.wrapper import LOCK_FD
from tieline.model.errors import EngineUnavailable, InputError
from tieline.model.network import Pool, Site

#: Variables of the control plane that commands see; the others may hold its secrets.
PASSED_VARIABLES: Final = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TMPDIR",
    "TZ",
    "USER",
    "VIRTUAL_ENV",
)

_COMPILED: Final = "wrapper.pyc"
_WRITE_BY_OTHERS: Final = 0o022


class LocalEngine:
    """Runs orders of one site as processes of this machine; they outlive this object.

    A job that has ended leaves nothing running: what it left in the background is ended too.
    Threads may share an engine. Linux 5.3 or later.
    """

    def __init__(
        self,
        site: Site,
        directory: Path,
        *,
        workdir: Path | None = None,
        grace_s: float = 5.0,
        slot_wait_s: float = 10.0,
    ) -> None:
        """Open the directory of a site, or make it, readable for this user alone.

        Parameters
        ----------
        site
            The site whose pools can be used.
        directory
            Belongs to this one site, on a local disk.
        workdir
            Where commands start; by default the working directory of this process.
        grace_s
            Time between asking a run to end (SIGTERM) and killing it [s]; an order may name a
            longer one.
        slot_wait_s
            How long a run waits for accelerators that the books say are free [s].

        Raises
        ------
        InputError
            The directory belongs to another site, or to somebody else.
        EngineUnavailable
            The directory cannot be used.
        """
        self._site = site
        self._pools = {pool.id: pool for pool in site.pools}
        self._directory = directory.absolute()
        self._workdir = (workdir or Path.cwd()).absolute()
        self._grace_s = grace_s
        self._slot_wait_s = slot_wait_s
        self._environment = {
            name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ
        }
        self._ended: dict[str, RunReport] = {}
        self._children: set[int] = set()
        self._children_lock = threading.Lock()
        with self._reaching("open its directory"):
            self._prepare()

    @property
    def lease_s(self) -> float | None:
        """None: nobody can be cut off from the machine that it runs on."""
        return None

    def submit(self, order: RunOrder) -> None:
        """Start a wrapper for the order unless its token is known. See `Engine.submit`."""
        pool = check_order(order, self._pools)
        with self._reaching(f"submit {order.token}"):
            run = self._run(order.token)
            with run.lock() as lock:
                if lock is not None and run.may_start():
                    run.write_order(self._wrapper_order(order, pool))
                    self._spawn(run, lock)

    def observe(self) -> Mapping[str, RunReport]:
        """Give a report for every known token. See `Engine.observe`.

        About 50 us for each run that has not ended; ended ones are remembered.
        """
        self._reap()
        with self._reaching("look at its runs"), os.scandir(self._runs) as entries:
            reports = self._reports(entry.name for entry in entries)
        self._ended = {
            token: report for token, report in reports.items() if report.phase in ENDED_PHASES
        }
        return reports

    def capacity(self) -> Mapping[str, int]:
        """Give the size of every pool: the accelerators of a local site do not fail."""
        return {pool.id: pool.capacity for pool in self._site.pools}

    def cancel(self, token: str) -> None:
        """Ask for the end of a run. See `Engine.cancel`.

        A token that is not known yet is known, and stopped, from here on.
        """
        if is_token(token):
            with self._reaching(f"cancel {token}"):
                self._run(token).request_end()

    def log(self, token: str, offset: int = 0, limit: int = 1 << 16) -> bytes:
        """Give a piece of a run's output; empty when there is none."""
        if not is_token(token):
            return b""
        with self._reaching(f"read the output of {token}"):
            return self._run(token).log(max(offset, 0), max(limit, 0))

    def forget(self, tokens: Sequence[str]) -> None:
        """Remove the directories of ended runs, their output included. Idempotent."""
        known = [token for token in tokens if is_token(token)]
        with self._reaching("forget runs"):
            reports = self._reports(token for token in known if self._run(token).path.exists())
            for token, report in reports.items():
                if report.phase not in ENDED_PHASES:
                    continue
                # Renamed first: a directory that is removed halfway must not look like a run.
                waste = self._directory / "trash" / secrets.token_hex(8)
                self._run(token).path.rename(waste)
                shutil.rmtree(waste, ignore_errors=True)

    def close(self) -> None:
        """Let go of ended wrappers; the runs go on."""
        self._reap()

    @property
    def _runs(self) -> Path:
        return self._directory / "runs"

    def _run(self, token: str) -> RunDirectory:
        return RunDirectory(self._runs / token)

    def _reports(self, tokens: Iterable[str]) -> dict[str, RunReport]:
        reports = {}
        unguarded = {}
        for token in tokens:
            report = self._ended.get(token)
            if report is None and is_token(token):
                report = self._run(token).report(token)
                if report and report.phase is RunPhase.VANISHED:
                    unguarded[str(self._run(token).path)] = token
            if report is not None:
                reports[token] = report
        for path in end_strays(unguarded) if unguarded else ():
            # Not over yet: it is when the next look finds nothing left.
            token = unguarded[path]
            reports[token] = RunReport(token, RunPhase.RUNNING, reports[token].started_at)
        return reports

    def _prepare(self) -> None:
        root = self._directory
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = root.stat()
        if status.st_uid != os.geteuid() or status.st_mode & _WRITE_BY_OTHERS:
            raise InputError(
                f"site {self._site.id}: others can write to {root} and so run commands as you: "
                f"make it yours with mode 700, or name another directory"
            )
        for name in ("runs", "slots", "trash"):
            (root / name).mkdir(mode=0o700, exist_ok=True)
        self._check_site(root / "site.json")
        for waste in (root / "trash").iterdir():  # of a removal that was cut short
            shutil.rmtree(waste, ignore_errors=True)
        source = root / "wrapper.py"
        source.write_text(wrapper_source(), encoding="utf-8")
        py_compile.compile(str(source), cfile=str(root / _COMPILED), doraise=True)

    def _check_site(self, note: Path) -> None:
        owner = {"site": self._site.id}
        if not note.exists():
            write_json(str(note), owner)
        found = note.read_text(encoding="utf-8")
        if found != json.dumps(owner):
            raise InputError(
                f"site {self._site.id}: {note} says {found[:200]}: one directory serves one "
                f"site, name another one"
            )

    def _wrapper_order(self, order: RunOrder, pool: Pool) -> Mapping[str, object]:
        return {
            "token": order.token,
            "job_id": order.job_id,
            "tenant": order.tenant,
            "command": order.command,
            "env": dict(order.env),
            "time_limit_s": order.time_limit_s,
            "workdir": str(self._workdir),
            "grace_s": max(self._grace_s, order.grace_s),
            "attempt": order.attempt,
            "pool": pool.id,
            "count": order.count,
            "accelerator": pool.accelerator,
            "capacity": pool.capacity,
            "per_node": pool.accelerators_per_node,
            "slots": str(self._directory / "slots" / quote(f"{pool.id}.lock", safe="")),
            "slot_wait_s": self._slot_wait_s,
        }

    def _spawn(self, run: RunDirectory, lock: int) -> None:
        complaints = str(self._directory / "wrappers.log")
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        command = [sys.executable, "-I", "-S", str(self._directory / _COMPILED), str(run.path)]
        child = os.posix_spawn(
            sys.executable,
            command,
            self._environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, lock, LOCK_FD),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, complaints, append, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
        with self._children_lock:
            self._children.add(child)

    def _reap(self) -> None:
        with self._children_lock:
            for child in list(self._children):
                try:
                    ended, _ = os.waitpid(child, os.WNOHANG)
                except ChildProcessError:  # this process was forked, or somebody else waited
                    ended = child
                if ended:
                    self._children.remove(child)

    @contextmanager
    def _reaching(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            place = f" ({error.filename})" if error.filename else ""
            reason = f"{error.strerror or error}{place}"
            raise EngineUnavailable(f"site {self._site.id} cannot {what}: {reason}") from error
