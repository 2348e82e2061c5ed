"""What happened, and what would have: the same jobs through the simulator.

A replay takes the moments at which the jobs were really submitted and the time each would
have run on the reference accelerator: its real run time times the rate it ran at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np

from tieline.control.state import State
from tieline.files.fit import Offer
from tieline.model.job import JobKind, JobSpec
from tieline.scheduling.policy import Decision
from tieline.scheduling.registry import policy_named
from tieline.simulation.driver import simulate

_SECONDS_PER_HOUR: Final = 3600.0

#: Moment [s], and the price at each pool [finished jobs per accelerator-hour].
Reading = tuple[float, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Course:
    """What became of one job; None where it never ran. Times in seconds from the start."""

    spec: JobSpec
    submitted_s: float
    started_s: float | None
    ended_s: float | None
    pool: str | None

    @property
    def wait_s(self) -> float:
        """From submission to start; nan when it never ran."""
        return np.nan if self.started_s is None else self.started_s - self.submitted_s

    @property
    def completion_s(self) -> float:
        """From submission to end; nan when it never ran."""
        return np.nan if self.ended_s is None else self.ended_s - self.submitted_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of all jobs, live or replayed, in order of submission."""

    name: str
    courses: tuple[Course, ...]
    prices_per_h: Mapping[str, float]
    """Mean price by pool, over time; empty for policies without prices."""

    @property
    def ran(self) -> int:
        """Jobs that ran to their end."""
        return sum(course.ended_s is not None for course in self.courses)

    def mean_completion_s(self, among: Sequence[bool]) -> float:
        """Give the mean time from submission to end of some of the jobs."""
        return float(np.mean([course.completion_s for course in compress(self.courses, among)]))

    def mean_wait_s(self, among: Sequence[bool]) -> float:
        """Give the mean time from submission to start of some of the jobs."""
        return float(np.mean([course.wait_s for course in compress(self.courses, among)]))

    @property
    def makespan_s(self) -> float:
        """From the first submission to the last end."""
        ends = [course.ended_s for course in self.courses if course.ended_s is not None]
        return max(ends) - min(course.submitted_s for course in self.courses)

    def utilisation(self, capacity: int) -> float:
        """Give the share of all accelerators that was in use, over the makespan."""
        used = sum(
            course.spec.count * (course.ended_s - course.started_s)
            for course in self.courses
            if course.ended_s is not None and course.started_s is not None
        )
        return used / (capacity * self.makespan_s)


def in_both(*outcomes: Outcome) -> list[bool]:
    """Tell of each job whether it ran in every outcome: only these can be compared."""
    rows = zip(*(outcome.courses for outcome in outcomes), strict=True)
    return [all(course.ended_s is not None for course in row) for row in rows]


def replay(offer: Offer, policy: str, live: Outcome) -> Outcome:
    """Give what would have become of the jobs of a live run under a policy.

    A job that did not run live takes the time its estimate says.
    """
    state = State(offer.network, policy_named(policy), offer.accelerators, offer.rates)
    kinds = np.array([state.intern(JobKind.of(course.spec)) for course in live.courses], np.int32)
    submitted = np.array([course.submitted_s for course in live.courses])
    estimate = np.array([course.spec.estimate_s or 0.0 for course in live.courses])
    duration = np.array([_at_reference(offer, course) for course in live.courses])
    state.add(kinds, estimate, submitted)
    runnable = np.any(state.rates_by_pool() > 0, axis=1)[kinds]
    pools = [pool.id for pool in offer.network.pools]
    readings: list[Reading] = []

    def watch(now: float, decision: Decision) -> None:
        if decision.prices is not None:
            per_h = (decision.prices * _SECONDS_PER_HOUR).tolist()
            readings.append((now, dict(zip(pools, per_h, strict=True))))

    schedule = simulate(state, submitted, duration, runnable, watch=watch)
    courses = tuple(
        Course(course.spec, course.submitted_s, start, end, pools[at])
        if at >= 0
        else Course(course.spec, course.submitted_s, None, None, None)
        for course, start, end, at in zip(
            live.courses,
            schedule.start_s.tolist(),
            schedule.end_s.tolist(),
            schedule.pool.tolist(),
            strict=True,
        )
    )
    last = max((course.ended_s for course in courses if course.ended_s is not None), default=0.0)
    return Outcome(policy, courses, mean_prices(readings, last))


def mean_prices(readings: Sequence[Reading], until_s: float) -> dict[str, float]:
    """Give the mean price by pool from the first reading on; each holds until the next."""
    moments = [at for at, _ in readings if at < until_s]
    lengths = np.diff([*moments, until_s])
    kept = readings[: len(moments)]
    if not kept:
        return {}
    return {
        pool: float(np.average([prices[pool] for _, prices in kept], weights=lengths))
        for pool in kept[0][1]
    }


def _at_reference(offer: Offer, course: Course) -> float:
    """Give the run time on the reference accelerator [s]."""
    if course.started_s is None or course.ended_s is None:
        return course.spec.estimate_s or 0.0
    pool = next(pool for pool in offer.network.pools if pool.id == course.pool)
    rate = offer.rates.rate(course.spec.workload, pool.accelerator, course.spec.count)
    return (course.ended_s - course.started_s) * rate.value
