"""Who holds which dataset: originals, copies in the caches of regions, and transfers under way.

Axes: D datasets, R regions. Deterministic; changed only through its methods.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieline.model.errors import InputError
from tieline.model.network import Network
from tieline.rules.traffic import Traffic
from tieline.rules.transfer import routes

#: Transfers on one link at most, and with how many on it data is still sent ahead of need. More
#: would make each later and none sooner.
AT_ONCE: Final = 4
AHEAD: Final = 1


class Move(NamedTuple):
    """One dataset to be brought from a region that holds it to one that does not."""

    dataset: str
    source: str
    to: str


class Replicas:
    """The replicas of a network, and how long it takes to have one elsewhere."""

    def __init__(self, network: Network) -> None:
        """Start with what the network says its sites hold, nothing under way."""
        self.regions: Final = tuple(region.id for region in network.regions)
        self._region_row = {region: row for row, region in enumerate(self.regions)}
        self._row = {dataset.id: row for row, dataset in enumerate(network.datasets)}
        self.datasets: Final = network.datasets
        self.size: Final = np.array([one.size_bytes for one in network.datasets])
        self.original = np.zeros((len(self.size), len(self.regions)), np.bool_)
        for row, dataset in enumerate(network.datasets):
            at = [self._region_row[network.site_region[site]] for site in dataset.replicas]
            # Of one that nobody holds, nothing is known: it is taken to be everywhere.
            self.original[row, at or slice(None)] = True
        self.original[self.size <= 0] = True
        self.held = self.original.copy()
        """Axes D, R; read only."""
        self.cache: Final = cache_room(network)
        self.routes: Final = routes(network)
        self.traffic = Traffic[tuple[int, int]](self.routes)
        """Transfers by (dataset, to); their ends are estimates here. Read only."""
        self._source: dict[tuple[int, int], int] = {}
        self._used_at = np.zeros(self.held.shape)
        self._shares = self.routes.shares(self.traffic.load)

    def rows(self, names: Iterable[str]) -> NDArray[np.int64]:
        """Give the rows of datasets, each once."""
        return np.array(sorted({self._row[name] for name in names}), np.int64)

    def present(self, datasets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Give whether each region holds all of these; axis R."""
        return np.asarray(self.held[datasets].all(axis=0))

    def fit(self, datasets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Give whether each region has room for these at all; axis R."""
        return np.asarray(self.size[datasets] @ ~self.original[datasets] <= self.cache)

    def time_and_cost(
        self, dataset: int, now: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give when from now each region could have the dataset [s], and for what [USD]; axis R.

        From the replica with the largest share of bandwidth left; one under way is paid for.
        """
        holders = np.flatnonzero(self.held[dataset])
        shares = self._shares[holders]
        best = shares.max(axis=0)
        with np.errstate(divide="ignore"):
            time_s = self.size[dataset] / best
        price = np.where(shares == best, self.routes.usd_per_byte[holders], inf).min(axis=0)
        cost = np.where(best > 0, price, 0.0) * self.size[dataset]
        for (moved, to), done_s in self.traffic.done_s.items() if self._source else ():
            if moved == dataset:
                time_s[to], cost[to] = max(0.0, done_s - now), 0.0
        here = self.held[dataset]
        time_s[here], cost[here] = 0.0, 0.0
        return time_s, cost

    def use(self, datasets: NDArray[np.int64], region: int, now: float) -> None:
        """Note that these datasets are used in this region."""
        self._used_at[datasets, region] = now

    def send(
        self,
        datasets: NDArray[np.int64],
        to: int,
        pinned: NDArray[np.bool_],
        now: float,
        at_once: int,
    ) -> list[Move] | None:
        """Begin to move there what the region lacks of these, all of it or nothing.

        Parameters
        ----------
        pinned
            Axes D, R: replicas that must stay.
        at_once
            Every link must have fewer transfers than this.

        Returns
        -------
        list of Move or None
            None, with nothing changed, where a link is taken, or the cache has no room.
        """
        lacking = [d for d in self._lacking(datasets, to) if (d, to) not in self._source]
        sources = [self._best_source(d, to) for d in lacking]
        for source in sources:
            path = self.routes.path(source, to)
            if not self.routes.leads[source, to] or (self.traffic.load[path] >= at_once).any():
                return None
        keep = pinned[:, to].copy()
        keep[datasets] = True
        evicted = self._room_for(float(self.size[lacking].sum()), to, keep)
        if evicted is None:
            return None
        self.held[evicted, to] = False
        for d, source in zip(lacking, sources, strict=True):
            self._source[d, to] = source
            self.traffic.begin((d, to), source, to, float(self.size[d]), now)
        self._shares = self.routes.shares(self.traffic.load)
        return [self._move(d, to) for d in lacking]

    def arrive(self, moves: Sequence[Move], now: float) -> None:
        """Count the moved datasets as held where they are now.

        Raises
        ------
        InputError
            One that was not under way. Those before it have arrived.
        """
        for move in moves:
            key = self.key(move)
            if key not in self._source:
                raise InputError(
                    f"dataset {move.dataset} arrived in {move.to}, but it was not on its way"
                )
            self.traffic.end(key, now)
            del self._source[key]
            self.held[key] = True
            self._used_at[key] = now
        self._shares = self.routes.shares(self.traffic.load)

    def key(self, move: Move) -> tuple[int, int]:
        """Give the rows of dataset and destination; -1 for one that is not known."""
        return self._row.get(move.dataset, -1), self._region_row.get(move.to, -1)

    def moves(self) -> list[Move]:
        """Give the moves under way, in order of beginning."""
        return [self._move(d, to) for d, to in self._source]

    def copy(self) -> "Replicas":
        """Give another in the same state."""
        other = object.__new__(Replicas)
        vars(other).update(vars(self))
        other.held, other._used_at = self.held.copy(), self._used_at.copy()
        other._source, other.traffic = self._source.copy(), self.traffic.copy()
        return other

    def used_bytes(self) -> NDArray[np.float64]:
        """Give what copies take up in each region, room for those under way included; axis R."""
        copies = self.held & ~self.original
        for key in self._source:
            copies[key] = True
        return np.asarray(self.size @ copies)

    def _lacking(self, datasets: NDArray[np.int64], to: int) -> list[int]:
        return [d for d in datasets.tolist() if not self.held[d, to]]

    def _best_source(self, dataset: int, to: int) -> int:
        holders = np.flatnonzero(self.held[dataset])
        order = np.lexsort(
            (self.routes.usd_per_byte[holders, to], -self._shares[holders, to])
        )  # then by row: the sort is stable
        return int(holders[order[0]])

    def _room_for(self, size_bytes: float, to: int, keep: NDArray[np.bool_]) -> list[int] | None:
        """Give the least recently used copies that must go for so much more; None if in vain."""
        free = self.cache[to] - self.used_bytes()[to]
        if size_bytes <= free:
            return []
        may_go = self.held[:, to] & ~self.original[:, to] & ~keep
        for (d, _), source in self._source.items():
            may_go[d] &= source != to
        rows = np.flatnonzero(may_go)
        evicted: list[int] = []
        for row in rows[np.argsort(self._used_at[rows, to], kind="stable")].tolist():
            if size_bytes <= free:
                break
            free += self.size[row]
            evicted.append(row)
        return evicted if size_bytes <= free else None

    def _move(self, d: int, to: int) -> Move:
        source = self._source[d, to]
        return Move(self.datasets[d].id, self.regions[source], self.regions[to])


def cache_room(network: Network) -> NDArray[np.float64]:
    """Give what the sites of each region keep for copies, together [bytes]; axis R."""
    room = dict.fromkeys((region.id for region in network.regions), 0.0)
    for site in network.sites:
        room[site.region] += site.cache_bytes
    return np.array(list(room.values()))
