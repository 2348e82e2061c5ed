"""Sites that come and go, that shrink, that are drained, and that return with old runs."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from front import listening
from loop_bench import EAST, Bench, job, network
from tieline.cli.main import cli
from tieline.control.lifecycle import Status
from tieline.control.ports import RunPhase, RunReport
from tieline.model.errors import EngineUnavailable, NotFoundError, StoreUnavailable
from tieline.model.job import JobSpec
from tieline.service.api.app import create_app
from tieline.service.live.sites import Patience
from tieline.service.views import PoolView, SiteView
from tieline.store import open_store

BOTH = ("cuda", "cann")


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


def east(bench: Bench) -> SiteView:
    """Give the first site as operators see it."""
    return bench.plane.sites()[0]


def pool_of_east(bench: Bench) -> PoolView:
    """Give its pool as users see it."""
    return bench.plane.pools()[0]


def stoppable(count: int = 1, *stacks: str) -> JobSpec:
    """Give a job that may be stopped and started again, and that costs little to stop."""
    return replace(job(count, *stacks), preemptible=True, restart_s=1.0)


def silence(bench: Bench, for_s: float) -> None:
    """Let the first site be away for so long."""
    bench.east.down = "no route"
    bench.tick(int(for_s / 5.0), step_s=5.0)


def flap(bench: Bench) -> None:
    """Let the first site come and go until it is in quarantine."""
    bench.until(lambda: east(bench).state == "open")
    for _ in range(3):
        bench.east.down = "no route"
        bench.until(lambda: east(bench).state == "closed")
        bench.east.down = ""
        bench.until(lambda: east(bench).state != "closed")
    assert east(bench).state == "quarantined"


# ------------------------------------------------------------------------- capacity
def test_nothing_is_placed_on_what_does_not_work(bench: Bench) -> None:
    """A pool of which half is out of order takes half as much; mended, it takes all again."""
    bench.east.usable[EAST] = 2
    bench.running(job(2))
    (waits,) = bench.submit(job())
    bench.tick(3)
    assert (bench.status(waits), bench.free(EAST)) == (Status.QUEUED, 0)
    assert (pool_of_east(bench).usable, east(bench).usable, east(bench).capacity) == (2, 2, 4)
    bench.east.usable[EAST] = 4
    bench.until(lambda: bench.status(waits) is Status.RUNNING)
    assert bench.free(EAST) == 1


def test_what_runs_is_not_touched_when_a_pool_shrinks(bench: Bench) -> None:
    """Accelerators that jobs hold are theirs; less is free, below nothing even, until they end."""
    (one,) = bench.running(job(3))
    bench.east.usable[EAST] = 3
    bench.tick(30)
    assert (bench.status(one), bench.free(EAST)) == (Status.RUNNING, 0)
    bench.east.usable[EAST] = 0
    bench.tick(30)
    assert (bench.status(one), bench.free(EAST)) == (Status.RUNNING, -3)
    bench.east.set(f"{one}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.free(EAST) == 0)


def test_a_pool_that_a_site_does_not_speak_of_has_nothing(bench: Bench) -> None:
    """What a site does not say that it has is not there."""
    bench.east.usable.clear()
    (waits,) = bench.submit(job())
    bench.tick(3)
    assert (bench.status(waits), pool_of_east(bench).usable) == (Status.QUEUED, 0)


def test_a_loop_that_starts_anew_withholds_what_the_last_one_withheld(bench: Bench) -> None:
    """After a crash, too, nothing is placed on what does not work."""
    bench.east.usable[EAST] = 1
    bench.tick(2)
    bench.loop.close()
    bench.restart(network())
    (waits,) = bench.submit(job(2))
    bench.tick(3)
    assert (bench.status(waits), bench.free(EAST)) == (Status.QUEUED, 1)


def test_a_site_that_takes_no_new_work_still_tells_of_the_old(bench: Bench) -> None:
    """With its controller away a site is closed, and the end of what runs there is heard."""
    (one,) = bench.running(job(2))
    bench.east.closed = "the controller does not answer"
    bench.tick(30)
    assert (east(bench).state, east(bench).problem) == ("closed", bench.east.closed)
    (waits,) = bench.submit(job())
    bench.east.set(f"{one}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.status(one) is Status.SUCCEEDED)
    assert bench.status(waits) is Status.QUEUED
    bench.east.closed = ""
    bench.until(lambda: bench.status(waits) is Status.RUNNING)


def test_a_hanging_question_for_capacity_holds_up_no_report(bench: Bench) -> None:
    """Reports are heard while the site thinks about its capacity; then it takes no new work."""
    (one,) = bench.running(job())
    hangs = threading.Event()
    with patch.object(bench.east, "capacity", side_effect=lambda: hangs.wait(30)):
        bench.tick(10, step_s=3.0)
        assert east(bench).state == "closed"
        bench.east.set(f"{one}.1", RunPhase.SUCCEEDED)
        bench.tick(2)
        assert bench.status(one) is Status.SUCCEEDED
        hangs.set()


# ------------------------------------------------------------------ drains, quarantine
def test_a_drained_site_gets_no_new_work_and_is_not_unwell(bench: Bench) -> None:
    """Drained: what runs runs on, what comes goes elsewhere, and nothing is wrong."""
    (one,) = bench.running(job())
    bench.plane.drain("east-1", by="ada", reason="new racks")
    (waits,) = bench.submit(job())
    bench.tick(3)
    assert [bench.status(name) for name in (one, waits)] == [Status.RUNNING, Status.QUEUED]
    assert (east(bench).state, east(bench).running) == ("drained", 1)
    assert pool_of_east(bench).problem == "drained by ada: new racks"
    assert not pool_of_east(bench).open
    assert bench.plane.health().ok
    bench.plane.resume("east-1", by="ada")
    bench.until(lambda: bench.status(waits) is Status.RUNNING)
    assert east(bench).state == "open"


def test_a_drain_outlives_the_loop(bench: Bench) -> None:
    """A loop that starts on the store of another one knows what was drained."""
    bench.plane.drain("east-1", reason="new racks")
    bench.loop.close()
    bench.restart(network())
    bench.tick(2)
    assert (east(bench).state, east(bench).problem) == ("drained", "drained: new racks")


def test_only_a_site_of_the_network_is_drained(bench: Bench) -> None:
    """An unknown site is named as unknown, with those that there are."""
    for order in (bench.plane.drain, bench.plane.resume):
        with pytest.raises(NotFoundError, match="no site 'east'; there are east-1, west-1"):
            order("east")


def test_a_site_that_comes_and_goes_is_quarantined(bench: Bench) -> None:
    """After its third failure of late it answers in vain for a minute, but its reports count."""
    (one,) = bench.running(job())
    flap(bench)
    assert "it comes and goes (last: no route): no new work for another" in east(bench).problem
    (waits,) = bench.submit(job())
    bench.east.set(f"{one}.1", RunPhase.SUCCEEDED)
    bench.tick(10)
    assert [bench.status(name) for name in (one, waits)] == [Status.SUCCEEDED, Status.QUEUED]
    bench.tick(2, step_s=60.0)
    bench.until(lambda: bench.status(waits) is Status.RUNNING)


def test_an_operator_ends_a_quarantine(bench: Bench) -> None:
    """A site that an operator opens takes work at once; one that is away, when it answers."""
    bench.east.answers.clear()
    bench.plane.resume("east-1")
    bench.tick()
    assert (east(bench).state, east(bench).problem) == ("closed", "it has not answered yet")
    bench.east.answers.set()
    bench.until(lambda: east(bench).state == "open")
    for _ in range(3):
        bench.east.down = "no route"
        bench.until(lambda: east(bench).state == "closed")
        bench.plane.resume("east-1", by="ada")
        bench.tick()
        assert east(bench).state == "closed"
        bench.east.down = ""
        bench.until(lambda: east(bench).state == "open")
    flap(bench)
    bench.plane.resume("east-1", by="ada")
    bench.tick()
    assert (east(bench).state, east(bench).problem) == ("open", "")
    bench.running(job())


def test_a_quarantine_ended_while_ticks_fail_is_ended(bench: Bench) -> None:
    """What an operator ordered since the last good tick counts for a loop that starts anew."""
    flap(bench)
    with patch.object(bench.store, "news", side_effect=StoreUnavailable("away")):
        bench.loop._step()  # noqa: SLF001 - what the thread does
    bench.plane.resume("east-1")
    bench.tick()
    assert east(bench).state == "open"


def test_the_command_waits_until_a_quarantine_is_lifted(bench: Bench) -> None:
    """`tieline site resume` says that the site is open, although the loop comes to it later."""
    flap(bench)
    with listening(create_app(bench.plane)) as (host, port), ThreadPoolExecutor(1) as thread:
        words = ["site", "resume", "east-1", "--url", f"http://{host}:{port}"]
        command = thread.submit(CliRunner().invoke, cli, words)
        while not bench.store.news(0).resumed:
            time.sleep(0.01)
        assert east(bench).state == "quarantined"
        bench.tick()
        done = command.result(10)
    assert (done.exit_code, done.output) == (0, "east-1 is open; nothing runs there\n")


def test_a_site_that_does_not_answer_is_asked_less_and_less_often(bench: Bench) -> None:
    """From once per second to once in half a minute; one that answers is asked at every look."""
    bench.tick()
    asked: list[float] = []

    def observe() -> dict[str, RunReport]:
        asked.append(bench.time)
        raise EngineUnavailable("no route")

    with patch.object(bench.east, "observe", observe):
        bench.tick(300, step_s=0.5)
    pauses = [round(later - earlier) for earlier, later in pairwise(asked)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 30]


# ------------------------------------------------------------------- ends and silence
def test_an_evicted_job_that_may_be_stopped_goes_on_elsewhere(bench: Bench) -> None:
    """Ended by its site, it waits again as one that was stopped, and its attempts are not lost."""
    for spec in (stoppable(), job(idempotent=True)):
        (one,) = bench.running(spec)
        for attempt in range(1, 8):
            bench.east.set(f"{one}.{attempt}", RunPhase.EVICTED, detail="preempted by others")
            bench.until(lambda: bench.east.asked[-1].attempt == attempt + 1)  # noqa: B023 - waited for
        bench.until(lambda: bench.status(one) is Status.RUNNING)  # noqa: B023 - waited for
        assert (bench.record(one).attempt, bench.record(one).stops) == (8, 7)
        bench.east.set(f"{one}.8", RunPhase.SUCCEEDED)
        bench.until(lambda: bench.status(one) is Status.SUCCEEDED)  # noqa: B023 - waited for
    assert bench.free(EAST) == 4


def test_an_evicted_job_that_may_not_run_again_has_failed(bench: Bench) -> None:
    """Ended by its site in the middle, it is not run twice: its user is told and decides."""
    (one,) = bench.running(job())
    bench.east.set(f"{one}.1", RunPhase.EVICTED, detail="the node is taken down")
    bench.until(lambda: bench.status(one) is Status.FAILED)
    assert bench.record(one).detail.startswith("the node is taken down; it may have run in part")


def test_an_evicted_job_whose_end_was_asked_for_is_cancelled(bench: Bench) -> None:
    """Whoever ends it, a job that its user cancelled does not come back."""
    (one,) = bench.running(stoppable())
    bench.plane.cancel(one)
    bench.tick(2)
    bench.east.set(f"{one}.1", RunPhase.EVICTED)
    bench.until(lambda: bench.status(one) is Status.CANCELLED)


def test_after_its_lease_a_silent_sites_jobs_run_elsewhere_if_they_may(bench: Bench) -> None:
    """The site has ended by itself what may run again; what may not waits for an answer."""
    bench.east.lease = 600.0
    moves, stays = bench.running(stoppable(2), job(2))
    bench.east.set(f"{moves}.1", RunPhase.RUNNING)
    silence(bench, 500.0)
    assert [bench.status(one) for one in (moves, stays)] == [Status.UNKNOWN] * 2
    silence(bench, 120.0)
    assert [bench.status(one) for one in (moves, stays)] == [Status.QUEUED, Status.UNKNOWN]
    assert "has ended the run" in bench.record(moves).detail
    bench.east.down = ""
    bench.until(lambda: bench.status(stays) is Status.RUNNING)
    assert f"{moves}.1" in bench.east.told_to_end
    assert f"{stays}.1" not in bench.east.told_to_end


def test_an_idempotent_job_of_a_silent_site_runs_elsewhere_after_a_while(bench: Bench) -> None:
    """A second run does no harm, so it need not wait for a site without a lease; others do."""
    bench.west.usable.clear()
    both = [
        replace(spec, commands=dict.fromkeys(BOTH, "true"))
        for spec in (job(idempotent=True), stoppable(), job())
    ]
    again, *others = bench.running(*both)
    bench.west.usable = {"west-1/huawei-910b2": 4}
    bench.tick(2, step_s=5.0)
    silence(bench, 320.0)
    bench.until(lambda: bench.status(again) is Status.RUNNING)
    assert bench.west.asked[-1].token == f"{again}.2"
    assert [bench.status(one) for one in others] == [Status.UNKNOWN] * 2


def test_a_site_that_returns_with_old_runs_is_rid_of_them(bench: Bench) -> None:
    """The old run is ended, never taken over, and keeps its accelerators until it is gone."""
    (one,) = bench.running(replace(job(3, idempotent=True), commands=dict.fromkeys(BOTH, "true")))
    silence(bench, 320.0)
    bench.until(lambda: bench.status(one) is Status.RUNNING)
    assert bench.record(one).pool != EAST
    bench.west.set(f"{one}.2", RunPhase.SUCCEEDED, ended_at=9.0)
    bench.until(lambda: bench.status(one) is Status.SUCCEEDED)
    bench.east.down = ""
    bench.until(lambda: east(bench).state == "open")
    (waits,) = bench.submit(job(2))
    bench.tick(5)
    assert set(bench.east.told_to_end) == {f"{one}.1"}
    assert (bench.status(waits), bench.free(EAST), east(bench).usable) == (Status.QUEUED, 1, 1)
    bench.east.set(f"{one}.1", RunPhase.STOPPED)
    bench.until(lambda: bench.status(waits) is Status.RUNNING)
    assert bench.status(one) is Status.SUCCEEDED


def test_a_new_loop_is_rid_of_old_runs_too(bench: Bench) -> None:
    """What a site returns with after a change of leader is found out from the store."""
    (one,) = bench.running(replace(job(3, idempotent=True), commands=dict.fromkeys(BOTH, "true")))
    silence(bench, 320.0)
    bench.until(lambda: bench.status(one) is Status.RUNNING)
    bench.loop.close()
    bench.restart(network())
    bench.east.down = ""
    bench.until(lambda: bench.east.told_to_end)
    assert bench.east.told_to_end == [f"{one}.1"]
    assert bench.free(EAST) == 1
    assert bench.status(one) is Status.RUNNING


def test_what_is_given_up_is_ended_before_the_site_is_asked_again(bench: Bench) -> None:
    """A site is told to end given-up runs before it is asked: asking may prolong its lease."""
    bench.east.lease = 60.0
    (one,) = bench.running(stoppable())
    silence(bench, 120.0)
    assert bench.status(one) is Status.QUEUED
    calls: list[str] = []
    real = bench.east.cancel, bench.east.observe
    with (
        patch.object(bench.east, "cancel", lambda token: (calls.append(token), real[0](token))),
        patch.object(bench.east, "observe", lambda: (calls.append("look"), real[1]())[1]),
    ):
        bench.east.down = ""
        bench.until(lambda: "look" in calls)
    assert calls[: calls.index("look")] == [f"{one}.1"]


def test_a_site_with_runs_of_another_store_is_not_believed(bench: Bench) -> None:
    """Runs of jobs that the store does not know mean that names mean other jobs there."""
    bench.east.reports["job-000009.1"] = RunReport("job-000009.1", RunPhase.SUCCEEDED)
    (waits,) = bench.submit(job())
    bench.tick(5)
    assert bench.status(waits) is Status.QUEUED
    assert "a run of job-000009, which the store does not know" in bench.plane.health().detail


def test_a_stranger_at_a_site_is_told_and_let_alone(bench: Bench) -> None:
    """A run that appears later and that the store does not know is not ours to end."""
    bench.tick(2)
    for token in ("job-000009.1", "../../etc/passwd", "x"):
        bench.east.reports = {token: RunReport(token, RunPhase.RUNNING)}
        bench.tick(2)
        assert f"it runs {token}, which the store does not know" in bench.plane.health().detail
    assert bench.east.told_to_end == []


def test_output_of_a_hanging_site_is_not_waited_for_without_end(bench: Bench) -> None:
    """Whoever reads output of a site that hangs hears so in time, and the site's line is free."""
    (one,) = bench.running(job())
    hangs = threading.Event()
    link = bench.loop.link(EAST)
    assert link is not None
    with (
        patch.object(bench.east, "log", side_effect=lambda *_: hangs.wait(30)),
        patch.object(link, "_patience", Patience(output_s=0.05)),
    ):
        for _ in range(3):
            with pytest.raises(EngineUnavailable, match="try again later"):
                bench.plane.log(one)
        bench.east.set(f"{one}.1", RunPhase.SUCCEEDED)
        bench.tick(2)
        assert bench.status(one) is Status.SUCCEEDED
        hangs.set()
