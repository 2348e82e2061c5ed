"""How bytes get from region to region: paths over links, what they cost, how they are shared."""

import heapq
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from tieline.model.network import Network


def widest_paths(network: Network) -> NDArray[np.float64]:
    """Give the bandwidth between regions [bytes/s], axes R, R; inf at home, 0 without a path.

    The bandwidth of a path is that of its narrowest link, and the widest path counts (the
    maximum capacity path; Pollack 1960, doi 10.1287/opre.8.5.733). Inside a region bytes
    are taken to cost no time.
    """
    row = {region.id: i for i, region in enumerate(network.regions)}
    width = np.zeros((len(row), len(row)))
    for link in network.links:
        a, b = (row[end] for end in link.ends)
        width[a, b] = width[b, a] = max(width[a, b], link.bandwidth_bytes_s)
    np.fill_diagonal(width, np.inf)
    for via in range(len(row)):
        np.maximum(width, np.minimum(width[:, via, None], width[None, via, :]), out=width)
    return width


def staging_s(
    size_bytes: float, holders: NDArray[np.int64], width: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the time to bring a dataset to each region [s], shape (R,); inf where none leads.

    Parameters
    ----------
    holders
        Regions that hold a replica; the one with the widest path sends.
    width
        Axes R, R: `widest_paths`, or what is left of it.
    """
    if size_bytes <= 0 or len(holders) == 0:
        return np.zeros(len(width))
    with np.errstate(divide="ignore"):
        return np.asarray(size_bytes / width[holders].max(axis=0))


@dataclass(frozen=True)
class Routes:
    """The way between any two regions. Axes: R regions, D directed links, H hops.

    A link is two directed ones, each with the whole bandwidth. The way is the widest path;
    among equally wide ones the cheapest, then the one with the fewest links.
    """

    hops: NDArray[np.int64]
    """Axes R, R, H: directed links from region to region, filled up with D."""
    bandwidth: NDArray[np.float64]
    """Axis D + 1 [bytes/s]; inf in the last place."""
    usd_per_byte: NDArray[np.float64]
    """Axes R, R."""
    leads: NDArray[np.bool_]
    """Axes R, R: whether there is a way; always at home."""

    def path(self, source: int, to: int) -> NDArray[np.int64]:
        """Give the directed links from region to region."""
        hops: NDArray[np.int64] = self.hops[source, to]
        return hops[hops < len(self.bandwidth) - 1]

    def shares(self, load: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give what one more transfer between regions would have [bytes/s], axes R, R.

        Parameters
        ----------
        load
            Axis D: transfers under way on each directed link. They share it equally, so one
            more has at least that, on the narrowest link of its path.
        """
        each = self.bandwidth / (1 + np.append(load, 0))
        return np.where(self.leads, each[self.hops].min(axis=2), 0.0)


def routes(network: Network) -> Routes:
    """Give the ways between the regions of a network; links without bandwidth lead nowhere."""
    width, n = widest_paths(network), len(network.regions)
    row = {region.id: i for i, region in enumerate(network.regions)}
    links = [link for link in network.links if link.bandwidth_bytes_s > 0]
    exits: list[list[tuple[int, int]]] = [[] for _ in range(n)]  # (directed link, region)
    for i, link in enumerate(links):
        a, b = (row[end] for end in link.ends)
        exits[a].append((2 * i, b))
        exits[b].append((2 * i + 1, a))
    bandwidth = np.repeat([link.bandwidth_bytes_s for link in links], 2)
    price = np.repeat([link.usd_per_byte for link in links], 2)
    found: dict[tuple[int, int], tuple[int, ...]] = {}
    for source in range(n):
        for least in set(width[source][width[source] > 0].tolist()) - {inf}:
            reached = _cheapest(exits, bandwidth, price, source, least)
            regions = np.flatnonzero(width[source] == least).tolist()
            found |= {(source, to): reached[to] for to in regions}
    hops = np.full((n, n, max(map(len, found.values()), default=1)), len(bandwidth), np.int64)
    for (source, to), path in found.items():
        hops[source, to, : len(path)] = path
    return Routes(
        hops=hops,
        bandwidth=np.append(bandwidth, inf),
        usd_per_byte=np.append(price, 0.0)[hops].sum(axis=2),
        leads=width > 0,
    )


def _cheapest(
    exits: list[list[tuple[int, int]]],
    bandwidth: NDArray[np.float64],
    price: NDArray[np.float64],
    source: int,
    least: float,
) -> dict[int, tuple[int, ...]]:
    """Give the cheapest path to every region over links of at least that bandwidth (Dijkstra)."""
    done: dict[int, tuple[int, ...]] = {}
    heap: list[tuple[float, int, tuple[int, ...], int]] = [(0.0, 0, (), source)]
    while heap:
        usd, length, path, at = heapq.heappop(heap)
        if at in done:
            continue
        done[at] = path
        for link, to in exits[at]:
            if to not in done and bandwidth[link] >= least:
                heapq.heappush(heap, (usd + price[link], length + 1, (*path, link), to))
    return done


def fair_shares(
    paths: list[NDArray[np.int64]], bandwidth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give each transfer's max-min fair speed [bytes/s]: nobody gains but from who has more.

    Parameters
    ----------
    paths
        Directed links of each transfer, at least one.
    bandwidth
        Axis D (further places are left alone) [bytes/s], > 0.

    Notes
    -----
    Progressive filling (Bertsekas and Gallager, "Data Networks", 1992, section 6.5.2): the link
    with the least left for each of its transfers decides on all of them, then the next.
    O(links x transfers).
    """
    left = bandwidth.copy()
    crosses = np.zeros((len(paths), len(left)), np.bool_)
    for i, path in enumerate(paths):
        crosses[i, path] = True
    speeds = np.zeros(len(paths))
    undecided = np.ones(len(paths), np.bool_)
    while undecided.any():
        users = crosses[undecided].sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            each = np.where(users > 0, left / users, inf)
        link = int(each.argmin())
        now = undecided & crosses[:, link]
        speeds[now] = each[link]
        left -= each[link] * crosses[now].sum(axis=0)
        np.maximum(left, 0.0, out=left)
        undecided &= ~now
    return speeds
