"""How often one caller may ask: a bucket of requests each, which fills at a steady rate."""

from typing import Final

#: Buckets are looked through for full ones, which need no keeping, at this number.
_MOST_BUCKETS: Final = 10_000


class Buckets:
    """Counts requests by name. For one thread."""

    def __init__(self, rate: float, burst_s: float) -> None:
        """Allow `rate` requests/s in the long run, those of `burst_s` at once, one at least."""
        self._rate = rate
        self._size = max(1.0, rate * burst_s)
        self._level: dict[str, tuple[float, float]] = {}

    def take(self, name: str, now: float) -> float:
        """Take a request from a bucket; give how long it must wait [s], 0 when it need not.

        Who must wait has taken nothing.
        """
        left, at = self._level.get(name, (self._size, now))
        left = min(self._size, left + (now - at) * self._rate)
        if left < 1.0:
            return (1.0 - left) / self._rate
        if len(self._level) >= _MOST_BUCKETS and name not in self._level:
            self._clear(now)
        self._level[name] = (left - 1.0, now)
        return 0.0

    def _clear(self, now: float) -> None:
        """Forget the buckets that are full by now, or all when none is: memory has an end."""
        self._level = {
            name: (left, at)
            for name, (left, at) in self._level.items()
            if left + (now - at) * self._rate < self._size
        }
        if len(self._level) >= _MOST_BUCKETS:
            self._level.clear()
