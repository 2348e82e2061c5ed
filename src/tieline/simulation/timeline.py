"""Levels over time, exactly: how many accelerators were in use, how many jobs waited."""

import numpy as np
from numpy.typing import NDArray

from tieline.simulation.replay import Replay

_Floats = NDArray[np.float64]


def accelerators_in_use(replay: Replay, edges_s: _Floats) -> _Floats:
    """Give the mean number of accelerators in use between each two edges."""
    ran, schedule = replay.ran, replay.schedule
    count = replay.trace.count[ran].astype(np.float64)
    return mean_level(schedule.start_s[ran], schedule.end_s[ran], count, edges_s)


def jobs_waiting(replay: Replay, edges_s: _Floats) -> _Floats:
    """Give the mean number of jobs that waited between each two edges."""
    ran = replay.ran
    submit = replay.trace.submit_s[ran]
    return mean_level(submit, replay.schedule.start_s[ran], np.ones(len(submit)), edges_s)


def mean_level(begin: _Floats, end: _Floats, weight: _Floats, edges: _Floats) -> _Floats:
    """Give the mean of a sum of pulses between each two edges.

    Parameters
    ----------
    begin, end, weight
        Shape (N,): pulse i adds weight[i] from begin[i] to end[i].
    edges
        Shape (M + 1,), strictly ascending.

    Returns
    -------
    float64 array, shape (M,)
        Exact up to rounding, however short the pulses.
    """
    area = _area_before(begin, weight, edges) - _area_before(end, weight, edges)
    return np.diff(area) / np.diff(edges)


def _area_before(times: _Floats, weight: _Floats, until: _Floats) -> _Floats:
    """Give the sum of weight x max(0, until - time) for each `until`."""
    order = np.argsort(times, kind="stable")
    times, weight = times[order], weight[order]
    passed = np.searchsorted(times, until, side="right")
    weights = np.concatenate([[0.0], np.cumsum(weight)])
    moments = np.concatenate([[0.0], np.cumsum(weight * times)])
    area: _Floats = until * weights[passed] - moments[passed]
    return area
