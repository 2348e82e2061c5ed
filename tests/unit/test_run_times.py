"""Estimates of the live loop: from users, from ended jobs, from the store after a restart."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from loop_bench import EAST, WEST, Bench, job, network
from tieline.control.history import Estimate
from tieline.control.lifecycle import Status
from tieline.control.ports import RunPhase
from tieline.files.fit import Offer
from tieline.model.job import DEFAULT_ESTIMATE_S, JobSpec
from tieline.model.observed_rates import ENOUGH
from tieline.model.workload import Workload
from tieline.service import answers
from tieline.service.live.run_times import RunTimes
from tieline.store import open_store

NAMED = replace(job(), name="nightly", estimate_s=None)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a loop with two healthy sites of four accelerators each."""
    store = open_store("sqlite://")
    bench = Bench(store, network())
    yield bench
    bench.loop.close()
    store.close()


def ran(bench: Bench, spec: JobSpec, length_s: float, exit_code: int = 0) -> str:
    """Let a job run for a time and end; give its id."""
    (one,) = bench.running(spec)
    site = bench.east if bench.record(one).pool == EAST else bench.west
    phase = RunPhase.FAILED if exit_code else RunPhase.SUCCEEDED
    site.set(f"{one}.1", phase, exit_code=exit_code, ended_at=1.0 + length_s)
    bench.until(lambda: bench.record(one).status.ended)
    return one


def expected(bench: Bench, spec: JobSpec) -> Estimate | None:
    """Submit a job and give how long the loop takes it to run."""
    (one,) = bench.submit(spec)
    bench.tick()
    return bench.plane.estimate(one)


def test_ended_jobs_tell_how_long_the_next_one_runs(bench: Bench) -> None:
    """Without an estimate the first job gets the default, the next the mean of those that ended.

    A job that failed held its accelerators as well.
    """
    assert expected(bench, NAMED) == Estimate(DEFAULT_ESTIMATE_S, "default")
    ran(bench, NAMED, 100.0)
    ran(bench, NAMED, 300.0, exit_code=3)
    assert expected(bench, NAMED) == Estimate(200.0, "history")


def test_what_a_job_file_says_stands(bench: Bench) -> None:
    """An estimate in a job file is taken, turned into time on the reference accelerator."""
    ran(bench, NAMED, 100.0)
    assert expected(bench, replace(NAMED, estimate_s=7.0)) == Estimate(7.0, "user")
    slow = replace(NAMED, estimate_s=7.0, estimate_on="huawei-910b2")
    rate = Offer(network()).rates.rate(slow.workload, "huawei-910b2", 1).value
    assert rate < 1
    assert expected(bench, slow) == Estimate(7.0 * rate, "user")


def test_run_times_are_turned_into_time_on_the_reference(bench: Bench) -> None:
    """What took 100 s on a chip of rate r counts as 100 r."""
    spec = replace(NAMED, commands={"cann": "true"})
    one = ran(bench, spec, 100.0)
    assert bench.record(one).pool == WEST
    rate = Offer(network()).rates.rate(spec.workload, "huawei-910b2", 1).value
    assert expected(bench, NAMED) == Estimate(100.0 * rate, "history")


def test_a_restart_forgets_nothing(bench: Bench) -> None:
    """A new loop learns from the ended jobs in the store, and estimates open jobs anew."""
    (waits,) = bench.submit(replace(NAMED, count=99))
    ran(bench, NAMED, 100.0)
    ran(bench, NAMED, 200.0)
    bench.loop.close()
    bench.restart(network())
    bench.tick()
    assert bench.plane.estimate(waits) == Estimate(150.0, "history")


def test_an_end_that_no_site_told_of_is_not_learnt(bench: Bench) -> None:
    """Without a start, an end and an exit code from the site, nobody knows how long it ran."""
    one = ran(bench, NAMED, 100.0)
    record = bench.record(one)
    for unknown in ({"exit_code": None}, {"started_at": None}, {"pool": "gone/chip"}):
        found = RunTimes(Offer(network()))
        found.note(replace(record, **unknown))
        assert found.estimate(NAMED).basis == "default"
    found = RunTimes(Offer(network()))
    found.note(record)
    assert found.estimate(NAMED) == Estimate(100.0, "history")


def test_ended_jobs_tell_how_fast_their_workload_runs(bench: Bench) -> None:
    """Enough ended jobs of one name decide on the rate, also after a restart."""
    spec = replace(NAMED, workload=Workload("training", "llama-3-8b"))
    for stack, run_s in (("cuda", 100.0), ("cann", 125.0)):
        for _ in range(ENOUGH):
            ran(bench, replace(spec, commands={stack: "true"}), run_s)
    for _ in range(2):
        (waits,) = bench.submit(replace(spec, count=99))
        bench.tick()
        rates = answers.job_detail(*bench.plane.detail(waits)).rates
        east, west = (rates[pool.partition("/")[2]] for pool in (EAST, WEST))
        assert east.value / west.value == pytest.approx(1.25)
        assert (west.basis, f"{2 * ENOUGH} jobs" in west.source) == ("measured", True)
        bench.restart(network())


def test_users_see_where_an_estimate_comes_from(bench: Bench) -> None:
    """An open job tells its estimate and the basis of it; an ended one has none any more."""
    done = ran(bench, NAMED, 100.0)
    (waits,) = bench.submit(replace(NAMED, count=99))
    bench.tick()
    told = answers.job_detail(*bench.plane.detail(waits)).estimate
    assert told is not None
    assert told.model_dump() == {"run_s": 100.0, "on": "nvidia-h200-sxm", "basis": "history"}
    assert answers.why(bench.plane.why(waits)).estimate == told
    assert bench.plane.estimate(done) is None


def test_a_job_that_was_given_more_counts_for_what_it_asked_for(bench: Bench) -> None:
    """What took 100 s on four accelerators, by its scaling twice as fast as one, counts as 200."""
    wide = replace(NAMED, max_count=4, scaling=0.5)
    one = ran(bench, wide, 100.0)
    assert bench.record(one).count == 4
    assert expected(bench, wide) == Estimate(200.0, "history")


def test_a_job_that_ran_in_parts_tells_nothing(bench: Bench) -> None:
    """Of a job that was stopped only the last part is known, which is no run time."""
    spec = replace(NAMED, preemptible=True, restart_s=1.0)
    (one,) = bench.running(replace(spec, count=4))
    bench.submit(replace(job(4), estimate_s=5.0))
    bench.until(lambda: bench.record(one).status is Status.STOPPING)
    bench.east.set(f"{one}.1", RunPhase.STOPPED, ended_at=50.0)
    bench.until(lambda: bench.record(one).status is Status.QUEUED)
    bench.until(lambda: "job-000002.1" in bench.east.reports)
    bench.east.set("job-000002.1", RunPhase.SUCCEEDED, exit_code=0, ended_at=6.0)
    bench.until(lambda: f"{one}.2" in bench.east.reports)
    bench.east.set(f"{one}.2", RunPhase.SUCCEEDED, exit_code=0, ended_at=9.0)
    bench.until(lambda: bench.record(one).status.ended)
    # All that is known is of the other job, which took 5 s.
    assert expected(bench, replace(spec, count=4)) == Estimate(5.0, "history")
