"""What the network file says about a Slurm site, checked."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Final

from tieline.model.errors import InputError
from tieline.model.network import Site
from tieline.model.units import QuantityError, parse_duration

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9_.-]+@|\{user\}@)?[A-Za-z0-9\[][A-Za-z0-9_.:\]-]*")
_PROGRAM: Final = re.compile(r"[A-Za-z0-9_/][A-Za-z0-9_./+-]*")
_VERSION: Final = re.compile(r"v\d+\.\d+\.\d+")
_BECOME: Final = ("setpriv", "sudo", "nothing")


@dataclass(frozen=True, slots=True)
class Options:
    """How a Slurm site is reached; times in seconds."""

    directory: str
    """Folder on the file system that all its nodes share."""
    url: str | None = None
    """Address of its slurmrestd."""
    socket: str | None = None
    """Unix socket of its slurmrestd, on this machine. One that asks for no token acts as the
    user that it runs as, so there is one for each account, and `{user}` stands for that."""
    version: str = "v0.0.38"
    """Of slurmrestd's interface."""
    jwt_file: str | None = None
    """File with the token for slurmrestd; `{user}` stands for the account."""
    jwt_command: str | None = None
    """Command, run here, that prints such a token; `{user}` stands for the account."""
    ssh: str | None = None
    """Host on which its folder and commands are; `{user}@HOST` logs in as the account."""
    ssh_config: str | None = None
    become: str | None = None
    """How to become another user: `setpriv` (as root), `sudo`, or `nothing`."""
    conf: str | None = None
    """`SLURM_CONF` for its commands."""
    bin: str | None = None
    """Folder of its commands; None: found through PATH."""
    python: str = "python3"
    """Python 3.9 or later, on the host and on all nodes."""
    workdir: str | None = None
    """Where commands start; `{user}` stands for the account. None: its home."""
    account: str | None = None
    """Slurm account that its jobs are charged to."""
    qos: str | None = None
    cpus_per_accelerator: int | None = None
    memory_per_accelerator: int | None = None
    """[MiB]."""
    timeout: float = 10.0
    heartbeat: float = 300.0
    """After so long without a sign of life nothing of a run is alive: as long as Slurm itself
    waits for a node by default (SlurmdTimeout)."""
    grace: float = 30.0
    """Between asking a run to end and killing it; an order may name a longer one."""
    lease: float | None = None
    """After so long without word from the control plane the site ends runs that may be run
    again elsewhere; None: never."""


def parse_options(site: Site) -> Options:
    """Give the options of a site's engine.

    Raises
    ------
    InputError
        Which option is wrong, and what is allowed.
    """
    given = site.engine_options
    allowed = [field.name for field in fields(Options)]
    for name in given:
        if name not in allowed:
            known = ", ".join(allowed)
            raise InputError(f"site {site.id}: unknown option {name!r} of engine slurm: {known}")
    if "directory" not in given:
        raise InputError(
            f"site {site.id}: engine slurm needs `directory`, a folder that all nodes share"
        )
    options = Options(**{name: _read(site, name, given[name]) for name in given})  # type: ignore[arg-type] # by name
    if fault := _fault(options, given):
        raise InputError(f"site {site.id}: engine slurm: {fault}")
    return options


def _read(site: Site, name: str, value: str) -> object:
    try:
        return _READERS.get(name, _text)(value)
    except (ValueError, QuantityError) as error:
        raise InputError(f"site {site.id}: engine slurm: {name}: {error}") from None


def _fault(options: Options, given: Mapping[str, object]) -> str:
    """Give what is wrong with options that are right each for itself; empty when nothing is."""
    rest = options.url or options.socket
    unused = {"version", "jwt_file", "jwt_command"} & given.keys()
    need = 2 * options.heartbeat
    faults = {
        "give `url` or `socket`, not both": options.url and options.socket,
        "`url` needs `jwt_file` or `jwt_command`, where the token comes from": options.url
        and not (options.jwt_file or options.jwt_command),
        "give `jwt_file` or `jwt_command`, not both": options.jwt_file and options.jwt_command,
        "`ssh_config` says something only beside `ssh`": options.ssh_config and not options.ssh,
        f"`lease` must be at least twice the heartbeat: {need:g} s or more": options.lease
        is not None
        and options.lease < need,
        f"`{min(unused, default='')}` says something only beside `url` or `socket`": unused
        and not rest,
    }
    return next((words for words, is_so in faults.items() if is_so), "")


def _text(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError(f"{value!r} is no text on one line")
    return value


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r} is no {what}")
        return value

    return read


def _path(value: str) -> str:
    path = PurePosixPath(_text(value))
    if not path.is_absolute() or ".." in path.parts or "%" in value:
        raise ValueError(f"{value!r} is no absolute path without `..` and `%`")
    return str(path)


def _url(value: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9_.\[\]:-]+(/[A-Za-z0-9_./-]*)?", value):
        raise ValueError(f"{value!r} is no address such as https://rest.example:6820")
    return value.rstrip("/")


def _become(value: str) -> str:
    if value not in _BECOME:
        raise ValueError(f"{value!r} is none of {', '.join(_BECOME)}")
    return value


def _seconds(least: float, most: float = 1e8) -> Callable[[str], float]:
    def read(value: str) -> float:
        seconds = parse_duration(value)
        if not least <= seconds <= most:
            raise ValueError(f"{value!r} is not between {least:g} s and {most:g} s")
        return seconds

    return read


def _number(value: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", str(value)):
        raise ValueError(f"{value!r} is no whole number above 0")
    return int(value)


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "directory": _path,
    "url": _url,
    "socket": _path,
    "version": _matching(_VERSION, "version such as v0.0.38"),
    "ssh": _matching(_HOST, "host such as login.example or {user}@login.example"),
    "become": _become,
    "conf": _path,
    "bin": _path,
    "python": _matching(_PROGRAM, "program such as /usr/bin/python3"),
    "ssh_config": _path,
    "workdir": _path,
    "account": _matching(_NAME, "name of a Slurm account"),
    "qos": _matching(_NAME, "name of a quality of service"),
    "cpus_per_accelerator": _number,
    "memory_per_accelerator": _number,
    "timeout": _seconds(0.1, 60.0),
    "heartbeat": _seconds(1.0, 86400.0),
    "grace": _seconds(0.1, 86400.0),
    "lease": _seconds(2.0),
}
