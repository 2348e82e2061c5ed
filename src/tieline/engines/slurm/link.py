"""The line to what works at a site for one account: a process, one request at a time.

The program comes over its standard input, so nothing has to be installed at the site, and
neither secrets nor users' commands are ever in the arguments of a process.
"""

import json
import os
import pwd
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Final

from tieline.engines.slurm import agent
from tieline.engines.slurm.options import Options
from tieline.engines.wrapper import files
from tieline.engines.wrapper.bundle import bundle, wrapper_source
from tieline.engines.wrapper.rundir import number
from tieline.model.errors import EngineUnavailable, InputError

#: An answer of more bytes is no answer.
_MOST_BYTES: Final = 64 << 20
_SHORTEST_S: Final = 0.05
#: Reads the program's length and the program, then becomes it.
_BOOT: Final = (
    "import sys; i = sys.stdin.buffer; exec(compile(i.read(int(i.readline())), 'agent', 'exec'))"
)
_CLEAN: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


@dataclass(frozen=True)
class Place:
    """Where the files of an account are, as its helper says."""

    user: str
    folder: str = ""
    wrapper: str = ""
    home: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What a login shell would see at least."""
    now: float | None = None
    """By the site's clock, when the helper began."""


class Link:
    """One account of one site. Threads may share it; they take turns."""

    def __init__(self, site: str, user: str, options: Options, epoch: int) -> None:
        """Prepare the line; the process starts with the first request.

        Raises
        ------
        InputError
            There is no such account, or it is root.
        """
        self.user = user
        self._site = site
        self._options = options
        self._epoch = epoch
        self._command = _command(site, user, options)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self.place = Place(user)
        """What the present process said first; another object for another process."""

    def ask(self, do: str, within_s: float | None = None, **fields: object) -> dict[str, object]:
        """Give the answer to one request.

        Raises
        ------
        EngineUnavailable
            There is none within the time, by default the site's time-out, or a refusal.
        """
        give_up = time.monotonic() + (self._options.timeout if within_s is None else within_s)
        if not self._lock.acquire(timeout=max(give_up - time.monotonic(), 0)):
            raise self._trouble("is busy with an earlier request")
        try:
            self._start(give_up)
            return self._exchange({"do": do, **fields}, give_up)
        finally:
            self._lock.release()

    def reach(self) -> Place:
        """Give where the account's files are, and what the site's clock said."""
        if not self.place.folder:
            self.ask("hear")
        return self.place

    def close(self) -> None:
        """Let the process end."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.close()  # it ends when nobody can ask any more
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(1.0)
            self._end()

    def _start(self, give_up: float) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        program = bundle(files, agent).encode()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the operator's own
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(self._options),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise self._trouble(f"cannot start {self._command[0]}: {error.strerror}") from error
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            os.set_blocking(_fileno(pipe), False)
        self._send(f"{len(program)}\n".encode() + program, give_up)
        hello = {
            "do": "hello",
            "directory": self._options.directory,
            "wrapper": wrapper_source(),
            "epoch": self._epoch,
        }
        self.place = _read_place(self.user, self._exchange(hello, give_up))

    def _exchange(self, request: Mapping[str, object], give_up: float) -> dict[str, object]:
        self._send(json.dumps(request).encode() + b"\n", give_up)
        answer = self._receive(give_up)
        done = answer.get("done")
        if isinstance(done, dict):
            return done
        reason = answer.get("refused") or answer.get("failed") or "an odd answer"
        if request["do"] == "hello":
            self._end()
        raise self._trouble(f"says: {reason}")

    def _send(self, data: bytes, give_up: float) -> None:
        pipe = _fileno(self._running().stdin)
        left = memoryview(data)
        while left:
            if not _ready(pipe, select.POLLOUT, give_up):
                raise self._lost("does not listen")
            try:
                left = left[os.write(pipe, left) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._lost("has ended") from None

    def _receive(self, give_up: float) -> dict[str, object]:
        pipe = _fileno(self._running().stdout)
        pieces: list[bytes] = []
        size = 0
        while not (pieces and pieces[-1].endswith(b"\n")):
            if not _ready(pipe, select.POLLIN, give_up):
                raise self._lost("does not answer")
            piece = os.read(pipe, 1 << 20)
            size += len(piece)
            if not piece:
                raise self._lost("has ended")
            if size > _MOST_BYTES:
                raise self._lost("answers without end")
            pieces.append(piece)
        try:
            answer = json.loads(b"".join(pieces))
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise self._lost("answers nonsense")
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise self._trouble("has ended")
        return self._process

    def _lost(self, what: str) -> EngineUnavailable:
        """End the process, whose next answer could be to an earlier request."""
        said = b""
        if self._process is not None:
            time.sleep(_SHORTEST_S)  # what it complains of may still be on its way
            with suppress(OSError):
                said = os.read(_fileno(self._process.stderr), 4096)
        self._end()
        last = (said.decode(errors="replace").strip().splitlines() or [""])[-1][:200]
        words = "".join(sign if sign.isprintable() else "?" for sign in last)
        return self._trouble(f"{what}: {words}" if words else what)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                _file(pipe).close()
        with suppress(ProcessLookupError, PermissionError):  # of sudo: ends by itself
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)

    def _trouble(self, what: str) -> EngineUnavailable:
        return EngineUnavailable(f"site {self._site}: its helper for user {self.user} {what}")


def _read_place(user: str, found: Mapping[str, object]) -> Place:
    folder, wrapper, home = (str(found.get(key)) for key in ("folder", "wrapper", "home"))
    environment = found.get("environment")
    return Place(
        user=user,
        folder=folder,
        wrapper=wrapper,
        home=home,
        environment={
            str(name): str(value)
            for name, value in (environment if isinstance(environment, dict) else {}).items()
        },
        now=number(found, "now"),
    )


def _file(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("no pipe")  # never: all three were asked for
    return pipe


def _fileno(pipe: IO[bytes] | None) -> int:
    return _file(pipe).fileno()


def _ready(pipe: int, event: int, give_up: float) -> bool:
    """Tell whether a pipe can be used in time."""
    poll = select.poll()
    poll.register(pipe, event)
    return bool(poll.poll(max(give_up - time.monotonic(), 0) * 1000))


def _environment(options: Options) -> dict[str, str]:
    # ssh finds keys and agents through these; the rest of ours may hold secrets.
    passed = ("HOME", "SSH_AUTH_SOCK", "USER", "LOGNAME") if options.ssh else ()
    return {**_CLEAN, **{name: os.environ[name] for name in passed if name in os.environ}}


def _command(site: str, user: str, options: Options) -> list[str]:
    if user == "root":
        raise InputError(
            f"site {site}: accounts: root runs no commands of jobs; name another user"
        )
    boot = [options.python, "-I", "-S", "-u", "-c", _BOOT]
    if options.ssh is None:
        return [*_becoming_here(site, user, options), *boot]
    login, _, _ = options.ssh.rpartition("@")
    usual = {"{user}": "nothing", "root": "setpriv"}.get(login, "sudo")
    become = _becoming(user, options.become or usual, f"$(id -g {user})")
    config = ["-F", options.ssh_config] if options.ssh_config else []
    # The far shell sees one string: only the group of the account is left to it to find.
    words = " ".join([*become, *map(shlex.quote, boot)])
    return [
        *("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"),
        *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=2", *config),
        *("--", options.ssh.replace("{user}", user), words),
    ]


def _becoming_here(site: str, user: str, options: Options) -> list[str]:
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise InputError(f"site {site}: accounts: this machine has no user {user!r}") from None
    if account.pw_uid == 0:
        raise InputError(f"site {site}: accounts: {user} has the rights of root; name another")
    if account.pw_uid == os.geteuid():
        return []
    usual = "setpriv" if os.geteuid() == 0 else "sudo"
    return _becoming(user, options.become or usual, str(account.pw_gid))


def _becoming(user: str, how: str, group: str) -> list[str]:
    if how == "setpriv":
        options = ["--reuid", user, "--regid", group, "--init-groups", "--reset-env"]
        return ["setpriv", *options, "--"]
    if how == "sudo":
        return ["sudo", "-n", "-H", "-u", user, "--"]
    return []
