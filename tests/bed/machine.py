"""A machine inside this one: what runs on it ends with it, however the tests end.

It is a set of Linux namespaces. Its first process (init.py) waits at a pipe that only the tests
hold open: when they let go, or are killed, it kills all that runs on the machine and removes its
folder. Mounts, shared memory and the cable of its network go with the namespaces.

Process ids differ inside and outside; all that is said here are those outside.
"""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

#: What is done before the first process: sshd wants a folder that no machine has to have.
BOOT: Final = 'mount -t tmpfs tmpfs /run && mkdir /run/sshd && ip link set lo up && exec "$@"'
INIT: Final = str(Path(__file__).with_name("init.py"))
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}
#: Claimed ports lie below those that the kernel gives to outgoing connections.
PORTS: Final = range(10000, 32000, 20)


class Missing(Exception):  # noqa: N818 - a want, which the fixtures make a skip of
    """Tells what a bed needs and this machine does not have, and how to get it."""


def need(programs: Mapping[str, str]) -> None:
    """See to it that the programs are there; each is given with its Debian package."""
    path = f"{os.environ.get('PATH', '')}:{ENVIRONMENT['PATH']}"
    gone = [name for name in programs if shutil.which(name, path=path) is None]
    if gone:
        packages = " ".join(dict.fromkeys(programs[name] for name in gone))
        raise Missing(f"missing: {', '.join(gone)}; as root on Debian: apt-get install {packages}")


def wait_until(holds: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    """Return as soon as it holds; complain with `what` when it does not in time."""
    give_up = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(0.02)


def child_of(process: subprocess.Popen[str]) -> int:
    """Give the process that another one has forked, as soon as it has."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: process.poll() is not None or children.read_text(), "no child", 10.0)
    if process.poll() is not None:
        raise ChildProcessError(f"{process.args!r} ended with {process.returncode}")
    return int(children.read_text().split()[0])


class Machine:
    """A machine inside this one, with a folder that both see.

    Attributes
    ----------
    folder
        Readable by every user, with a short path: those of sockets have 107 letters at most.
    address
        Where its servers are reached: 127.0.0.1, or its end of the cable.
    port
        The first of 20 ports, of which all but this one are free for its servers.
    """

    def __init__(self, *, cable: bool = False) -> None:
        """Start the machine; with a cable it has a network of its own, which can be cut off."""
        if os.geteuid() != 0:
            raise Missing("not root: namespaces and jobs of other users need it")
        need({"unshare": "util-linux", "setpriv": "util-linux", "ip": "iproute2"})
        self.folder = Path(tempfile.mkdtemp(prefix="bed-"))
        self.folder.chmod(0o755)
        self.address = "127.0.0.1"
        self.port = PORTS.start
        self.init = 0
        self._claim = None if cable else claim()
        if self._claim is not None:
            self.port = self._claim.getsockname()[1]
        self.daemons: list[Daemon] = []
        kinds = ["--pid", "--mount", "--ipc", *(["--net"] if cable else [])]
        new = ("unshare", *kinds, "--fork", "--kill-child", "--mount-proc")
        self._unshare = subprocess.Popen(
            [*new, "sh", "-c", BOOT, "init", sys.executable, "-IS", INIT, str(self.folder)],
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which then end this
        )
        try:
            self._boot(kinds, cable=cable)
        except BaseException:
            self.down()
            raise

    def _boot(self, kinds: list[str], *, cable: bool) -> None:
        """Wait until it is there; lay the cable."""
        assert self._unshare.stdout is not None
        assert self._unshare.stderr is not None
        if self._unshare.stdout.readline() != "ready\n":
            raise Missing(f"no namespaces here: {self._unshare.stderr.read().strip()}")
        self.init = child_of(self._unshare)
        self._enter = ["nsenter", f"--target={self.init}", *kinds, "--"]
        if cable:
            self._lay_cable()

    def command(self, *argv: str, user: str | None = None, tied: bool = False) -> list[str]:
        """Give the command that runs a command on the machine, as a user of it.

        One that is tied ends with the process that has started it.
        """
        become = ["setpriv"] if user or tied else []
        if user:
            group = pwd.getpwnam(user).pw_gid
            become += [f"--reuid={user}", f"--regid={group}", "--init-groups"]
        if tied:
            become += ["--pdeathsig=KILL"]
        return [*self._enter, *become, *argv]

    def run(
        self,
        *argv: str,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        timeout_s: float = 30.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine to its end; complain when it fails, if `check` is on."""
        done = subprocess.run(
            self.command(*argv, user=user, tied=True),
            env=ENVIRONMENT | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise ChildProcessError(f"{argv} ended with {done.returncode}: {done.stderr.strip()}")
        return done

    def processes(self) -> list[int]:
        """Give the processes that run on the machine, apart from its first."""
        own, found = Path(f"/proc/{self.init}/ns/pid").stat().st_ino, []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != self.init:
                try:
                    inside = (entry / "ns/pid").stat().st_ino == own
                    waits = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
                except OSError:  # gone meanwhile
                    continue
                if inside and not waits:
                    found.append(int(entry.name))
        return found

    def listens(self, port: int) -> bool:
        """Tell whether a process of the machine takes connections at a TCP port."""
        lines = [
            line.split()
            for kind in ("tcp", "tcp6")
            for line in Path(f"/proc/{self.init}/net/{kind}").read_text().splitlines()[1:]
        ]
        listening = "0A"
        return any(
            line[3] == listening and int(line[1].rsplit(":", 1)[1], 16) == port for line in lines
        )

    def cut(self) -> None:
        """Cut the cable: packets are lost without a word, as on a real line."""
        self.run("ip", "link", "set", "eth0", "down")

    def mend(self) -> None:
        """Mend the cable."""
        self.run("ip", "link", "set", "eth0", "up")

    def down(self) -> None:
        """End all that runs on the machine, and remove its folder."""
        try:
            self._unshare.communicate("\n", timeout=20)
        except subprocess.TimeoutExpired:
            self._unshare.kill()  # takes the first process with it, and that one all others
            self._unshare.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)
        for daemon in self.daemons:
            daemon.kill()
        wait_until(lambda: not Path(f"/sys/class/net/bed{self.init}").exists(), "the cable stays")
        if self._claim is not None:
            self._claim.close()

    def _lay_cable(self) -> None:
        """Join both networks by a pair of interfaces with addresses for tests (RFC 2544)."""
        here = f"bed{self.init}"
        letters = "02:be:d0:" + ":".join(re.findall("..", f"{self.init:06x}"))
        there = ["peer", "name", "eth0", "address", letters, "netns", str(self.init)]
        outside("ip", "link", "add", here, "type", "veth", *there)
        number = socket.if_nametoindex(here)  # no other has it, nor what is made of it
        subnet = (198 << 24) + (18 << 16) + number % (1 << 15) * 4
        ours, self.address = (
            socket.inet_ntoa((subnet + host).to_bytes(4, "big")) for host in (1, 2)
        )
        outside("ip", "address", "add", f"{ours}/30", "dev", here)
        outside("ip", "link", "set", here, "up")
        self.run("ip", "address", "add", f"{self.address}/30", "dev", "eth0")
        self.mend()
        # Known for good, it is sent to even when the cable is cut; else that is told at once.
        outside("ip", "neigh", "replace", self.address, "lladdr", letters, "dev", here)


class Daemon:
    """A server on a machine, which tests may end as they like and start again."""

    def __init__(
        self,
        machine: Machine,
        *argv: str,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        sees_us: bool = False,
    ) -> None:
        """Note how it starts; it has to stay in the foreground.

        One that sees us shares our process ids, so that it can tell who talks to it. It ends
        with the thread that has started it, at the latest.
        """
        self.machine = machine
        self.argv = argv
        self.user = user
        self.environment = ENVIRONMENT | dict(environment or {})
        self.sees_us = sees_us
        self.log = machine.folder / f"{Path(argv[0]).name}-{len(machine.daemons)}.out"
        self._process: subprocess.Popen[str] | None = None
        self.pid = 0
        machine.daemons.append(self)

    def start(self) -> None:
        """Start it, once it has ended."""
        self.wait()
        command = self.machine.command(*self.argv, user=self.user, tied=self.sees_us)
        if self.sees_us:
            command.remove("--pid")
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.pid = self._process.pid if self.sees_us else child_of(self._process)

    def runs(self) -> bool:
        """Tell whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, and after SIGKILL wait until it is gone."""
        if self._process is not None and self.runs():
            with suppress(ProcessLookupError):  # it ends right now
                os.kill(self.pid, number)
            if number == signal.SIGCONT:
                self._process.send_signal(number)  # nsenter stops and goes on with its child
            if number == signal.SIGKILL:
                self.wait()

    def wait(self, timeout_s: float = 60.0) -> None:
        """Wait until it has ended."""
        if self._process is not None:
            if self.runs():
                self._process.send_signal(signal.SIGCONT)
            self._process.wait(timeout_s)

    def listening(self, port: int) -> None:
        """Wait until it takes connections at a port of the machine."""
        wait_until(
            lambda: not self.runs() or self.machine.listens(port), f"{self.argv} at port {port}"
        )
        if not self.runs():
            raise ChildProcessError(f"{self.argv} has ended: {self.log.read_text()[-2000:]}")


def outside(*argv: str) -> None:
    """Run a command on the machine that this one is in."""
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30)


def claim() -> socket.socket:
    """Give a socket at the first of 20 free ports: whoever else claims passes them by."""
    for first in PORTS:
        taken = socket.socket()
        try:
            taken.bind(("127.0.0.1", first))
        except OSError:
            taken.close()
            continue
        if all(is_free(port) for port in range(first + 1, first + PORTS.step)):
            return taken
        taken.close()
    raise OSError(f"no 20 free ports between {PORTS.start} and {PORTS.stop}")


def is_free(port: int) -> bool:
    """Tell whether a server may listen at a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
