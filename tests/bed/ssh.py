"""An sshd with keys of its own; what a client needs to reach it stands in one file."""

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bed.machine import Daemon, Machine, need

PROGRAMS: Final = {
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
#: Accounts that every Debian has, without a shell; on the machine of an sshd they have one.
USERS: Final = ("games", "www-data")


class Server:
    """An sshd on a machine; one key opens the doors of root and of `USERS`.

    Attributes
    ----------
    host
        Its name in the files of clients: `ssh -F server.config() centre true`.
    port
        Where it listens at the address of its machine.
    log
        What it has said.
    """

    def __init__(
        self,
        machine: Machine,
        port: int,
        *,
        host: str = "centre",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start an sshd; commands that come through it get the environment."""
        self.host = host
        self.port = port
        self._machine = machine
        self._folder = folder = machine.folder / "ssh"
        folder.mkdir()
        for name in ("server", "client"):
            machine.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}")
        public = (folder / "server.pub").read_text()
        (folder / "known_hosts").write_text(f"[{machine.address}]:{port} {public}")
        variables = {"LC_ALL": "C.UTF-8", **(environment or {})}
        settings = {
            "Port": port,
            "ListenAddress": machine.address,
            "HostKey": folder / "server",
            "AuthorizedKeysFile": folder / "client.pub",
            "StrictModes": "no",  # the folder is in one that everybody may write to
            "PermitRootLogin": "prohibit-password",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "UsePAM": "no",
            "PidFile": "none",
            "MaxSessions": 100,
            "MaxStartups": 100,
            "SetEnv": " ".join(f"{name}={value}" for name, value in variables.items()),
        }
        path = folder / "sshd_config"
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        give_shells(machine)
        self._daemon = Daemon(machine, "/usr/sbin/sshd", "-D", "-e", "-f", str(path))
        self.log = self._daemon.log
        self.start()

    def config(self, user: str = "root") -> Path:
        """Give the file for `ssh -F`, to log in as a user; it uses nothing of the caller's."""
        settings = {
            "HostName": self._machine.address,
            "Port": self.port,
            "User": user,
            "IdentityFile": self._folder / "client",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self._folder / "known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": 5,
        }
        path = self._folder / f"client_config-{user}"
        body = "".join(f"  {name} {value}\n" for name, value in settings.items())
        path.write_text(f"Host {self.host}\n{body}")
        return path

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._daemon.start()
        self._daemon.listening(self.port)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal; sessions that are open go on."""
        self._daemon.kill(number)


def give_shells(machine: Machine) -> None:
    """Give `USERS` a shell and a home, on this machine only."""
    lines = []
    for line in Path("/etc/passwd").read_text().splitlines():
        name, *fields = line.split(":")
        if name in USERS:
            home = machine.folder / "home" / name
            home.mkdir(parents=True)
            machine.run("chown", f"{name}:", str(home))
            fields[-2:] = [str(home), "/bin/bash"]
        lines.append(":".join([name, *fields]))
    accounts = machine.folder / "passwd"
    accounts.write_text("\n".join([*lines, ""]))
    machine.run("mount", "--bind", str(accounts), "/etc/passwd")


@contextmanager
def running() -> Iterator[Server]:
    """Give an sshd on loopback, which is gone afterwards."""
    need(PROGRAMS)
    machine = Machine()
    try:
        yield Server(machine, machine.port + 1)
    finally:
        machine.down()
