"""A store does, call by call, what a simple model in memory does."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tieline.control.lifecycle import TRANSITIONS, Event, Status
from tieline.control.ports import Change
from tieline.model.errors import ConflictError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store

SPECS: Final = [
    JobSpec("lab-a", Workload("training"), 8, {"cuda": "a"}),
    JobSpec("lab-b", Workload("decode", "glm"), 1, {"cann": "b"}, residency=frozenset({"x", "y"})),
]
#: What each event of the life cycle is called in the log.
NAMES: Final = {event: event.name.lower() for event in Event}

specs: Final = st.lists(st.sampled_from(SPECS), min_size=1, max_size=3)
events: Final = st.sampled_from(Event)
times: Final = st.floats(min_value=0, max_value=1e9)
whole: Final = st.integers(min_value=0, max_value=10**6)


@dataclass
class Life:
    """What the model knows of one job."""

    spec: JobSpec
    status: Status = Status.QUEUED
    version: int = 0
    attempt: int = 0
    pool: str | None = None
    count: int | None = None
    stops: int = 0
    left_s: float | None = None
    log: list[str] = field(default_factory=lambda: ["submitted"])
    cancel_asked: int | None = None


class StoreMachine(RuleBasedStateMachine):
    """Random submissions, requests and changes, legal and not, with openings between."""

    @initialize()
    def open(self) -> None:
        """Begin with a new store in a file."""
        self.folder = Path(tempfile.mkdtemp())
        self.url = f"sqlite:///{self.folder}/store.db"
        self.store = open_store(self.url)
        self.lives: list[Life] = []
        self.keys: dict[str, tuple[int, list[JobSpec]]] = {}
        self.position = 0
        self.submitted: list[str] = []
        self.cancelled: list[str] = []
        self.lines = 0
        self.seen: tuple[list[str], list[str]] = ([], [])

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(specs=specs, now=times)
    def submit(self, specs: list[JobSpec], now: float) -> None:
        """Submit without a key: always new jobs."""
        self.expect_new(specs, [job.id for job in self.store.add_jobs(specs, now=now)])

    @rule(specs=specs, now=times, key=st.sampled_from("abc"))
    def submit_with_key(self, specs: list[JobSpec], now: float, key: str) -> None:
        """Submit with a key: new jobs, the earlier ones, or a refusal."""
        if key not in self.keys:
            self.keys[key] = (len(self.lives), specs)
            jobs = self.store.add_jobs(specs, now=now, key=key)
            self.expect_new(specs, [job.id for job in jobs])
            return
        first, earlier = self.keys[key]
        if earlier != specs:
            with pytest.raises(ConflictError):
                self.store.add_jobs(specs, now=now, key=key)
            return
        jobs = self.store.add_jobs(specs, now=now, key=key)
        assert [job.id for job in jobs] == self.submitted[first : first + len(specs)]

    def expect_new(self, specs: list[JobSpec], ids: list[str]) -> None:
        """Tell the model of new jobs."""
        self.submitted += ids
        self.lives += [Life(spec) for spec in specs]
        self.lines += len(specs)

    @precondition(lambda self: self.lives)
    @rule(which=whole, now=times)
    def ask_cancel(self, which: int, now: float) -> None:
        """Ask for the end of a job, be it ended, asked before, or not."""
        which %= len(self.lives)
        life = self.lives[which]
        job = self.store.request_cancel(self.submitted[which], now=now)
        assert job.status is life.status
        if not life.status.ended and life.cancel_asked is None:
            self.lines += 1
            life.cancel_asked = self.lines
            life.log.append("cancel-requested")
            self.cancelled.append(job.id)

    @precondition(lambda self: self.lives)
    @rule(picks=st.lists(st.tuples(whole, events, times), min_size=1, max_size=6))
    def record(self, picks: list[tuple[int, Event, float]]) -> None:
        """Record changes of random jobs by random events, most often by one that can be."""
        state = [(life.status, life.version) for life in self.lives]
        changes, targets, legal = [], [], True
        for pick, wish, at in picks:
            which = pick % len(state)
            status, version = state[which]
            possible = [event for event in Event if (status, event) in TRANSITIONS]
            event = possible[pick % len(possible)] if possible and pick % 7 else wish
            pool = f"p/{pick % 5}" if event is Event.PLACED else None
            count = 1 + pick % 9 if event is Event.PLACED else None
            left_s = at if event is Event.PREEMPTED else None
            name = self.submitted[which]
            changes.append(Change(name, version, event, at, pool=pool, count=count, left_s=left_s))
            targets.append(which)
            legal = legal and (status, event) in TRANSITIONS
            state[which] = (TRANSITIONS.get((status, event), status), version + 1)
        if not legal:
            with pytest.raises(ConflictError):
                self.store.record(changes)
            return
        after = self.store.record(changes)
        assert [job.version for job in after] == [change.version + 1 for change in changes]
        for which, change in zip(targets, changes, strict=True):
            self.live(self.lives[which], change)

    def live(self, life: Life, change: Change) -> None:
        """Take one job of the model a step further."""
        self.lines += 1
        before, life.status = life.status, TRANSITIONS[life.status, change.event]
        life.version += 1
        life.log.append(NAMES[change.event])
        if change.event is Event.PLACED:
            life.attempt += 1
            life.pool, life.count = change.pool, change.count
        elif life.status is Status.QUEUED:
            life.pool = life.count = None
            life.stops += before is Status.STOPPING
        elif change.event is Event.PREEMPTED:
            life.left_s = change.left_s

    @precondition(lambda self: self.lives)
    @rule(which=whole, event=events, off=st.sampled_from([-1, 1, 7]))
    def record_on_another_version(self, which: int, event: Event, off: int) -> None:
        """Record a change that was decided on another version: always refused."""
        which %= len(self.lives)
        version = self.lives[which].version + off
        with pytest.raises(ConflictError):
            self.store.record([Change(self.submitted[which], version, event, 1.0, pool="p")])

    @rule()
    def read_news(self) -> None:
        """Read on from where the last reading ended."""
        news = self.store.news(self.position)
        self.position = news.position
        self.seen[0].extend(job.id for job in news.submitted)
        self.seen[1].extend(news.cancel)
        assert self.seen == (self.submitted, self.cancelled)

    @rule()
    def open_again(self) -> None:
        """Close the store and open it again."""
        self.store.close()
        self.store = open_store(self.url)

    @invariant()
    def same_as_the_model(self) -> None:
        """Jobs, requests and log position are the model's."""
        if not hasattr(self, "store"):
            return
        position, open_jobs = self.store.open_jobs()
        assert position == self.lines
        numbered = list(zip(self.submitted, self.lives, strict=True))
        alive = [(name, life) for name, life in numbered if not life.status.ended]
        assert [job.id for job in open_jobs] == [name for name, _ in alive]
        for job, (_, life) in zip(self.store.jobs(limit=10**6)[::-1], numbered, strict=True):
            assert (job.spec, job.status, job.version) == (life.spec, life.status, life.version)
            assert (job.attempt, job.pool, job.count) == (life.attempt, life.pool, life.count)
            assert (job.stops, job.left_s) == (life.stops, life.left_s)
        asked = sorted((life.cancel_asked, name) for name, life in alive if life.cancel_asked)
        assert self.store.pending_cancels() == [name for _, name in asked]

    @precondition(lambda self: self.lives)
    @rule(which=whole)
    def read_events(self, which: int) -> None:
        """Read the log of one job."""
        which %= len(self.lives)
        log = [line.event for line in self.store.events(self.submitted[which])]
        assert log == self.lives[which].log


# Each step waits for the disk: fewer, longer lives than the default.
StoreMachine.TestCase.settings = settings(
    max_examples=max(1, settings().max_examples // 3), stateful_step_count=40
)
TestStore = StoreMachine.TestCase
