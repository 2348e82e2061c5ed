"""Wrong estimates, under every policy: no rule is broken, every job runs, luck is fair."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.control.history import LATEST
from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.model.errors import InputError
from tieline.model.job import DEFAULT_ESTIMATE_S
from tieline.model.trace import Trace
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import POLICIES, policy_named
from tieline.simulation.conditions import Conditions
from tieline.simulation.driver import Schedule, simulate
from tieline.simulation.estimates import Estimates
from tieline.simulation.replay import first_jobs, replay
from tieline.simulation.scaling import scaled
from tieline.traces.registry import read_trace
from twins.cases import Case, Job, cases, one_kind
from twins.decisions import guarded
from twins.invariants import check_state

ROOT = Path(__file__).parents[2]

every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
wrong = st.sampled_from(
    [
        Conditions(error=10.0),
        Conditions(error=10.0, missing=0.5, seed=1),
        Conditions(missing=0.5),
        Conditions("user", error=10.0),
        Conditions("history", error=10.0, seed=2),
        Conditions("default"),
    ]
)


def trace_of(case: Case) -> Trace:
    """Give the jobs of a case as a trace; some users say something, some jobs have a name."""
    rows = np.arange(len(case.jobs))
    run = np.array([job.run for job in case.jobs])
    return Trace(
        name="case",
        submit_s=case.submit,
        duration_s=run,
        count=np.array([case.kinds[job.kind].count for job in case.jobs], np.int32),
        tenant=np.array([job.kind for job in case.jobs], np.int32),
        workload=np.zeros(len(rows), np.int32),
        tenants=tuple(kind.tenant for kind in case.kinds),
        workloads=(case.kinds[0].workload,),
        estimate_s=np.where(rows % 3, 2.0 * run, np.nan),
        label=(rows % 4 - 1).astype(np.int32),
    )


def run(
    case: Case, policy: Policy, conditions: Conditions, *, check: bool = False
) -> tuple[Schedule, np.ndarray]:
    """Run a case with the estimates of the conditions; give the schedule and the estimates."""
    state = case.state(policy)
    trace = trace_of(case)
    schedule = simulate(
        state,
        case.submit,
        trace.duration_s,
        np.ones(len(trace), np.bool_),
        watch=(lambda _now, _decision: check_state(state)) if check else None,
        estimator=Estimates(state, trace, conditions),
    )
    return schedule, state.snapshot.jobs["work"][: len(trace)].copy()


# ------------------------------------------------------------------------------- safety
@every_policy
@given(case=cases(), conditions=wrong)
def test_no_rule_is_ever_broken(policy: Policy, case: Case, conditions: Conditions) -> None:
    """Never more than capacity or quota and nothing ineligible, however wrong the estimates."""
    run(case, guarded(policy), conditions, check=True)


# ----------------------------------------------------------------------------- progress
@every_policy
@given(case=cases(), conditions=wrong)
def test_wrong_estimates_keep_no_job_out(
    policy: Policy, case: Case, conditions: Conditions
) -> None:
    """The jobs that run in the end are those that run with exact estimates."""
    schedule, _ = run(case, policy, conditions)
    assert np.array_equal(np.isfinite(schedule.end_s), np.isfinite(case.run(policy).end_s))


# ---------------------------------------------------------------------------- fair luck
@given(case=cases(), error=st.sampled_from([1.0, 3.0, 10.0]), seed=st.integers(0, 9))
def test_errors_are_the_same_for_every_policy(case: Case, error: float, seed: int) -> None:
    """The estimate of a row is its run time times a factor in range, whoever schedules."""
    found = [
        run(case, policy_named(name), Conditions(error=error, seed=seed))[1]
        for name in ("fifo", "price")
    ]
    assert np.array_equal(*found)
    exact = np.array([job.run for job in case.jobs])
    assert (found[0] >= exact / error * (1 - 1e-12)).all()
    assert (found[0] <= exact * error * (1 + 1e-12)).all()


def test_luck_depends_on_row_and_seed_alone() -> None:
    """A longer trace gives its first jobs the same errors; another seed gives others."""
    jobs = [Job(0, float(i), 10.0) for i in range(200)]
    case, cut = (one_kind([(0, "a", 1, 4)], 1, part) for part in (jobs, jobs[:50]))
    fifo = policy_named("fifo")
    work = run(case, fifo, Conditions(error=10.0, missing=0.3))[1]
    assert np.array_equal(run(cut, fifo, Conditions(error=10.0, missing=0.3))[1], work[:50])
    assert not np.array_equal(run(case, fifo, Conditions(error=10.0, seed=1))[1], work)
    factors = np.log10(run(case, fifo, Conditions(error=10.0))[1] / 10.0)
    assert abs(factors.mean()) < 0.15  # of 200 uniform draws from [-1, 1]: 3.6 sigma
    assert factors.min() < -0.9 < 0.9 < factors.max()


# ------------------------------------------------------------------- what history knows
@given(case=cases(rates=(0.5, 1.0)))
def test_history_knows_what_has_ended_and_no_more(case: Case) -> None:
    """An estimate is the mean over the ends up to the submission, in the closest group."""
    schedule, work = run(case, policy_named("price"), Conditions("history"))
    trace = trace_of(case)
    assert trace.label is not None
    # Up to so many jobs a group gives the plain mean of all of them.
    for row, submitted in enumerate(case.submit):
        ended = np.flatnonzero(schedule.end_s <= submitted)
        ended = ended[ended != row]
        own = ended[trace.tenant[ended] == trace.tenant[row]]
        named = own[(trace.label[own] == trace.label[row]) & (trace.label[row] >= 0)]
        sized = named[trace.count[named] == trace.count[row]]
        wide = own[trace.count[own] == trace.count[row]]
        group = next((one for one in (sized, named, wide, own) if len(one)), None)
        expected = DEFAULT_ESTIMATE_S if group is None else trace.duration_s[group].mean()
        forgets = group is not None and len(group) > LATEST
        if not forgets and not (schedule.end_s[ended] == submitted).any():
            assert work[row] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_users_without_a_word_are_refused() -> None:
    """Asking for the users' estimates of a trace that has none gets one clear line."""
    case = one_kind([(0, "a", 1, 1)], 1, [Job(0, 0.0, 1.0)])
    trace = trace_of(case)
    silent = Trace(
        **{  # type: ignore[arg-type]  # the fields it has
            name: getattr(trace, name)
            for name in ("submit_s", "duration_s", "count", "tenant", "workload", "tenants")
        },
        name="quiet",
        workloads=trace.workloads,
    )
    with pytest.raises(InputError, match=r"trace quiet: it does not say how long users expected"):
        Estimates(case.state(policy_named("fifo")), silent, Conditions("user"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"estimates": "guess"}, "estimates: found 'guess', allowed are exact, user, history"),
        ({"error": 0.5}, "error: found 0.5, allowed is a factor from 1 to 1,000,000"),
        ({"error": float("nan")}, "error: found nan, allowed"),
        ({"missing": 1.5}, "missing: found 1.5, allowed is a share from 0 to 1"),
        ({"missing": float("nan")}, "missing: found nan, allowed"),
        ({"seed": -1}, "seed: found -1, allowed is 0 or more"),
    ],
)
def test_conditions_that_make_no_sense_are_refused(wrong: dict[str, object], words: str) -> None:
    """A value out of range is named with what is allowed."""
    with pytest.raises(InputError, match=words):
        Conditions(**wrong)  # type: ignore[arg-type]


# ----------------------------------------------------------- degrades, does not collapse
def test_price_with_wrong_estimates_beats_fifo_with_exact_ones(traces: Path) -> None:
    """On a part of Venus, estimates off by ten or missing cost `price` less than having none."""
    base = read_network(ROOT / "examples/networks/venus.yaml")
    chips = {**catalogue(), **{one.id: one for one in base.accelerators}}
    trace = first_jobs(read_trace(traces / "helios_venus_jobs/helios_trace.csv.zst"), 6_000)

    def mean_jct_s(policy: str, conditions: Conditions | None = None) -> float:
        network = scaled(base, 0.4)
        done = replay(network, trace, policy_named(policy), chips, conditions=conditions)
        assert done.ran.all()
        return float(done.jct_s.mean())

    fifo = mean_jct_s("fifo")
    assert fifo > 1.5 * mean_jct_s("price")  # jobs wait, and the order matters
    for conditions in (Conditions(error=10.0), Conditions("history"), Conditions(missing=0.5)):
        assert mean_jct_s("price", conditions) <= fifo
