"""The parts of the demo: its jobs, what they run, where they went and why, the comparison."""

import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tieline.cli.demo import work
from tieline.cli.demo.compare import Course, Outcome, in_both, mean_prices, replay
from tieline.cli.demo.course import Scene
from tieline.cli.demo.live import view
from tieline.cli.demo.placement import Cause, placed
from tieline.cli.demo.report import Report, show
from tieline.cli.demo.workload import IMPOSSIBLE, plan
from tieline.control.lifecycle import Status
from tieline.files.fit import Offer, usable_pools
from tieline.files.network import read_network
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.wire.schemas import Job, Pool, Why

H200, H20 = "delta-1/nvidia-h200-sxm", "gui-an-1/nvidia-h20-96"
ASCEND, MLU = "gui-an-1/huawei-910b2", "horinger-1/cambricon-mlu590"


@pytest.fixture(scope="module")
def offer() -> Offer:
    """Give the network of the demo."""
    return Offer(read_network(Path(work.__file__).with_name("network.yaml")))


def spec(count: int, *stacks: str, work_s: float = 2.0, tenant: str = "startup") -> JobSpec:
    """Give a training job."""
    commands = dict.fromkeys(stacks, "true")
    return JobSpec(tenant, Workload("training"), count, commands, estimate_s=work_s)


def job(number: int, spec: JobSpec, pool: str | None, at: float, until: float | None) -> Job:
    """Give a job as the API shows it, placed and started at once."""
    return Job(
        id=f"job-{number:06d}",
        seq=number,
        name=spec.name,
        tenant=spec.tenant,
        workload=str(spec.workload),
        count=spec.count,
        status=Status.QUEUED if pool is None else Status.SUCCEEDED,
        submitted_at=at,
        attempt=int(pool is not None),
        pool=pool,
        placed_at=None if pool is None else at,
        started_at=None if pool is None else at,
        ended_at=until,
        exit_code=None if until is None else 0,
        detail="",
    )


# --------------------------------------------------------------------------- the jobs


def test_a_seed_gives_the_same_jobs(offer: Offer) -> None:
    """The same seed gives the same jobs at the same moments, another seed others."""
    assert [(one.at_s, one.spec) for one in plan(offer, 5)] == [
        (one.at_s, one.spec) for one in plan(offer, 5)
    ]
    assert [one.at_s for one in plan(offer, 5)] != [one.at_s for one in plan(offer, 6)]


def test_the_jobs_are_what_the_demo_promises(offer: Offer) -> None:
    """Some fifty jobs; several stacks; a gang for one pool alone; one job for none."""
    jobs = [one.spec for one in plan(offer, 1)]
    assert 40 <= len(jobs) <= 60
    assert {stack for one in jobs for stack in one.commands} == {"cuda", "cann", "neuware"}
    pools = {one.name: [pool.id for pool in usable_pools(one, offer)] for one in jobs}
    assert pools["pre-train"] == [H200]
    assert [name for name, usable in pools.items() if not usable] == [IMPOSSIBLE]
    for one in jobs:
        if one.sensitivity == "sensitive":
            assert set(pools[one.name]) <= {ASCEND, MLU}


def test_work_takes_as_long_as_the_rate_says() -> None:
    """The same work gives the same result at any rate, and takes 1 / rate times as long."""
    results, times = set(), []
    for rate in ("1", "0.25"):
        environment = {
            "TIELINE_ACCELERATOR": "chip",
            "TIELINE_ACCELERATORS": "0,1",
            "RATES": f"other=9 chip={rate}",
            "STEPS": "3",
            "INPUT": "seed",
        }
        run = subprocess.run(
            [sys.executable, "-I", "-S", work.__file__, "cuda"],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        begun, result = run.stdout.splitlines()
        assert begun == "cuda on chip, accelerators 0,1: 3 steps"
        results.add(result.split()[1])
        times.append(float(result.split()[3]))
    assert len(results) == 1
    assert times[0] >= 3 / work.STEPS_PER_S
    assert times[1] >= 4 * 3 / work.STEPS_PER_S


# ----------------------------------------------------------------------- where, and why


@pytest.mark.parametrize(
    ("stacks", "count", "pool", "held", "cause", "home_rate"),
    [
        (("cuda",), 8, H20, {}, Cause.HOME, 0.2),
        (("cuda",), 8, H200, {}, Cause.FASTER, 0.2),
        (("cuda",), 8, H200, {H20: 1}, Cause.FULL, 0.2),
        (("cuda",), 8, H200, {H200: 8}, Cause.FASTER, 0.2),
        (("cuda", "cann"), 8, H200, {H20: 1}, Cause.FASTER, 0.33),
        (("cuda", "cann"), 8, H200, {H20: 1, ASCEND: 1}, Cause.FULL, 0.33),
        (("cuda",), 16, H200, {}, Cause.CANNOT, None),
        (("neuware",), 4, MLU, {}, Cause.CANNOT, None),
        (("cann", "neuware"), 4, MLU, {}, Cause.DEARER, 0.33),
        (("cann", "neuware"), 4, MLU, {ASCEND: 5}, Cause.FULL, 0.33),
    ],
)
def test_causes(
    offer: Offer,
    stacks: tuple[str, ...],
    count: int,
    pool: str,
    held: dict[str, int],
    cause: Cause,
    home_rate: float | None,
) -> None:
    """The cause of a placement follows from what home could do and had free at that moment."""
    wanted = spec(count, *stacks)
    this = job(99, wanted, pool, at=10.0, until=None)
    others = [job(n, spec(held[p]), p, at=5.0, until=15.0) for n, p in enumerate(held)]
    gone = [job(50, spec(8), p, at=1.0, until=9.0) for p in (H20, ASCEND, MLU)]
    found = placed(this, wanted, [*others, *gone, this], offer)
    assert (found.cause, found.pool.id) == (cause, pool)
    assert found.home_rate == (None if home_rate is None else pytest.approx(home_rate, abs=0.01))


# ----------------------------------------------------------------------- the comparison


def test_replay_gives_the_known_schedule(offer: Offer) -> None:
    """Two gangs of a whole pool follow one another; one that fits none never runs."""
    both = spec(16, "cuda", work_s=2.0)
    live = Outcome(
        "live",
        (
            Course(both, 0.0, 0.5, 3.5, H200),  # ran 3 s at rate 1
            Course(both, 1.0, None, None, None),  # did not run: takes its estimate
            Course(spec(17, "cuda"), 1.0, None, None, None),
        ),
        {},
    )
    found = replay(offer, "fifo", live)
    times = [(course.started_s, course.ended_s) for course in found.courses]
    assert times == [(0.0, 3.0), (3.0, 5.0), (None, None)]
    assert (found.ran, found.makespan_s) == (2, 5.0)
    assert in_both(live, found) == [True, False, False]
    assert found.mean_completion_s([True, True, False]) == 3.5
    assert found.mean_wait_s([True, True, False]) == 1.0
    assert found.utilisation(40) == pytest.approx(16 * 5 / (40 * 5))
    assert [course.pool for course in replay(offer, "isolated", live).courses] == [None] * 3


def test_a_slow_chip_takes_longer_in_the_replay(offer: Offer) -> None:
    """The real run time counts at the rate it ran at: half of it on a chip twice as fast."""
    slow = spec(8, "cuda")
    live = Outcome("live", (Course(slow, 0.0, 0.0, 10.0, H20),), {})
    (course,) = replay(offer, "price", live).courses
    assert (course.pool, course.ended_s) == (H200, pytest.approx(2.0))


def test_mean_prices_are_weighted_by_time() -> None:
    """A price counts for as long as it held, and not after the end."""
    readings = [(0.0, {"a": 4.0}), (1.0, {"a": 0.0}), (3.0, {"a": 8.0}), (9.0, {"a": 100.0})]
    assert mean_prices(readings, 4.0) == {"a": pytest.approx((4 + 0 + 8) / 4)}
    assert mean_prices([], 4.0) == {}


# -------------------------------------------------------------------------- the screens


@pytest.fixture(scope="module")
def report(offer: Offer) -> Report:
    """Give the report of jobs that ran exactly as the simulator says."""
    jobs = plan(offer, 1)
    asked = Outcome("x", tuple(Course(one.spec, one.at_s, None, None, None) for one in jobs), {})
    live = replace(replay(offer, "price", asked), name="live")
    scene = Scene(planned=len(jobs), elapsed_s=20.0)
    for number, course in enumerate(live.courses, 1):
        one = job(number, course.spec, course.pool, course.started_s or 0.0, course.ended_s)
        scene.jobs.append(one.model_copy(update={"submitted_at": course.submitted_s}))
        scene.specs[one.id] = course.spec
    for one in scene.jobs:
        if one.pool is not None:
            scene.placed[one.id] = placed(one, scene.specs[one.id], scene.jobs, offer)
        else:
            why = Why(job=one, sentence="No pool can ever run it.", never=True, pools=[])
            scene.never[one.id] = why
    scene.pools = [
        Pool(
            id=pool.id,
            site=pool.site,
            region="r",
            accelerator=pool.accelerator,
            trust=[],
            nodes=1,
            capacity=pool.capacity,
            free=3,
            largest=3,
            running=1,
            waiting=12,
            price_per_h=1.0,
            open=True,
            problem="",
        )
        for pool in offer.network.pools
    ]
    replays = [replay(offer, policy, live) for policy in ("price", "isolated")]
    return Report(scene=scene, live=live, replays=replays, network=offer.network)


def lines(text: str) -> list[str]:
    """Give the lines of a screen, without what moves the cursor."""
    return text.replace("\r", "").splitlines()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_report_fits_the_terminal(report: Report, width: int) -> None:
    """The report shows every group, the comparison and the conclusion, and fits its terminal."""
    out = io.StringIO()
    show(Console(file=out, width=width, highlight=False, markup=False), report)
    shown = lines(out.getvalue())
    assert max(map(len, shown)) <= width
    text = out.getvalue()
    for one in report.scene.jobs:
        assert one.pool is None or one.pool in text
    for words in ("replay: price", "replay: isolated", "mean completion", "could not have run"):
        assert words in " ".join(text.split())


def test_the_numbers_of_the_report_are_those_measured(report: Report) -> None:
    """Where live went as simulated, both columns say the same, and so does the conclusion."""
    live, same, apart = report.document()["outcomes"]  # type: ignore[misc] # a list of three
    for name in ("finished", "rejected", "mean_jct_s", "mean_wait_s", "makespan_s", "utilisation"):
        assert same[name] == pytest.approx(live[name], rel=0.1)
    ratio = apart["mean_jct_s"] / live["mean_jct_s"]
    assert f"{ratio:.1f} times as long, and 1 more job could not" in report.conclusion
    assert not np.isnan(ratio)


@pytest.mark.parametrize("width", [80, 120])
def test_the_live_view_fits_the_terminal(report: Report, width: int) -> None:
    """The live view fits a terminal of 24 lines and names every centre."""
    out = io.StringIO()
    screen = Console(
        file=out, width=width, height=24, force_terminal=True, color_system=None, markup=False
    )
    with view(report.network, screen) as watch:
        watch(report.scene)
        shown = [line for line in lines(out.getvalue()) if "\x1b" not in line]
    assert max(map(len, shown)) <= width
    assert len(shown) <= 24
    for site in report.network.sites:
        assert site.id in out.getvalue()


def test_without_a_terminal_each_placement_is_told_once(report: Report) -> None:
    """Where there is no terminal, every placement is one line, however often it is seen."""
    out = io.StringIO()
    with view(report.network, Console(file=out, width=80, markup=False)) as watch:
        watch(report.scene)
        watch(report.scene)
    assert len(lines(out.getvalue())) == len(report.scene.placed)
