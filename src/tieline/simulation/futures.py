"""What may come: run times other than estimated, and jobs that nobody has submitted yet.

Both are drawn from what was seen, never from what comes: run times from the ratios of real to
estimated run time of jobs that have ended, submissions from those of the last days, at the same
time of day.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.control.state import State
from tieline.model.units import format_duration
from tieline.simulation.ratios import EXACT, Ratios, ratios_of, told_by
from tieline.simulation.schedule import Schedule

_Floats = NDArray[np.float64]

#: Submissions repeat by the day; so many days back they are drawn from.
_DAY_S: Final = 86_400.0
_DAYS: Final = 7
#: A shorter history says nothing about later submissions.
_LEAST_HISTORY_S: Final = 3_600.0
#: Later submissions are drawn up to then, or up to so many.
_HORIZON_S: Final = 30 * _DAY_S
_MOST: Final = 20_000


@dataclass(frozen=True)
class Past:
    """What has been seen up to a moment. Axis N: jobs in order of submission."""

    submit_s: _Floats = field(default_factory=lambda: np.zeros(0))
    kind: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Row of each job's kind in the state."""
    work: _Floats = field(default_factory=lambda: np.zeros(0))
    """Estimated run time at rate 1 [s]."""
    ended_work: _Floats = field(default_factory=lambda: np.zeros(0))
    """Estimated run time of jobs that have ended, in any order [s at rate 1]."""
    ended_ratio: _Floats = field(default_factory=lambda: np.zeros(0))
    """Their real over their estimated run time, > 0."""


def past_of_replay(state: State, schedule: Schedule, duration_s: _Floats, now: float) -> Past:
    """Give what has been seen of a replay up to a moment.

    Parameters
    ----------
    state
        At that moment, with the jobs of the trace as rows 0..J-1.
    duration_s
        Shape (J,): true run time at rate 1 [s]; only that of ended jobs is used.
    """
    jobs = state.snapshot.jobs[: len(duration_s)]
    may_run = np.any(state.rates_by_pool() > 0, axis=1)
    rows = np.flatnonzero(jobs["submitted"] <= now)
    rows = rows[may_run[jobs["kind"][rows]]]
    # What is known of a job that was stopped is what was left of it.
    work = jobs["work"][rows]
    ended = (schedule.end_s[rows] <= now) & (schedule.stops[rows] == 0)
    told = ended & (work > 0) & (duration_s[rows] > 0)
    return Past(
        submit_s=jobs["submitted"][rows],
        kind=jobs["kind"][rows],
        work=work,
        ended_work=work[told],
        ended_ratio=duration_s[rows][told] / work[told],
    )


@dataclass(frozen=True)
class Future:
    """One course that things may take. Axes: J open jobs, R running jobs, N jobs that come."""

    ratio: _Floats
    """Axis J: real over estimated run time of jobs that wait."""
    end_s: _Floats
    """Axis R, as `Snapshot.running`: when each job ends [s]."""
    submit_s: _Floats
    """Axis N, ascending."""
    kind: NDArray[np.int32]
    work: _Floats
    """Axis N: estimated run time at rate 1 [s]."""
    later_ratio: _Floats
    """Axis N: real over estimated run time."""
    until_s: float
    """Nothing is said about submissions after this [s]; inf where none are expected."""


def as_estimated(state: State, now: float) -> Future:
    """Give the future in which every estimate is right and nobody submits anything more.

    A job that has outlasted its estimate goes on for as long as it has run.
    """
    none, right = np.zeros(0), np.ones(state.n_jobs)
    end_s = _ends(state, now, EXACT, np.zeros(state.snapshot.n_running[0]))
    return Future(right, end_s, none, np.zeros(0, np.int32), none, none, np.inf)


def draw_futures(
    state: State, now: float, past: Past, chance: np.random.Generator, n: int
) -> list[Future]:
    """Draw futures that are as likely as each other.

    Parameters
    ----------
    state
        As `State.fork` gives it: open jobs alone.
    now
        [s]; nothing of the past is later.

    Notes
    -----
    A job that waits is given the ratio of an ended job at random, of those with like estimates;
    one that runs, that of one which took at least as long by its ratio. One that has outlasted
    them all is taken to go on for as long as it has run. Each coming day is one of the
    last seven at random, hour for hour; while there is less than a day of history, each coming
    stretch of that length is the one that was seen.
    """
    ratios = ratios_of(past.ended_work, past.ended_ratio)
    return [_draw(state, now, past, ratios, chance) for _ in range(n)]


def grounds(past: Past, now: float) -> tuple[str, ...]:
    """Say what the futures are drawn from, one sentence each."""
    runs = told_by(past.ended_ratio)
    span, days = _blocks(past, now)
    if days == 0:
        return runs, "No later submissions: those known reach back less than an hour."
    return runs, f"Later submissions as in the last {format_duration(span * days)}."


def _draw(
    state: State, now: float, past: Past, ratios: Ratios, chance: np.random.Generator
) -> Future:
    source, shift, until_s = _submissions(past, now, chance)
    return Future(
        ratio=ratios.draw(state.snapshot.jobs["work"], chance),
        end_s=_ends(state, now, ratios, chance.random(state.snapshot.n_running[0])),
        submit_s=past.submit_s[source] + shift,
        kind=past.kind[source],
        work=past.work[source],
        later_ratio=ratios.draw(past.work[source], chance),
        until_s=until_s,
    )


def _ends(state: State, now: float, ratios: Ratios, luck: _Floats) -> _Floats:
    """Draw the end of each running job, given that it has not come yet [s]; axis R."""
    s = state.snapshot
    jobs = s.jobs[s.running[: s.n_running[0]]]
    rate = s.rate[jobs["kind"], s.pools["market"][jobs["pool"]]]
    takes = jobs["work"] / np.where(rate > 0, rate, 1.0)
    worked = np.maximum(0.0, takes - (jobs["ends"] - now))
    elapsed = np.zeros(len(jobs))
    with np.errstate(over="ignore"):  # hardly any work, by its estimate: it has outlasted it
        np.divide(worked, takes, out=elapsed, where=takes > 0)
    ratio = ratios.draw_beyond(jobs["work"], elapsed, luck)
    # A ratio of 1 ends the job at its estimate, to the last bit.
    end_s = np.maximum(now, jobs["ends"] + (ratio - 1.0) * takes)
    return np.where(np.isnan(ratio), now + worked, end_s)


def _blocks(past: Past, now: float) -> tuple[float, int]:
    """Give the length of a block of submissions [s] and how many there are to draw from."""
    history = now - past.submit_s[0] if len(past.submit_s) else 0.0
    if history < _LEAST_HISTORY_S:
        return 0.0, 0
    span = min(_DAY_S, history)
    return span, min(_DAYS, int(history / span))


def _submissions(
    past: Past, now: float, chance: np.random.Generator
) -> tuple[NDArray[np.int64], _Floats, float]:
    """Draw who submits again and how much later each time [s], and up to when that holds."""
    span, days = _blocks(past, now)
    rows, shifts, drawn, until_s = [np.zeros(0, np.int64)], [np.zeros(0)], 0, np.inf
    block = 0
    while days and drawn < _MOST and block * span < _HORIZON_S:
        back = int(chance.integers(1, days + 1))
        edges = np.searchsorted(past.submit_s, now - span * np.array([back, back - 1]), "right")
        found = np.arange(edges[0], min(edges[1], edges[0] + _MOST - drawn))
        rows.append(found)
        shifts.append(np.full(len(found), (back + block) * span))
        drawn += len(found)
        block += 1
        until_s = now + block * span
    source, shift = np.concatenate(rows), np.concatenate(shifts)
    if drawn >= _MOST:
        until_s = float(past.submit_s[source[-1]] + shift[-1])
    return source, shift, until_s
