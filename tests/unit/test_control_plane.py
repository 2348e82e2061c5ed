"""The control plane as the API sees it: what it takes, what it refuses, what it tells."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from loop_bench import EAST, SETTINGS, WEST, Bench, job, network
from tieline.control.lifecycle import Status
from tieline.control.ports import RunPhase
from tieline.files.problems import FileErrors
from tieline.model.errors import ConflictError, EngineUnavailable, NotFoundError
from tieline.model.reasons import Reason
from tieline.store import open_store


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a control plane over two healthy sites of four accelerators each."""
    store = open_store("sqlite://")
    bench = Bench(store, network())
    yield bench
    bench.loop.close()
    store.close()


def test_names_that_do_not_exist_are_refused_with_their_fields(bench: Bench) -> None:
    """A submission with an unknown name stores nothing; every such name is told with its field."""
    good = job()
    wrong = replace(good, tenant="lba", datasets=("corpus",), estimate_on="h200")
    with pytest.raises(FileErrors) as refusal:
        bench.plane.submit([good, wrong])
    fields = {problem.field for problem in refusal.value.problems}
    assert fields == {"jobs[1].tenant", "jobs[1].datasets[0]", "jobs[1].estimate_on"}
    assert "did you mean lab" in str(refusal.value)
    assert bench.plane.jobs() == []


def test_any_tenant_may_submit_where_the_network_lists_none(bench: Bench) -> None:
    """Tenants are checked against the network file only when it lists tenants."""
    bench.loop.close()
    bench.restart(replace(network(), tenants=()))
    (one,) = bench.running(replace(job(), tenant="anybody"))
    assert bench.status(one) is Status.RUNNING


def test_a_key_makes_a_submission_count_once(bench: Bench) -> None:
    """A second submission with the same key gives the first one's jobs; other specs conflict."""
    first = bench.plane.submit([job(), job(2)], key="k")
    assert bench.plane.submit([job(), job(2)], key="k") == first
    with pytest.raises(ConflictError):
        bench.plane.submit([job(3)], key="k")
    assert len(bench.plane.jobs()) == 2


def test_a_job_that_no_pool_can_run_is_taken_and_explained(bench: Bench) -> None:
    """An impossible job waits, and every pool says why it will never run it."""
    (one,) = bench.submit(job(8, "neuware"))
    assert bench.plane.why(one).sentence == "The scheduler has not looked at it yet."
    bench.tick(2)
    why = bench.plane.why(one)
    assert why.explanation is not None
    assert why.explanation.never
    assert why.explanation.counts == {Reason.STACK: 2, Reason.GANG: 2}
    assert why.sentence == why.explanation.sentence


def test_why_follows_a_job_through_its_life(bench: Bench) -> None:
    """Each status has a sentence of its own: waiting for room, running, ending, ended."""
    (first,) = bench.running(job(4))
    (second,) = bench.submit(job(2))
    bench.tick()
    waits = bench.plane.why(second)
    assert waits.explanation is not None
    assert Reason.BUSY in waits.explanation.counts
    assert bench.plane.why(first).sentence == f"It runs on {EAST}."
    bench.plane.cancel(first)
    bench.tick()
    assert bench.plane.why(first).sentence.startswith("Its end was asked for")
    bench.east.set(f"{first}.1", RunPhase.STOPPED, ended_at=3.0)
    bench.until(lambda: bench.status(second) is Status.RUNNING)
    assert bench.plane.why(first).sentence == f"It was cancelled on {EAST} after 2s."
    bench.east.set(f"{second}.1", RunPhase.FAILED, ended_at=4.0, exit_code=7, detail="oops")
    bench.until(lambda: bench.status(second) is Status.FAILED)
    assert bench.plane.why(second).sentence == (
        f"It failed on {EAST} after 3s with exit code 7: oops."
    )


def test_unknown_jobs_are_not_found(bench: Bench) -> None:
    """Every question about a job that there is not says so."""
    asked = (bench.plane.job, bench.plane.cancel, bench.plane.why, bench.plane.log)
    for question in (*asked, bench.plane.events):
        with pytest.raises(NotFoundError):
            question("job-000009")


def test_pools_show_what_is_used_waited_for_and_worth(bench: Bench) -> None:
    """A pool's view has its free accelerators, its jobs, those that wait for it and its price."""
    bench.running(job(2), job(1))
    bench.submit(job(3), job(2, "cuda", "cann"), job(9, "cann"))
    bench.tick(2)
    east, west = bench.plane.pools()
    assert (east.free, east.largest, east.running, east.waiting) == (1, 1, 2, 1)
    assert (west.free, west.running, west.waiting) == (2, 1, 0)
    assert east.price > 0
    assert west.price == 0
    assert (east.region, east.pool.id, west.pool.id) == ("east", EAST, WEST)
    assert all(view.open and not view.problem for view in (east, west))


def test_prices_are_those_of_the_last_cycle_with_their_history(bench: Bench) -> None:
    """Prices come with their age, a certified gap and at most one reading per second."""
    assert bench.plane.prices().latest is None
    bench.running(job(4))
    bench.submit(job())
    bench.tick(20)
    bench.time += 2.0
    prices = bench.plane.prices()
    assert prices.policy == "price"
    assert prices.latest is not None
    assert prices.latest.prices.keys() == {EAST, WEST}
    assert prices.latest.prices[EAST] > 0
    assert 0.0 <= prices.latest.gap <= 1.0
    assert 2.0 <= prices.age_s <= 2.0 + SETTINGS.recheck_s
    times = [reading.at for reading in prices.history]
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


def test_output_is_read_from_the_site_that_has_it(bench: Bench) -> None:
    """A log is empty before a job is placed, read in pieces, and said to be gone once it is."""
    (waits,) = bench.submit(job(4, "neuware"))
    assert bench.plane.log(waits) == b""
    (one,) = bench.running(job())
    assert bench.plane.log(one, offset=3, limit=2) == b"pu"
    bench.east.down = "no route"
    with pytest.raises(EngineUnavailable):
        bench.plane.log(one)
    bench.east.down = ""
    bench.east.set(f"{one}.1", RunPhase.SUCCEEDED)
    bench.until(lambda: bench.status(one) is Status.SUCCEEDED)
    assert bench.plane.log(one) == b"output"
    bench.east.reports.clear()
    bench.tick(2)
    with pytest.raises(NotFoundError, match="no longer kept"):
        bench.plane.log(one)


def test_health_says_what_is_wrong(bench: Bench) -> None:
    """Health is bad before the first round, good after it, and names a site that fails."""
    assert (bench.plane.health().ok, bench.plane.health().detail[:8]) == (False, "starting")
    bench.tick(2)
    assert (bench.plane.health().ok, bench.plane.health().detail) == (True, "")
    bench.west.down = "no route"
    bench.tick(2)
    assert bench.plane.health().detail == "site west-1: no route"
