"""The variables of a plan: where their columns are, and the units they are scaled by."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tieline.planning.inputs import Inputs

_Ints = NDArray[np.int32]


@dataclass(frozen=True)
class Units:
    """What 1 of the scaled program means: powers of two near the plan's own sizes."""

    accelerators: float
    usd: float
    watts: float
    bytes_s: float


@dataclass(frozen=True)
class Variables:
    """Columns of the variables, -1 where there is none."""

    buy: _Ints
    """Axes K, C, R, N."""
    stock: _Ints
    """Axes C, R, N."""
    serve: _Ints
    """Axes W, C, R, N."""
    flow: _Ints
    """Axes W, V, N."""
    unmet: _Ints
    """Axes W, R, N."""
    spent: _Ints
    """Axes K, N."""
    capped: _Ints
    """Axes Q, K, N."""
    imported: _Ints
    """Axes K, N."""
    domestic: _Ints
    """Axes K, N."""

    def arrivals(self, source: NDArray[np.int64], stopped: NDArray[np.bool_]) -> _Ints:
        """Give the orders that arrive in each node; axes K, C, R, N.

        Parameters
        ----------
        source
            Axes C, N: the node of the order; -1 for none.
        stopped
            Axes C, N: what does not arrive.
        """
        none = (source < 0) | stopped
        at = np.where(none, 0, source)[None, :, None, :]
        found = np.take_along_axis(self.buy, at, axis=3)
        return np.where(none[None, :, None, :], np.int32(-1), found)


def parent_of(columns: _Ints, inputs: Inputs) -> _Ints:
    """Give, for each node, the columns of the node before it; axis N last, -1 at the root."""
    before = columns[..., inputs.tree.parent]
    before[..., 0] = -1
    return before


def where_finite(limits: NDArray[np.float64], inputs: Inputs) -> NDArray[np.bool_]:
    """Give where a limit is one; its axis, then N."""
    return np.repeat(np.isfinite(limits)[:, None], len(inputs.tree), axis=1)
