"""The live loop, tick by tick, with sites that misbehave and a store that fails."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import pytest

from loop_bench import EAST, SETTINGS, WEST, Bench, job, network
from tieline.control.lifecycle import Event, Status
from tieline.control.ports import Change, RunPhase
from tieline.control.reconcile import MAX_ATTEMPTS
from tieline.model.errors import StoreUnavailable
from tieline.store import open_store


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


def test_a_job_runs_from_submission_to_its_end(bench: Bench) -> None:
    """A job is placed, told to its site, seen running, and frees its accelerators at its end."""
    (one,) = bench.running(job(3))
    assert bench.free(EAST) == 1
    bench.east.set(f"{one}.1", RunPhase.SUCCEEDED, ended_at=9.0, exit_code=0)
    bench.until(lambda: bench.free(EAST) == 4)
    assert bench.status(one) is Status.SUCCEEDED
    assert bench.record(one).ended_at == 9.0
    events = [line.event for line in bench.plane.events(one)]
    assert events == ["submitted", "placed", "started", "succeeded"]


def test_a_placement_is_stored_before_the_site_hears_of_it(bench: Bench) -> None:
    """When an order reaches a site, the store already says that the job is there."""
    bench.running(job(), job(2), job(1, "cann"))
    assert bench.east.stored + bench.west.stored == [Status.SUBMITTED] * 3


def test_a_waiting_job_that_is_cancelled_never_reaches_a_site(bench: Bench) -> None:
    """A job cancelled while it waits is over at once, also within the tick that brings it."""
    bench.running(job(4))
    waits, late = bench.submit(job(4), job(4))
    bench.plane.cancel(late)
    bench.tick(2)
    bench.plane.cancel(waits)
    bench.tick(3)
    assert [bench.status(one) for one in (waits, late)] == [Status.CANCELLED] * 2
    assert len(bench.east.asked) == 1
    assert bench.loop.scene(waits) is None


def test_a_running_job_is_told_to_end_once_and_ends_when_the_site_says_so(bench: Bench) -> None:
    """A cancelled run keeps its accelerators until its site reports the end."""
    (one,) = bench.running(job(4))
    bench.plane.cancel(one)
    bench.tick(5)
    assert bench.status(one) is Status.CANCELLING
    assert bench.east.told_to_end == [f"{one}.1"]
    assert bench.free(EAST) == 0
    bench.east.set(f"{one}.1", RunPhase.STOPPED)
    bench.tick(2)
    assert bench.status(one) is Status.CANCELLED
    assert bench.free(EAST) == 4


def test_a_cancelled_order_that_never_arrived_is_over(bench: Bench) -> None:
    """What a site was told to end and does not know has not started and never will."""
    bench.tick()
    with patch.object(bench.east, "submit"):  # as if the control plane died before it
        (one,) = bench.submit(job())
        bench.tick()
    bench.plane.cancel(one)
    bench.tick()
    assert bench.status(one) is Status.CANCELLING
    bench.until(lambda: bench.status(one) is Status.CANCELLED)
    assert bench.east.asked == []


def test_an_order_that_the_site_lost_is_given_again(bench: Bench) -> None:
    """A token that was acknowledged and is not known was never started: it is asked again."""
    bench.east.starts = False
    (one,) = bench.submit(job())
    bench.until(lambda: bench.east.asked)
    bench.east.reports.clear()
    bench.until(lambda: len(bench.east.asked) == 2)
    assert {order.token for order in bench.east.asked} == {f"{one}.1"}


def test_a_run_that_the_site_forgot_is_not_run_again(bench: Bench) -> None:
    """A job seen running and then unknown at its site may still run: it waits for an answer."""
    (one,) = bench.running(job())
    report = bench.east.reports.pop(f"{one}.1")
    bench.tick(5)
    assert bench.status(one) is Status.UNKNOWN
    assert "does not know the run" in bench.plane.why(one).sentence
    assert len(bench.east.asked) == 1
    bench.east.reports[report.token] = report
    bench.tick(2)
    assert bench.status(one) is Status.RUNNING


def test_a_refused_job_fails_with_the_reason(bench: Bench) -> None:
    """What a site will never run has failed, with the site's words, and frees its place."""
    bench.east.refuses = "the command is empty"
    (one,) = bench.submit(job(4))
    bench.until(lambda: bench.status(one) is Status.FAILED)
    assert bench.record(one).detail == "the command is empty"
    bench.east.refuses = ""
    bench.running(job(4))


def test_a_hanging_site_holds_up_nobody_else(bench: Bench) -> None:
    """While one site hangs the others start and end jobs; it takes no new work."""
    (stuck,) = bench.running(job())
    bench.east.answers.clear()
    (other,) = bench.running(job(1, "cann"))
    bench.tick(20)
    views = {view.pool.id: view for view in bench.plane.pools()}
    assert (views[EAST].open, views[WEST].open) == (False, True)
    assert views[EAST].problem.startswith("no answer for ")
    (waits,) = bench.submit(job())
    bench.west.set(f"{other}.1", RunPhase.SUCCEEDED)
    bench.tick(3)
    assert bench.status(other) is Status.SUCCEEDED
    assert bench.status(waits) is Status.QUEUED
    assert bench.status(stuck) is Status.RUNNING
    bench.east.answers.set()
    bench.until(lambda: bench.status(waits) is Status.RUNNING)
    assert bench.plane.health().ok


def test_a_site_that_stays_silent_makes_its_jobs_unknown_until_it_answers(bench: Bench) -> None:
    """An unreachable site's jobs are unknown, not lost; nothing runs twice, nothing is freed."""
    (one,) = bench.running(job(3))
    bench.east.down = "no route"
    bench.tick(2, step_s=10.0)
    assert bench.status(one) is Status.RUNNING
    assert bench.plane.health().sites["east-1"] == "no route"
    bench.tick(2, step_s=10.0)
    assert bench.status(one) is Status.UNKNOWN
    assert bench.free(EAST) == 1
    bench.east.down = ""
    bench.until(lambda: bench.status(one) is Status.RUNNING)
    assert len(bench.east.asked) == 1


def test_an_order_in_vain_is_given_again_when_the_site_answers(bench: Bench) -> None:
    """A site that fails while it is told to start a job is asked again, and runs it once."""
    bench.tick()
    with patch.object(bench.east, "submit", side_effect=OSError("disk on fire")):
        (one,) = bench.submit(job())
        bench.tick(3)
        assert bench.status(one) is Status.SUBMITTED
        assert "disk on fire" in bench.plane.health().detail
    bench.until(lambda: bench.status(one) is Status.RUNNING)
    assert len(bench.east.asked) == 1
    bench.until(lambda: bench.plane.health().ok)


def test_one_bad_order_does_not_hold_back_the_others(bench: Bench) -> None:
    """A fault of the engine with one order leaves the rest of the orders untouched."""
    real = bench.east.submit

    def submit(order: object) -> None:
        if order.job_id == "job-000001":  # type: ignore[attr-defined] # a RunOrder
            raise ValueError("odd")
        real(order)  # type: ignore[arg-type] # a RunOrder

    with patch.object(bench.east, "submit", submit):
        jobs = bench.submit(job(), job(), job())
        bench.until(lambda: all(bench.status(one) is Status.RUNNING for one in jobs[1:]))
    assert bench.status(jobs[0]) is Status.SUBMITTED


def test_a_lost_idempotent_job_runs_again_elsewhere_in_time(bench: Bench) -> None:
    """The wrapper of an idempotent job was killed: a second attempt with a token of its own."""
    (one,) = bench.running(job(idempotent=True))
    bench.east.set(f"{one}.1", RunPhase.VANISHED, detail="its wrapper was killed")
    bench.until(lambda: bench.record(one).attempt == 2 and bench.status(one) is Status.RUNNING)
    assert [order.token for order in bench.east.asked] == [f"{one}.1", f"{one}.2"]
    events = [line.event for line in bench.plane.events(one)]
    assert events == ["submitted", "placed", "started", "fenced", "requeued", "placed", "started"]


def test_a_lost_job_is_not_run_twice_unless_it_says_it_may_be(bench: Bench) -> None:
    """A job that is not idempotent and whose run was lost has failed, and says what to do."""
    (one,) = bench.running(job(4))
    bench.east.set(f"{one}.1", RunPhase.VANISHED, detail="its wrapper was killed")
    bench.until(lambda: bench.status(one) is Status.FAILED)
    bench.tick(5)
    assert bench.record(one).detail.startswith("its wrapper was killed; it may have run in part")
    assert len(bench.east.asked) == 1
    assert bench.free(EAST) == 4


def test_attempts_that_are_always_lost_come_to_an_end(bench: Bench) -> None:
    """An idempotent job that loses every run is given up after some attempts."""
    (one,) = bench.submit(job(idempotent=True))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        bench.until(lambda: bench.status(one) is Status.RUNNING)
        bench.east.set(f"{one}.{attempt}", RunPhase.VANISHED, detail="killed")
        bench.tick(2)
    bench.until(lambda: bench.status(one) is Status.FAILED)
    assert bench.record(one).detail == f"killed; {MAX_ATTEMPTS} attempts were lost"


def test_after_a_crash_running_jobs_still_hold_their_accelerators(bench: Bench) -> None:
    """A new loop on the same store places nothing where jobs of the old one still run."""
    first, second = bench.running(job(3), job(4, "cann"))
    (waits,) = bench.submit(job(2))
    bench.tick()
    bench.loop.close()
    bench.restart(network())
    bench.tick(5)
    assert (bench.free(EAST), bench.free(WEST)) == (1, 0)
    assert [bench.status(one) for one in (first, second)] == [Status.RUNNING] * 2
    assert bench.status(waits) is Status.QUEUED
    bench.east.set(f"{first}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.status(waits) is Status.RUNNING)
    assert len(bench.east.asked) == 2


def test_after_a_crash_an_unfinished_cancellation_goes_on(bench: Bench) -> None:
    """A cancel request that was stored and not yet acted on is acted on by the next loop."""
    (one,) = bench.running(job())
    bench.plane.cancel(one)
    bench.loop.close()
    bench.restart(network())
    bench.tick(2)
    assert bench.east.told_to_end == [f"{one}.1"]
    bench.east.set(f"{one}.1", RunPhase.STOPPED)
    bench.until(lambda: bench.status(one) is Status.CANCELLED)


def test_a_pool_that_shrank_below_what_is_held_takes_no_new_work(bench: Bench) -> None:
    """More may be held than the network file now says there is: nothing more is placed there."""
    jobs = bench.running(job(2), job(1), job(1))
    bench.loop.close()
    bench.restart(network(east=2))
    (waits,) = bench.submit(job())
    bench.tick(3)
    assert bench.free(EAST) == -2
    bench.east.set(f"{jobs[0]}.1", RunPhase.SUCCEEDED)
    bench.tick(3)
    assert (bench.free(EAST), bench.status(waits)) == (0, Status.QUEUED)
    bench.east.set(f"{jobs[1]}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.status(waits) is Status.RUNNING)


def test_a_job_that_names_what_the_network_lost_is_set_aside(bench: Bench) -> None:
    """A job whose tenant is gone from the file waits apart, says why, and stops nobody."""
    (one,) = bench.submit(job())
    bench.restart(replace(network(), tenants=(replace(network().tenants[0], id="other"),)))
    bench.tick(3)
    assert bench.status(one) is Status.QUEUED
    assert "lab" in bench.plane.why(one).sentence
    (other,) = bench.running(replace(job(), tenant="other"))
    assert bench.status(other) is Status.RUNNING
    bench.plane.cancel(one)
    bench.tick()
    assert bench.status(one) is Status.CANCELLED


def test_a_stored_job_that_makes_no_sense_stops_nobody(bench: Bench) -> None:
    """A spec that got past every check, from an older version perhaps, is set aside in words."""
    (odd,) = (one.id for one in bench.store.add_jobs([job(0)], now=1.0))
    bench.running(job())
    assert bench.status(odd) is Status.QUEUED
    assert "cannot take it as it is" in bench.plane.why(odd).sentence


def test_a_running_job_keeps_its_place_when_the_network_forgets_its_tenant(bench: Bench) -> None:
    """What runs holds its accelerators whatever became of the names it was submitted with."""
    (one,) = bench.running(job(3))
    bench.loop.close()
    bench.restart(replace(network(), tenants=(replace(network().tenants[0], id="other"),)))
    bench.tick(2)
    assert (bench.free(EAST), bench.status(one)) == (1, Status.RUNNING)
    bench.east.set(f"{one}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.free(EAST) == 4)


def test_a_job_at_a_site_that_the_network_lost_is_unknown(bench: Bench) -> None:
    """A running job whose pool is gone from the file keeps its record and is not run again."""
    (one,) = bench.running(job(1, "cann"))
    bench.loop.close()
    bench.sites = {"east-1": bench.east}
    bench.restart(replace(network(), sites=network().sites[:1]))
    bench.tick(3)
    assert bench.status(one) is Status.UNKNOWN


def test_a_store_that_fails_for_a_moment_loses_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A placement that could not be stored reaches no site, and is made again later."""
    caplog.set_level(logging.CRITICAL)
    bench.tick()
    with patch.object(bench.store, "record", side_effect=StoreUnavailable("full")):
        bench.submit(job())
        with pytest.raises(StoreUnavailable):
            bench.tick()
    assert bench.east.asked == []


def test_no_failure_ends_the_loop(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A tick that fails is logged and shown; the loop goes on by itself and catches up."""
    caplog.set_level(logging.CRITICAL)
    fails = patch.object(bench.store, "record", side_effect=StoreUnavailable("disk full"))
    thread = threading.Thread(target=bench.loop.run)
    with fails:
        thread.start()
        (one,) = bench.submit(job())
        wait_for(lambda: "disk full" in bench.plane.health().detail)
        assert not bench.plane.health().ok
    bench.time += 1.0
    wait_for(lambda: bench.status(one) is Status.RUNNING)
    wait_for(lambda: bench.plane.health().ok)
    bench.loop.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert len(bench.east.asked) == 1


def wait_for(condition: object) -> None:
    """Wait for another thread."""
    for _ in range(3000):
        if condition():  # type: ignore[operator] # a function
            return
        threading.Event().wait(0.01)
    raise AssertionError("waited in vain")


def test_a_change_behind_its_back_is_noticed(bench: Bench) -> None:
    """When a job moved on without the loop, what the store says holds, and nothing is lost."""
    one, other = bench.running(job(2), job(2))
    record = bench.record(one)
    bench.store.record([Change(one, record.version, Event.SUCCEEDED, at=1.0, exit_code=0)])
    for token in (f"{one}.1", f"{other}.1"):
        bench.east.set(token, RunPhase.FAILED, exit_code=1)
    bench.loop._step()  # noqa: SLF001 - `run` makes this step
    bench.tick(2)
    assert [bench.status(name) for name in (one, other)] == [Status.SUCCEEDED, Status.FAILED]
    assert bench.free(EAST) == 4


def test_a_clock_that_jumps_neither_turns_time_back_nor_stops_it(bench: Bench) -> None:
    """Cycles see time go on while the machine's clock jumps, and jobs start all the while."""
    seen = []
    for off in (0.0, 3600.0, 3600.0, 0.0, -3600.0, -3600.0, 0.0):
        bench.clock_off = off
        bench.time += 1.0
        bench.loop._step()  # noqa: SLF001 - `run` makes this step
        seen.append(bench.plane.health().last_tick_at or 0.0)
    assert all(0.0 < later - earlier <= 2.0 for earlier, later in pairwise(seen))
    bench.clock_off = -3600.0
    (one,) = bench.submit(job())
    for _ in range(3):
        bench.time += 1.0
        bench.loop._step()  # noqa: SLF001 - `run` makes this step
    assert bench.status(one) is Status.RUNNING


def test_sites_forget_the_oldest_runs_and_no_others(bench: Bench) -> None:
    """Of ended runs a site keeps the newest; those of open jobs it keeps in any case."""
    (alive,) = bench.running(job())
    ended = []
    for moment in range(SETTINGS.kept_runs + 2):
        (one,) = bench.running(job())
        bench.east.set(f"{one}.1", RunPhase.SUCCEEDED, ended_at=float(moment))
        ended.append(f"{one}.1")
    bench.until(lambda: len(bench.east.reports) == SETTINGS.kept_runs + 1)
    assert bench.east.forgotten == ended[:2]
    assert f"{alive}.1" in bench.east.reports
