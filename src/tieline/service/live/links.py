"""All sites of a network as the loop sees them: who answers, who takes work, and how much."""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import wait
from typing import Final

from tieline.control.governance import Drain
from tieline.control.ports import Engine, News, Store
from tieline.model.errors import NotFoundError
from tieline.model.network import Network
from tieline.service.leadership import Term
from tieline.service.live.sites import Patience, SiteLink
from tieline.service.live.strays import Strays
from tieline.service.views import SiteView


class Links:
    """The lines to the sites. For one thread, that of the loop; `views` and the like for all."""

    def __init__(
        self,
        network: Network,
        engines: Mapping[str, Engine],
        store: Store,
        patience: Patience,
        term: Term,
    ) -> None:
        """Start the sites' threads; nothing is asked yet. `engines` is by site id."""
        self.term: Final = term
        """For which the sites are spoken with."""
        self._patience = patience
        self._store = store
        self._links = {
            site: SiteLink(site, engine, patience, term) for site, engine in engines.items()
        }
        self._sites: Final = network.sites
        self._strays = {site: Strays(store, site) for site in engines}
        self._unproven = set(engines)
        self.drained: Mapping[str, Drain] = {}
        """Sites that the loop gives no new work as operators have closed them, by id. What others
        are told of drains comes from the store: a loop in the midst of a tick knows it later."""

    def __iter__(self) -> Iterator[SiteLink]:
        """Give every link, in the order of the network."""
        return iter(self._links.values())

    def at(self, site: str) -> SiteLink | None:
        """Give the link to a site."""
        return self._links.get(site)

    def look(self, now: float) -> None:
        """Ask every site, and wait a little for those that have answered so far."""
        asked = [answer for link in self for answer in link.ask(now)]
        wait(asked, timeout=self._patience.in_tick_s)
        for link in self:
            link.hear(now)
            if link.fresh and link.id in self._unproven:
                self._prove(link)

    def heed(self, news: News) -> None:
        """Follow operators: sites that are closed now, and those opened since the last time."""
        self.drained = news.drained
        for link in filter(None, map(self._links.get, news.resumed)):
            link.vouch()

    def end_strays(self, link: SiteLink, held: set[str], now: float) -> None:
        """Have runs ended that no job means any more; `held` are the tokens that jobs mean."""
        link.owe(self._strays[link.id].find(held, link.reports, now))

    @property
    def shut(self) -> set[str]:
        """The sites that take no new work."""
        return {link.id for link in self if link.problem or link.id in self.drained}

    @property
    def at_rest(self) -> bool:
        """Whether every site answers."""
        return not any(link.problem for link in self)

    @property
    def withheld(self) -> dict[str, int]:
        """Accelerators that cannot be used now, by pool id: of pools where there are any."""
        found: dict[str, int] = {}
        for site in self._sites:
            link = self._links.get(site.id)
            if link is None or link.capacity is None:
                continue
            strays = self._strays[site.id].held
            for pool in site.pools:
                usable = min(pool.capacity, max(0, link.capacity.get(pool.id, 0)))
                out = pool.capacity - usable + strays.get(pool.id, 0)
                if out > 0:
                    found[pool.id] = min(out, pool.capacity)
        return found

    @property
    def complaints(self) -> dict[str, str]:
        """What is wrong with each site, by id; empty for one that is well."""
        return {link.id: link.complaint or self._stranger(link.id) for link in self}

    @property
    def obstacles(self) -> dict[str, str]:
        """Why each site takes no new work, by id; empty for one that does."""
        drained = self._store.drained()
        return {link.id: link.problem or _told(drained.get(link.id)) for link in self}

    def views(self, running: Mapping[str, int], now: float) -> list[SiteView]:
        """Give every site as it is now; `running` is its number of jobs, by id."""
        regions = {site.id: site.region for site in self._sites}
        kinds = {site.id: site.engine for site in self._sites}
        out, drained = self.withheld, self._store.drained()
        views = []
        for site in self._sites:
            link, drain = self._links[site.id], drained.get(site.id)
            capacity = sum(pool.capacity for pool in site.pools)
            withheld = sum(out.get(pool.id, 0) for pool in site.pools)
            views.append(
                SiteView(
                    id=site.id,
                    region=regions[site.id],
                    engine=kinds[site.id],
                    state=str(link.mode) if drain is None else "drained",
                    problem=link.complaint or self._stranger(site.id) or _told(drain),
                    running=running.get(site.id, 0),
                    usable=None if link.capacity is None else capacity - withheld,
                    capacity=capacity,
                    heard_ago_s=link.heard_ago(now),
                )
            )
        return views

    def close(self) -> None:
        """Let the sites' threads end; a site that hangs is not waited for."""
        for link in self:
            link.close()

    def _stranger(self, site: str) -> str:
        token = self._strays[site].unknown
        return f"it runs {token}, which the store does not know" if token else ""

    def _prove(self, link: SiteLink) -> None:
        """Believe a site only when the store knows its newest run.

        Runs are known by job and attempt. Under a new store, or an older state of this one, the
        same names mean other jobs, and these would be taken to have run.
        """
        newest = newest_job(link.reports)
        try:
            if newest is not None:
                self._store.job(newest)
        except NotFoundError:
            link.bar(
                f"it has a run of {newest}, which the store does not know: put the store back, "
                "or give the site another directory"
            )
        self._unproven.discard(link.id)


def _told(drain: Drain | None) -> str:
    return "" if drain is None else drain.told


def newest_job(tokens: Iterable[str]) -> str | None:
    """Give the id of the newest job among tokens of runs; None when there are none."""
    jobs = {token.rpartition(".")[0] for token in tokens}
    return max(jobs, key=lambda job: (len(job), job), default=None)
