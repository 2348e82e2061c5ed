"""What accelerators could serve, in the unit in which demand is counted."""

import numpy as np
from numpy.typing import NDArray

from tieline.planning.plan import Result

_Floats = NDArray[np.float64]


def capability(result: Result) -> _Floats:
    """Give what the stock could serve; axes C, N [reference accelerators].

    stock x utilisation x part that still works x mean rate. The mean is over the demands that
    the accelerator may serve, each with its share in the node, so that what cannot serve some
    kind of work is not marked down for it.
    """
    inputs = result.inputs
    amount = inputs.amount.sum(axis=1)
    may = inputs.rate > 0
    wanted = may.T.astype(np.float64) @ amount
    rate = np.divide(inputs.rate.T @ amount, wanted, out=np.zeros_like(wanted), where=wanted > 0)
    stock = result.array("stock").sum(axis=1)
    able: _Floats = stock * inputs.spec.utilisation * inputs.kept * rate
    return able
