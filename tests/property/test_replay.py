"""Replays against slow twins: strict first come first served, prices by the hour, levels."""

import heapq
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.model.accelerator import Accelerator, Rate
from tieline.model.network import Network, Pool, Region, Site
from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.scheduling.policy import Decision
from tieline.scheduling.registry import policy_named
from tieline.scheduling.room import new_plan
from tieline.simulation import price_record
from tieline.simulation.price_record import PriceRecorder
from tieline.simulation.replay import first_jobs, replay
from tieline.simulation.timeline import mean_level

CHIP = Accelerator("chip", "Chip", "V", "US", "cuda", rates={"training": Rate(1.0, "assumed", "")})

jobs = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 30), st.integers(1, 6)), min_size=1, max_size=40
)


def trace_of(rows: list[tuple[int, int, int]]) -> Trace:
    """Give (submission, run time, accelerators) as a trace of one tenant."""
    rows = sorted(rows, key=lambda row: row[0])
    submit, duration, count = (np.array(column) for column in zip(*rows, strict=True))
    none = np.zeros(len(rows), np.int32)
    return Trace(
        name="made",
        submit_s=submit.astype(np.float64),
        duration_s=duration.astype(np.float64),
        count=count.astype(np.int32),
        tenant=none,
        workload=none.copy(),
        tenants=("all",),
        workloads=(Workload("training"),),
    )


def one_pool(accelerators: int) -> Network:
    """Give a network of one node."""
    pool = Pool("site/chip", "site", "chip", 1, accelerators)
    return Network("one", (Region("r"),), (Site("site", "r", (pool,)),), accelerators=(CHIP,))


def in_turn(trace: Trace, capacity: int) -> list[float]:
    """Give the start of each job under strict first come first served, the plain way."""
    now, free, starts = 0.0, capacity, []
    running: list[tuple[float, int]] = []
    for submit, duration, count in zip(trace.submit_s, trace.duration_s, trace.count, strict=True):
        now = max(now, float(submit))
        while running and (running[0][0] <= now or free < count):
            end, held = heapq.heappop(running)
            now, free = max(now, end), free + held
        starts.append(now)
        heapq.heappush(running, (now + float(duration), int(count)))
        free -= int(count)
    return starts


@given(jobs, st.integers(6, 12))
def test_fifo_is_what_a_plain_heap_gives(rows: list[tuple[int, int, int]], capacity: int) -> None:
    """Strict first come first served on one node starts every job when a plain heap does."""
    trace = trace_of(rows)
    done = replay(one_pool(capacity), trace, policy_named("fifo"), {"chip": CHIP})
    assert done.schedule.start_s.tolist() == in_turn(trace, capacity)
    assert np.array_equal(done.schedule.end_s, done.schedule.start_s + trace.duration_s)


@given(jobs, st.integers(1, 40))
def test_a_cut_trace_holds_its_first_jobs(rows: list[tuple[int, int, int]], limit: int) -> None:
    """Cutting a trace keeps the first jobs as they are, and says so."""
    trace = trace_of(rows)
    cut = first_jobs(trace, limit)
    assert len(cut) == min(limit, len(trace))
    assert np.array_equal(cut.submit_s, trace.submit_s[:limit])
    assert np.array_equal(cut.count, trace.count[:limit])
    assert (len(cut.notes) > len(trace.notes)) == (limit < len(trace))


steps = st.lists(
    st.tuples(
        st.floats(0, 9000), st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=2, max_size=2)
    ),
    min_size=1,
    max_size=30,
)


@given(steps, st.integers(1, 7))
def test_prices_are_integrated_exactly(
    cycles: list[tuple[float, list[float]]], block: int
) -> None:
    """The mean price of an hour weighs each price by the time it held, however it is blocked."""
    times = np.cumsum([after for after, _ in cycles])
    plan = new_plan(1)
    with patch.object(price_record, "_BLOCK", block):
        recorder = PriceRecorder(2)
        for now, (_, prices) in zip(times, cycles, strict=True):
            recorder.note(float(now), Decision(plan, 1.0, 2.0, np.array(prices)))
        record = recorder.record()
    assert record is not None
    assert record.gap_mean == record.gap_max == 0.5
    assert (np.diff(record.hour) > 0).all()
    expected = np.zeros((int(times[-1] // 3600) + 1, 2))
    for begin, end, (_, prices) in zip(times[:-1], times[1:], cycles[:-1], strict=True):
        for hour in range(int(begin // 3600), int(end // 3600) + 1):
            held = min(end, 3600 * (hour + 1)) - max(begin, 3600 * hour)
            expected[hour] += held / 3600 * np.array(prices)
    found = np.zeros_like(expected)
    found[record.hour] = record.price
    assert found == pytest.approx(expected, abs=1e-9)
    assert record.mean(3600.0) == pytest.approx(expected.sum(axis=0), abs=1e-9)


def test_no_clearing_leaves_no_record() -> None:
    """A policy without prices has no gap and no prices, rather than zeros."""
    recorder = PriceRecorder(1)
    recorder.note(0.0, Decision(new_plan(1), np.nan, np.nan, None))
    assert recorder.record() is None


pulses = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 10), st.integers(1, 3)), min_size=1, max_size=20
)


@given(pulses)
def test_levels_are_exact(rows: list[tuple[int, int, int]]) -> None:
    """The mean level between two edges is the time that pulses overlap it, by weight."""
    begin, length, weight = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    edges = np.array([0.0, 3.0, 4.5, 12.0, 31.0])
    found = mean_level(begin, begin + length, weight, edges)
    for i in range(len(edges) - 1):
        overlap = np.minimum(begin + length, edges[i + 1]) - np.maximum(begin, edges[i])
        expected = (weight * overlap.clip(min=0)).sum() / (edges[i + 1] - edges[i])
        assert found[i] == pytest.approx(expected, abs=1e-9)
