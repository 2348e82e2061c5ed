"""How far run times are off their estimates, as ended jobs of like estimates tell.

A long estimate tends to be too long and a short one too short, so that ratios are drawn from
jobs that were estimated to run about as long.
"""

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]

#: Fewer ended jobs than this say little; then the assumed ratios stand in.
_LEAST: Final = 20
#: Assumed without history: four in five run times within this factor of the estimate.
_ASSUMED_FACTOR: Final = 2.0
#: Ended jobs whose estimates are nearest, from which a ratio is drawn.
_NEAR: Final = 64


class Ratios:
    """Real over estimated run times, to draw from. Axis N: ended jobs."""

    def __init__(self, work: _Floats, ratio: _Floats) -> None:
        """Take what ended jobs tell.

        Parameters
        ----------
        work
            Shape (N,): estimated run time at rate 1 [s], in any order.
        ratio
            Shape (N,): real over estimated run time, > 0.
        """
        order = np.argsort(work, kind="stable")
        self._work, self._ratio = work[order], ratio[order]
        self._near = min(_NEAR, len(work))

    def draw(self, work: _Floats, chance: np.random.Generator) -> _Floats:
        """Draw the ratio of jobs from those of like estimates; shape of `work` [s]."""
        at = self._first(work) + chance.integers(0, self._near, len(work))
        return self._ratio[at]

    def draw_beyond(self, work: _Floats, elapsed: _Floats, luck: _Floats) -> _Floats:
        """Draw the ratio of jobs that have come so far already.

        Parameters
        ----------
        work, elapsed
            Shape (R,): estimated run time at rate 1 [s]; how much of it has passed, over it.
        luck
            Shape (R,), drawn evenly from [0, 1).

        Returns
        -------
        float64 array, shape (R,)
            `elapsed` or more, up to rounding; nan for a job that has outlasted all that are
            like it.
        """
        found = self._ratio[self._first(work)[:, None] + np.arange(self._near)]
        # A hair lower, for a job that ends at this very moment by its estimate.
        longer = found >= (elapsed * (1.0 - 1e-9))[:, None]
        many = longer.sum(axis=1)
        nth = np.floor(luck * many).astype(np.int64)
        at = np.argmax(np.cumsum(longer, axis=1) > nth[:, None], axis=1)
        return np.where(many > 0, found[np.arange(len(work)), at], np.nan)

    def _first(self, work: _Floats) -> NDArray[np.int64]:
        """Give where the nearest estimates of each job begin."""
        middle = np.searchsorted(self._work, work) - self._near // 2
        return middle.clip(0, len(self._work) - self._near)


EXACT: Final = Ratios(np.zeros(1), np.ones(1))


def ratios_of(work: _Floats, ratio: _Floats) -> Ratios:
    """Give the ratios seen on ended jobs, or assumed ones where too few have ended."""
    if len(ratio) >= _LEAST:
        return Ratios(work, ratio)
    normal = NormalDist()
    sigma = np.log(_ASSUMED_FACTOR) / normal.inv_cdf(0.9)
    spread = [normal.inv_cdf((i + 0.5) / _NEAR) for i in range(_NEAR)]
    return Ratios(np.zeros(_NEAR), np.exp(sigma * np.array(spread)))


def told_by(ratio: _Floats) -> str:
    """Say where the ratios come from, in one sentence."""
    if len(ratio) < _LEAST:
        return (
            f"Run times within a factor of {_ASSUMED_FACTOR:g} of their estimates in 8 of 10 "
            f"cases (assumed: only {len(ratio)} ended so far)."
        )
    low, high = np.quantile(ratio, (0.1, 0.9))
    spread = f"{low:.3g} to {high:.3g} times their estimates in 8 of 10 cases"
    told = "as estimated" if low == high == 1 else spread
    return f"Run times {told}, as seen on {len(ratio):,} jobs."
