"""A lower bound on the mean completion time that any schedule of a network can reach.

Three bounds, each with its proof in docs/explanation/replay.md:

    alone     every job starts at once on its fastest pool
    fluid     the network as one machine that takes work in any portions; shortest remaining
              work first is optimal there
    combined  each job in part alone, in part by its mean busy time on that machine

No schedule does better than any of them, preemptive or not, with or without migration.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.scheduling.compiled import Array, compiled
from tieline.scheduling.heap import drop_top, push
from tieline.simulation.replay import Replay

#: Rounds in which the shares of the combined bound are improved; every share is valid.
_ROUNDS: Final = 32

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bound:
    """Lower bounds on the mean completion time [s]."""

    alone_s: float
    fluid_s: float
    combined_s: float

    @property
    def best_s(self) -> float:
        """The highest: no schedule has a lower mean completion time."""
        return max(self.alone_s, self.fluid_s, self.combined_s)


@dataclass(frozen=True)
class Demand:
    """Jobs as the bound sees them, sorted by submission. Axes: J jobs, K kinds, M markets."""

    submit_s: _Floats
    """Axis J."""
    work: _Floats
    """Axis J: run time at rate 1 [s]."""
    count: NDArray[np.int64]
    """Axis J: accelerators of the gang."""
    kind: NDArray[np.int32]
    """Axis J: row of axis K."""
    rate: _Floats
    """Axes K, M; 0 = never runs there. The kind of every job runs somewhere."""
    capacity: NDArray[np.int64]
    """Axis M: accelerators."""


def bound_of(replay: Replay) -> Bound:
    """Give the bounds for the jobs that ran in a replay, on the pooled capacity.

    They do not depend on the policy, only on which jobs ran.
    """
    ran, trace = replay.ran, replay.trace
    return lower_bound(
        Demand(
            submit_s=trace.submit_s[ran],
            work=trace.duration_s[ran],
            count=trace.count[ran].astype(np.int64),
            kind=replay.kind[ran],
            rate=replay.rate,
            capacity=replay.capacity,
        )
    )


def lower_bound(demand: Demand) -> Bound:
    """Give the bounds for at least one job.

    Notes
    -----
    O(J log J) for each of 33 passes per way of weighting the markets; one way when all markets
    are equally fast, else two.
    """
    alone = demand.work / demand.rate.max(axis=1)[demand.kind]
    fluid = combined = 0.0
    for weight in _weights(demand):
        if weight.any():
            area, speed = _areas(demand, weight), float(weight @ demand.capacity)
            fluid = max(fluid, _fluid(demand.submit_s, area, speed))
            combined = max(combined, _combined(demand.submit_s, area, speed, alone))
    return Bound(float(alone.mean()), fluid, combined)


def _weights(demand: Demand) -> list[_Floats]:
    """Give weights of the markets, shape (M,), worth trying; any >= 0 are valid."""
    runs = demand.rate > 0
    seen = np.bincount(demand.kind, demand.work * demand.count, len(demand.rate))
    mass = seen @ runs
    mean = np.divide(seen @ demand.rate, mass, out=np.zeros_like(mass), where=mass > 0)
    equal = (mass > 0).astype(np.float64)
    return [equal] if np.array_equal(mean, equal) else [equal, mean]


def _areas(demand: Demand, weight: _Floats) -> _Floats:
    """Give the least weighted accelerator-time of each job over its markets; axis J."""
    runs = demand.rate > 0
    per_work = np.full(demand.rate.shape, np.inf)
    np.divide(weight, demand.rate, out=per_work, where=runs)
    return demand.work * demand.count * per_work.min(axis=1)[demand.kind]


def _fluid(submit_s: _Floats, area: _Floats, speed: float) -> float:
    """Give the mean completion time of shortest remaining area first."""
    end, busy = np.empty_like(area), np.empty_like(area)
    one_machine(submit_s, area, area, True, speed, end, busy)
    return float((end - submit_s).mean())


def _combined(submit_s: _Floats, area: _Floats, speed: float, alone: _Floats) -> float:
    """Give the best bound found over shares in [0, 1] of each job.

    For shares y the bound is the mean of y (busy + alone / 2 - submit) + (1 - y) alone, where
    `busy` are the mean busy times of the schedule of one machine that minimises the sum of
    y busy. The shares and that schedule play a zero-sum game, so fictitious play (each round
    a best answer, averaged over the rounds) comes ever closer to the best shares.
    """
    end, busy = np.empty_like(area), np.empty_like(area)
    share = np.ones_like(area)
    best = 0.0
    for played in range(_ROUNDS):
        key = np.divide(area, share, out=np.full_like(area, np.inf), where=share > 0)
        one_machine(submit_s, area, key, False, speed, end, busy)
        delayed = busy + alone / 2 - submit_s
        best = max(best, float((share * delayed + (1 - share) * alone).mean()))
        share += ((delayed > alone) - share) / (played + 2)
    return best


@compiled
def one_machine(
    submit: Array,
    area: Array,
    key: Array,
    remaining: bool,
    speed: float,
    end: Array,
    busy: Array,
) -> None:
    """Run jobs on one machine that always works on the one with the smallest key.

    Parameters
    ----------
    submit
        Shape (J,), ascending [s].
    area
        Shape (J,): work, >= 0.
    key
        Shape (J,); ties go to the lower row.
    remaining
        Whether a job's key, once it has run, is the work that is left of it.
    speed
        Work per second.
    end
        Shape (J,): written; completion [s].
    busy
        Shape (J,): written; mean busy time [s], the mean of the time over the work done.
    """
    n = len(submit)
    keys = np.empty(n, np.float64)
    rows = np.empty(n, np.int64)
    left = area.copy()
    busy[:] = 0.0
    size, at, now = 0, 0, 0.0
    while at < n or size > 0:
        if size == 0:
            now = max(now, submit[at])
        while at < n and submit[at] <= now:
            size = push(keys, rows, size, key[at], at)
            at += 1
        row = rows[0]
        need = left[row] / speed
        if at < n and now + need > submit[at]:
            ran = submit[at] - now
            busy[row] += ran * (now + ran / 2)
            left[row] = max(0.0, left[row] - ran * speed)
            if remaining:
                size = drop_top(keys, rows, size)
                size = push(keys, rows, size, left[row], row)
            now = submit[at]
        else:
            busy[row] += need * (now + need / 2)
            now += need
            end[row] = now
            size = drop_top(keys, rows, size)
    for row in range(n):
        busy[row] = busy[row] * speed / area[row] if area[row] > 0.0 else submit[row]
