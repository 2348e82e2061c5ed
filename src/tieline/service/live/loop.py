"""The live loop: what happened, what to do now, and telling the sites.

One `tick` does, in this order:

1. load      what users asked for since the last tick, from the store
2. look      at every site at once; one that does not answer holds up nobody
3. reconcile what the sites report with what the store says, and record the difference
4. decide    `control.run_cycle`, on what is in memory, no lock on the store
5. record    what is to start and to stop: from here on it survives a crash
6. tell      the sites what to start, what to end and what they may forget

The store is the truth, and what is in memory a copy for speed. After a crash, and whenever
the two may differ (a change was refused, a tick failed half-way), the copy is made anew, and
sites are asked what they know before they are told anything.

A loop runs within one term of leadership. The store refuses what it records after the term;
what it tells it tells while the term holds, which is seen to again between decide and tell.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tieline.control.cycle import run_cycle
from tieline.control.history import Estimate
from tieline.control.lifecycle import Event, Status
from tieline.control.orders import run_order
from tieline.control.ports import Change, JobRecord, RunOrder, Store
from tieline.control.reconcile import (
    forgettable,
    given_up,
    missing,
    reconcile,
    resolve_lost,
    silent,
)
from tieline.files.fit import Offer
from tieline.model.errors import NotLeader, OrderRefused, StoreUnavailable
from tieline.scheduling.policy import Policy
from tieline.service.live.links import Links
from tieline.service.live.roster import Cycle, Roster, Scene
from tieline.service.live.run_times import RunTimes
from tieline.service.live.sites import Patience, SiteLink
from tieline.service.steady import SteadyClock
from tieline.service.views import Health, PoolView, PriceReading, Prices, SiteView

_LOG: Final = logging.getLogger(__name__)

#: Price readings kept: at most one per second, of the last ten minutes.
_HISTORY: Final = 600
_HISTORY_STEP_S: Final = 1.0

#: Statuses of jobs whose sites are asked to end them.
_ENDING: Final = (Status.CANCELLING, Status.STOPPING)
_PREEMPTED: Final = "others are worth more there, or it is elsewhere; it goes on later"


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How often the loop does what [s], and how much it keeps."""

    busy_s: float = 0.2
    """From tick to tick while a job holds accelerators or a site does not answer."""
    idle_s: float = 1.0
    """From tick to tick otherwise; a request wakes the loop at once."""
    least_s: float = 0.02
    """Between two ticks at least, however many requests come."""
    recheck_s: float = 5.0
    """From cycle to cycle while jobs wait and nothing happens: time itself changes plans."""
    longest_pause_s: float = 10.0
    """Between two ticks at most, while tick after tick fails."""
    patience: Patience = field(default_factory=Patience)
    """How long it bears with a site."""
    kept_runs: int = 1000
    """Ended runs whose output a site keeps; the oldest go first."""


class Loop:
    """Runs the network. `tick` and `run` are for one thread, the rest for all."""

    def __init__(
        self,
        *,
        offer: Offer,
        policy: Policy,
        store: Store,
        links: Links,
        clock: SteadyClock,
        settings: LoopSettings | None = None,
        cycle: Cycle = run_cycle,
    ) -> None:
        """Join the parts; nothing is read, asked or started before the first tick.

        Parameters
        ----------
        links
            To every site of the network, for the term in which it leads; closed by `close`.
        cycle
            `control.run_cycle`, or what records its calls.
        """
        self._offer = offer
        self._policy = policy
        self._store = store
        self._clock = clock
        self._settings = settings or LoopSettings()
        self._cycle = cycle
        self._links = links
        self._term = links.term
        self._pool = {pool.id: pool for pool in offer.network.pools}
        self._run_times = RunTimes(offer)
        self._roster = Roster(offer, policy, cycle, self._run_times)
        self._in_doubt = True
        self._position = 0
        self._history: deque[PriceReading] = deque(maxlen=_HISTORY)
        self._latest: PriceReading | None = None
        self._ticked_at: float | None = None
        self._failures = 0
        self._failure = ""
        self._stopping = threading.Event()
        self._wanted = threading.Event()

    # ---------------------------------------------------------------------- the thread

    def run(self) -> None:
        """Tick until `stop` or the end of the term; failures are logged, and shown by `health`."""
        while not self._stopping.is_set() and not self._term.over:
            pause_s = self._step()
            self._stopping.wait(self._settings.least_s)
            self._wanted.wait(max(0.0, pause_s - self._settings.least_s))
            self._wanted.clear()

    def wake(self) -> None:
        """Have the next tick begin now."""
        self._wanted.set()

    def stop(self) -> None:
        """Let `run` end after the present tick."""
        self._stopping.set()
        self.wake()

    def close(self) -> None:
        """Let the sites' threads end, after `run` has; a site that hangs is not waited for."""
        self._links.close()

    def _step(self) -> float:
        """Tick once, whatever comes of it; give the time to the next tick [s]."""
        try:
            self.tick(self._clock.now())
        except Exception as error:  # noqa: BLE001 - one bad tick must not be the last
            return self._after_failure(error)
        self._failures, self._failure = 0, ""
        at_rest = not self._roster.any_held and self._links.at_rest
        return self._settings.idle_s if at_rest else self._settings.busy_s

    def _after_failure(self, error: Exception) -> float:
        """Note why a tick failed, so that the next one asks the store; give the time to it [s]."""
        self._in_doubt, self._failure = True, f"{type(error).__name__}: {error}"
        self._failures += 1
        if isinstance(error, NotLeader):
            return self._settings.idle_s
        away = isinstance(error, StoreUnavailable)
        level, fault = (logging.WARNING, None) if away else (logging.ERROR, error)
        _LOG.log(level, "event=tick-failed problem=%r", self._failure, exc_info=fault)
        return min(self._settings.busy_s * 2.0**self._failures, self._settings.longest_pause_s)

    # ------------------------------------------------------------------------ one tick

    def tick(self, now: float) -> None:
        """Do one round, as at the top of this file; `now` never goes back.

        Raises
        ------
        StoreUnavailable, ConflictError
            Nothing is lost: the next tick begins with what the store says.
        NotLeader
            Another control plane leads, or may do so by now; no site was told anything since.
        """
        self._term.check()
        if self._in_doubt or self._roster.sparse:
            self._start_anew(now)
        else:
            self._load(now)
        steady = self._clock.running()
        self._links.look(steady)
        self._reconcile(now, steady)
        self._place(now)
        self._term.check()  # this process may have stood still since
        self._tell()
        self._ticked_at = now

    def _start_anew(self, now: float) -> None:
        """Read all open jobs from the store, as after a crash."""
        self._run_times = RunTimes.of(self._offer, self._store)
        roster = Roster(self._offer, self._policy, self._cycle, self._run_times)
        position, records = self._store.open_jobs()
        roster.admit(records)
        self._links.heed(self._store.news(position if self._ticked_at is None else self._position))
        self._roster, self._position, self._in_doubt = roster, position, False
        self._cancel(self._store.pending_cancels(), now)
        _LOG.info("event=started-anew open_jobs=%d position=%d", len(records), position)

    def _load(self, now: float) -> None:
        news = self._store.news(self._position)
        self._roster.admit(news.submitted)
        self._links.heed(news)
        self._cancel(news.cancel, now)
        self._position = news.position

    def _cancel(self, job_ids: Iterable[str], now: float) -> None:
        """Record the end of jobs that wait; those at a site are `CANCELLING` from here on."""
        records = filter(None, map(self._roster.record, dict.fromkeys(job_ids)))
        early = "cancelled before it started"
        self._write(
            Change(r.id, r.version, Event.CANCEL, now, detail=early if r.attempt == 0 else "")
            for r in records
            if r.status is not Status.CANCELLING
        )

    def _reconcile(self, now: float, steady: float) -> None:
        self._write(change for link in self._links for change in self._refused(link, now))
        changes = silent(self._roster.held_at(None), now)
        for link in self._links:
            held = self._roster.held_at(link.id)
            if link.fresh:
                changes += reconcile(held, link.reports, now, link.told_to_end)
            elif link.silent_for(steady) >= self._settings.patience.unknown_after_s:
                changes += silent(held, now)
        self._write(changes)
        for link in self._links:
            if link.fresh:
                held_now = {record.token for record in self._roster.held_at(link.id)}
                self._links.end_strays(link, held_now, steady)
            else:
                self._give_up(link, now, steady)
        self._write(resolve_lost(self._roster.lost(), now))

    def _give_up(self, link: SiteLink, now: float, steady: float) -> None:
        """Let jobs of a site that stays silent run elsewhere, those that may."""
        silent_s = link.unled_for(steady)
        if silent_s <= 0.0:
            return
        held = list(self._roster.held_at(link.id))
        patience_s = self._settings.patience.elsewhere_after_s
        changes = given_up(held, now, silent_s, link.engine.lease_s, patience_s)
        self._write(changes)
        given = {change.job_id for change in changes}
        link.owe(record.token for record in held if record.id in given)

    def _refused(self, link: SiteLink, now: float) -> list[Change]:
        """Give the changes for jobs that the site will never run."""
        refused = dict(link.refused)
        link.refused.clear()
        return [
            Change(r.id, r.version, Event.REFUSED, now, detail=refused[r.token])
            for r in self._roster.held_at(link.id)
            if r.token in refused
        ]

    def _place(self, now: float) -> None:
        """Decide what to start and to stop, and record it before any site hears of it."""
        shut, withheld = self._links.shut, self._links.withheld
        if not self._roster.changed(shut, withheld) and not self._cycle_due(now):
            return
        decided = self._roster.cycle(shut, withheld, now)
        self._latest = decided.reading
        changes = [
            Change(r.id, r.version, Event.PREEMPTED, now, left_s=left_s, detail=_PREEMPTED)
            for r, left_s in decided.stops
        ]
        changes += [
            Change(r.id, r.version, Event.PLACED, now, pool=pool.id, count=size)
            for r, pool, size in decided.placements
        ]
        self._write(changes)
        if not self._history or now - self._history[-1].at >= _HISTORY_STEP_S:
            self._history.append(self._latest)

    def _cycle_due(self, now: float) -> bool:
        """Whether a cycle is due although nothing has happened.

        The first one is: it loads the compiled kernels before a job has to wait for them.
        """
        if self._latest is None:
            return True
        return self._roster.waiting and now - self._latest.at >= self._settings.recheck_s

    def _tell(self) -> None:
        """Tell each site that answered what to end, what to run and what to forget."""
        kept = self._settings.kept_runs
        for link in self._links:
            if link.fresh:
                held = self._roster.held_at(link.id)
                ending = {r.token for r in held if r.status in _ENDING}
                link.told_to_end &= ending
                link.tell(
                    end=sorted(ending - link.told_to_end),
                    run=self._orders(link, missing(held, link.reports)),
                    forget=forgettable(link.reports, {r.token for r in held}, kept),
                )

    def _orders(self, link: SiteLink, records: Sequence[JobRecord]) -> list[RunOrder]:
        """Give the orders for jobs that the site does not know: new ones, and ones it lost."""
        orders = []
        for record in records:
            pool = self._pool[record.pool or ""]
            stack = self._offer.accelerators[pool.accelerator].stack
            try:
                orders.append(run_order(record, pool, stack))
            except OrderRefused as refusal:
                link.refused.append((record.token, str(refusal)))
        return orders

    def _write(self, changes: Iterable[Change]) -> None:
        """Record changes, all or none, and let the roster follow."""
        try:
            records = self._store.record(list(changes), epoch=self._term.epoch)
        except NotLeader as refusal:  # the store knows for good
            self._term.lose(str(refusal))
            raise
        for record in records:
            self._roster.put(record)
            if record.status.ended:
                self._run_times.note(record)
            _LOG.info(
                "event=%s job=%s attempt=%d pool=%s detail=%r",
                record.status.name.lower(),
                record.id,
                record.attempt,
                record.pool,
                record.detail,
            )

    # -------------------------------------------------------------- for other threads

    def scene(self, job_id: str) -> tuple[Scene, float] | None:
        """Give what a waiting job competes with, and the time; None for one that does not wait."""
        found = self._roster.scene(job_id)
        return found and (found, max(self._clock.now(), self._ticked_at or 0.0))

    @property
    def epoch(self) -> int:
        """The epoch for which it runs."""
        return self._term.epoch

    @property
    def run_times(self) -> RunTimes:
        """What is known of run times now; replaced when the loop starts anew."""
        return self._run_times

    def set_aside(self, job_id: str) -> str:
        """Give why the scheduler does not consider a job; empty when it does."""
        return self._roster.set_aside(job_id)

    def estimate(self, job_id: str) -> Estimate | None:
        """Give how long an open job is taken to run; None for one it does not consider."""
        return self._roster.estimate(job_id)

    def link(self, pool_id: str) -> SiteLink | None:
        """Give the line to a pool's site; None when the network does not have the pool."""
        pool = self._pool.get(pool_id)
        return None if pool is None else self._links.at(pool.site)

    def counts(self) -> Mapping[str, int]:
        """Give how many open jobs there are, by the name of their status."""
        return self._roster.counts()

    def sites(self) -> list[SiteView]:
        """Give every site as it is now."""
        running = {link.id: len(self._roster.held_at(link.id)) for link in self._links}
        return self._links.views(running, self._clock.running())

    def pools(self) -> list[PoolView]:
        """Give every pool as it is now."""
        return self._roster.pool_views(self._links.obstacles)

    def prices(self) -> Prices:
        """Give the prices of the last cycle and those before it."""
        latest = self._latest
        age_s = max(0.0, self._clock.now() - latest.at) if latest else 0.0
        return Prices(self._policy.name, latest, age_s, tuple(self._history))

    def health(self) -> Health:
        """Give whether ticks succeed and every site answers."""
        sites = self._links.complaints
        wrong = [f"site {site}: {text}" for site, text in sites.items() if text]
        if self._failures:
            wrong.insert(0, f"the last {self._failures} rounds failed: {self._failure}")
        elif self._ticked_at is None:
            wrong.insert(0, "starting")
        return Health(
            ok=not wrong,
            network=self._offer.network.name,
            policy=self._policy.name,
            detail="; ".join(wrong),
            last_tick_at=self._ticked_at,
            sites=sites,
        )
