"""Whatever leaders do, die of or dream, and whatever the clock does, one leads at a time."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from tieline.control.lifecycle import Event
from tieline.control.ports import Change
from tieline.model.errors import NotLeader
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store
from tieline.store.sql import SqlStore
from tieline.store.sqlite import SqliteDatabase

SPEC: Final = JobSpec("lab-a", Workload("training"), 8, {"cuda": "a"})
LEASE_S: Final = 10.0
#: Control planes that share the store.
PLANES: Final = 3

planes: Final = st.integers(min_value=0, max_value=PLANES - 1)
#: Forward a little, over a lease, and back.
leaps: Final = st.sampled_from([0.0, 1.0, 4.0, 9.0, 11.0, 40.0, -5.0, -1000.0])


class ClockedDatabase(SqliteDatabase):
    """A real store in a file, with a clock of the test's."""

    time = 1000.0

    def now(self, connection: Connection) -> float:
        """Give the time that the test has set."""
        del connection
        return ClockedDatabase.time


class LeadersMachine(RuleBasedStateMachine):
    """Control planes that lead, renew, resign, sleep, die and come back, under a bad clock."""

    @initialize()
    def open(self) -> None:
        """Begin with a new store and a job that runs."""
        self.folder = Path(tempfile.mkdtemp())
        self.url = f"sqlite:///{self.folder}/store.db"
        with_tables = open_store(self.url)
        (job,) = with_tables.add_jobs([SPEC], now=1.0)
        with_tables.record(
            [
                Change(job.id, 0, Event.PLACED, 2.0, pool="p/q"),
                Change(job.id, 1, Event.STARTED, 3.0),
            ]
        )
        with_tables.close()
        ClockedDatabase.time = 1000.0
        self.stores = [self.opened() for _ in range(PLANES)]
        #: What each control plane takes for its epoch.
        self.believed = [0] * PLANES
        self.epoch = 0
        self.owner: int | None = None
        self.resigned = False
        self.renewed_at = 0.0
        self.version = 2

    def opened(self) -> SqlStore:
        """Give one more way to the store."""
        return SqlStore(ClockedDatabase(make_url(self.url)))

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "stores"):
            for store in self.stores:
                store.close()
            shutil.rmtree(self.folder)

    @property
    def led(self) -> bool:
        """Whether there is a leader that must not be overtaken."""
        silent_s = ClockedDatabase.time - self.renewed_at
        return self.owner is not None and not self.resigned and silent_s < LEASE_S

    @rule(plane=planes)
    def lead(self, plane: int) -> None:
        """Ask to lead: granted exactly when nobody does who is alive and awake."""
        epoch = self.stores[plane].lead(f"{plane}", "u", lease_s=LEASE_S)
        if self.led:
            assert epoch is None
            self.renewed_at = min(self.renewed_at, ClockedDatabase.time)
            return
        assert epoch == self.epoch + 1
        self.epoch, self.owner, self.resigned = epoch, plane, False
        self.renewed_at = ClockedDatabase.time
        self.believed[plane] = epoch

    @rule(plane=planes)
    def renew(self, plane: int) -> None:
        """Renew what it takes for its epoch: refused unless that is the present one."""
        epoch = self.believed[plane]
        if epoch and epoch == self.epoch and not self.resigned:
            self.stores[plane].renew(epoch)
            self.renewed_at, self.owner = ClockedDatabase.time, plane
        else:
            with pytest.raises(NotLeader):
                self.stores[plane].renew(epoch)

    @rule(plane=planes)
    def resign(self, plane: int) -> None:
        """Resign: nothing happens to another's epoch."""
        self.stores[plane].resign(self.believed[plane])
        if self.epoch and self.believed[plane] == self.epoch:
            self.resigned = True

    @rule(plane=planes)
    def record(self, plane: int) -> None:
        """Record what it decided in what it takes for its epoch."""
        epoch = self.believed[plane]
        change = Change("job-000001", self.version, Event.STARTED, 4.0)
        if epoch == self.epoch and not (self.epoch and self.resigned):
            self.stores[plane].record([change], epoch=epoch)
            self.version += 1
        else:
            with pytest.raises(NotLeader):
                self.stores[plane].record([change], epoch=epoch)

    @rule(plane=planes)
    def die(self, plane: int) -> None:
        """End without a word, and begin anew; it forgets what it was."""
        self.stores[plane].close()
        self.stores[plane] = self.opened()
        self.believed[plane] = 0
        if self.owner == plane:
            self.owner = None

    @rule(leap_s=leaps)
    def wait(self, leap_s: float) -> None:
        """Let time pass, or the clock be set back."""
        ClockedDatabase.time += leap_s

    @precondition(lambda self: self.led)
    @rule(plane=planes)
    def outwait(self, plane: int) -> None:
        """Whatever the clock shows, a leader that sleeps for good is overtaken in the end."""
        before = self.epoch
        self.lead(plane)
        ClockedDatabase.time += LEASE_S
        self.lead(plane)
        assert self.epoch == before + 1

    @invariant()
    def leader_is_the_model_s(self) -> None:
        """The store names the present leader, and nobody who has resigned."""
        if not hasattr(self, "stores"):
            return
        leader = self.stores[0].leader()
        if self.epoch == 0 or self.resigned:
            assert leader is None
        else:
            assert leader is not None
            assert leader.epoch == self.epoch


LeadersMachine.TestCase.settings = settings(
    max_examples=max(1, settings().max_examples // 3), stateful_step_count=40
)
TestLeaders = LeadersMachine.TestCase
