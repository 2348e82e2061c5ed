"""The composition root: the one place that names concrete engines and stores.

DIRECTORY/lock            held while a control plane uses the directory
DIRECTORY/store.json      the store that the runs below belong to
DIRECTORY/tieline.db      the store, unless another one is named
DIRECTORY/sites/SITE/     what the local engine of a site keeps
"""

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tieline.control.cycle import run_cycle
from tieline.control.ports import Engine, Store
from tieline.engines.local import LocalEngine
from tieline.files.fit import Offer
from tieline.model.errors import ConflictError, EngineUnavailable, InputError, NotFoundError
from tieline.model.network import Network, Site
from tieline.scheduling.registry import DEFAULT_POLICY, policy_named
from tieline.service.control_plane import ControlPlane
from tieline.service.loop import Loop, LoopSettings
from tieline.service.roster import Cycle
from tieline.store import open_store

_STORE_FILE: Final = "tieline.db"
_SQLITE: Final = "sqlite:///"
#: How long the end of the last tick is waited for [s]; a site that hangs must not hold it up.
_STOP_S: Final = 10.0


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Give the UTC epoch [s]."""
        return time.time()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a control plane keeps what it has."""

    directory: Path
    """For one network; made when it is not there."""
    store_url: str | None = None
    """None: a SQLite file in the directory."""
    workdir: Path | None = None
    """Where commands of local sites start; None: the working directory of this process."""


@contextmanager
def running(
    network: Network,
    place: Placement,
    *,
    policy: str = DEFAULT_POLICY,
    settings: LoopSettings | None = None,
    cycle: Cycle = run_cycle,
) -> Iterator[ControlPlane]:
    """Give a control plane whose loop runs in a thread until the block ends; jobs run on.

    Parameters
    ----------
    cycle
        `control.run_cycle`, or what records its calls.

    Raises
    ------
    InputError
        No such policy, an engine that this version does not have, or a store or directory
        that cannot be used.
    ConflictError
        Another control plane uses the directory or the store.
    """
    chosen = policy_named(policy)
    _check_engines(network)
    with ExitStack() as stack:
        directory = _prepared(place.directory)
        url = place.store_url or f"{_SQLITE}{directory / _STORE_FILE}"
        stack.enter_context(_lock(directory / "lock", f"directory {directory}"))
        if url.startswith(_SQLITE):
            file = Path(url.removeprefix(_SQLITE)).resolve()
            stack.enter_context(_lock(file.with_name(f"{file.name}.lock"), f"store {file}"))
            url = f"{_SQLITE}{file}"
        _bind(directory, url)
        store = stack.enter_context(closing(open_store(url)))
        engines = {site.id: _engine(site, directory, place.workdir) for site in network.sites}
        for engine in engines.values():
            stack.enter_context(closing(engine))
        _check_runs(directory, store, engines)
        clock, offer = SystemClock(), Offer(network)
        loop = Loop(
            offer=offer,
            policy=chosen,
            store=store,
            engines=engines,
            clock=clock,
            settings=settings,
            cycle=cycle,
        )
        stack.enter_context(_in_a_thread(loop))
        yield ControlPlane(offer=offer, store=store, engines=engines, loop=loop, clock=clock)


def _local(site: Site, directory: Path, workdir: Path | None) -> Engine:
    if site.engine_options:
        unknown = ", ".join(site.engine_options)
        raise InputError(f"site {site.id}: the local engine takes no options, found: {unknown}")
    return LocalEngine(site, directory / "sites" / quote(site.id, safe=""), workdir=workdir)


_ENGINES: Final[Mapping[str, Callable[[Site, Path, Path | None], Engine]]] = {"local": _local}


def _engine(site: Site, directory: Path, workdir: Path | None) -> Engine:
    return _ENGINES[site.engine](site, directory, workdir)


def _check_engines(network: Network) -> None:
    for site in network.sites:
        if site.engine not in _ENGINES:
            raise InputError(
                f"site {site.id}: engine kind {site.engine!r} comes in a later version; "
                f"allowed: {', '.join(_ENGINES)}"
            )


def _prepared(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"directory {directory}: {error.strerror}; name another one") from error
    return directory.resolve()


@contextmanager
def _lock(file: Path, what: str) -> Iterator[None]:
    """Hold a lock that the kernel frees when this process ends, however it ends."""
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"{what}: cannot write {file}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(fd, 20).decode(errors="replace").strip() or "unknown"
            raise ConflictError(
                f"{what}: another control plane uses it (process {owner}); stop that one first, "
                "or name another"
            ) from None
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(fd)


def _bind(directory: Path, url: str) -> None:
    """Note the store that the directory's runs belong to.

    Runs are known by job and attempt. Under another store the same names would mean other
    jobs, and these would be taken to have run.
    """
    note = directory / "store.json"
    if note.exists():
        found = json.loads(note.read_text(encoding="utf-8"))["store"]
        if found != url:
            raise InputError(
                f"directory {directory}: its runs belong to store {found}, not {url}; name "
                f"another directory, or remove {note} if that store has moved"
            )
        return
    temporary = note.with_suffix(".tmp")
    temporary.write_text(json.dumps({"store": url}), encoding="utf-8")
    temporary.rename(note)


def _check_runs(directory: Path, store: Store, engines: Mapping[str, Engine]) -> None:
    """Refuse runs that the store knows nothing of: it is a new one under an old name."""
    for site, engine in engines.items():
        try:
            jobs = {token.rpartition(".")[0] for token in engine.observe()}
        except EngineUnavailable:
            continue  # the loop asks again
        newest = max(jobs, key=lambda job: (len(job), job), default=None)
        try:
            if newest is not None:
                store.job(newest)
        except NotFoundError:
            raise InputError(
                f"directory {directory}: site {site} has a run of {newest}, which the store does "
                "not know; put the store back, or name another directory"
            ) from None


@contextmanager
def _in_a_thread(loop: Loop) -> Iterator[None]:
    thread = threading.Thread(target=loop.run, name="loop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join(_STOP_S)
        loop.close()
