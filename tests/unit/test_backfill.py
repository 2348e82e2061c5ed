"""Backfill: who starts in front of a waiting job, and that it is never delayed by that."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.model.network import Tenant
from tieline.model.snapshot import Snapshot
from tieline.scheduling.policies.backfill import BACKFILL
from tieline.scheduling.policies.fifo import FIFO
from tieline.scheduling.policy import Decision
from twins.cases import MODELS, Case, Job, cases, kind, network
from twins.decisions import Left, guarded


@dataclass
class Promises:
    """When the oldest waiting job was first told that it starts, worked out in plain Python."""

    first: dict[int, float] = field(default_factory=dict)

    def note(self, s: Snapshot, now: float, decision: Decision, left: Left) -> None:
        """Note the promise to the oldest job that waits after a decision."""
        waiting = np.flatnonzero(s.jobs["waiting"]).tolist()
        could_ever = (row for row in waiting if self._pools(left, s, row))
        head = next((row for row in could_ever if row not in left.placed), None)
        if head is not None and head not in self.first:
            at = self._earliest(s, now, decision, head)
            if at < np.inf:
                self.first[head] = at

    @staticmethod
    def _pools(left: Left, s: Snapshot, row: int) -> list[int]:
        k = int(s.jobs[row]["kind"])
        return [p for p in range(len(s.pools)) if left.may_ever(k, p)]

    def _earliest(self, s: Snapshot, now: float, decision: Decision, head: int) -> float:
        """Give when a pool has room for the head, if only what was before it runs on."""
        left, ends = Left(s, BACKFILL), self._running(s, now)
        for placed in decision.plan.placements[: int(decision.plan.size[0])]:
            row, p = int(placed["row"]), int(placed["pool"])
            if row < head:
                k, given = int(s.jobs[row]["kind"]), decision.plan.seats[placed["first"] :]
                given = given[: int(placed["last"] - placed["first"])]
                nodes = given["node"] - s.pools[p]["first"]
                taken = dict(zip(nodes.tolist(), given["amount"].tolist(), strict=True))
                left.take(k, p, taken)
                run = float(s.jobs[row]["work"] / s.rate[k, s.pools[p]["market"]])
                ends += [(now + run, p, node, n) for node, n in taken.items()]
        k = int(s.jobs[head]["kind"])
        found = []
        for p in self._pools(left, s, head):
            if left.may_now(k, p):
                found.append(now)
                for end, at, node, amount in sorted(ends):
                    if at == p and not left.fits(k, p):
                        left.free[p][node] += amount
                        found[-1] = end
        return min(found, default=np.inf)

    @staticmethod
    def _running(s: Snapshot, now: float) -> list[tuple[float, int, int, int]]:
        ends = []
        for row in s.running[: int(s.n_running[0])]:
            p, block = int(s.jobs[row]["pool"]), int(s.jobs[row]["block"])
            while block >= 0:
                node = int(s.blocks[block]["node"] - s.pools[p]["first"])
                end = max(now, float(s.jobs[row]["ends"]))
                ends.append((end, p, node, int(s.blocks[block]["amount"])))
                block = int(s.blocks[block]["next"])
        return ends


@st.composite
def crowded(draw: st.DrawFn) -> Case:
    """Draw many jobs at once for one or two pools, small and large, short and long."""
    nodes, size = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    pools = [(0, "a", nodes, size), (0, "b", 1, size)][: draw(st.integers(1, 2))]
    counts = [1, 2, size, nodes * size]
    job = st.builds(
        Job, st.integers(0, 3), st.integers(0, 12).map(float), st.integers(1, 12).map(float)
    )
    jobs = draw(st.lists(job, min_size=6, max_size=25))
    return Case(
        network(pools),
        tuple(kind(k, count) for k, count in enumerate(counts)),
        (dict.fromkeys(MODELS, 1.0),) * 4,
        tuple(sorted(jobs, key=lambda job: job.submit)),
    )


@given(case=st.one_of(crowded(), cases(rates=(0.0, 1.0))))
def test_the_oldest_waiting_job_starts_no_later_than_promised(case: Case) -> None:
    """With exact estimates and one speed, nothing that starts in front of a job delays it."""
    promises = Promises()
    schedule = case.run(BACKFILL, case.state(guarded(BACKFILL, promises.note)))
    late = {
        row: (schedule.start_s[row], promised)
        for row, promised in promises.first.items()
        if schedule.start_s[row] > promised
    }
    assert late == {}


def train(count: int, gang: Job, size: int = 8, nodes: int = 1) -> Case:
    """Give a stream of one-accelerator jobs that alone keeps a pool just full, and a gang."""
    small = [Job(0, i * 8.0 / (size * nodes), 8.0) for i in range(count)]
    return Case(
        network([(0, "a", nodes, size)]),
        (kind(0, 1), kind(1, size * nodes)),
        (dict.fromkeys(MODELS, 1.0),) * 2,
        tuple(sorted([*small, gang], key=lambda job: job.submit)),
    )


@pytest.mark.parametrize("nodes", [1, 3])
def test_small_jobs_cannot_delay_a_large_gang_for_ever(nodes: int) -> None:
    """A gang as large as the pool starts within the run time of the jobs that were there."""
    case = train(400, Job(1, 20.0, 5.0), nodes=nodes)
    gang = next(row for row, job in enumerate(case.jobs) if job.kind == 1)
    assert case.run(BACKFILL).start_s[gang] <= 28.0


@given(factors=st.lists(st.floats(0.1, 10.0), min_size=20, max_size=20))
def test_wrong_estimates_do_not_starve_a_gang(factors: list[float]) -> None:
    """With estimates up to ten times too long, the gang waits for no more than what was there.

    That is until the longest estimate, 19 + 80 s, has run out, and for what started just then.
    """
    case = train(200, Job(1, 20.0, 5.0))
    jobs = tuple(
        Job(job.kind, job.submit, job.run, job.run * factors[row % len(factors)])
        for row, job in enumerate(case.jobs)
    )
    gang = next(row for row, job in enumerate(jobs) if job.kind == 1)
    schedule = Case(case.network, case.kinds, case.speeds, jobs).run(BACKFILL)
    assert schedule.start_s[gang] <= 107.0


def starts(jobs: list[Job], counts: list[int], nodes: int = 1, size: int = 4) -> list[float]:
    """Give the starts of jobs of kinds with these counts on one pool."""
    kinds = tuple(kind(k, count) for k, count in enumerate(counts))
    case = Case(network([(0, "a", nodes, size)]), kinds, ({"a": 1.0},) * len(kinds), tuple(jobs))
    return case.run(BACKFILL).start_s.tolist()


def test_a_short_job_starts_in_front_if_it_ends_in_time() -> None:
    """Three run until 10, a gang of four waits for it: one more may run until 10, not longer."""
    jobs = [Job(0, 0.0, 10.0), Job(1, 1.0, 5.0), Job(2, 2.0, 8.0), Job(2, 2.0, 8.5)]
    assert starts(jobs, [3, 4, 1]) == [0.0, 10.0, 2.0, 15.0]


def test_a_long_job_may_use_what_the_reservation_leaves_over() -> None:
    """Two of four run until 10, a gang of three waits for it: one is left over for anybody."""
    jobs = [Job(0, 0.0, 10.0), Job(1, 1.0, 5.0), Job(2, 2.0, 99.0), Job(2, 2.0, 99.0)]
    assert starts(jobs, [2, 3, 1]) == [0.0, 10.0, 2.0, 15.0]


def test_a_long_job_may_use_nodes_that_are_not_reserved() -> None:
    """The reservation is on the node that is free first; the other node is open to all."""
    jobs = [Job(0, 0.0, 10.0), Job(0, 0.0, 20.0), Job(1, 1.0, 5.0), Job(2, 2.0, 99.0)]
    assert starts(jobs, [3, 4, 1], nodes=2) == [0.0, 0.0, 10.0, 2.0]


@pytest.mark.parametrize(("quota", "other"), [("total", "b"), ("a", "a")])
def test_the_tenant_of_a_reservation_does_not_spend_its_quota_elsewhere(
    quota: str, other: str
) -> None:
    """A reserved gang finds its tenant's quota free when its nodes are."""
    case = Case(
        network(
            [(0, "a", 1, 4), (0, other, 1, 3)], [Tenant("t0", quotas={quota: 4}), Tenant("x")]
        ),
        (kind(0, 4, "x"), kind(1, 4), kind(2, 1)),
        ({"a": 1.0}, {"a": 1.0}, {other: 1.0}),
        (Job(0, 0.0, 10.0), Job(1, 1.0, 5.0), Job(2, 2.0, 8.0), Job(2, 2.0, 9.0)),
    )
    assert case.run(BACKFILL).start_s.tolist() == [0.0, 10.0, 2.0, 15.0]


def test_a_fast_reserved_pool_beats_a_slow_free_one_for_a_short_job() -> None:
    """A job that ends in time takes the fastest pool with room, reserved or not."""
    case = Case(
        network([(0, "a", 1, 4), (0, "b", 1, 4)]),
        (kind(0, 3), kind(1, 4), kind(2, 1)),
        ({"a": 1.0}, {"a": 1.0}, {"a": 1.0, "b": 0.5}),
        (Job(0, 0.0, 10.0), Job(1, 1.0, 5.0), Job(2, 2.0, 4.0)),
    )
    schedule = case.run(BACKFILL)
    assert schedule.start_s.tolist() == [0.0, 10.0, 2.0]
    assert schedule.pool.tolist() == [0, 0, 0]


@given(case=cases(quotas=False, rates=(0.0, 1.0)))
def test_backfill_fills_what_fifo_leaves_idle(case: Case) -> None:
    """The first job that `fifo` cannot start at once starts no later under `backfill`."""
    fifo, filled = case.run(FIFO).start_s, case.run(BACKFILL).start_s
    first = [r for r, job in enumerate(case.jobs) if fifo[r] > job.submit][:1]
    assert all(filled[row] <= fifo[row] for row in first)
