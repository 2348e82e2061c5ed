"""The contract of the `Store` port, held by every implementation.

After each test the `store` fixture replays the log and compares it with what is stored.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, TypedDict, Unpack

import pytest

from tieline.control.lifecycle import Event, Status
from tieline.control.ports import Change, JobRecord, Store
from tieline.model.errors import ConflictError, NotFoundError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload

SPEC: Final = JobSpec("lab-a", Workload("training", "llama-3-8b"), 8, {"cuda": "python train.py"})
FULL: Final = JobSpec(
    tenant="lab-b",
    workload=Workload("decode"),
    count=2,
    commands={"cuda": "a 'b'\n", "cann": "模型"},
    name="night run",
    memory_bytes=8e10,
    datasets=("corpus-b", "corpus-a"),
    sensitivity="sensitive",
    residency=frozenset({"gui-an", "shanghai"}),
    estimate_s=7200.5,
    estimate_on="nvidia-h20",
    time_limit_s=9000.0,
    priority=-3,
    deadline_s=1.8e9,
    preemptible=True,
    idempotent=True,
    env={"SEED": "1"},
)


class Brings(TypedDict, total=False):
    """What a change can bring besides its event."""

    pool: str | None
    count: int
    left_s: float
    started_at: float
    ended_at: float
    exit_code: int
    detail: str


def change(job: JobRecord, event: Event, at: float = 5.0, **brings: Unpack[Brings]) -> Change:
    """Give the change of a job as the loop would write it; placements go to one pool."""
    if event is Event.PLACED:
        brings.setdefault("pool", "gui-an-1/nvidia-h20")
    return replace(Change(job.id, job.version, event, at), **brings)


def step(
    store: Store, job: JobRecord, event: Event, at: float = 5.0, **brings: Unpack[Brings]
) -> JobRecord:
    """Record one change and give the job after it."""
    (after,) = store.record([change(job, event, at, **brings)])
    return after


# ---------------------------------------------------------------- submissions


def test_jobs_come_back_as_they_were_submitted(store: Store) -> None:
    """Every field of a spec is kept; a new job is queued, at version 0, with no attempt."""
    first, second = store.add_jobs([SPEC, FULL], now=3.5)
    assert (first.spec, second.spec) == (SPEC, FULL)
    assert (first.status, first.version, first.attempt) == (Status.QUEUED, 0, 0)
    assert first.submitted_at == 3.5
    assert [store.job(first.id), store.job(second.id)] == [first, second]


def test_ids_are_short_and_sort_by_submission(store: Store) -> None:
    """Ids are given in order of submission, sort in that order and are easy to type."""
    jobs = store.add_jobs([SPEC] * 12, now=1.0)
    assert jobs[0].id == "job-000001"
    assert sorted(job.id for job in jobs) == [job.id for job in jobs]
    assert [job.seq for job in jobs] == list(range(1, 13))


def test_no_specs_is_no_submission(store: Store) -> None:
    """Submitting nothing gives nothing and leaves no trace in the log."""
    assert store.add_jobs([], now=1.0, key="k") == []
    assert store.events() == []


def test_a_key_gives_the_first_jobs_again(store: Store) -> None:
    """A second call with the same key stores nothing and gives the first call's jobs."""
    first = store.add_jobs([SPEC, FULL], now=1.0, key="k")
    between = store.add_jobs([SPEC], now=2.0)
    assert store.add_jobs([SPEC, FULL], now=3.0, key="k") == first
    assert len(store.jobs()) == len(first + between)


def test_a_key_gives_the_jobs_as_they_are_now(store: Store) -> None:
    """A call repeated after the job moved on gives the job where it is."""
    (job,) = store.add_jobs([SPEC], now=1.0, key="k")
    placed = step(store, job, Event.PLACED)
    assert store.add_jobs([SPEC], now=3.0, key="k") == [placed]


def test_two_keys_are_two_submissions(store: Store) -> None:
    """The same specs under two keys, or under none, are different jobs."""
    ids = [store.add_jobs([SPEC], now=1.0, key=key)[0].id for key in ("a", "b", None, None)]
    assert len(set(ids)) == 4


def test_a_key_is_good_for_one_submission(store: Store) -> None:
    """A key that comes back with other specs is refused, and nothing is stored."""
    (job,) = store.add_jobs([SPEC], now=1.0, key="k")
    for other in ([FULL], [SPEC, SPEC]):
        with pytest.raises(ConflictError, match=rf"'k'.*{job.id}"):
            store.add_jobs(other, now=2.0, key="k")
    assert store.jobs() == [job]


def test_threads_may_submit_at_once(store: Store) -> None:
    """Submissions from many threads are all there, each together, with ascending numbers."""

    def submit(worker: int) -> list[list[JobRecord]]:
        spec = replace(SPEC, name=f"of {worker}")
        return [store.add_jobs([spec] * 3, now=float(i)) for i in range(15)]

    with ThreadPoolExecutor(6) as pool:
        given = [batch for batches in pool.map(submit, range(6)) for batch in batches]
    for batch in given:
        assert [job.seq for job in batch] == list(range(batch[0].seq, batch[0].seq + 3))
    jobs = sorted((job for batch in given for job in batch), key=lambda job: job.seq)
    assert [job.seq for job in jobs] == list(range(1, 271))
    assert store.jobs(limit=1000) == jobs[::-1]


def test_threads_with_one_key_make_one_submission(store: Store) -> None:
    """However many threads send one key at once, the jobs are stored once."""
    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(lambda _: store.add_jobs([SPEC, FULL], now=1.0, key="k"), range(12)))
    assert all(jobs == given[0] for jobs in given)
    assert len(store.jobs()) == 2


# ---------------------------------------------------------------- record


def test_a_whole_life_is_kept(store: Store) -> None:
    """Placement, start and end set pool, attempt, times, exit code and words of the job."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    placed = step(store, job, Event.PLACED, at=2.0, pool="p/q")
    assert placed == replace(
        job, status=Status.SUBMITTED, version=1, attempt=1, pool="p/q", placed_at=2.0
    )
    assert placed.token == f"{job.id}.1"
    running = step(store, placed, Event.STARTED, at=4.0, started_at=3.0)
    assert running == replace(placed, status=Status.RUNNING, version=2, started_at=3.0)
    ended = step(
        store, running, Event.FAILED, at=9.0, ended_at=8.0, exit_code=7, detail="out of memory"
    )
    assert ended == replace(
        running,
        status=Status.FAILED,
        version=3,
        ended_at=8.0,
        exit_code=7,
        detail="out of memory",
    )
    assert store.job(job.id) == ended
    assert [line.event for line in store.events(job.id)] == [
        "submitted",
        "placed",
        "started",
        "failed",
    ]
    assert store.events(job.id)[1].data == {"version": 1, "attempt": 1, "pool": "p/q"}
    assert store.events(job.id)[3].data == {
        "version": 3,
        "attempt": 1,
        "ended_at": 8.0,
        "exit_code": 7,
        "detail": "out of memory",
    }


def test_times_default_to_when_it_was_seen(store: Store) -> None:
    """A start or an end without a time of its own happened when it was recorded."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    running = step(store, step(store, job, Event.PLACED, at=2.0), Event.STARTED, at=4.0)
    assert running.started_at == 4.0
    assert step(store, running, Event.STARTED, at=5.0).started_at == 4.0
    ended = step(store, store.job(job.id), Event.SUCCEEDED, at=9.0, exit_code=0)
    assert (ended.started_at, ended.ended_at, ended.exit_code) == (4.0, 9.0, 0)


def test_a_run_seen_only_at_its_end_has_its_start(store: Store) -> None:
    """A run that was never seen running brings its start with its end."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    placed = step(store, job, Event.PLACED)
    ended = step(store, placed, Event.SUCCEEDED, started_at=6.0, ended_at=6.5, exit_code=0)
    assert (ended.started_at, ended.ended_at) == (6.0, 6.5)


def test_another_attempt_begins_afresh(store: Store) -> None:
    """A job that is queued again has no pool and no times; its next attempt has a new token."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    lost = job
    for event in (Event.PLACED, Event.STARTED, Event.SILENCE, Event.FENCED):
        lost = step(store, lost, event, detail=event.name)
    assert (lost.status, lost.detail) == (Status.LOST, "FENCED")
    again = step(store, lost, Event.REQUEUED)
    assert again == replace(job, version=5, attempt=1)
    placed = step(store, again, Event.PLACED, at=20.0, pool="r/s")
    assert (placed.token, placed.pool, placed.placed_at) == (f"{job.id}.2", "r/s", 20.0)
    assert placed.started_at is None


def test_a_stopped_job_waits_again_and_keeps_what_was_left(store: Store) -> None:
    """A job that stopped for others has no pool and no size, and knows that it stopped."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    placed = step(store, job, Event.PLACED, at=2.0, pool="p/q", count=16)
    assert (placed.count, placed.size, job.size) == (16, 16, 8)
    running = step(store, placed, Event.STARTED, at=4.0)
    stopping = step(store, running, Event.PREEMPTED, at=6.0, left_s=55.5, detail="why")
    assert stopping == replace(
        running, status=Status.STOPPING, version=3, left_s=55.5, detail="why"
    )
    assert [one.id for one in store.open_jobs()[1]] == [job.id]
    waits = step(store, stopping, Event.STOPPED, at=8.0, ended_at=7.0, exit_code=143)
    assert waits == replace(job, version=4, attempt=1, stops=1, left_s=55.5)
    assert store.job(job.id) == waits
    again = step(store, waits, Event.PLACED, at=9.0, pool="r/s", count=4)
    assert (again.token, again.count, again.stops) == (f"{job.id}.2", 4, 1)
    told = store.events(job.id)[3]
    assert (told.event, told.data["left_s"], told.data["detail"]) == ("preempted", 55.5, "why")


def test_a_job_that_is_done_before_it_hears_of_its_stop_was_not_stopped(store: Store) -> None:
    """A job that ends by itself while it is to stop has ended, and counts no stop."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    running = step(store, step(store, job, Event.PLACED), Event.STARTED)
    stopping = step(store, running, Event.PREEMPTED, left_s=1.0)
    ended = step(store, stopping, Event.SUCCEEDED, at=9.0, exit_code=0)
    assert (ended.status, ended.ended_at, ended.stops) == (Status.SUCCEEDED, 9.0, 0)


def test_a_moved_version_is_refused(store: Store) -> None:
    """A change decided on an older version is refused, and the error names the job."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    placed = step(store, job, Event.PLACED)
    for event in (Event.PLACED, Event.CANCEL, Event.STARTED):
        with pytest.raises(ConflictError, match=f"{job.id}.*version 1.*not 0"):
            store.record([change(job, event)])
    assert store.job(job.id) == placed


def test_changes_are_applied_all_or_none(store: Store) -> None:
    """One change that cannot be, wherever it stands, keeps the whole call from the store."""
    jobs = store.add_jobs([SPEC] * 3, now=1.0)
    fine = [change(job, Event.PLACED) for job in jobs[:2]]
    bad = {
        "cannot be started": change(jobs[2], Event.STARTED),
        "version": replace(change(jobs[2], Event.PLACED), version=4),
        "no pool": change(jobs[2], Event.PLACED, pool=None),
    }
    for words, one in bad.items():
        for changes in ([*fine, one], [one, *fine]):
            with pytest.raises(ConflictError, match=f"{jobs[2].id}.*{words}"):
                store.record(changes)
    with pytest.raises(NotFoundError, match="job-000099"):
        store.record([*fine, replace(fine[0], job_id="job-000099")])
    assert store.jobs() == jobs[::-1]
    assert len(store.events()) == 3


def test_one_call_may_take_a_job_several_steps(store: Store) -> None:
    """Changes of one job in one call follow each other, each with its own event and record."""
    job, other = store.add_jobs([SPEC, SPEC], now=1.0)
    steps = [Event.PLACED, Event.FENCED, Event.REQUEUED]
    changes = [replace(change(job, event), version=at) for at, event in enumerate(steps)]
    after = store.record([*changes[:2], change(other, Event.PLACED), changes[2]])
    assert [record.version for record in after] == [1, 2, 1, 3]
    assert store.job(job.id) == after[3] == replace(job, version=3, attempt=1)
    with pytest.raises(ConflictError, match="version"):
        store.record([change(other, Event.STARTED), change(other, Event.STARTED)])


def test_no_changes_is_nothing(store: Store) -> None:
    """Recording no change gives no record and no event."""
    assert store.record([]) == []
    assert store.events() == []


def test_many_changes_fit_in_one_call(store: Store) -> None:
    """A call with more changes than a query has parameters gives its records in order."""
    jobs = store.add_jobs([SPEC] * 3000, now=1.0)
    after = store.record([change(job, Event.PLACED) for job in jobs[::-1]])
    assert [job.seq for job in after] == list(range(3000, 0, -1))
    assert {job.status for job in after} == {Status.SUBMITTED}
    assert store.open_jobs()[1] == after[::-1]


def test_of_two_who_decide_at_once_one_wins(store: Store) -> None:
    """When threads record on the same version, one change is applied and the others refused."""
    jobs = store.add_jobs([SPEC] * 10, now=1.0)

    def place(job: JobRecord) -> bool:
        try:
            step(store, job, Event.PLACED)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(place, jobs * 4))
    assert sum(won) == len(jobs)
    assert {(job.version, job.attempt) for job in store.jobs()} == {(1, 1)}


# ---------------------------------------------------------------- cancel requests


def test_a_cancel_request_is_noted_once(store: Store) -> None:
    """A request changes neither status nor version, waits for the loop, and is noted once."""
    jobs = store.add_jobs([SPEC] * 3, now=1.0)
    for job in (jobs[2], jobs[0], jobs[2]):
        assert store.request_cancel(job.id, now=2.0) == job
    assert store.pending_cancels() == [jobs[2].id, jobs[0].id]
    assert store.open_jobs()[1] == jobs
    requests = [line for line in store.events() if line.event == "cancel-requested"]
    assert [(line.job_id, line.at) for line in requests] == [(jobs[2].id, 2.0), (jobs[0].id, 2.0)]


def test_a_cancel_request_is_pending_until_the_end(store: Store) -> None:
    """A request stays pending through the steps of a job, until the job has ended."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    job = step(store, job, Event.PLACED)
    store.request_cancel(job.id, now=2.0)
    job = step(store, job, Event.CANCEL)
    assert (job.status, store.pending_cancels()) == (Status.CANCELLING, [job.id])
    job = step(store, job, Event.STOPPED, at=7.0)
    assert (job.status, job.ended_at) == (Status.CANCELLED, 7.0)
    assert store.pending_cancels() == []


def test_cancelling_a_queued_job_ends_it(store: Store) -> None:
    """The loop's `CANCEL` on a queued job is its end, without an attempt."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    ended = step(store, store.request_cancel(job.id, now=2.0), Event.CANCEL, at=3.0)
    assert (ended.status, ended.ended_at, ended.attempt) == (Status.CANCELLED, 3.0, 0)
    assert (store.pending_cancels(), store.open_jobs()[1]) == ([], [])


def test_an_ended_job_stays_as_it_is(store: Store) -> None:
    """A request for the end of an ended job changes nothing and is no news."""
    (job,) = store.add_jobs([SPEC], now=1.0)
    ended = step(store, step(store, job, Event.PLACED), Event.SUCCEEDED, exit_code=0)
    position = store.news(0).position
    assert store.request_cancel(job.id, now=9.0) == ended
    assert store.news(position) == replace(store.news(position), submitted=(), cancel=())
    assert store.news(position).position == position


@pytest.mark.parametrize("name", ["job-000002", "job-1", "1", "", "job-", "job-00000٣", "x"])
def test_an_unknown_job_is_not_found(store: Store, name: str) -> None:
    """What is not the id of a stored job is not found, and the error says what was asked."""
    store.add_jobs([SPEC], now=1.0)
    with pytest.raises(NotFoundError, match=f"'{name}'"):
        store.job(name)
    with pytest.raises(NotFoundError, match=f"'{name}'"):
        store.request_cancel(name, now=2.0)
    assert store.events(name) == []


# ---------------------------------------------------------------- reading


def test_jobs_are_given_newest_first_in_pages(store: Store) -> None:
    """Pages by `before` give every job once; status and tenant choose among them."""
    jobs = store.add_jobs([SPEC, FULL] * 6, now=1.0)
    store.record([change(job, Event.PLACED) for job in jobs[:4]])
    store.record([Change(job.id, 0, Event.CANCEL, 2.0) for job in jobs[4:5]])
    assert [job.seq for job in store.jobs(limit=5)] == [12, 11, 10, 9, 8]
    assert [job.seq for job in store.jobs(limit=5, before=3)] == [2, 1]
    assert [job.seq for job in store.jobs(tenant="lab-b", before=7)] == [6, 4, 2]
    mixed = store.jobs(status=[Status.SUBMITTED, Status.CANCELLED])
    assert [job.seq for job in mixed] == [5, 4, 3, 2, 1]
    assert [job.seq for job in store.jobs(status=[Status.SUBMITTED], tenant="lab-a")] == [3, 1]
    assert store.jobs(tenant="nobody") == []


def test_open_jobs_leave_out_the_ended(store: Store) -> None:
    """Open jobs are all that have not ended, by number, with the position of the log."""
    jobs = store.add_jobs([SPEC] * 4, now=1.0)
    store.record([Change(jobs[1].id, 0, Event.CANCEL, 2.0), change(jobs[3], Event.PLACED)])
    position, still_open = store.open_jobs()
    assert [job.seq for job in still_open] == [1, 3, 4]
    assert position == store.events()[-1].seq


def test_events_come_in_pages(store: Store) -> None:
    """Events after a position are given in order, of one job or of all, up to the limit."""
    first, second = store.add_jobs([SPEC, SPEC], now=1.0)
    step(store, step(store, first, Event.PLACED), Event.STARTED)
    step(store, second, Event.PLACED)
    assert [line.seq for line in store.events(limit=3)] == [1, 2, 3]
    assert [line.seq for line in store.events(after=3)] == [4, 5]
    assert [line.event for line in store.events(first.id, after=1)] == ["placed", "started"]
    assert [line.seq for line in store.events(first.id, limit=2)] == [1, 3]


def test_an_empty_store_reads_as_empty(store: Store) -> None:
    """A new store has no jobs, no news, no events, and the log is at position 0."""
    assert store.open_jobs() == (0, [])
    news = store.news(0)
    assert (news.position, news.submitted, news.cancel) == (0, (), ())
    assert (store.jobs(), store.pending_cancels(), store.events()) == ([], [], [])


def test_news_holds_what_users_asked(store: Store) -> None:
    """News since a position are the submissions and requests after it, and nothing else."""
    first, second = store.add_jobs([SPEC, FULL], now=1.0)
    store.request_cancel(second.id, now=2.0)
    news = store.news(0)
    assert (news.submitted, news.cancel) == ((first, second), (second.id,))
    placed = step(store, first, Event.PLACED)
    quiet = store.news(news.position)
    assert (quiet.submitted, quiet.cancel) == ((), ())
    assert store.news(0).submitted == (placed, second)
    (third,) = store.add_jobs([SPEC], now=3.0)
    assert store.news(quiet.position).submitted == (third,)


def test_news_neither_skip_nor_repeat(store: Store) -> None:
    """Who polls while others write sees each submission and each request exactly once."""
    writing, done = threading.Barrier(5), threading.Event()

    def user(number: int) -> None:
        writing.wait(timeout=30)
        for turn in range(12):
            jobs = store.add_jobs([replace(SPEC, name=f"{number}-{turn}")] * 2, now=1.0)
            store.request_cancel(jobs[0].id, now=2.0)

    def loop() -> None:
        writing.wait(timeout=30)
        while not done.is_set():
            waiting = store.jobs(status=[Status.QUEUED], limit=5)
            store.record([change(job, Event.PLACED) for job in waiting])

    seen: list[str] = []
    cancelled: list[str] = []
    with ThreadPoolExecutor(5) as pool:
        users = [pool.submit(user, number) for number in range(4)]
        looping = pool.submit(loop)
        position, finished = 0, False
        try:
            while not finished:
                finished = all(one.done() for one in users)
                news = store.news(position)
                assert news.position >= position
                position = news.position
                seen += [job.id for job in news.submitted]
                cancelled += news.cancel
        finally:
            done.set()
        for one in (*users, looping):
            one.result()
    assert seen == [job.id for job in store.jobs(limit=1000)][::-1]
    assert len(seen) == 96
    assert len(cancelled) == len(set(cancelled)) == 48
