"""Ratios drawn from ended jobs: from jobs of like estimates, and never from what cannot be."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tieline.simulation.ratios import EXACT, Ratios, ratios_of

pairs = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0.01, 100)), min_size=20, max_size=300)


@given(pairs, st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.integers(0, 9))
def test_a_ratio_is_one_that_was_seen_on_a_like_job(
    seen: list[tuple[float, float]], works: list[float], seed: int
) -> None:
    """Whatever is drawn was seen, on one of the jobs whose estimates are nearest in rank."""
    work, ratio = np.array(seen).T
    drawn = ratios_of(work, ratio).draw(np.array(works), np.random.default_rng(seed))
    ranks = np.argsort(work, kind="stable")
    for asked, found in zip(works, drawn, strict=True):
        where = np.flatnonzero(ratio[ranks] == found)
        assert len(where)
        rank = np.searchsorted(work[ranks], asked)
        assert abs(where - rank).min() <= 64


@given(pairs, st.lists(st.floats(0, 200), min_size=1, max_size=20), st.integers(0, 9))
def test_a_running_job_has_not_ended_yet(
    seen: list[tuple[float, float]], elapsed: list[float], seed: int
) -> None:
    """Nothing shorter than what has passed is drawn; nan only where all like it were shorter."""
    work, ratio = np.array(seen).T
    past = np.array(elapsed)
    luck = np.random.default_rng(seed).random(len(past))
    drawn = Ratios(work, ratio).draw_beyond(np.full(len(past), 50.0), past, luck)
    known = ~np.isnan(drawn)
    assert (drawn[known] >= past[known] * (1 - 1e-9)).all()
    assert (past[~known] > ratio.min()).all()
    assert known[past <= ratio.min()].all()


def test_without_history_a_factor_is_assumed() -> None:
    """With too few ended jobs, four in five drawn ratios lie within the factor that is stated."""
    assumed = ratios_of(np.ones(3), np.full(3, 9.0))
    drawn = assumed.draw(np.ones(10_000), np.random.default_rng(0))
    assert 0.75 < np.mean((drawn >= 0.5) & (drawn <= 2)) < 0.85
    assert EXACT.draw(np.array([5.0]), np.random.default_rng(0)).tolist() == [1.0]
