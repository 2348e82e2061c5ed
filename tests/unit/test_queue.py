"""The queue: kinds side by side, each in the policy's order, changed in place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tieline.control.waiting import insert, remove
from tieline.scheduling.policies.fifo import FIFO
from tieline.scheduling.policies.price import PRICE
from twins.cases import Case, Job, kind, network
from twins.invariants import check_state

KINDS, JOBS = 3, 40
WORK = [(row * 7) % 11 for row in range(JOBS)]
"""With ties, and in no order."""


def case() -> Case:
    """Give forty jobs of three kinds, none waiting yet."""
    return Case(
        network([(0, "a", 1, 8)]),
        tuple(kind(k, 1) for k in range(KINDS)),
        ({"a": 1.0},) * KINDS,
        tuple(Job(row * row % KINDS, 0.0, float(WORK[row])) for row in range(JOBS)),
    )


class Queue(RuleBasedStateMachine):
    """The queue kernels against a set of rows that is sorted when looked at."""

    @initialize(by_work=st.booleans())
    def begin(self, by_work: bool) -> None:
        """Begin with an empty queue, in order of work or of submission."""
        self.state = case().state(PRICE if by_work else FIFO)
        self.waiting: set[int] = set()

    @rule(row=st.integers(0, JOBS - 1))
    def join(self, row: int) -> None:
        """Insert a row, after laying the queue anew if its kind has no slack."""
        if row in self.waiting:
            return
        before = self.state.snapshot.queue.copy()
        if not insert(self.state.snapshot, row, self.state.by_work):
            assert np.array_equal(self.state.snapshot.queue, before), "changed, though refused"
            assert not self.state.snapshot.jobs[row]["waiting"]
            self.state.lay_queue_anew()
            assert insert(self.state.snapshot, row, self.state.by_work)
        self.waiting.add(row)

    @rule(row=st.integers(0, JOBS - 1))
    def leave(self, row: int) -> None:
        """Remove a row."""
        if row in self.waiting:
            remove(self.state.snapshot, row, self.state.by_work)
            self.waiting.discard(row)

    @rule(rows=st.sets(st.integers(0, JOBS - 1)))
    def lay_anew(self, rows: set[int]) -> None:
        """Lay the queue anew, with several rows joining at once."""
        joining = rows - self.waiting
        self.state.lay_queue_anew(np.array(sorted(joining), np.int64))
        self.waiting |= joining

    @rule(count=st.integers(2, 5))
    def meet_a_new_kind(self, count: int) -> None:
        """A kind of job that was never seen does not disturb those that wait."""
        self.state.intern(kind(0, count))

    @invariant()
    def each_kind_is_sorted(self) -> None:
        """Each kind's part of the queue is what sorting the model gives."""
        s = self.state.snapshot
        for k in range(KINDS):
            mine = [row for row in self.waiting if s.jobs[row]["kind"] == k]
            mine.sort(key=lambda row: (WORK[row] if self.state.by_work else 0, row))
            assert s.queue[s.kinds[k]["start"] : s.kinds[k]["end"]].tolist() == mine
        check_state(self.state)


TestQueue = Queue.TestCase


@given(st.lists(st.integers(0, JOBS - 1), unique=True, max_size=JOBS), st.booleans())
def test_laying_a_queue_is_inserting_one_by_one(rows: list[int], by_work: bool) -> None:
    """Rows that join at once stand as if each had joined alone, whatever their order."""
    together, singly = (case().state(PRICE if by_work else FIFO) for _ in range(2))
    together.lay_queue_anew(np.array(rows, np.int64))
    for row in rows:
        singly.lay_queue_anew(np.array([row], np.int64))
    for k in range(KINDS):
        parts = [
            state.snapshot.queue[kind["start"] : kind["end"]].tolist()
            for state in (together, singly)
            for kind in [state.snapshot.kinds[k]]
        ]
        assert parts[0] == parts[1]
