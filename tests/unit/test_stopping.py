"""The live loop stops jobs for others and lets them go on, and gives jobs other sizes."""

from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest

from loop_bench import EAST, Bench, job, network
from tieline.control.lifecycle import Status
from tieline.control.ports import RunPhase
from tieline.control.reconcile import MAX_ATTEMPTS
from tieline.model.job import JobSpec
from tieline.store import open_store

#: So long that a short job is worth more on the same accelerators.
LONG_S = 36_000.0


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a loop with two healthy sites of four accelerators each."""
    store = open_store("sqlite://")
    bench = Bench(store, network())
    yield bench
    for site in bench.sites.values():
        site.answers.set()
    bench.loop.close()
    store.close()


def long(count: int = 4) -> JobSpec:
    """Give a long job that may be stopped."""
    return replace(job(count), estimate_s=LONG_S, preemptible=True, restart_s=10.0)


def short(count: int = 4) -> JobSpec:
    """Give a short job."""
    return replace(job(count), estimate_s=60.0)


def told_to_stop(bench: Bench) -> tuple[str, str]:
    """Let a long job run and a short one come; give both, the long one told to stop."""
    (first,) = bench.running(long())
    (second,) = bench.submit(short())
    bench.until(lambda: bench.east.told_to_end == [f"{first}.1"])
    return first, second


def test_a_long_job_stops_for_a_short_one_and_goes_on_after_it(bench: Bench) -> None:
    """Told to stop, it holds its place to the end; then the other runs; then it runs again."""
    first, second = told_to_stop(bench)
    bench.tick(5)
    assert (bench.status(first), bench.status(second)) == (Status.STOPPING, Status.QUEUED)
    assert bench.free(EAST) == 0
    assert "told to stop" in bench.plane.why(first).sentence
    assert bench.east.told_to_end == [f"{first}.1"]
    bench.east.set(f"{first}.1", RunPhase.STOPPED, exit_code=0)
    bench.until(lambda: bench.status(second) is Status.RUNNING)
    assert bench.status(first) is Status.QUEUED
    bench.tick(5)
    assert [order.token for order in bench.east.asked] == [f"{first}.1", f"{second}.1"]
    bench.east.set(f"{second}.1", RunPhase.SUCCEEDED, exit_code=0)
    bench.until(lambda: bench.status(first) is Status.RUNNING)
    again = bench.east.asked[-1]
    assert (again.token, again.attempt, again.grace_s) == (f"{first}.2", 2, 10.0)
    lines = bench.plane.events(first)
    assert [line.event for line in lines] == [
        *("submitted", "placed", "started", "preempted", "stopped", "placed", "started"),
    ]
    assert "goes on later" in str(lines[3].data["detail"])
    assert LONG_S * 0.9 < float(str(lines[3].data["left_s"])) <= LONG_S


def test_a_stop_is_stored_before_the_site_hears_of_it(bench: Bench) -> None:
    """When a site is asked to end a run for other jobs, the store already says so."""
    seen = []
    (first,) = bench.running(long())

    def cancel(_token: str) -> None:
        seen.append(bench.status(first))

    with patch.object(bench.east, "cancel", cancel):
        bench.submit(short())
        bench.until(lambda: seen)
    assert seen == [Status.STOPPING]


def test_a_job_that_may_not_be_stopped_is_left_alone(bench: Bench) -> None:
    """A job that does not say it may be stopped runs to its end, whoever waits."""
    (first,) = bench.running(replace(long(), preemptible=False))
    (second,) = bench.submit(short())
    bench.tick(10)
    assert (bench.status(first), bench.status(second)) == (Status.RUNNING, Status.QUEUED)
    assert bench.east.told_to_end == []


def test_a_job_that_was_done_before_it_heard_has_succeeded(bench: Bench) -> None:
    """An end that its site reports as its own is its end, also while it is to stop."""
    first, second = told_to_stop(bench)
    bench.east.set(f"{first}.1", RunPhase.SUCCEEDED, exit_code=0)
    bench.until(lambda: bench.status(second) is Status.RUNNING)
    assert bench.status(first) is Status.SUCCEEDED


def test_a_job_whose_wrapper_vanished_while_it_stopped_goes_on(bench: Bench) -> None:
    """It was asked to stop and has, so that it waits again, idempotent or not."""
    first, _ = told_to_stop(bench)
    bench.east.set(f"{first}.1", RunPhase.VANISHED, detail="its wrapper was killed")
    bench.until(lambda: bench.status(first) is Status.QUEUED)
    assert bench.record(first).stops == 1


def test_a_stop_before_the_start_leaves_a_job_waiting(bench: Bench) -> None:
    """An order that never arrived and is to stop has not started and never will."""
    bench.east.starts = False
    (first,) = bench.submit(long())
    bench.until(lambda: bench.east.asked)
    (second,) = bench.submit(short())
    bench.until(lambda: bench.status(first) is Status.STOPPING)
    bench.east.reports.clear()
    bench.east.starts = True
    bench.until(lambda: bench.status(second) is Status.RUNNING)
    assert bench.status(first) is Status.QUEUED


def test_a_run_that_its_site_forgot_while_it_stops_is_not_run_again(bench: Bench) -> None:
    """A job that was seen running may run on: it keeps its place until the site knows it."""
    first, second = told_to_stop(bench)
    report = bench.east.reports.pop(f"{first}.1")
    bench.tick(10)
    assert (bench.status(first), bench.status(second)) == (Status.STOPPING, Status.QUEUED)
    assert len(bench.east.asked) == 1
    bench.east.set(report.token, RunPhase.STOPPED)
    bench.until(lambda: bench.status(second) is Status.RUNNING)


def test_a_user_may_cancel_a_job_that_is_stopping(bench: Bench) -> None:
    """A cancelled job does not go on, though the scheduler had only told it to stop."""
    first, second = told_to_stop(bench)
    bench.plane.cancel(first)
    bench.until(lambda: bench.status(first) is Status.CANCELLING)
    bench.east.set(f"{first}.1", RunPhase.STOPPED)
    bench.until(lambda: bench.status(second) is Status.RUNNING)
    assert bench.status(first) is Status.CANCELLED


def test_a_job_that_is_being_cancelled_is_not_told_to_stop(bench: Bench) -> None:
    """Whoever waits, a job whose end a user wants stays with that end."""
    (first,) = bench.running(long())
    bench.plane.cancel(first)
    bench.tick()
    bench.submit(short())
    bench.tick(10)
    assert bench.status(first) is Status.CANCELLING


def test_jobs_at_a_site_that_does_not_answer_are_not_told_to_stop(bench: Bench) -> None:
    """A silent site takes no new work, so nothing there stops for any; later it may."""
    (first,) = bench.running(long())
    bench.east.down = "no route"
    bench.tick()
    (second,) = bench.submit(short())
    bench.tick(5, step_s=10.0)
    assert bench.status(first) is Status.UNKNOWN
    bench.east.down = ""
    bench.until(lambda: bench.status(first) is Status.STOPPING)
    bench.east.set(f"{first}.1", RunPhase.STOPPED)
    bench.until(lambda: bench.status(second) is Status.RUNNING)


def test_after_a_crash_a_stopping_job_is_asked_again_and_holds_its_place(bench: Bench) -> None:
    """A new loop on the same store asks for the stop anew and starts nobody in its place."""
    first, second = told_to_stop(bench)
    bench.loop.close()
    bench.restart(network())
    bench.tick(5)
    assert bench.east.told_to_end == [f"{first}.1"] * 2
    assert (bench.free(EAST), bench.status(second)) == (0, Status.QUEUED)
    bench.east.set(f"{first}.1", RunPhase.STOPPED)
    bench.until(lambda: bench.status(second) is Status.RUNNING)
    bench.loop.close()
    bench.restart(network())
    bench.tick(5)
    assert bench.status(first) is Status.QUEUED
    bench.east.set(f"{second}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.status(first) is Status.RUNNING)
    assert [order.token for order in bench.east.asked] == [
        *(f"{first}.1", f"{second}.1", f"{first}.2"),
    ]


def make_way(bench: Bench, job_id: str) -> None:
    """Let a running job stop for a short one, and go on."""
    (other,) = bench.submit(short())
    bench.until(lambda: bench.status(job_id) is Status.STOPPING)
    bench.east.set(bench.record(job_id).token, RunPhase.STOPPED)
    bench.until(lambda: bench.status(other) is Status.RUNNING)
    bench.east.set(f"{other}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.status(job_id) is Status.RUNNING)


def test_stops_do_not_count_as_lost_attempts(bench: Bench) -> None:
    """An idempotent job that was stopped often and is lost once runs again."""
    (first,) = bench.running(replace(long(), idempotent=True))
    for _ in range(MAX_ATTEMPTS):
        make_way(bench, first)
    bench.east.set(f"{first}.6", RunPhase.VANISHED)
    bench.until(lambda: bench.record(first).attempt == 7 and bench.status(first) is Status.RUNNING)
    assert bench.record(first).stops == MAX_ATTEMPTS


def test_a_job_of_several_sizes_starts_larger_where_nobody_else_waits(bench: Bench) -> None:
    """An empty centre gives a job the most it can use, and the order, record and views say so."""
    (first,) = bench.running(replace(short(1), max_count=4))
    assert bench.east.asked[0].count == 4
    assert (bench.record(first).count, bench.free(EAST)) == (4, 0)
    bench.loop.close()
    bench.restart(network())
    bench.tick(3)
    assert bench.free(EAST) == 0
    bench.east.set(f"{first}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.free(EAST) == 4)


def test_a_job_of_several_sizes_starts_small_beside_others(bench: Bench) -> None:
    """Where others wait, a job takes the least it can run on."""
    specs = [replace(short(2), min_count=1, max_count=4) for _ in range(4)]
    jobs = bench.running(*specs)
    assert [bench.record(one).count for one in jobs] == [1] * 4


def test_a_lost_job_of_several_sizes_waits_for_the_smallest_again(bench: Bench) -> None:
    """A size that it was given once is none that it must have in its next attempt."""
    (first,) = bench.running(replace(short(1), idempotent=True, max_count=4))
    assert bench.record(first).count == 4
    bench.east.set(f"{first}.1", RunPhase.VANISHED)
    bench.submit(job(3), job(3))
    bench.until(lambda: bench.record(first).attempt == 2)
    assert bench.record(first).count == 1


def test_a_resizable_job_that_stops_goes_on_smaller(bench: Bench) -> None:
    """A job that held all stops for another one, and goes on beside it with what is left."""
    (first,) = bench.running(replace(long(1), max_count=4))
    assert bench.record(first).count == 4
    (second,) = bench.submit(short(3))
    bench.until(lambda: bench.status(first) is Status.STOPPING)
    bench.east.set(f"{first}.1", RunPhase.STOPPED)
    bench.until(lambda: bench.status(first) is bench.status(second) is Status.RUNNING)
    assert (bench.record(first).count, bench.record(second).count) == (1, 3)
