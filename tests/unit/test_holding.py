"""Who holds what: plans are checked again before they are applied, and nothing leaks."""

from collections import Counter

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tieline.control.holding import apply_plan, release
from tieline.model.network import Tenant
from tieline.model.snapshot import Snapshot
from tieline.scheduling.policies.fifo import FIFO
from tieline.scheduling.room import PLACEMENT, SEAT, Plan
from twins.cases import Case, Job, kind, network
from twins.decisions import Left
from twins.invariants import check_state, seats_of
from twins.packing import seats

JOBS = 16
CASE = Case(
    network(
        [(0, "a", 3, 4), (0, "b", 1, 6), (1, "a", 2, 2)],
        [Tenant("t0"), Tenant("t1", quotas={"a": 6})],
    ),
    (kind(0, 1), kind(1, 3, "t1"), kind(2, 6), kind(3, 9, "t1")),
    ({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 1.0}, {"a": 0.5, "b": 1.0}, {"a": 1.0, "b": 1.0}),
    tuple(Job(row % 4, 0.0, 10.0 + row) for row in range(JOBS)),
)

#: Seats as (node, accelerators).
Seats = list[tuple[int, int]]


def plan_of(s: Snapshot, placements: list[tuple[int, int, Seats]]) -> Plan:
    """Give a plan as a planner would hand it over: (job, pool, seats)."""
    listed = np.zeros(64, SEAT)
    plan = Plan(np.zeros(16, PLACEMENT), listed, np.array([len(placements)], np.int64))
    at = 0
    for i, (row, pool, given) in enumerate(placements):
        listed[at : at + len(given)] = given
        plan.placements[i] = (row, s.jobs[row]["kind"], pool, at, at + len(given))
        at += len(given)
    return plan


class Holding(RuleBasedStateMachine):
    """Plans good and bad, applied to a state, against a model in plain Python."""

    @initialize()
    def begin(self) -> None:
        """Begin with all jobs waiting and everything free."""
        self.state = CASE.state(FIFO)
        self.state.lay_queue_anew(np.arange(JOBS))
        self.now = 0.0
        self.held: dict[int, tuple[int, dict[int, int]]] = {}

    @rule(data=st.data())
    def apply(self, data: st.DataObject) -> None:
        """Exactly the placements that are still possible are made, one after the other."""
        self.now += 1.0
        drawn = [self._placement(data) for _ in range(data.draw(st.integers(1, 4)))]
        expected, left = [], Left(self.state.snapshot, FIFO)
        started: set[int] = set()
        for row, p, given in drawn:
            if row not in started and self._possible(left, row, p, given):
                first = int(self.state.snapshot.pools[p]["first"])
                taken = {node - first: amount for node, amount in given}
                left.take(int(self.state.snapshot.jobs[row]["kind"]), p, taken)
                started.add(row)
                expected.append((row, p))
                self.held[row] = (p, dict(given))
        plan = plan_of(self.state.snapshot, drawn)
        assert apply_plan(self.state.snapshot, plan, self.now, False) == len(expected)
        done = plan.placements[: int(plan.size[0])]
        assert [(int(one["row"]), int(one["pool"])) for one in done] == expected
        for row, p in expected:
            job = self.state.snapshot.jobs[row]
            rate = CASE.speeds[int(job["kind"])][CASE.network.pools[p].accelerator]
            assert job["ends"] == self.now + job["work"] / rate

    @rule(row=st.integers(0, JOBS - 1))
    def end(self, row: int) -> None:
        """What a job held is free again; one that holds nothing changes nothing."""
        release(self.state.snapshot, row)
        self.held.pop(row, None)

    @rule(pool=st.integers(0, 2))
    def toggle(self, pool: int) -> None:
        """A pool closes, or opens again."""
        record = self.state.snapshot.pools[pool]
        record["open"] = not record["open"]

    @rule(data=st.data())
    def wait_again(self, data: st.DataObject) -> None:
        """A job that has ended joins the queue once more."""
        jobs = self.state.snapshot.jobs[:JOBS]
        idle = np.flatnonzero(~jobs["waiting"] & (jobs["pool"] < 0)).tolist()
        if idle:
            self.state.lay_queue_anew(np.array([data.draw(st.sampled_from(idle))]))

    @invariant()
    def everything_adds_up(self) -> None:
        """The state's invariants hold, and jobs hold what the model says."""
        if not hasattr(self, "state"):
            return
        check_state(self.state)
        s = self.state.snapshot
        holding = [row for row in range(JOBS) if s.jobs[row]["pool"] >= 0]
        assert {row: (int(s.jobs[row]["pool"]), seats_of(s, row)) for row in holding} == self.held

    def _placement(self, data: st.DataObject) -> tuple[int, int, Seats]:
        """Draw a placement that is mostly possible, and sometimes wrong in some way."""
        s = self.state.snapshot
        row, p = data.draw(st.integers(0, JOBS - 1)), data.draw(st.integers(0, 2))
        first, last = int(s.pools[p]["first"]), int(s.pools[p]["last"])
        count = int(s.kinds[s.jobs[row]["kind"]]["count"])
        taken = seats(s.node_free[first:last].tolist(), int(s.pools[p]["size"]), count)
        given = [(first + node, amount) for node, amount in taken.items()]
        spoil = data.draw(st.integers(0, 11))
        if spoil == 0:
            given = data.draw(
                st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 6)), max_size=4)
            )
        if spoil == 1 and given:  # a node twice: each time no more than is free, together too much
            node, amount = given[0]
            given = [(node, amount), (node, count - amount), *given[1:]]
        if spoil == 2:
            given = given[:-1]
        return row, p, given

    def _possible(self, left: Left, row: int, p: int, given: Seats) -> bool:
        s = self.state.snapshot
        k, first, last = int(s.jobs[row]["kind"]), s.pools[p]["first"], s.pools[p]["last"]
        by_node = Counter[int]()
        for node, amount in given:
            by_node[node] += amount
        return bool(
            s.jobs[row]["waiting"]
            and left.may_ever(k, p)
            and left.may_now(k, p)
            and sum(by_node.values()) == s.kinds[k]["count"]
            and all(amount >= 1 for _node, amount in given)
            and all(first <= node < last for node in by_node)
            and all(left.free[p][node - first] >= amount for node, amount in by_node.items())
        )


TestHolding = Holding.TestCase
TestHolding.settings = settings(stateful_step_count=25)
