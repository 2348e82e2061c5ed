"""How long a price of capacity holds: prices from the dearest down, with their shares of time."""

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import HOURS_PER_QUARTER
from tieline.planning.plan import Result

_Floats = NDArray[np.float64]


def price_duration(base: Result) -> tuple[_Floats, _Floats]:
    """Give prices, highest first, and the share of time at which each ends; axes C, N.

    The price of an accelerator in a node is that of the region where one more is worth most, in
    money of the node's quarter [USD per accelerator-hour]. A node lasts for its probability.
    """
    inputs, tree = base.inputs, base.inputs.tree
    per_hour = inputs.spec.utilisation * inputs.kept / (inputs.weight * HOURS_PER_QUARTER)
    prices = (base.price_array("capacity") * per_hour[:, None, :]).max(axis=1)
    order = np.argsort(-prices, axis=1, kind="stable")
    share = tree.probability / inputs.spec.quarters
    return np.take_along_axis(prices, order, axis=1), np.cumsum(share[order], axis=1)
