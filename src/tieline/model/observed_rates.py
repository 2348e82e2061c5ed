"""How fast ended jobs ran on each accelerator, compared with others like them.

Jobs of one tenant, name, workload and size of gang do the same work again and again, so where
such jobs ran on two accelerators the ratio of their run times is the ratio of the speeds. Where
jobs say how long they should take, run time over estimate is compared instead: that allows for
jobs of one name that differ in size, and the user's optimism cancels out.
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations
from math import exp, inf, log, sqrt
from statistics import median
from typing import Final, NamedTuple

import numpy as np

from tieline.model.accelerator import Rate
from tieline.model.workload import Workload

#: Ended jobs of a group on an accelerator before it counts, and how many are remembered.
ENOUGH: Final = 5
LATEST: Final = 50
#: Widest range that still says something: the ends lie this far apart [ratio].
WIDEST: Final = 4.0
#: Groups remembered per workload; the one that was heard of longest ago goes first.
MOST_GROUPS: Final = 1000
#: Runs shorter than this are start-up, not work [s].
SHORTEST_S: Final = 1.0
#: From the median absolute deviation to a standard deviation, for normal errors.
_MAD: Final = 1.4826
#: Half the width of the range that holds four in five, in standard deviations.
_INSIDE: Final = 1.2816
#: Standard error of a median in those of a mean, for normal errors.
_MEDIAN: Final = 1.2533
#: Least deviation taken for one job [log], however alike the first few came out.
_LEAST: Final = 0.05

_Group = Mapping[str, tuple[float, ...]]
"""The latest log(estimate / run time), or log(1 / run time), by accelerator."""


class _Known(NamedTuple):
    version: int
    groups: Mapping[Hashable, _Group]


class ObservedRates:
    """What ended jobs show about rates. The same calls in the same order give the same.

    One thread may write while others read: what is known of a workload is replaced, never
    changed.
    """

    def __init__(self) -> None:
        """Start without any job."""
        self._known: dict[tuple[str, str], _Known] = {}
        self._noted = 0

    def clear(self) -> None:
        """Forget every job."""
        self._known = {}

    def note(
        self,
        workload: Workload,
        accelerator: str,
        *,
        like: Hashable,
        count: int,
        run_s: float,
        estimate_s: float | None = None,
    ) -> None:
        """Learn from a job that succeeded.

        Parameters
        ----------
        accelerator
            Where it ran.
        like
            What makes its work equal to that of other jobs, such as tenant and name.
        run_s
            Run time without staging [s]; below `SHORTEST_S`, or not finite, nothing is
            learned.
        estimate_s
            The user's estimate on one and the same accelerator for all such jobs [s]; None
            where there is none.
        """
        given = estimate_s is not None and 0 < estimate_s < inf
        if workload.model is None or not SHORTEST_S <= run_s < inf:
            return
        name = (workload.kind, workload.model)
        groups = dict(self._known[name].groups) if name in self._known else {}
        group = groups.pop((like, count, given), {})
        work = estimate_s if given and estimate_s is not None else 1.0
        logs = (*group.get(accelerator, ()), log(work / run_s))[-LATEST:]
        groups[like, count, given] = {**group, accelerator: logs}
        if len(groups) > MOST_GROUPS:
            del groups[next(iter(groups))]
        self._noted += 1
        self._known[name] = _Known(self._noted, groups)

    def version(self, workload: Workload) -> int:
        """Give a number that grows when the profile may have changed; 0 for no job at all."""
        known = self._known.get((workload.kind, workload.model or ""))
        return 0 if known is None else known.version

    def profile(self, workload: Workload) -> Mapping[str, Rate]:
        """Give the relative speeds of a workload, by accelerator, in a unit of their own.

        What the owner of the workload says of its rates does not matter here. Two
        accelerators are compared by each group that has `ENOUGH` jobs on both: the
        difference of the medians of log(estimate / run time), with the standard error that
        their deviations give. The accelerator of most comparisons is the unit; another is in
        the profile where it was compared with that one and the range of the ratio is no
        wider than `WIDEST`.

        Returns
        -------
        Mapping
            Empty for a workload without a model, or before there is enough. Basis
            `measured`; `low` and `high` hold the true ratio in four of five cases, if errors
            are normal.
        """
        known = self._known.get((workload.kind, workload.model or ""))
        if known is None:
            return {}
        pairs = _comparisons(known.groups)
        if not pairs:
            return {}
        names = sorted({name for pair in pairs for name in pair})
        weight = {
            name: sum(len(found) for pair, found in pairs.items() if name in pair)
            for name in names
        }
        unit = max(names, key=lambda name: weight[name])
        rates = {unit: Rate(1.0, "measured", f"ended jobs of {workload}", 1.0, 1.0)}
        for name in names:
            found = pairs.get((name, unit)) or [
                _Ratio(-one.log, one.error, one.jobs) for one in pairs.get((unit, name), ())
            ]
            rate = _combined(found, f"ended jobs of {workload}: {name} against {unit}")
            if name != unit and rate is not None:
                rates[name] = rate
        return rates if len(rates) > 1 else {}


class _Ratio(NamedTuple):
    """One accelerator against another, as one group saw it."""

    log: float
    error: float
    jobs: int


def _comparisons(groups: Mapping[Hashable, _Group]) -> dict[tuple[str, str], list[_Ratio]]:
    """Give what the groups say of each pair of accelerators."""
    pairs: dict[tuple[str, str], list[_Ratio]] = {}
    for group in groups.values():
        ready = sorted(name for name, logs in group.items() if len(logs) >= ENOUGH)
        for one, other in combinations(ready, 2):
            mine, theirs = group[one], group[other]
            error = sqrt(_error(mine) ** 2 + _error(theirs) ** 2)
            ratio = _Ratio(median(mine) - median(theirs), error, len(mine) + len(theirs))
            pairs.setdefault((one, other), []).append(ratio)
    return pairs


def _error(logs: Sequence[float]) -> float:
    """Give the standard error of the median; a few jobs tell little of their deviation."""
    middle = median(logs)
    deviation = _MAD * median(abs(value - middle) for value in logs)
    return _MEDIAN * max(_LEAST, deviation) / sqrt(len(logs) - 2)


def _combined(found: list[_Ratio], what: str) -> Rate | None:
    """Give the mean of several groups, weighted by precision; None while it is too wide.

    The range allows for groups that differ by more than their errors.
    """
    if not found:
        return None
    logs = np.array([one.log for one in found])
    weights = np.array([one.error**-2.0 for one in found])
    mean = float(weights @ logs / weights.sum())
    error = float(weights.sum() ** -0.5)
    if len(found) > 1:
        excess = float(weights @ (logs - mean) ** 2 / (len(found) - 1))
        error *= sqrt(max(1.0, excess))
    if exp(2 * _INSIDE * error) > WIDEST:
        return None
    jobs = sum(one.jobs for one in found)
    ends = (exp(mean - _INSIDE * error), exp(mean + _INSIDE * error))
    return Rate(exp(mean), "measured", f"{what}, {jobs} jobs", *ends)
