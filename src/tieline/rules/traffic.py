"""Transfers under way: how fast each one is while others come and go, and when it is done."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tieline.rules.transfer import Routes, fair_shares

Key = TypeVar("Key", bound=Hashable)


@dataclass
class _Transfer:
    path: NDArray[np.int64]
    left: float
    """Bytes at `since`."""
    since: float
    speed: float = 0.0
    done_s: float = field(default=np.inf)


class Traffic(Generic[Key]):
    """Transfers that share the bandwidth of links, max-min fair at every moment.

    Whoever knows all transfers knows when they end: the world of a replay. To a scheduler that
    hears of arrivals the same times are estimates.
    """

    def __init__(self, routes: Routes) -> None:
        """Start without any."""
        self._routes = routes
        self._transfers: dict[Key, _Transfer] = {}
        self.load = np.zeros(len(routes.bandwidth) - 1, np.int64)
        """Axis D: transfers on each directed link; read only."""

    def __len__(self) -> int:
        """Transfers under way."""
        return len(self._transfers)

    def __contains__(self, key: object) -> bool:
        """Whether this transfer is under way."""
        return key in self._transfers

    @property
    def done_s(self) -> Mapping[Key, float]:
        """When each transfer is done [s] if no other begins or ends, in order of beginning."""
        return {key: one.done_s for key, one in self._transfers.items()}

    def begin(self, key: Key, source: int, to: int, size_bytes: float, now: float) -> None:
        """Begin a transfer between two regions with a way between them."""
        path = self._routes.path(source, to)
        self._transfers[key] = _Transfer(path, size_bytes, now)
        self.load[path] += 1
        self._share(now)

    def end(self, key: Key, now: float) -> None:
        """Forget a transfer: it is done, or given up."""
        self.load[self._transfers.pop(key).path] -= 1
        self._share(now)

    def speeds(self) -> Mapping[Key, float]:
        """Give how fast each transfer is now [bytes/s]."""
        return {key: one.speed for key, one in self._transfers.items()}

    def path(self, key: Key) -> NDArray[np.int64]:
        """Give the directed links of a transfer."""
        return self._transfers[key].path

    def copy(self) -> "Traffic[Key]":
        """Give another with the same transfers."""
        other = Traffic[Key](self._routes)
        other._transfers = {
            key: _Transfer(one.path, one.left, one.since, one.speed, one.done_s)
            for key, one in self._transfers.items()
        }
        other.load = self.load.copy()
        return other

    def _share(self, now: float) -> None:
        """Give every transfer its speed from now on; one that keeps it keeps its end as well."""
        paths = [one.path for one in self._transfers.values()]
        speeds = fair_shares(paths, self._routes.bandwidth[:-1]).tolist()
        for one, speed in zip(self._transfers.values(), speeds, strict=True):
            if speed != one.speed:
                one.left = max(0.0, one.left - one.speed * (now - one.since))
                one.since, one.speed = now, speed
                one.done_s = now + one.left / speed
