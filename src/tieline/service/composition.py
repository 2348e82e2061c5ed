"""The composition root: the one place that names concrete engines and stores.

DIRECTORY/lock            held while a control plane uses the directory: with a store of its own
                          from beginning to end, with a shared one while it leads
DIRECTORY/store.json      the store that the runs below belong to
DIRECTORY/tieline.db      the store, unless another one is named
DIRECTORY/sites/SITE/     what the local engine of a site keeps
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tieline.control.cycle import run_cycle
from tieline.control.lifecycle import Status
from tieline.control.ports import Engine, Store
from tieline.engines.local import LocalEngine
from tieline.files.fit import Offer
from tieline.model.errors import ConflictError, EngineUnavailable, InputError, NotFoundError
from tieline.model.network import Network, Site
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import DEFAULT_POLICY, policy_named
from tieline.service.control_plane import ControlPlane
from tieline.service.leadership import Candidacy, Leadership, Term
from tieline.service.live.links import Links, newest_job
from tieline.service.live.loop import Loop, LoopSettings
from tieline.service.live.roster import Cycle
from tieline.service.metrics import Metrics
from tieline.service.steady import SteadyClock
from tieline.store import open_store, without_secret

_STORE_FILE: Final = "tieline.db"
_SQLITE: Final = "sqlite:///"
#: A control plane that was killed while it started a wrapper holds its locks until the new
#: process has become that wrapper: a moment, on a busy machine more [s].
_LAST_BREATH_S: Final = 2.0
_LOCAL: Final = "local"
_AT_A_SITE: Final = [status for status in Status if status.holds_accelerators]
#: How long the end of the last tick is waited for [s]; a site that hangs must not hold it up.
_STOP_S: Final = 10.0


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Give the UTC epoch [s]."""
        return time.time()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a control plane keeps what it has, and what it is to the others."""

    directory: Path
    """For one network; made when it is not there."""
    store_url: str | None = None
    """None: a SQLite file in the directory."""
    workdir: Path | None = None
    """Where commands of local sites start; None: the working directory of this process."""
    lead: bool = True
    """Whether it may lead; otherwise it serves requests for whoever does."""
    url: str = ""
    """Address of its API, for the other control planes on the same store."""
    name: str = ""
    """What it is called in the event log; empty: machine and process."""


@contextmanager
def running(
    network: Network,
    place: Placement,
    *,
    policy: str = DEFAULT_POLICY,
    settings: LoopSettings | None = None,
    cycle: Cycle = run_cycle,
    metrics: Metrics | None = None,
) -> Iterator[ControlPlane]:
    """Give a control plane until the block ends; jobs run on.

    It leads where nobody else does, and then has the loop run in a thread. A SQLite store is
    for one such process; of those that share another one the rest stand by.

    Parameters
    ----------
    cycle
        `control.run_cycle`, or what records its calls.
    metrics
        Where calls of the store and of engines, and cycles, are counted; None: nobody looks.

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
        shared = not url.startswith("sqlite:")
        if url.startswith(_SQLITE):
            url = f"{_SQLITE}{Path(url.removeprefix(_SQLITE)).resolve()}"
        if place.lead:
            if not shared:
                stack.enter_context(_only_one(directory, url))
            _bind(directory, url)
        measures = metrics or Metrics()
        store = measures.measured_store(stack.enter_context(closing(open_store(url))))
        duty = _Duty(
            offer=Offer(network),
            policy=chosen,
            store=store,
            directory=directory,
            workdir=place.workdir,
            shared=shared,
            settings=settings or LoopSettings(),
            cycle=measures.measured_cycle(cycle),
            measures=measures,
        )
        name = place.name or f"{socket.gethostname()}:{os.getpid()}"
        leadership = Leadership(store, Candidacy(name, place.url), duty.done)
        if place.lead:
            leadership.step()
            stack.enter_context(_standing(leadership))
        yield ControlPlane(
            offer=duty.offer, store=store, clock=SystemClock(), loop=lambda: leadership.office
        )


@dataclass(frozen=True, slots=True)
class _Duty:
    """What a leader needs to have and to do."""

    offer: Offer
    policy: Policy
    store: Store
    directory: Path
    workdir: Path | None
    shared: bool
    """Whether other processes may lead on the same store."""
    settings: LoopSettings
    cycle: Cycle
    measures: Metrics

    @contextmanager
    def done(self, term: Term) -> Iterator[Loop]:
        """Give the loop, which runs, with the engines open, until the block ends."""
        network = self.offer.network
        with ExitStack() as stack:
            if self.shared and any(site.engine == _LOCAL for site in network.sites):
                stack.enter_context(_lock(self.directory / "lock", f"directory {self.directory}"))
            _check_homes(self.directory, self.store, network)
            engines = {}
            for site in network.sites:
                engine = _ENGINES[site.engine](site, self.directory, self.workdir, term.epoch)
                stack.enter_context(closing(engine))
                engines[site.id] = self.measures.measured_engine(site.id, engine)
            _check_runs(self.directory, self.store, network, engines)
            loop = Loop(
                offer=self.offer,
                policy=self.policy,
                store=self.store,
                links=Links(network, engines, self.store, self.settings.patience, term),
                clock=SteadyClock(SystemClock()),
                settings=self.settings,
                cycle=self.cycle,
            )
            stack.enter_context(_in_a_thread(loop))
            yield loop


def _local(site: Site, directory: Path, workdir: Path | None, epoch: int) -> Engine:
    del epoch  # the lock of the directory is what keeps others out
    if site.engine_options:
        unknown = ", ".join(site.engine_options)
        raise InputError(f"site {site.id}: the local engine takes no options, found: {unknown}")
    return LocalEngine(site, _home(directory, site), workdir=workdir)


def _slurm(site: Site, directory: Path, workdir: Path | None, epoch: int) -> Engine:
    del directory, workdir  # all that it keeps is at the site
    # Imported here: whoever has no such site does without its HTTP client.
    from tieline.engines.slurm import SlurmEngine  # noqa: PLC0415

    return SlurmEngine(site, epoch=epoch)


_ENGINES: Final[Mapping[str, Callable[[Site, Path, Path | None, int], Engine]]] = {
    _LOCAL: _local,
    "slurm": _slurm,
}


def _home(directory: Path, site: Site) -> Path:
    return directory / "sites" / quote(site.id, safe="")


def _check_engines(network: Network) -> None:
    for site in network.sites:
        if site.engine not in _ENGINES:
            raise InputError(
                f"site {site.id}: engine kind {site.engine!r} comes in a later version; "
                f"allowed: {', '.join(_ENGINES)}"
            )
        if site.engine == "slurm":
            # Before it serves: one that stands by would learn of a mistake only when it leads.
            from tieline.engines.slurm.options import parse_options  # noqa: PLC0415 - as above

            parse_options(site)


def _prepared(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"directory {directory}: {error.strerror}; name another one") from error
    return directory.resolve()


@contextmanager
def _only_one(directory: Path, url: str) -> Iterator[None]:
    """Keep other processes from the directory and from the store, where that is a file."""
    with _lock(directory / "lock", f"directory {directory}"), ExitStack() as stack:
        if url.startswith(_SQLITE):
            file = Path(url.removeprefix(_SQLITE))
            stack.enter_context(_lock(file.with_name(f"{file.name}.lock"), f"store {file}"))
        yield


@contextmanager
def _lock(file: Path, what: str) -> Iterator[None]:
    """Hold a lock that the kernel frees when this process ends, however it ends."""
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"{what}: cannot write {file}: {error.strerror}") from error
    try:
        give_up = time.monotonic() + _LAST_BREATH_S
        while not _locked(fd):
            if time.monotonic() > give_up:
                owner = os.read(fd, 20).decode(errors="replace").strip() or "unknown"
                raise ConflictError(
                    f"{what}: another control plane uses it (process {owner}); stop that one "
                    "first, or name another"
                )
            time.sleep(0.02)
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _bind(directory: Path, url: str) -> None:
    """Note the store that the directory's runs belong to.

    Runs are known by job and attempt. Under another store the same names would mean other
    jobs, and these would be taken to have run.
    """
    note, shown = directory / "store.json", without_secret(url)
    if note.exists():
        found = json.loads(note.read_text(encoding="utf-8"))["store"]
        if found != shown:
            raise InputError(
                f"directory {directory}: its runs belong to store {found}, not {shown}; name "
                f"another directory, or remove {note} if that store has moved"
            )
        return
    temporary = note.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps({"store": shown}), encoding="utf-8")
    temporary.rename(note)


def _check_homes(directory: Path, store: Store, network: Network) -> None:
    """Refuse a directory other than that in which runs of the store may be alive.

    The claims of a local site stand in its directory: in another one an order whose start
    nobody has seen yet would be carried out again.
    """
    new = {site.id for site in network.sites if site.engine == _LOCAL}
    new -= {site.id for site in network.sites if _home(directory, site).exists()}
    pools = {pool.id: pool.site for pool in network.pools if pool.site in new}
    if not pools:
        return
    for job in store.jobs(status=_AT_A_SITE, limit=max(1, network.capacity)):
        if job.pool in pools:
            raise InputError(
                f"directory {directory}: has no runs of site {pools[job.pool]}, where {job.id} of "
                "the store is; name the directory that has them"
            )


def _check_runs(
    directory: Path, store: Store, network: Network, engines: Mapping[str, Engine]
) -> None:
    """Refuse runs that the store knows nothing of: it is a new one under an old name.

    The loop asks other sites than local ones, which may not answer now.
    """
    for site in [site.id for site in network.sites if site.engine == _LOCAL]:
        try:
            newest = newest_job(engines[site].observe())
        except EngineUnavailable:
            continue  # the loop asks again
        try:
            if newest is not None:
                store.job(newest)
        except NotFoundError:
            raise InputError(
                f"directory {directory}: site {site} has a run of {newest}, which the store does "
                "not know; put the store back, or name another directory"
            ) from None


@contextmanager
def _standing(leadership: Leadership[Loop]) -> Iterator[None]:
    """Let a thread see to it that somebody leads; at the end the next one may at once."""
    thread = threading.Thread(target=leadership.run, name="leadership", daemon=True)
    thread.start()
    try:
        yield
    finally:
        leadership.stop()
        thread.join(_STOP_S)
        leadership.close()


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
