"""Who leads a store: one at a time, in epochs that only grow, and somebody in the end."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import IO, Final

import pytest

from tieline.control.lifecycle import Event, Status
from tieline.control.ports import Change, JobRecord, Store, StoredEvent
from tieline.model.errors import ConflictError, NotLeader
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})
#: A lease that no test outlasts.
LONG_S: Final = 3600.0


def place(store: Store, epoch: int) -> JobRecord:
    """Submit a job and record its placement in an epoch."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    (placed,) = store.record([Change(job.id, 0, Event.PLACED, 2.0, pool="p/q")], epoch=epoch)
    return placed


def test_nobody_has_to_lead(store: Store) -> None:
    """Where nobody has ever led, changes are recorded in epoch 0, and in no other."""
    assert store.leader() is None
    assert place(store, 0).status is Status.SUBMITTED
    with pytest.raises(NotLeader, match=r"epoch 1 .*nobody has ever led"):
        place(store, 1)
    with pytest.raises(NotLeader, match="nobody"):
        store.renew(1)
    store.resign(1)
    assert store.leader() is None


def test_one_leads(store: Store) -> None:
    """The first to ask leads in epoch 1, with its name and address, and nobody else does."""
    assert store.lead("here:1", "http://here", lease_s=LONG_S) == 1
    assert store.lead("there:2", "http://there", lease_s=LONG_S) is None
    leader = store.leader()
    assert leader is not None
    assert (leader.epoch, leader.name, leader.url) == (1, "here:1", "http://here")
    assert 0 <= leader.silent_s < 60
    assert place(store, 1).status is Status.SUBMITTED


def test_a_reign_is_in_the_log(store: Store) -> None:
    """The log says which epoch began when, and whose it is."""
    before = time.time()
    store.lead("here:1", "http://here", lease_s=LONG_S)
    (line,) = store.events()
    assert (line.event, line.job_id) == ("leader-began", "")
    assert line.data == {"epoch": 1, "name": "here:1"}
    assert before - 60 < line.at < time.time() + 60


@pytest.mark.parametrize("epoch", [0, 2, 99])
def test_only_the_leader_records(store: Store, epoch: int) -> None:
    """In any epoch but the present one, nothing is recorded, and the error names who leads."""
    store.lead("here:1", "http://here", lease_s=LONG_S)
    with pytest.raises(NotLeader, match=rf"epoch {epoch} .*here:1 began epoch 1"):
        place(store, epoch)
    (job,) = store.jobs()
    assert (job.status, job.version) == (Status.QUEUED, 0)


def test_everybody_may_submit_and_cancel(store: Store) -> None:
    """What users ask for is stored by whoever hears it, in whatever epoch."""
    store.lead("here:1", "http://here", lease_s=LONG_S)
    (job,) = store.add_jobs([SPEC], now=1.0)
    store.request_cancel(job.id, now=2.0)
    assert store.pending_cancels() == [job.id]


def test_after_a_resignation_the_next_one_leads_at_once(store: Store) -> None:
    """Who has resigned leads no more, and the next epoch begins when somebody asks."""
    store.lead("here:1", "http://here", lease_s=LONG_S)
    store.resign(1)
    store.resign(1)
    assert store.leader() is None
    with pytest.raises(NotLeader, match="resigned"):
        place(store, 1)
    with pytest.raises(NotLeader, match="resigned"):
        store.renew(1)
    assert store.lead("there:2", "http://there", lease_s=LONG_S) == 2
    store.resign(1)
    assert place(store, 2).status is Status.SUBMITTED


def test_a_silent_leader_is_overtaken(store: Store) -> None:
    """A leader that has not renewed for the lease is overtaken, and then finds that out."""
    store.lead("here:1", "http://here", lease_s=LONG_S)
    time.sleep(0.02)
    assert store.lead("there:2", "http://there", lease_s=0.01) == 2
    for call in (lambda: store.renew(1), lambda: place(store, 1)):
        with pytest.raises(NotLeader, match=r"there:2 began epoch 2"):
            call()
    assert place(store, 2).status is Status.SUBMITTED


def test_a_silent_leader_that_nobody_overtakes_leads_on(store: Store) -> None:
    """A lease that is over ends nothing by itself: the leader may record and renew."""
    store.lead("here:1", "http://here", lease_s=0.001)
    time.sleep(0.01)
    assert place(store, 1).status is Status.SUBMITTED
    store.renew(1)
    leader = store.leader()
    assert leader is not None
    assert leader.epoch == 1


def test_a_renewal_is_a_sign_of_life(store: Store) -> None:
    """After a renewal the leader has been silent for less time than before it."""
    store.lead("here:1", "http://here", lease_s=LONG_S)
    time.sleep(0.2)
    before = store.leader()
    store.renew(1)
    after = store.leader()
    assert before is not None
    assert after is not None
    assert before.silent_s >= 0.2 > after.silent_s - 0.1
    assert after.silent_s < before.silent_s


def test_of_many_who_ask_at_once_one_leads(store: Store) -> None:
    """However many threads ask at once, exactly one leads, in epoch 1."""
    with ThreadPoolExecutor(6) as pool:
        epochs = list(pool.map(lambda i: store.lead(f"{i}", "u", lease_s=LONG_S), range(12)))
    assert sorted(epoch for epoch in epochs if epoch is not None) == [1]


# ---------------------------------------------------------------- several processes


def test_the_end_of_a_leader_is_seen_at_once(store_url: str) -> None:
    """A leader that closed its store without a word is followed long before its lease is over."""
    first, second = open_store(store_url), open_store(store_url)
    assert first.lead("here:1", "http://here", lease_s=LONG_S) == 1
    assert second.lead("there:2", "http://there", lease_s=LONG_S) is None
    first.renew(1)
    first.close()
    assert second.lead("there:2", "http://there", lease_s=LONG_S) == 2
    second.close()


def test_who_takes_over_from_a_sleeper_is_safe_from_its_end(store_url: str) -> None:
    """A leader that overtook one that is silent leads on when that one ends at last."""
    sleeper, second, third = (open_store(store_url) for _ in range(3))
    sleeper.lead("here:1", "http://here", lease_s=LONG_S)
    time.sleep(0.02)
    assert second.lead("there:2", "http://there", lease_s=0.01) == 2
    sleeper.close()
    assert third.lead("yonder:3", "http://yonder", lease_s=LONG_S) is None
    second.renew(2)
    second.close()
    third.close()


LEADER: Final = """
import sys
from tieline.control.lifecycle import Event
from tieline.control.ports import Change
from tieline.model.errors import NotLeader
from tieline.store import open_store

store = open_store(sys.argv[1])
print(store.lead("child", "http://child", lease_s=3600.0), flush=True)
for line in sys.stdin:
    try:
        store.record([Change("job-000001", 0, Event.PLACED, 2.0, pool="p/q")], epoch=int(line))
    except NotLeader as error:
        print("refused:", error, flush=True)
    else:
        print("recorded", flush=True)
"""


@contextmanager
def leading_process(url: str) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """Give a process that leads in epoch 1, and its pipes."""
    with subprocess.Popen(
        [sys.executable, "-c", LEADER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "1\n"
            yield process, process.stdin, process.stdout
        finally:
            process.kill()


def test_a_killed_leader_is_followed(
    store_url: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """When the leader's process dies by SIGKILL, another leads long before the lease is over."""
    with closing(open_store(store_url)) as store:
        with leading_process(store_url) as (process, _, _):
            assert store.lead("here:1", "http://here", lease_s=LONG_S) is None
            process.kill()
            process.wait()
            eventually(lambda: store.lead("here:1", "http://here", lease_s=LONG_S) == 2)
        assert place(store, 2).status is Status.SUBMITTED


def test_a_stopped_leader_is_overtaken_and_refused(
    store_url: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    """A leader that hangs is overtaken after its lease; when it wakes up it records nothing."""
    with closing(open_store(store_url)) as store, leading_process(store_url) as leader:
        process, orders, answers = leader
        store.add_jobs([SPEC], now=1.0)
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: store.lead("here:1", "http://here", lease_s=0.5) == 2)
        process.send_signal(signal.SIGCONT)
        print(1, file=orders, flush=True)
        assert answers.readline().startswith("refused: epoch 1 is not the present one")
        assert store.job("job-000001").status is Status.QUEUED


def test_never_two_epochs_at_a_time(store_url: str) -> None:
    """Whoever sleeps, resigns or takes over, each change in the log is of the epoch it is in."""
    stores = [open_store(store_url) for _ in range(3)]
    (job,) = stores[0].add_jobs([SPEC], now=1.0)
    (job,) = stores[0].record([Change(job.id, 0, Event.PLACED, 2.0, pool="p/q")])
    stores[0].record([Change(job.id, 1, Event.STARTED, 3.0)])
    until = time.monotonic() + 3.0
    recorded: list[int] = []
    refused = threading.Event()

    def reign(number: int) -> None:
        """Lead now and then, and go on recording as if nobody else ever did."""
        rng, store, epoch = random.Random(number), stores[number], 0  # noqa: S311 - moments
        while time.monotonic() < until:
            epoch = store.lead(f"{number}", "u", lease_s=0.02) or epoch
            for _ in range(rng.randint(1, 6)):
                version = store.job(job.id).version
                change = Change(job.id, version, Event.STARTED, 4.0, detail=f"{epoch}")
                try:
                    store.record([change], epoch=epoch)
                    recorded.append(epoch)
                except NotLeader:
                    refused.set()
                    break
                except ConflictError:
                    continue
                time.sleep(rng.choice([0.0, 0.0, 0.03]))
            if rng.random() < 0.2:
                store.resign(epoch)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(reign, range(3)))
    check_epochs(stores[0].events(limit=100_000), recorded)
    assert refused.is_set()
    for store in stores:
        store.close()


def check_epochs(log: Sequence[StoredEvent], recorded: Sequence[int]) -> None:
    """Check that each change, which names the epoch it was recorded in, stands in that epoch."""
    epochs = [line.data["epoch"] for line in log if line.event == "leader-began"]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) > 3
    present, told = 0, []
    for line in log:
        if line.event == "leader-began":
            present = int(str(line.data["epoch"]))
        elif "detail" in line.data:
            told.append(present)
            assert line.data["detail"] == f"{present}"
    assert sorted(told) == sorted(recorded)
