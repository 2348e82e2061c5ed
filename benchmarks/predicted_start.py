"""Predicted start of waiting jobs, beside what then happened, on a crowded week of Venus.

    python benchmarks/predicted_start.py [--json] [--jobs N] [--seed N]

Two weeks of Venus on 60 % of its GPUs; the second (days 140 to 147) is the one that is asked
about, the first is its history. At the submission of each job of a sample, the replay is looked
into: the scheduler is run forward in nine futures drawn from what was seen until then. Neither
later submissions nor true run times of jobs that have not ended are used.

Errors are over the sampled jobs that had to wait. `range` is the share of them that started
between the lowest and the highest of the nine starts; 80 % is what nine futures promise. Jobs
that could start at once are told so, and are counted apart.

Naive predictors: the jobs waiting, over the jobs started per second during the last day; and
the estimated accelerator-seconds waiting, over the accelerators.
"""

import argparse
import json
import time
from typing import NamedTuple

import numpy as np
from _inputs import NETWORKS, TRACES
from numpy.typing import NDArray

from tieline.control.state import State
from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.model.network import Network
from tieline.model.trace import Trace
from tieline.scheduling.registry import policy_named
from tieline.simulation.conditions import Conditions
from tieline.simulation.driver import Visits
from tieline.simulation.forecast import RUNS, forecast
from tieline.simulation.futures import draw_futures, past_of_replay
from tieline.simulation.replay import part_of, replay
from tieline.simulation.scaling import scaled
from tieline.simulation.schedule import Schedule
from tieline.traces.registry import read_trace

VENUS = TRACES / "helios_venus_jobs" / "helios_trace.csv.zst"
DAY_S = 86_400.0
WEEK = (140 * DAY_S, 147 * DAY_S)
POLICIES = ("price", "backfill")
#: Estimates off by a factor up to this, either way.
ERRORS = (1.0, 3.0)
#: Of the jobs asked about, this share could start at once.
AT_ONCE = 0.2


class Told(NamedTuple):
    """What was foretold of one job, and what came: waits after submission [s]."""

    waits: bool
    wait_s: float
    low_s: float
    median_s: float
    high_s: float
    by_queue_s: float
    by_work_s: float
    cpu_s: float


def two_weeks(trace: Trace) -> Trace:
    """Give the jobs of the week asked about and of the one before."""
    low, high = np.searchsorted(trace.submit_s, (WEEK[0] - 7 * DAY_S, WEEK[1]))
    return part_of(trace, int(low), int(high))


def sample(trace: Trace, wait_s: NDArray[np.float64], n: int, seed: int) -> NDArray[np.int64]:
    """Give rows of the week: most of them had to wait."""
    chance = np.random.default_rng(seed)
    week = trace.submit_s >= WEEK[0]
    some = round(AT_ONCE * n)
    waited = chance.choice(np.flatnonzero(week & (wait_s > 0)), n - some, replace=False)
    others = chance.choice(np.flatnonzero(week & (wait_s == 0)), some, replace=False)
    return np.sort(np.concatenate([waited, others]))


class Asker:
    """Looks into a replay at the submission of each sampled job."""

    def __init__(self, trace: Trace, rows: NDArray[np.int64], seed: int) -> None:
        """Take the jobs to ask about, in order of submission."""
        self._trace, self._seed = trace, seed
        self._rows = list(reversed(rows.tolist()))
        self.told: dict[int, Told] = {}

    def look(self, now: float, state: State, schedule: Schedule) -> None:
        """Foretell the start of the next sampled job."""
        row = self._rows.pop()
        if not state.snapshot.jobs["waiting"][row]:
            at = schedule.start_s[row] - now
            self.told[row] = Told(False, np.nan, at, at, at, np.nan, np.nan, 0.0)
            return
        began = time.process_time()
        fork, rows = state.fork()
        past = past_of_replay(state, schedule, self._trace.duration_s, now)
        chance = np.random.default_rng([self._seed, row])
        futures = draw_futures(fork, now, past, chance, RUNS)
        (found,) = forecast(fork, [int(np.searchsorted(rows, row))], now, futures)
        spent = time.process_time() - began
        by_queue, by_work = naive(state, schedule, now)
        self.told[row] = Told(
            True,
            np.nan,
            found.low_s - now,
            found.start_s - now,
            found.high_s - now,
            by_queue,
            by_work,
            spent,
        )


def naive(state: State, schedule: Schedule, now: float) -> tuple[float, float]:
    """Give the wait by jobs in the queue over throughput, and by work in it over capacity."""
    s = state.snapshot
    waiting = s.jobs[np.flatnonzero(s.jobs["waiting"])]
    started = schedule.start_s[schedule.start_s <= now]
    per_s = max(1, int((started > now - DAY_S).sum())) / min(DAY_S, now - started.min())
    work = waiting["work"] @ s.kinds["count"][waiting["kind"]]
    return len(waiting) / per_s, float(work / s.pools["capacity"].sum())


def measured(network: Network, trace: Trace, policy: str, error: float, n: int, seed: int) -> dict:
    """Replay the two weeks, ask, and compare."""
    accelerators = {**catalogue(), **{chip.id: chip for chip in network.accelerators}}
    conditions = Conditions(error=error, seed=seed)
    begin = policy_named(policy)
    truth = replay(network, trace, begin, accelerators, conditions=conditions)
    rows = sample(trace, truth.wait_s, n, seed)
    asker = Asker(trace, rows, seed)
    visits = Visits(trace.submit_s[rows].tolist(), asker.look)
    again = replay(network, trace, begin, accelerators, conditions=conditions, visits=visits)
    if again.schedule.start_s.tobytes() != truth.schedule.start_s.tobytes():
        raise AssertionError("looking into a replay has changed it")
    week = trace.submit_s >= WEEK[0]
    return {
        "policy": policy,
        "estimates_off_by": error,
        "jobs_in_week": int(week.sum()),
        "had_to_wait": float((truth.wait_s[week] > 0).mean()),
        **compared([asker.told[row]._replace(wait_s=truth.wait_s[row]) for row in rows.tolist()]),
    }


def compared(told: list[Told]) -> dict[str, float]:
    """Give the errors of what was foretold."""
    asked = np.array([one for one in told if one.waits], dtype=float)
    _, wait, low, middle, high, by_queue, by_work, cpu = asked.T
    at_once = [one for one in told if not one.waits]
    return {
        "waiting_asked": len(asked),
        "median_wait_s": float(np.median(wait)),
        "median_error_s": float(np.median(abs(middle - wait))),
        "naive_queue_error_s": float(np.median(abs(by_queue - wait))),
        "naive_work_error_s": float(np.median(abs(by_work - wait))),
        "range_promised": 0.8,
        "range_covers": float(((low <= wait) & (wait <= high)).mean()),
        "median_range_s": float(np.median(high - low)),
        "at_once_asked": len(at_once),
        "at_once_told_now": int(sum(one.median_s == 0 for one in at_once)),
        "cpu_s_per_forecast": float(np.mean(cpu)),
    }


def main() -> None:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    network = scaled(read_network(NETWORKS / "venus.yaml"), 0.6)
    trace = two_weeks(read_trace(str(VENUS)))
    rows = [
        measured(network, trace, policy, error, options.jobs, options.seed)
        for policy in POLICIES
        for error in ERRORS
    ]
    if options.json:
        print(json.dumps({"predicted_start": rows}, indent=2))
        return
    print(f"Venus, days 140 to 147, {network.capacity} GPUs; {rows[0]['jobs_in_week']:,} jobs")
    print("                         median          median absolute error [s]      range")
    print(
        "policy     off by  asked  wait [s]  forecast  queue/thr.  work/cap.   covers  width [s]"
    )
    for row in rows:
        print(
            f"{row['policy']:10s} {row['estimates_off_by']:6g} {row['waiting_asked']:6d}"
            f" {row['median_wait_s']:9,.0f} {row['median_error_s']:9,.0f}"
            f" {row['naive_queue_error_s']:11,.0f} {row['naive_work_error_s']:10,.0f}"
            f" {row['range_covers']:8.0%} {row['median_range_s']:10,.0f}"
        )
    cpu = max(row["cpu_s_per_forecast"] for row in rows)
    right = sum(row["at_once_told_now"] for row in rows)
    print(f"range promised: 80 %; at most {cpu:.2f} CPU s per forecast on average;")
    print(f"{right} of {sum(row['at_once_asked'] for row in rows)} that could start at once: said")


if __name__ == "__main__":
    main()
