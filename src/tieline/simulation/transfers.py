"""The links of the world: data under way, and when it truly arrives."""

from collections.abc import Iterable
from math import inf

from tieline.control.replicas import Move, Replicas
from tieline.simulation.schedule import Schedule


class Transfers:
    """Transfers that share links, from moves that are given to arrivals that are observed.

    Exact: whenever one begins or ends, all others get their new speed and end from then on.
    """

    def __init__(self, replicas: Replicas, schedule: Schedule) -> None:
        """Start with what is under way already.

        Parameters
        ----------
        replicas
            Of the state that gives the moves; read only.
        schedule
            What is moved, and what that costs, is counted in it.
        """
        self._replicas = replicas
        self._traffic = replicas.traffic.copy()
        self._moves = {replicas.key(move): move for move in replicas.moves()}
        self._moved = schedule.moved
        self.next_s = inf
        """When the next one arrives [s]; inf when none is under way."""
        self._look()

    def begin(self, moves: Iterable[Move], now: float) -> None:
        """Begin to move data."""
        replicas, routes = self._replicas, self._replicas.routes
        for move in moves:
            key = d, to = replicas.key(move)
            source, size = replicas.regions.index(move.source), float(replicas.size[d])
            self._traffic.begin(key, source, to, size, now)
            self._moves[key] = move
            self._moved += (size, size * routes.usd_per_byte[source, to])
        self._look()

    def arrived(self, now: float) -> tuple[Move, ...]:
        """Take out and give what arrives at this moment."""
        if self.next_s != now:
            return ()
        found = [key for key, done_s in self._traffic.done_s.items() if done_s == now]
        for key in found:
            self._traffic.end(key, now)
        self._look()
        return tuple(self._moves.pop(key) for key in found)

    def _look(self) -> None:
        self.next_s = min(self._traffic.done_s.values(), default=inf)
