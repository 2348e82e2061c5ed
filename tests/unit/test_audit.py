"""The audit finds what was done to a store, and finds nothing in one that was left alone."""

import json
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from tieline.cli.audit import audit as audit_command
from tieline.control.governance import Token
from tieline.control.lifecycle import Event
from tieline.control.ports import Change, JobRecord, Store
from tieline.model.errors import InputError
from tieline.model.job import JobSpec
from tieline.model.network import Network, Pool, Region, Site
from tieline.model.workload import Workload
from tieline.service.audit import audit, verify_log
from tieline.store import open_store

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "python train.py"})
TOKEN: Final = Token("t1", "Ann", "member", "lab-a", "0123456789abcdef" * 4, 1.0, 100.0)
#: Two nodes of eight.
POOL: Final = Pool("here/h200", "here", "nvidia-h200-sxm", 2, 8)
NETWORK: Final = Network("n", (Region("r"),), (Site("here", "r", (POOL,)),))


def step(store: Store, job: JobRecord, event: Event, epoch: int = 0, **brings: Any) -> JobRecord:  # noqa: ANN401
    """Record one change and give the job after it; placements go to the pool."""
    if event is Event.PLACED:
        brings.setdefault("pool", POOL.id)
    (after,) = store.record([Change(job.id, job.version, event, 5.0, **brings)], epoch=epoch)
    return after


def a_life(store: Store, spec: JobSpec, times: list[float]) -> JobRecord:
    """Let a job run twice: it is lost, queued again, and then succeeds."""
    (job,) = store.add_jobs([spec], now=1.0)
    job = step(store, job, Event.PLACED)
    job = step(store, job, Event.STARTED, started_at=times[0])
    job = step(store, job, Event.FENCED, ended_at=times[1])
    job = step(store, job, Event.REQUEUED)
    job = step(store, job, Event.PLACED, pool="there/910c")
    job = step(store, job, Event.STARTED, started_at=times[2])
    return step(store, job, Event.SUCCEEDED, ended_at=times[3], exit_code=0)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Give the URL of a store in which much has happened."""
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(open_store(url)) as store:
        a_life(store, SPEC, [10.0, 20.0, 30.0, 40.0])
        (waits, cancelled) = store.add_jobs([SPEC, SPEC], now=1.0, key="k", by="ann")
        store.request_cancel(cancelled.id, now=2.0, by="ann")
        step(store, cancelled, Event.CANCEL)
        step(store, waits, Event.PLACED, count=16)
        store.drain("here", now=3.0, by="ann")
        store.drain("there", now=3.0, by="ann")
        store.resume("there", now=4.0)
        store.add_token(TOKEN)
        store.add_token(replace(TOKEN, id="t2"))
        store.revoke_token("t2", now=5.0)
        epoch = store.lead("here:1", "http://here", lease_s=60.0)
        assert epoch == 1
        step(store, store.job(waits.id), Event.STARTED, epoch=1)
    return url


def findings(url: str, network: Network | None = NETWORK) -> list[str]:
    """Give what the audit finds, as lines."""
    return [str(one) for one in audit(url, network)[1]]


def tamper(url: str, *statements: str) -> None:
    """Change the database as somebody can who takes the guards away."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other, other:
        for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            other.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            other.execute(statement)


def test_a_store_that_was_left_alone_has_no_findings(url: str) -> None:
    """Nothing is found in a store that only its own methods have written."""
    assert findings(url) == findings(url, None) == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE events SET at = 6 WHERE seq = 3", "line 3: its hash does not fit"),
        ("UPDATE events SET data = 'x' WHERE seq = 3", "line 3: its hash does not fit"),
        ("UPDATE events SET data = '[]' WHERE seq = 3", "line 3: its hash does not fit"),
        ("UPDATE events SET at = 'x' WHERE seq = 3", "line 3: its hash does not fit"),
        ("DELETE FROM events WHERE seq = 3", "line 4: it follows line 2: lines are missing"),
        (
            "UPDATE jobs SET status = 6 WHERE seq = 2",
            "job-000002: status is succeeded, by the log",
        ),
        (
            "UPDATE jobs SET exit_code = 9 WHERE seq = 1",
            "job-000001: exit_code is 9, by the log 0",
        ),
        (
            "UPDATE jobs SET tenant = 'x', spec = replace(spec, 'train', 'mine') WHERE seq = 2",
            "job-000002: its spec is not the one that was submitted",
        ),
        ("UPDATE jobs SET spec = 'x' WHERE seq = 2", "job-000002: it is in the log, but not"),
        (
            "UPDATE jobs SET cancel_requested = NULL",
            "job-000003: its end was asked for in line None",
        ),
        ("DELETE FROM jobs WHERE seq = 3", "job-000003: it is in the log, but not"),
        (
            "DELETE FROM events WHERE job = 1",
            "job-000001: it is among the jobs, but not in the log",
        ),
        ("DELETE FROM events WHERE seq = 1", "job-000001: its first event is 'placed'"),
        ("UPDATE events SET event = 'started' WHERE seq = 2", "job-000001: line 2 cannot be: job"),
        ("UPDATE events SET event = 'sung' WHERE seq = 2", "line 2: an event 'sung' about job-0"),
        ("UPDATE events SET job = NULL WHERE seq = 2", "line 2: an event 'placed' about no job"),
        ("DELETE FROM drains", "site here: it is open, and by the log it is not"),
        ("INSERT INTO drains VALUES ('x', 1, 'me', '')", "site x: it is drained, and by the log"),
        ("UPDATE tokens SET revoked_at = NULL", "token t2: it is good, by the log revoked"),
        ("DELETE FROM tokens WHERE id = 't1'", "token t1: it is absent, by the log good"),
        ("UPDATE leader SET epoch = 7", "leader: epoch 7, by the log 1"),
    ],
)
def test_what_somebody_did_is_found(url: str, statement: str, words: str) -> None:
    """Whatever is changed behind the store's back is found, with the job or line it is about."""
    tamper(url, statement)
    assert any(line.startswith(words) for line in findings(url)), findings(url)


def test_attempts_that_overlap_are_found(tmp_path: Path) -> None:
    """A second attempt that began before the first had ended is found, unless it does no harm."""
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(open_store(url)) as store:
        a_life(store, SPEC, [10.0, 20.0, 15.0, 40.0])
        a_life(store, SPEC, [10.0, 20.0, 19.0, 40.0])  # clocks differ by as much
        a_life(store, replace(SPEC, idempotent=True), [10.0, 20.0, 15.0, 40.0])
    assert findings(url) == [
        "job-000001: attempt 2 began 5.0 s before attempt 1 had ended",
    ]


def test_a_pool_that_holds_too_much_is_found(tmp_path: Path) -> None:
    """A placement on a pool without room for it is found; other pools are not looked at."""
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(open_store(url)) as store:
        jobs = store.add_jobs([SPEC] * 4, now=1.0)
        step(store, jobs[0], Event.PLACED)
        step(store, jobs[1], Event.PLACED, count=8)
        assert findings(url) == []
        step(store, jobs[2], Event.PLACED, count=4)
        step(store, jobs[3], Event.PLACED, pool="unknown/pool", count=99)
    assert findings(url, None) == []
    assert findings(url) == [
        "job-000003: placed on here/h200 (line 7), which then holds 20 of 16 accelerators"
    ]


@pytest.mark.parametrize(
    "event",
    [
        *(Event.SUCCEEDED, Event.FAILED, Event.STOPPED),
        *(Event.REFUSED, Event.FENCED, Event.EVICTED),
    ],
)
def test_an_attempt_that_is_over_makes_room(tmp_path: Path, event: Event) -> None:
    """However an attempt ends, what it held is free for others from that line on."""
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(open_store(url)) as store:
        jobs = store.add_jobs([replace(SPEC, idempotent=True)] * 3, now=1.0)
        first = step(store, jobs[0], Event.PLACED)
        step(store, jobs[1], Event.PLACED)
        step(store, first, event)
        step(store, jobs[2], Event.PLACED)
    assert findings(url) == []


def test_a_store_in_use_has_no_findings(url: str) -> None:
    """An audit while others submit and record finds nothing, whenever it looks."""
    over = threading.Event()

    def work() -> None:
        with closing(open_store(url)) as store:
            while not over.is_set():
                (job,) = store.add_jobs([SPEC], now=1.0)
                store.request_cancel(job.id, now=2.0)
                step(store, job, Event.CANCEL, epoch=1)

    writers = [threading.Thread(target=work) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        heads = []
        while len(heads) < 10 or heads[-1] < heads[0] + 30:
            head, found = audit(url, NETWORK)
            assert found == []
            heads.append(head.seq)
    finally:
        over.set()
        for writer in writers:
            writer.join()


# ---------------------------------------------------------------- the command


def run(*args: str) -> tuple[int, str]:
    """Run `tieline audit` and give its exit code and what it printed."""
    done = CliRunner().invoke(audit_command, args)
    if isinstance(done.exception, InputError):
        raise done.exception
    return done.exit_code, done.output


def test_verify_prints_a_head_and_takes_it_again(url: str) -> None:
    """The head that is printed may be given back later; a log without it does not pass."""
    code, output = run("verify", "--store", url)
    head = output.split()[-1]
    assert (code, head) == (0, str(verify_log(url)))
    assert run("verify", "--store", url, "--from-head", head)[0] == 0
    answer = json.loads(run("verify", "--store", url, "--json")[1])
    assert answer == {"ok": True, "head": head}
    last = int(head.partition(":")[0])
    tamper(url, "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)")
    assert run("verify", "--store", url)[0] == 0
    code, output = run("verify", "--store", url, "--from-head", head)
    assert (code, output) == (
        1,
        f"line {last - 1}: it is the last line, but there was a line {last}\n",
    )


def test_check_prints_each_finding(url: str) -> None:
    """Findings are one line each and exit code 1; without any the exit code is 0."""
    code, output = run("check", "--store", url)
    assert (code, output.startswith("nothing is wrong in 21 lines; head 21:")) == (0, True)
    tamper(url, "UPDATE jobs SET exit_code = 9 WHERE seq = 1", "DELETE FROM drains")
    code, output = run("check", "--store", url)
    assert code == 1
    assert output.splitlines()[:2] == [
        "site here: it is open, and by the log it is not",
        "job-000001: exit_code is 9, by the log 0",
    ]
    assert output.splitlines()[2].startswith("2 findings in 21 lines")
    code, output = run("check", "--store", url, "--json")
    answer = json.loads(output)
    assert (code, answer["ok"], len(answer["findings"])) == (1, False, 2)
    assert answer["findings"][1] == {
        "subject": "job-000001",
        "problem": "exit_code is 9, by the log 0",
    }


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("sqlite:///missing.db", "there is no such file"),
        ("sqlite://", "there is no such file"),
        ("mysql://host/db", "unknown kind `mysql`"),
    ],
)
def test_a_store_that_is_not_there_is_wrong_input(found: str, words: str) -> None:
    """An audit makes no store: one that is not there is refused."""
    with pytest.raises(InputError, match=words):
        run("check", "--store", found)


def test_a_store_of_another_version_is_wrong_input(url: str) -> None:
    """An audit brings no store to a newer schema: one of another version is refused."""
    tamper(url, "UPDATE tieline_schema SET version_num = '0002'")
    with pytest.raises(InputError, match="its schema is 0002, and this version reads"):
        run("verify", "--store", url)


def test_a_head_has_a_form(url: str) -> None:
    """What is no head is refused."""
    with pytest.raises(InputError, match="--from-head 5: not a head"):
        run("verify", "--store", url, "--from-head", "5")
