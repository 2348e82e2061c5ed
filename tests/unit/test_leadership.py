"""Who leads: one at a time, the next one soon, and none that does not know that it is over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from bed.postgres import Server
from loop_bench import SETTINGS, Bench, job, network
from tieline.control.lifecycle import Status
from tieline.control.ports import Store
from tieline.files.fit import Offer
from tieline.model.errors import ConflictError, InputError, NotLeader, StoreUnavailable
from tieline.model.job import JobSpec
from tieline.scheduling.registry import policy_named
from tieline.service.composition import Placement, running
from tieline.service.control_plane import ControlPlane
from tieline.service.leadership import Candidacy, Leadership, Term
from tieline.service.live.links import Links
from tieline.service.live.loop import Loop
from tieline.service.steady import SteadyClock
from tieline.store import open_store

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture
def store() -> Iterator[Store]:
    """Give an empty store."""
    store = open_store("sqlite://")
    yield store
    store.close()


def candidate(
    store: Store, name: str, log: list[str], *, lease_s: float = 60.0
) -> Leadership[str]:
    """Give one that notes when it takes office and when it leaves it."""

    @contextmanager
    def duty(term: Term) -> Iterator[str]:
        log.append(f"{name} begins {term.epoch}")
        yield name
        log.append(f"{name} ends {term.epoch}")

    return Leadership(store, Candidacy(name, lease_s=lease_s), duty)


def test_one_leads_and_the_next_one_follows_at_once(store: Store) -> None:
    """The second stands by as long as the first leads, and leads when that one has left."""
    log: list[str] = []
    first, second = candidate(store, "a", log), candidate(store, "b", log)
    for one in (first, second, first, second):
        one.step()
    assert (first.office, second.office) == ("a", None)
    first.close()
    second.step()
    assert (first.office, second.office, second.epoch) == (None, "b", 2)
    second.close()
    assert log == ["a begins 1", "a ends 1", "b begins 2", "b ends 2"]


def test_one_that_was_overtaken_leaves_office(store: Store, eventually: Eventually) -> None:
    """A leader whose lease ran out unseen finds out by itself and is a candidate again."""
    log: list[str] = []
    first = candidate(store, "a", log, lease_s=0.2)
    first.step()
    hasty = candidate(store, "b", log, lease_s=0.0)
    hasty.step()
    eventually(lambda: first.office is None)
    first.step()
    assert (first.office, hasty.office) == (None, "b")
    assert log == ["a begins 1", "b begins 2", "a ends 1"]
    hasty.close()


def test_one_that_cannot_take_office_lets_others(store: Store) -> None:
    """When the office cannot be taken the error is told, and the next one may lead at once."""

    @contextmanager
    def duty(_term: Term) -> Iterator[str]:
        raise InputError("no such folder")
        yield ""

    with pytest.raises(InputError, match="no such folder"):
        Leadership(store, Candidacy("a"), duty).step()
    log: list[str] = []
    other = candidate(store, "b", log)
    other.step()
    assert other.office == "b"
    other.close()


def test_a_term_ends_with_the_time_since_the_store_confirmed_it() -> None:
    """It holds while the store confirms, ends when it has not for a lease, and may go on."""
    now = 100.0
    term = Term(1, lease_s=10.0, running=lambda: now, asked_at=98.0)
    term.check()
    now = 108.0
    with pytest.raises(NotLeader, match="not confirmed for 10 s"):
        term.check()
    term.confirm(107.0)
    term.check()
    term.lose("somebody else leads")
    term.confirm(108.0)
    with pytest.raises(NotLeader, match="somebody else leads"):
        term.check()


class Led(Bench):
    """A loop in one's hands that leads for a term, by the same time."""

    def restart_led(self) -> None:
        """Let another loop lead from here on, as if the one before it had fallen asleep."""
        epoch = self.store.lead("next", "", lease_s=0.0)
        assert epoch is not None
        self.term = Term(epoch, lease_s=10.0, running=lambda: self.time)
        offer = Offer(network())
        self.loop = Loop(
            offer=offer,
            policy=policy_named("price"),
            store=self.store,
            links=Links(network(), self.sites, self.store, SETTINGS.patience, self.term),
            clock=SteadyClock(self, lambda: self.time),
            settings=SETTINGS,
        )
        self.plane = ControlPlane(
            offer=offer, store=self.store, clock=self, loop=lambda: self.loop
        )


@pytest.fixture
def led(store: Store) -> Iterator[Led]:
    """Give a loop that leads, over two healthy sites."""
    bench = Led(store, network())
    bench.loop.close()
    bench.restart_led()
    yield bench
    bench.loop.close()


def test_a_loop_that_was_overtaken_records_nothing_and_tells_nobody(led: Led) -> None:
    """The store refuses its placement, and no site hears of what it wanted."""
    led.tick()
    asleep, told = led.loop, len(led.east.asked)
    led.restart_led()
    (one,) = led.submit(job())
    with pytest.raises(NotLeader, match="epoch 1 is not the present one"):
        asleep.tick(led.time + 1.0)
    assert (led.status(one), len(led.east.asked)) == (Status.QUEUED, told)
    led.until(lambda: led.status(one) is Status.RUNNING)
    assert len(led.east.asked) == told + 1
    asleep.close()


def test_a_loop_that_stood_still_between_decision_and_telling_tells_nobody(led: Led) -> None:
    """Stopped for a minute after it recorded, it finds out before it speaks to a site."""
    led.tick()
    (one,) = led.submit(job())
    record = led.store.record

    def slow(*given: object, **more: object) -> object:
        done = record(*given, **more)  # type: ignore[arg-type] # as called
        led.time += 60.0 if given[0] else 0.0
        return done

    with patch.object(led.store, "record", slow), pytest.raises(NotLeader, match="not confirmed"):
        led.tick()
    assert (led.status(one), led.east.asked) == (Status.SUBMITTED, [])
    looks = []
    with patch.object(led.east, "observe", side_effect=lambda: looks.append(1)):
        for _ in range(3):
            with pytest.raises(NotLeader):
                led.tick()
    assert looks == []  # nor does it ask, which may prolong a lease
    led.term.confirm(led.time)
    led.until(lambda: led.status(one) is Status.RUNNING)


def test_a_site_thread_that_hung_tells_nothing_after_the_term(led: Led) -> None:
    """What waited in the line of a hanging site is not told once the term is over."""
    led.running(job())
    led.east.answers.clear()
    led.tick()
    (one,) = led.submit(job())
    led.tick()
    led.term.lose("overtaken")
    with pytest.raises(NotLeader):
        led.tick()
    led.east.answers.set()
    led.loop.close()
    assert one not in {order.job_id for order in led.east.asked}


def test_a_new_leader_gives_the_last_one_time_to_end(led: Led) -> None:
    """A silent site's lease counts from when the last leader's term must have run out."""
    led.east.lease = 60.0
    (one,) = led.running(job(idempotent=True))
    led.loop.close()
    led.east.down = "no route"
    led.restart_led()
    for _ in range(12):
        led.term.confirm(led.time + 5.0)
        led.tick(step_s=5.0)
    assert led.status(one) is Status.UNKNOWN  # 55 s, of which the last leader had 10
    for _ in range(4):
        led.term.confirm(led.time + 5.0)
        led.tick(step_s=5.0)
    assert led.status(one) is Status.QUEUED


def test_the_loop_ends_when_the_store_says_that_another_one_leads(led: Led) -> None:
    """`run` goes on through failures of the store and ends with the term."""
    led.tick()
    with patch.object(led.store, "news", side_effect=StoreUnavailable("away")):
        led.loop._step()  # noqa: SLF001 - `run` makes this step
        assert "away" in led.plane.health().detail
    asleep = led.loop
    led.restart_led()
    led.submit(job())
    asleep.run()
    assert "epoch 1 is not the present one" in asleep.health().detail
    asleep.close()


# ----------------------------------------------------------- control planes on one store
def test_of_several_control_planes_one_leads_and_all_take_requests(
    postgres_server: Server, tmp_path: Path, eventually: Eventually
) -> None:
    """Jobs given to one that stands by run; when the leader leaves another one leads and knows."""
    url = postgres_server.url()
    with running(network(), Placement(tmp_path, url, name="b", lead=False)) as serves:
        with running(network(), Placement(tmp_path, url, name="a", url="http://a")) as leads:
            eventually(lambda: leads.health().ok)
            leader = serves.leader()
            assert leader is not None
            assert (leader.name, leader.url, leader.epoch) == ("a", "http://a", leads.epoch)
            (one,) = serves.submit([job()])
            eventually(lambda: serves.job(one.id).status is Status.SUCCEEDED)
            for question in (serves.pools, serves.prices, serves.health, serves.sites):
                with pytest.raises(NotLeader, match="does not lead"):
                    question()
            with pytest.raises(NotLeader):
                serves.log(one.id)
            assert "succeeded" in serves.why(one.id).sentence
            assert serves.detail(one.id)[1] is None
        assert serves.leader() is None
        with running(network(), Placement(tmp_path, url)) as later:
            assert later.epoch == 2
            assert later.job(one.id).status is Status.SUCCEEDED


def test_one_that_stands_by_leads_when_the_leader_leaves(
    postgres_server: Server, tmp_path: Path, eventually: Eventually
) -> None:
    """It holds no lock of the directory before, takes over the runs, and runs none twice."""
    url = postgres_server.url()
    with running(network(), Placement(tmp_path, url, name="a")) as first:
        eventually(lambda: first.health().ok)
        (one,) = first.submit([with_command("sleep 3; echo done")])
        eventually(lambda: first.job(one.id).status is Status.RUNNING)
        standby = running(network(), Placement(tmp_path, url, name="b"))
        second = standby.__enter__()
        assert second.epoch is None
    try:
        eventually(lambda: second.epoch == 2)
        eventually(lambda: second.job(one.id).status is Status.SUCCEEDED)
        assert second.log(one.id) == b"done\n"
        assert second.job(one.id).attempt == 1
    finally:
        standby.__exit__(None, None, None)


def test_runs_of_a_shared_store_are_looked_for_where_they_are(
    postgres_server: Server, tmp_path: Path, eventually: Eventually
) -> None:
    """A control plane with another directory cannot lead where local sites have jobs."""
    url = postgres_server.url()
    with running(network(), Placement(tmp_path / "a", url)) as first:
        (one,) = first.submit([with_command("sleep 600")])
        eventually(lambda: first.job(one.id).status is Status.RUNNING)
    with (
        pytest.raises(InputError, match=f"east-1, where {one.id} of the store is"),
        running(network(), Placement(tmp_path / "b", url)),
    ):
        pass
    with running(network(), Placement(tmp_path / "a", url)) as last:
        last.cancel(one.id)
        eventually(lambda: last.job(one.id).status is Status.CANCELLED)
    assert "sesame" not in (tmp_path / "a/store.json").read_text()


def test_beside_a_store_in_a_file_others_may_serve_but_not_lead(tmp_path: Path) -> None:
    """A second control plane on a SQLite store is refused unless it is not to lead."""
    with running(network(), Placement(tmp_path)) as leads:
        with (
            pytest.raises(ConflictError, match="another control plane uses it"),
            running(network(), Placement(tmp_path)),
        ):
            pass
        with running(network(), Placement(tmp_path, lead=False)) as serves:
            (one,) = serves.submit([job()])
            assert leads.job(one.id).spec == job()
            assert serves.epoch is None
            leader = serves.leader()
            assert leader is not None
            assert leader.epoch == leads.epoch


def with_command(command: str) -> JobSpec:
    """Give a job that runs a command."""
    return replace(job(), commands={"cuda": command})
