"""The facts about a trace, against numbers worked out by hand."""

import numpy as np
import pytest

from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.traces.describe import PERIODS, describe


def make(jobs: list[tuple[float, float, int]], **fields: object) -> Trace:
    """Give a trace of (submission, run time, count)."""
    submit, duration, count = (np.array(column) for column in zip(*jobs, strict=True))
    columns: dict[str, object] = {
        "tenant": np.zeros(len(jobs), np.int32),
        "workload": np.zeros(len(jobs), np.int32),
        "tenants": ("all",),
        "workloads": (Workload("training"),),
    }
    return Trace(
        name="hand",
        submit_s=submit.astype(np.float64),
        duration_s=duration.astype(np.float64),
        count=count.astype(np.int32),
        **(columns | fields),  # type: ignore[arg-type] # a test builds odd traces
    )


def test_load_is_what_jobs_hold_if_nobody_waits() -> None:
    """Mean over the span and peak at one moment; a job that ends frees what the next takes."""
    found = describe(make([(0, 1800, 2), (1800, 1800, 4), (2700, 900, 1)]))
    assert found["span_s"] == 3600
    assert found["accelerator_hours"] == pytest.approx(3.25)
    assert found["load"]["mean"] == pytest.approx(3.25)
    assert found["load"]["peak"] == 5
    periods = found["load"]["by_period"]
    assert len(periods) == PERIODS
    np.testing.assert_allclose(periods, [2] * 30 + [4] * 15 + [5] * 15)


def test_load_by_period_keeps_the_work() -> None:
    """The mean loads of the periods add up to the work, wherever their edges fall."""
    rng = np.random.default_rng(3)
    jobs = [
        (float(t), float(d), int(c))
        for t, d, c in zip(
            np.sort(rng.uniform(0, 1e5, 200)),
            rng.exponential(3e3, 200),
            rng.integers(1, 64, 200),
            strict=True,
        )
    ]
    found = describe(make(jobs))
    work_s = sum(found["load"]["by_period"]) * found["load"]["period_s"]
    assert work_s / 3600 == pytest.approx(found["accelerator_hours"])


def test_a_trace_without_work_has_no_load() -> None:
    """Jobs that ran for no time hold nothing: zeros, not a division by zero."""
    found = describe(make([(0, 0, 4)]))
    assert found["load"] == {"mean": 0.0, "peak": 0.0, "period_s": 0.0, "by_period": []}


def test_tenants_come_by_work() -> None:
    """Who used most stands first, with jobs and accelerator-hours."""
    trace = make(
        [(0, 3600, 1), (1, 3600, 2), (2, 3600, 1)],
        tenant=np.array([0, 1, 0], np.int32),
        tenants=("ann", "bob"),
    )
    assert describe(trace)["tenants"] == [
        {"name": "ann", "jobs": 2, "accelerator_hours": 2.0},
        {"name": "bob", "jobs": 1, "accelerator_hours": 2.0},
    ]


def test_sizes_are_exact() -> None:
    """Each gang size has its jobs and its work."""
    found = describe(make([(0, 3600, 8), (1, 3600, 1), (2, 7200, 8)]))
    assert found["sizes"] == [
        {"count": 1, "jobs": 1, "accelerator_hours": 1.0},
        {"count": 8, "jobs": 2, "accelerator_hours": 24.0},
    ]


def test_rows_are_jobs_and_what_was_left_out() -> None:
    """The rows of the file are all accounted for."""
    found = describe(make([(0, 1, 1)], skipped={"never started": 3, "ran for 0 s": 2}))
    assert (found["jobs"], found["rows"]) == (1, 6)


def test_types_are_counted() -> None:
    """Jobs are counted per type that the file names, and those it names none for."""
    jobs = [(0.0, 1.0, 1)] * 3
    assert describe(make(jobs))["types"] == {}
    several = {"types": ("a", "b"), "job_type": np.array([1, -1, 1], np.int32)}
    assert describe(make(jobs, **several))["types"] == {"(not stated)": 1, "a": 0, "b": 2}


def test_estimates_are_compared_with_run_times() -> None:
    """How much users ask for per second they run; jobs without an estimate do not count."""
    jobs = [(0.0, 10.0, 1), (0.0, 10.0, 1), (0.0, 10.0, 1)]
    assert describe(make(jobs))["estimates"] is None
    known = describe(make(jobs, estimate_s=np.array([20, np.nan, 40.0])))
    assert known["estimates"] == {"jobs": 2, "asked_over_run_p50": 3.0}
    unknown = describe(make(jobs, estimate_s=np.array([np.nan] * 3)))
    assert unknown["estimates"] == {"jobs": 0, "asked_over_run_p50": None}
