"""How fast bytes get from region to region."""

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
