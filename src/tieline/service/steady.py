"""Time that follows the clock of the machine and is not led astray by its jumps."""

import threading
import time
from collections.abc import Callable
from typing import Final

from tieline.control.ports import Clock

#: A clock that is off by no more is followed at once [s].
_SMALL_S: Final = 1.0
#: A clock that has gone ahead by more is followed when it has stayed there for so long [s].
_SETTLED_S: Final = 60.0
#: While the clock of the machine is behind, time goes at this pace until it has caught up.
_SLOW: Final = 0.5


def seconds_running() -> float:
    """Give a time that nobody sets and that goes on while the machine sleeps [s]."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SteadyClock:
    """UTC epoch [s], never going back and never standing still; for all threads.

    A clock that jumps an hour ahead and back again a moment later leaves no trace; one that is
    set forward is followed after a minute, and one that is set back is waited for at half pace.
    """

    def __init__(self, clock: Clock, running: Callable[[], float] = seconds_running) -> None:
        """Begin with what the clock of the machine says now.

        Parameters
        ----------
        running
            A time that nobody sets and that never stands still [s].
        """
        self._clock = clock
        self.running: Final = running
        self._lock = threading.Lock()
        self._now = clock.now()
        self._read_at = running()
        self._ahead_since: float | None = None

    def now(self) -> float:
        """Give the time."""
        with self._lock:
            told, read_at = self._clock.now(), self.running()
            passed = max(0.0, read_at - self._read_at)
            self._read_at = read_at
            self._now = self._next(told, self._now + passed, read_at)
            return self._now

    def _next(self, told: float, expected: float, read_at: float) -> float:
        off = told - expected
        if off <= _SMALL_S:
            self._ahead_since = None
        elif self._ahead_since is None:
            self._ahead_since = read_at
        settled = self._ahead_since is not None and read_at - self._ahead_since >= _SETTLED_S
        if abs(off) <= _SMALL_S or settled:
            return max(self._now, told)
        return expected if off > 0 else self._now + _SLOW * (expected - self._now)
