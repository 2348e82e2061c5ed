"""One cycle after the other: what happened goes in, what to start comes out."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from numba.core import event

from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.model.errors import InputError
from tieline.model.network import Dataset, Network, Tenant
from tieline.model.snapshot import Snapshot
from tieline.scheduling.policies.fifo import FIFO
from tieline.scheduling.policy import Decision, Policy
from tieline.scheduling.registry import POLICIES
from tieline.scheduling.room import Plan, new_plan
from tieline.simulation.driver import simulate
from twins.cases import MODELS, Case, Job, kind, network, one_kind
from twins.decisions import guarded
from twins.invariants import check_state

every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())


def rows(given: Iterable[int]) -> np.ndarray:
    """Give job rows as observations hold them."""
    return np.array([*given], np.int64)


def seen(**what: Iterable[int]) -> Observations:
    """Give observations from plain lists."""
    return Observations(**{name: rows(given) for name, given in what.items()})


def cycle(state: State, now: float = 0.0, **what: Iterable[int]) -> list[tuple[int, int]]:
    """Run a cycle; give (row, pool) of what was started."""
    actions, after, _ = run_cycle(state, seen(**what), now)
    assert after is state
    check_state(state)
    return list(zip(actions.rows.tolist(), actions.pools.tolist(), strict=True))


def waiting(state: State) -> list[int]:
    """Give the rows in the queue."""
    return np.flatnonzero(state.snapshot.jobs["waiting"]).tolist()


def line(jobs: int, capacity: int = 2) -> Case:
    """Give equal one-accelerator jobs for a small pool."""
    return one_kind([(0, "a", 1, capacity)], 1, [Job(0, 0.0, 10.0 + r % 3) for r in range(jobs)])


# ------------------------------------------------------------------- plan, then verify
def outdated(placements: list[tuple[int, int, int]]) -> Policy:
    """Give a policy that always plans (job, pool, node), whatever has happened since."""

    def decide(s: Snapshot, plan: Plan, _now: float) -> Decision:
        for i, (row, p, node) in enumerate(placements):
            plan.placements[i] = (row, s.jobs[row]["kind"], p, i, i + 1)
            plan.seats[i] = (node, 1)
        plan.size[0] = len(placements)
        return Decision(plan, 0.0, 0.0, None)

    return replace(FIFO, decide=decide)


def test_a_plan_made_on_an_older_state_is_checked_again() -> None:
    """Placements that are no longer possible are refused, and their jobs go on waiting."""
    state = line(4).state(FIFO)
    assert cycle(state, submitted=[0, 1, 2, 3]) == [(0, 0), (1, 0)]
    state.policy, state.plan = outdated([(0, 0, 0), (2, 0, 0), (3, 0, 0)]), new_plan(8)
    assert cycle(state, 1.0) == []  # nothing is free any more
    assert waiting(state) == [2, 3]
    assert cycle(state, 2.0, ended=[1]) == [(2, 0)]  # room for one: the second is refused
    assert waiting(state) == [3]
    state.policy = FIFO
    assert cycle(state, 3.0, ended=[0]) == [(3, 0)]


def test_the_decision_holds_what_was_started() -> None:
    """After the cycle the plan has no refused placement in it."""
    state = line(4).state(outdated([(0, 0, 0), (0, 0, 0), (1, 0, 5), (1, 0, 0), (2, 0, 0)]))
    state.plan = new_plan(8)
    _, _, decision = run_cycle(state, seen(submitted=[0, 1, 2]), 0.0)
    assert decision.plan.size[0] == 2
    assert decision.plan.placements["row"][:2].tolist() == [0, 1]


# ------------------------------------------------------------------------ observations
@every_policy
def test_a_closed_pool_gets_no_new_work(policy: Policy) -> None:
    """What runs there goes on; what waits stays until it opens again."""
    state = line(4).state(policy)
    assert cycle(state, submitted=[0]) == [(0, 0)]
    assert cycle(state, 1.0, closed=[0], submitted=[1]) == []
    assert state.snapshot.jobs[0]["pool"] == 0
    assert cycle(state, 2.0, ended=[0], submitted=[2]) == []
    assert [row for row, _ in cycle(state, 3.0, opened=[0])] == [1, 2]


@every_policy
def test_nothing_starts_on_what_is_withheld(policy: Policy) -> None:
    """A pool of three nodes without one of them holds two gangs of a node; given back, three."""
    state = one_kind([(0, "a", 3, 4)], 4, [Job(0, 0.0, 5.0)] * 4).state(policy)
    assert len(cycle(state, submitted=range(4), resized=[0], withheld=[4])) == 2
    assert state.snapshot.pools["free"][0] == 0
    assert cycle(state, 1.0) == []
    assert len(cycle(state, 2.0, resized=[0], withheld=[0])) == 1


@every_policy
def test_what_jobs_hold_is_withheld_when_they_end(policy: Policy) -> None:
    """More is withheld than is free: what is released goes out of use, and nothing starts."""
    state = one_kind([(0, "a", 2, 4)], 4, [Job(0, 0.0, 5.0)] * 4).state(policy)
    (one, _), (other, _) = cycle(state, submitted=range(4))
    assert cycle(state, 1.0, resized=[0], withheld=[5]) == []
    assert state.snapshot.pools["free"][0] == -5
    assert cycle(state, 2.0, ended=[one]) == []
    assert cycle(state, 3.0, ended=[other]) == []
    assert state.snapshot.pools["free"][0] == 3
    assert len(cycle(state, 4.0, resized=[0], withheld=[4])) == 1


def test_a_fork_withholds_on_its_own() -> None:
    """What a copy of the state withholds changes nothing in the state it was made from."""
    state = one_kind([(0, "a", 2, 4)], 4, [Job(0, 0.0, 5.0)] * 2).state(FIFO)
    cycle(state, resized=[0], withheld=[3])
    fork, _ = state.fork()
    fork.withhold({0: 8})
    check_state(state)
    check_state(fork)
    assert (state.snapshot.pools["free"][0], fork.snapshot.pools["free"][0]) == (5, 0)


@every_policy
def test_a_job_that_runs_again_has_its_old_place(policy: Policy) -> None:
    """Ended and submitted at once, it stands where it stood: in front of younger equals."""
    case = one_kind([(0, "a", 1, 1)], 1, [Job(0, 0.0, 5.0)] * 4)
    state = case.state(policy)
    assert cycle(state, submitted=[0, 1, 2]) == [(0, 0)]
    assert cycle(state, 1.0, ended=[0], submitted=[3, 0]) == [(0, 0)]
    assert waiting(state) == [1, 2, 3]


@every_policy
@pytest.mark.parametrize("many", [3, 400])
def test_a_cancelled_job_never_starts(policy: Policy, many: int) -> None:
    """Withdrawn from the queue, or in the very cycle in which it came, alone or in bulk."""
    state = line(many, capacity=1).state(policy)
    cycle(state, submitted=range(many - 1), withdrawn=[0, 2])
    assert 0 not in state.snapshot.running[: state.snapshot.n_running[0]]
    cycle(state, 1.0, submitted=[many - 1], withdrawn=range(many))
    assert waiting(state) == []
    (runs,) = state.snapshot.running[: state.snapshot.n_running[0]].tolist()
    assert cycle(state, 2.0, ended=[runs]) == []


@every_policy
def test_what_cannot_be_is_passed_over(policy: Policy) -> None:
    """Ends of jobs that do not run, and submissions of jobs that wait or run, change nothing."""
    state = line(4).state(policy)
    started = [row for row, _ in cycle(state, submitted=[0, 0, 1, 2, 2])]
    left = waiting(state)
    assert sorted([*started, *left]) == [0, 1, 2]
    assert cycle(state, 1.0, submitted=[0, 1, 2], withdrawn=started, ended=[3, *left]) == []
    assert waiting(state) == left
    assert cycle(state, 2.0, ended=[started[0]] * 3) == [(left[0], 0)]


@pytest.mark.parametrize("what", ["ended", "submitted", "withdrawn"])
@pytest.mark.parametrize("row", [-1, 4, 10**12])
@pytest.mark.parametrize("copies", [1, 300])
def test_an_unknown_row_is_refused(what: str, row: int, copies: int) -> None:
    """A row that was never added is an error of the caller, and nothing is changed by it."""
    state = line(4).state(FIFO)
    cycle(state, submitted=[0, 1, 2])
    with pytest.raises(InputError, match=r"outside 0\.\.3"):
        cycle(state, 1.0, **{"ended": [0], what: [row] * copies})
    assert state.snapshot.n_running[0] == 2
    check_state(state)


def test_every_form_of_row_is_taken_without_compiling_anew() -> None:
    """Narrow, strided and read-only rows and whole-number times reach the same machine code."""
    state = line(8).state(FIFO)
    cycle(state, submitted=[0, 1, 2])
    cycle(state, 1.0, ended=[0], withdrawn=[2])
    frozen = rows([3, 4])
    frozen.flags.writeable = False
    with event.install_recorder("numba:compile") as compiled:
        run_cycle(state, Observations(submitted=frozen, ended=rows([1]).astype(np.int32)), 2)
        run_cycle(state, Observations(submitted=rows(range(8))[5::2]), np.float64(3.0))
        run_cycle(state, Observations(withdrawn=rows([5]).astype(np.uint8)), np.int64(4))
    assert compiled.buffer == []
    check_state(state)
    assert waiting(state) == [7]


@every_policy
def test_ten_thousand_at_once_are_ten_thousand_one_by_one(policy: Policy) -> None:
    """A bulk of submissions leaves the queue, and the next decision, as single ones do."""
    rng = np.random.default_rng(7)
    many = 10_000
    jobs = [Job(int(rng.integers(3)), 0.0, float(rng.integers(1, 50))) for _ in range(many)]
    kinds = (kind(0, 1), kind(1, 2), kind(2, 4))
    case = Case(network([(0, "a", 8, 4)]), kinds, (dict.fromkeys(MODELS, 1.0),) * 3, tuple(jobs))
    bulk, single = case.state(policy), case.state(policy)
    for state in (bulk, single):
        cycle(state, closed=[0])
    run_cycle(bulk, seen(submitted=rng.permutation(many)), 0.0)
    for row in range(many):
        run_cycle(single, seen(submitted=[row]), 0.0)
    queues = [
        [state.snapshot.queue[k["start"] : k["end"]].tolist() for k in state.snapshot.kinds[:3]]
        for state in (bulk, single)
    ]
    assert queues[0] == queues[1]
    starts = [
        [a.tolist() for a in (done.rows, done.pools)]
        for done, _, _ in (run_cycle(state, seen(opened=[0]), 1.0) for state in (bulk, single))
    ]
    assert starts[0] == starts[1]
    assert starts[0][0]


# --------------------------------------------------------------------------- extremes
@every_policy
@pytest.mark.timeout(60)
def test_two_hundred_thousand_equal_jobs_do_not_hang_a_small_pool(policy: Policy) -> None:
    """A cycle costs what it starts, not what waits: a handful of them takes no time."""
    many = 200_000
    state = Case(
        network([(0, "a", 1, 4), (1, "b", 2, 2)], [Tenant("t0", home="s0")]),
        (kind(0, 1), kind(1, 4)),
        ({"a": 1.0, "b": 0.5}, {"a": 1.0, "b": 0.5}),
    ).state(policy)
    state.add(np.arange(many, dtype=np.int32) % 2, np.full(many, 60.0), np.zeros(many))
    actions, _, _ = run_cycle(state, seen(submitted=range(many)), 0.0)
    for now in range(5):
        assert len(actions.rows)
        actions, _, _ = run_cycle(state, Observations(ended=actions.rows), float(now))
    assert state.snapshot.n_running[0] == len(actions.rows)


@every_policy
def test_a_job_of_a_million_accelerators(policy: Policy) -> None:
    """It never runs where there are fewer, keeps nobody waiting, and runs where it just fits."""
    small = one_kind([(0, "a", 2, 8)], 10**6, [Job(0, 0.0, 1.0)])
    small = replace(
        small,
        kinds=(*small.kinds, kind(1, 16)),
        speeds=small.speeds * 2,
        jobs=(*small.jobs, Job(1, 0.0, 1.0)),
    )
    assert np.isfinite(small.run(policy).start_s).tolist() == [False, True]
    large = one_kind([(0, "a", 125_000, 8)], 10**6, [Job(0, 0.0, 1.0), Job(0, 0.0, 1.0)])
    assert large.run(policy).start_s.tolist() == [0.0, 1.0]


@every_policy
def test_jobs_of_no_duration_come_and_go_at_once(policy: Policy) -> None:
    """They start, end and make room at one instant, however many there are."""
    case = one_kind([(0, "a", 1, 2)], 1, [Job(0, 5.0, 0.0)] * 50 + [Job(0, 5.0, 1.0)])
    schedule = case.run(policy)
    assert set(schedule.end_s.tolist()) == {5.0, 6.0}


@pytest.mark.parametrize("count", [0, -1, 2**31])
def test_a_gang_that_cannot_be_is_refused(count: int) -> None:
    """A kind of job has at least one accelerator, and no more than can be counted."""
    state = line(1).state(FIFO)
    with pytest.raises(InputError, match=f"asks for {count} accelerators"):
        state.intern(kind(7, count))
    assert len(state.kinds) == 1
    assert cycle(state, submitted=[0]) == [(0, 0)]


def test_an_unknown_dataset_is_refused() -> None:
    """A kind whose data is nowhere cannot be taken in; the message says what to do."""
    state = line(1).state(FIFO)
    with pytest.raises(InputError, match="dataset gone, which the network does not have"):
        state.intern(kind(7, 1, datasets=("gone",)))
    assert len(state.kinds) == 1


@pytest.mark.parametrize("speed", [np.nan, np.inf, -1.0])
def test_a_rate_that_is_no_number_is_refused(speed: float) -> None:
    """A rate is finite and not negative, or the kind is not taken in."""
    case = Case(network([(0, "a", 1, 2)]), (kind(0, 1),), ({"a": speed},))
    with pytest.raises(InputError, match="on 1 x a has speed"):
        case.state(FIFO)


@pytest.mark.parametrize(
    ("kinds", "work", "submitted"),
    [
        ([1], [1.0], [0.0]),
        ([-1], [1.0], [0.0]),
        ([0], [np.nan], [0.0]),
        ([0], [np.inf], [0.0]),
        ([0], [-1.0], [0.0]),
        ([0], [1.0], [np.nan]),
    ],
)
def test_a_job_that_cannot_be_is_refused(
    kinds: list[int], work: list[float], submitted: list[float]
) -> None:
    """A known kind, work of 0 or more, a finite time: otherwise no job of the call is taken in."""
    state = line(1).state(FIFO)
    with pytest.raises(InputError, match="job 1 of 2"):
        state.add(
            np.array([0, *kinds], np.int32), np.array([1.0, *work]), np.array([0.0, *submitted])
        )
    assert state.n_jobs == 1


def test_a_network_without_pools_is_refused() -> None:
    """There is nothing to schedule on."""
    empty = Case(Network("none", (), (), datasets=(Dataset("d", 1.0),)), (), ())
    with pytest.raises(InputError, match="network none has no pool"):
        empty.state(FIFO)


@pytest.mark.parametrize(
    ("submit", "run", "message"),
    [
        ([1.0, 0.0], [1.0, 1.0], "ascending order"),
        ([0.0, np.nan], [1.0, 1.0], "ascending order"),
        ([0.0, 1.0], [1.0, np.nan], "job 1 runs nan s"),
        ([0.0, 1.0], [-1.0, 1.0], "job 0 runs -1"),
        ([0.0, 1.0], [1.0, 1e308], "job 1 runs 1e"),
    ],
)
def test_a_replay_refuses_times_that_cannot_be(
    submit: list[float], run: list[float], message: str
) -> None:
    """Submissions are in order and finite; run times finite and not negative, on every pool."""
    case = one_kind([(0, "a", 1, 2)], 1, [Job(0, 0.0, 1.0)] * 2)
    state = replace(case, speeds=({"a": 1e-3},)).state(FIFO)
    with pytest.raises(InputError, match=message):
        simulate(state, np.array(submit), np.array(run), np.ones(2, np.bool_))


# ------------------------------------------------------------------------ any order
class Loop(RuleBasedStateMachine):
    """Any row of observations, sensible or not, under any policy."""

    @initialize(name=st.sampled_from(sorted(POLICIES)))
    def begin(self, name: str) -> None:
        """Begin empty; every decision is checked as it is made."""
        self.now, self.n = 0.0, 0
        case = Case(
            network(
                [(0, "a", 2, 4), (0, "b", 1, 3), (1, "c", 2, 2)],
                [Tenant("t0", home="s0"), Tenant("t1", home="s1", quotas={"total": 5})],
            ),
            (kind(0, 1), kind(1, 2, "t1"), kind(2, 5), kind(3, 4, "t1")),
            ({"a": 1.0, "c": 2.0}, {"a": 0.5, "c": 1.0}, {"a": 1.0}, {"b": 1.0, "c": 1.0}),
        )
        self.state = case.state(guarded(POLICIES[name]))
        self.running: set[int] = set()
        self.waiting: set[int] = set()

    @rule(
        new=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=6),
        data=st.data(),
        opened=st.sets(st.integers(0, 2), max_size=1),
        closed=st.sets(st.integers(0, 2), max_size=1),
    )
    def step(
        self,
        new: list[tuple[int, int]],
        data: st.DataObject,
        opened: set[int],
        closed: set[int],
    ) -> None:
        """Some jobs come, some end, some are cancelled, some run again; pools open and close."""
        self.now += 1.0
        first = self.state.add(
            np.array([k for k, _ in new], np.int32),
            np.array([float(work) for _, work in new]),
            np.full(len(new), self.now),
        )
        fresh = [*range(first, first + len(new))]
        self.n = first + len(new)
        some = st.lists(st.integers(0, self.n - 1), max_size=4) if self.n else st.just([])
        ended, again, withdrawn = (data.draw(some) for _ in range(3))
        started = cycle(
            self.state,
            self.now,
            ended=ended,
            submitted=[*fresh, *again],
            withdrawn=withdrawn,
            opened=opened,
            closed=closed,
        )
        self.running -= set(ended)
        self.waiting |= {*fresh, *again} - self.running
        self.waiting -= set(withdrawn)
        assert {row for row, _ in started} <= self.waiting
        self.waiting -= {row for row, _ in started}
        self.running |= {row for row, _ in started}
        assert waiting(self.state) == sorted(self.waiting)
        s = self.state.snapshot
        assert {*s.running[: int(s.n_running[0])].tolist()} == self.running


TestLoop = Loop.TestCase
TestLoop.settings = settings(stateful_step_count=20)
