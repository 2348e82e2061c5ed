"""Demand for a plan from recorded jobs: of a trace, and of a store that is in use."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tieline.control.lifecycle import Event
from tieline.control.ports import Change
from tieline.model.accelerator import Accelerator
from tieline.model.catalogue import catalogue
from tieline.model.class_rates import absolute_rate
from tieline.model.errors import InputError
from tieline.model.job import JobSpec
from tieline.model.network import Region
from tieline.model.plan import Chip, Demand, PlanRegion, PlanSpec
from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.planning.load import Load, load_of_trace, with_load
from tieline.service.store_load import load_of_store
from tieline.store import open_store
from tieline.traces.registry import read_trace

TRAINING = Workload("training", "small")
DECODE = Workload("decode")


def trace(accelerator: str | None) -> Trace:
    """Give three jobs within 100 s: 800 and 400 accelerator-seconds of training, 100 of decode."""
    return Trace(
        name="three",
        submit_s=np.array([0.0, 50.0, 100.0]),
        duration_s=np.array([100.0, 200.0, 100.0]),
        count=np.array([8, 2, 1], np.int32),
        tenant=np.zeros(3, np.int32),
        workload=np.array([0, 0, 1], np.int32),
        tenants=("all",),
        workloads=(TRAINING, DECODE),
        accelerator=accelerator,
    )


def plan(*demand: Demand) -> PlanSpec:
    """Give a plan of two regions with these demands."""
    regions = tuple(PlanRegion(Region(name)) for name in ("east", "west"))
    chip = Chip(Accelerator("a", "a", "", "CN", "cuda"), 1000.0, rates={"training": 1.0})
    return PlanSpec("p", 8108, 2, regions, (chip,), demand)


def test_load_is_work_over_time() -> None:
    """The load of a class is the work of its jobs, on the reference, over the trace's span."""
    load = load_of_trace(trace("nvidia-h200-sxm"))
    assert load.by_class == {"training": 12.0, "decode": 1.0}
    assert (load.jobs, load.span_s, load.note) == (3, 100.0, "")


def test_load_is_in_reference_accelerators() -> None:
    """Run times on a slower accelerator are less work, class by class; unknown ones are said."""
    slow = catalogue()["huawei-910b2"]
    load = load_of_trace(trace(slow.id))
    assert load.by_class["training"] == 12.0 * absolute_rate(slow, "training").value
    assert load.by_class["decode"] == absolute_rate(slow, "decode").value
    assert load_of_trace(trace(None)).note == "run times are taken to hold on nvidia-h200-sxm"


def test_load_of_philly(traces: Path) -> None:
    """The load of a real trace is that of its file, worked out another way."""
    file = traces / "philly_jobs" / "philly.csv.zst"
    found = load_of_trace(read_trace(str(file)))
    jobs = read_trace(str(file))
    table = pl.DataFrame({"at": jobs.submit_s, "ran": jobs.duration_s, "n": jobs.count})
    work = table.select((pl.col("ran") * pl.col("n")).sum()).item()
    assert sum(found.by_class.values()) == pytest.approx(work / table["at"].max(), rel=1e-12)


def test_a_trace_in_one_moment_has_no_load() -> None:
    """Jobs that all came at once say nothing about a load over time."""
    at_once = replace(trace(None), submit_s=np.zeros(3))
    with pytest.raises(InputError, match="its jobs span no time"):
        load_of_trace(at_once)


def test_demand_is_scaled_class_by_class() -> None:
    """Demands of a class sum to its load in the first quarter; their split and growth stay."""
    spec = plan(
        Demand("a", "training", {"east": (30.0, 60.0), "west": (10.0, 10.0)}, 1.0),
        Demand("b", "training", {"east": (60.0, 60.0)}, 1.0),
        Demand("c", "decode", {"west": (7.0, 8.0)}, 1.0),
    )
    scaled = with_load(spec, Load("t", 1, 1.0, {"training": 50.0})).demand
    assert scaled[0].amounts == {"east": (15.0, 30.0), "west": (5.0, 5.0)}
    assert scaled[1].amounts == {"east": (30.0, 30.0)}
    assert scaled[2] == spec.demand[2]


def test_load_without_demand_is_refused() -> None:
    """Work of a class that the plan has no demand for is not left out silently."""
    spec = plan(Demand("a", "training", {"east": (30.0, 60.0)}, 1.0))
    with pytest.raises(InputError, match="has decode jobs, and the plan no demand of that class"):
        with_load(spec, Load("t", 1, 1.0, {"decode": 50.0}))


def test_load_of_a_store(tmp_path: Path) -> None:
    """Ended jobs count by the time they ran at the rate of their chip, open ones by estimates."""
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    store = open_store(url)
    spec = JobSpec("all", TRAINING, 4, {"cann": "true"}, name="nightly")
    (ran, cancelled) = store.add_jobs([spec, replace(spec, name="")], now=0.0)
    for event, brings in (
        (Event.PLACED, {"pool": "s/huawei-910b2"}),
        (Event.STARTED, {"started_at": 10.0}),
        (Event.SUCCEEDED, {"started_at": 10.0, "ended_at": 110.0, "exit_code": 0}),
    ):
        (ran,) = store.record([Change(ran.id, ran.version, event, 5.0, **brings)])
    store.record([Change(cancelled.id, cancelled.version, Event.CANCEL, 5.0)])
    store.add_jobs([spec, replace(spec, estimate_s=7.0)], now=20.0)
    store.close()
    rate = absolute_rate(catalogue()["huawei-910b2"], "training").value
    load = load_of_store(url, now=200.0)
    # 400 accelerator-seconds ran, as many are expected of the next `nightly`, 28 were estimated.
    assert load.by_class["training"] == pytest.approx((800.0 * rate + 28.0) / 200.0)
    assert load.jobs == 4
    assert load.note == "2 of them have not ended and count by their estimates"


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    """A wrong path is an error, and no store is made there."""
    file = tmp_path / "none.db"
    with pytest.raises(InputError, match="there is no such file; check the path"):
        load_of_store(f"sqlite:///{file}", now=1.0)
    assert not file.exists()


def test_an_empty_store_has_no_load(tmp_path: Path) -> None:
    """A store without jobs says so."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    open_store(url).close()
    with pytest.raises(InputError, match="has no jobs yet"):
        load_of_store(url, now=1.0)
