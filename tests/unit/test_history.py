"""What is learnt from ended jobs: groups, means, what is forgotten."""

from math import inf, isclose, log2, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tieline.control import history
from tieline.control.history import Estimate, History, Likeness, work_left
from tieline.model.job import DEFAULT_ESTIMATE_S

lengths = st.lists(st.floats(0, 1e9), min_size=1, max_size=300)


def job(name: str | None = None, size: int = 1, tenant: str = "lab", work: str = "w") -> Likeness:
    """Give what a job has in common with others."""
    return Likeness(tenant, name, work, size)


def test_the_closest_jobs_tell() -> None:
    """Same name and size, same name, same size, same tenant; other tenants tell nothing."""
    past = History()
    past.note(job("a", 1), 10.0)
    past.note(job("a", 2), 30.0)
    past.note(job("b", 4), 70.0)
    past.note(job("a", 4, "hub"), 999.0)
    asked = (job("a", 2), job("a", 8), job("c", 4), job(None, 4), job("c", 8))
    found = [past.estimate(one).work_s for one in asked]
    assert found == [30.0, 20.0, 70.0, 70.0, pytest.approx(110.0 / 3)]
    assert past.estimate(job("a", 1, "new")) == Estimate(DEFAULT_ESTIMATE_S, "default")


def test_unnamed_jobs_are_not_one_job() -> None:
    """Jobs without a name tell of others of their size and kind of work before the rest."""
    past = History()
    for size, work, length in ((1, "w", 10.0), (2, "w", 20.0), (1, "v", 30.0)):
        past.note(job(None, size, work=work), length)
    assert past.estimate(job(None, 1)) == Estimate(10.0, "history")
    assert past.estimate(job(None, 2)) == Estimate(20.0, "history")
    assert past.estimate(job(None, 1, work="v")) == Estimate(30.0, "history")
    assert past.estimate(job(None, 2, work="v")) == Estimate(20.0, "history")  # of all three


def test_what_the_user_says_stands() -> None:
    """A user's estimate is taken as it is, whatever history tells; nonsense says nothing."""
    past = History()
    past.note(job("a"), 10.0)
    assert past.estimate(job("a"), 500.0) == Estimate(500.0, "user")
    assert past.estimate(job("a"), 0.0) == Estimate(0.0, "user")
    for nothing in (None, nan, inf, -inf, -1.0):
        assert past.estimate(job("a"), nothing) == Estimate(10.0, "history")


def test_nothing_known_is_an_hour() -> None:
    """Where nobody says anything and nothing has ended, the estimate is the default."""
    assert History().estimate(job("a")) == Estimate(DEFAULT_ESTIMATE_S, "default")


@given(lengths)
def test_a_mean_lies_among_what_was_noted(found: list[float]) -> None:
    """The estimate of a group lies between its shortest and its longest job."""
    past = History()
    for length in found:
        past.note(job(), length)
    slack = 1e-9 * max(found)
    assert min(found) - slack <= past.estimate(job()).work_s <= max(found) + slack


def test_the_latest_jobs_count() -> None:
    """Few jobs count alike; when the work of a group has changed, its estimate follows."""
    past = History()
    for length in (1.0, 2.0, 6.0):
        past.note(job(), length)
    assert isclose(past.estimate(job()).work_s, 3.0)
    for _ in range(10 * history.LATEST):
        past.note(job(), 1000.0)
    assert isclose(past.estimate(job()).work_s, 1000.0, rel_tol=1e-3)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit the group that has heard of no end for the longest time is forgotten."""
    monkeypatch.setattr(history, "MOST_GROUPS", 4)  # three sizes and the tenant
    past = History()
    for size in (1, 2, 3, 1, 4):
        past.note(job(size=size), float(size))
    known = [past.estimate(job(size=size)).work_s for size in (1, 2, 3, 4)]
    assert known == [1.0, pytest.approx(11.0 / 5), 3.0, 4.0]  # of size 2: the tenant's mean


@given(st.floats(0, 1e9), st.floats(0, 1e9))
@example(3600.0, 3600.0)
@example(0.0, 0.0)
def test_an_outlived_estimate_doubles(estimate_s: float, done_s: float) -> None:
    """What is left is above 0; what is left and done is the estimate, doubled if need be."""
    left = work_left(estimate_s, done_s)
    assert left > 0
    doubled = log2((left + done_s) / max(1.0, estimate_s))
    assert isclose(doubled, round(doubled), abs_tol=1e-6)
    assert left <= max(1.0, estimate_s, done_s) * (1 + 1e-9)
