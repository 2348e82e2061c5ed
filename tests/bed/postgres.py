"""A PostgreSQL server on loopback that a test may kill: what it has committed, it keeps."""

import itertools
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg

from bed.machine import Daemon, Machine, need, wait_until

SETTINGS: Final = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
max_connections = 200
fsync = on
"""
#: Of the role that owns the databases, and of the one that owns the server.
PASSWORD: Final = "sesame-of-the-tests"  # noqa: S105 - nobody else's


class Server:
    """A PostgreSQL server of one's own.

    Attributes
    ----------
    port
        Where it listens on 127.0.0.1.
    log
        What it has said.
    """

    def __init__(self, machine: Machine) -> None:
        """Make an empty server on a machine, with a role `tieline` that is no superuser."""
        binaries = folder_of_programs()
        data, secret = machine.folder / "data", machine.folder / "secret"
        data.mkdir()
        secret.write_text(PASSWORD)
        machine.run("chown", "postgres:", str(data))
        machine.run(
            f"{binaries}/initdb",
            *("--auth=scram-sha-256", f"--pwfile={secret}", f"--pgdata={data}"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
            user="postgres",
        )
        self.port = machine.port + 1
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"{SETTINGS}port = {self.port}\n")
        self._machine = machine
        self._daemon = Daemon(machine, f"{binaries}/postgres", "-D", str(data), user="postgres")
        self.log = self._daemon.log
        self._names = (f"d{number}" for number in itertools.count(1))
        self.start()
        self._tell(f"CREATE ROLE tieline LOGIN PASSWORD '{PASSWORD}'")

    def url(self, name: str | None = None) -> str:
        """Make an empty database and give its address; without a name one is made up."""
        name = name or next(self._names)
        self._tell(f'CREATE DATABASE "{name}" OWNER tieline')
        return f"postgresql://tieline:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start it, once all of an earlier one is gone, and wait until it answers."""
        wait_until(lambda: self._machine.processes() == [], "PostgreSQL does not end")
        self._daemon.start()
        self._daemon.listening(self.port)
        wait_until(self._answers, "PostgreSQL does not answer")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send its first process a signal; after SIGKILL that one is gone on return."""
        self._daemon.kill(number)

    def hang(self) -> None:
        """Let all of it stand still, with its connections open, until `go_on`."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on after `hang`."""
        self._daemon.kill(signal.SIGCONT)
        self._signal_all(signal.SIGCONT)

    def stop(self) -> None:
        """End it in good order, sessions or not."""
        self._daemon.kill(signal.SIGINT)
        self._daemon.wait()

    def _signal_all(self, number: int) -> None:
        for pid in self._machine.processes():
            with suppress(ProcessLookupError):  # a session that ends right now
                os.kill(pid, number)

    def _answers(self) -> bool:
        """Tell whether it takes orders: it listens before it has recovered."""
        try:
            self._tell("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _tell(self, order: str) -> None:
        """Give the server an order as its superuser."""
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=PASSWORD,
            dbname="postgres",
            connect_timeout=10,
            autocommit=True,
        ) as connection:
            connection.execute(order.encode())


def folder_of_programs() -> Path:
    """Give the folder with initdb and postgres: Debian does not put them on the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    need({"initdb": "postgresql", "postgres": "postgresql"})
    return Path(str(shutil.which("initdb"))).resolve().parent


@contextmanager
def running() -> Iterator[Server]:
    """Give a server, which is gone afterwards with all that it held."""
    folder_of_programs()
    machine = Machine()
    try:
        yield Server(machine)
    finally:
        machine.down()
