"""What can be told about the start of a waiting job: when, on what grounds, what hastens it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tieline.simulation.forecast import RUNS, Forecast, forecast
from tieline.simulation.futures import Past, draw_futures, grounds
from tieline.simulation.remedies import Case, Remedies, cheapest_changes


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a waiting job will start, and what would start it sooner."""

    at_s: float
    """The moment of the forecast [s]."""
    forecast: Forecast
    grounds: tuple[str, ...]
    """What the futures were drawn from, one sentence each; empty where none was run."""
    remedies: Remedies


def outlook(
    case: Case,
    past: Past,
    chance: np.random.Generator,
    go_on: Callable[[], bool] = lambda: True,
    try_on: Callable[[], bool] = lambda: True,
) -> Outlook:
    """Give the outlook of a job. The same arguments give the same, while both say yes.

    Parameters
    ----------
    go_on
        Asked now and then; the forecast makes do with what was run when it says no.
    try_on
        Likewise; no more changes are tried when it says no.
    """
    futures = draw_futures(case.state, case.now, past, chance, RUNS)
    (found,) = forecast(case.state, [case.row], case.now, futures, go_on=go_on)
    remedies = cheapest_changes(case, found, futures, try_on)
    told = grounds(past, case.now) if found.runs or np.isfinite(found.until_s) else ()
    return Outlook(case.now, found, told, remedies)
