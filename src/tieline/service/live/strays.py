"""Runs that are alive at a site although no job means them any more: they are ended.

A site that was silent may come back with attempts of jobs that were given up there, and that run
elsewhere by now or have ended. They are never taken over. Until they are gone they hold their
accelerators, of which the books of the scheduler know nothing.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final

from tieline.control.ports import RunReport, Store
from tieline.control.reconcile import strays
from tieline.model.errors import NotFoundError

_LOG: Final = logging.getLogger(__name__)

#: Lines of the event log that are read at a time.
_PAGE: Final = 1_000
#: One that is still alive is to be ended again after so long [s].
_AGAIN_S: Final = 30.0


class Strays:
    """The strays of one site."""

    def __init__(self, store: Store, site: str) -> None:
        """Know of none yet."""
        self._store = store
        self._site = site
        self._held: dict[str, tuple[str, int]] = {}
        self._ended_at: dict[str, float] = {}
        self.unknown = ""
        """A run that is alive and of which the store knows nothing; empty when there is none.
        It may be another network's, and is let alone."""

    def find(
        self, held: Collection[str], reports: Mapping[str, RunReport], now: float
    ) -> list[str]:
        """Give the tokens that are to be ended now.

        Parameters
        ----------
        held
            Tokens of the jobs that hold accelerators at the site.
        """
        alive = strays(held, reports)
        self.unknown = ""
        found = {token: place for token in alive if (place := self._place(token)) is not None}
        self._held = found
        self._ended_at = {one: at for one, at in self._ended_at.items() if one in found}
        due = [one for one in found if now - self._ended_at.get(one, -_AGAIN_S) >= _AGAIN_S]
        for token in due:
            if token not in self._ended_at:
                pool = found[token][0]
                _LOG.warning("event=stray site=%s token=%s pool=%s", self._site, token, pool)
            self._ended_at[token] = now
        return due

    @property
    def held(self) -> Mapping[str, int]:
        """The accelerators that they hold, by pool id."""
        sums = Counter[str]()
        for pool, count in self._held.values():
            sums[pool] += count
        return sums

    def _place(self, token: str) -> tuple[str, int] | None:
        """Give pool and accelerators of a stray; None when it is none after all.

        The store is asked, not memory: what a leader that was overtaken takes for a stray may be
        what the next one has started.
        """
        if token in self._held:
            return self._held[token]
        job_id = token.rpartition(".")[0]
        try:
            record = self._store.job(job_id)
        except NotFoundError:
            self.unknown = token
            return None
        if record.token == token and record.status.holds_accelerators:
            return None
        placed = self._placement(job_id, token)
        if placed is None:
            self.unknown = token
            return None
        return str(placed["pool"]), int(placed.get("count", record.spec.count))

    def _placement(self, job_id: str, token: str) -> Mapping[str, Any] | None:
        after = 0
        while lines := self._store.events(job_id, after=after, limit=_PAGE):
            for line in lines:
                if line.event == "placed" and f"{job_id}.{line.data['attempt']}" == token:
                    return line.data
            after = lines[-1].seq
        return None
