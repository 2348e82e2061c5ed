"""What a clearing says of itself in the course of a replay: its gap, and prices by the hour."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.scheduling.policy import Decision

HOUR_S: Final = 3600.0
#: Cycles kept before they are summed up by hour.
_BLOCK: Final = 4096

_Hours = NDArray[np.int64]
_Sums = NDArray[np.float64]


@dataclass(frozen=True)
class PriceRecord:
    """The certified gap and the prices of one replay. Axes: H hours, P pools."""

    gap_mean: float
    """Mean of (bound - value) / bound over the cycles in which some job could start."""
    gap_max: float
    hour: NDArray[np.int64]
    """Shape (H,), ascending: hours since the first submission in which a price was above 0."""
    price: NDArray[np.float64]
    """Shape (H, P): mean over the hour by time [finished jobs per accelerator-second]."""

    def mean(self, span_s: float) -> NDArray[np.float64]:
        """Give the mean price of each pool over a span that holds all hours; shape (P,)."""
        return self.price.sum(axis=0) * HOUR_S / span_s


class PriceRecorder:
    """Gathers a `PriceRecord`, at about a microsecond per cycle.

    A price holds from its cycle to the next. A policy without a clearing leaves no record.
    """

    def __init__(self, pools: int) -> None:
        """Begin without any cycle seen."""
        self._times: list[float] = []
        self._prices = np.empty((_BLOCK, pools))
        self._sums: list[tuple[_Hours, _Sums]] = []
        self._gap_sum = self._gap_max = 0.0
        self._gaps = 0

    def note(self, now: float, decision: Decision) -> None:
        """Take down one cycle; `now` never falls."""
        prices, bound = decision.prices, decision.bound
        if prices is None:
            return
        if bound > 0.0:
            gap = (bound - decision.value) / bound
            self._gap_sum += gap
            self._gaps += 1
            if gap > self._gap_max:  # noqa: PLR1730 - half the time of max()
                self._gap_max = gap
        times = self._times
        if len(times) == _BLOCK:
            self._sum_up(now)
        self._prices[len(times)] = prices
        times.append(now)

    def record(self) -> PriceRecord | None:
        """Give what was gathered; the prices of the last cycle have held for no time."""
        if not self._times:
            return None
        self._sum_up(self._times[-1])
        hours = np.concatenate([hours for hours, _ in self._sums])
        sums = np.concatenate([sums for _, sums in self._sums])
        hours, sums = _by_hour(hours, sums)
        return PriceRecord(
            self._gap_sum / self._gaps if self._gaps else 0.0,
            self._gap_max,
            hours,
            sums / HOUR_S,
        )

    def _sum_up(self, until: float) -> None:
        """Integrate the block over time, hour by hour, and begin the next one."""
        times = np.array([*self._times, until])
        first, last = np.ceil(times[0] / HOUR_S), np.floor(until / HOUR_S)
        cuts = np.union1d(times, np.arange(first, last + 1) * HOUR_S)
        cycle = np.searchsorted(times, cuts[:-1], side="right") - 1
        areas = self._prices[cycle] * np.diff(cuts)[:, None]
        priced = areas.any(axis=1)
        hours = (cuts[:-1][priced] // HOUR_S).astype(np.int64)
        self._sums.append(_by_hour(hours, areas[priced]))
        self._times.clear()


def _by_hour(hours: _Hours, values: _Sums) -> tuple[_Hours, _Sums]:
    """Sum the rows of equal hours, which ascend."""
    if not len(hours):
        return hours, values
    starts = np.flatnonzero(np.diff(hours, prepend=-1))
    return hours[starts], np.add.reduceat(values, starts, axis=0)
