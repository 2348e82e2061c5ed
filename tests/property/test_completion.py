"""Completion under any table: what is known stays, what nothing connects stays unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tieline.model.completion import complete

Array = NDArray[np.float64]


@st.composite
def tables(draw: st.DrawFn) -> Array:
    """Draw tables of logarithms with gaps, of any shape down to nothing."""
    rows, columns = draw(st.integers(0, 7)), draw(st.integers(1, 5))
    entry = st.none() | st.floats(-5, 5)
    values = draw(st.lists(entry, min_size=rows * columns, max_size=rows * columns))
    return np.array([np.nan if v is None else v for v in values], float).reshape(rows, columns)


def reached(known: Array) -> NDArray[np.bool_]:
    """Tell which entries a chain of known ones leads to, by walking: twin of the code."""
    mask = ~np.isnan(known)
    result = np.zeros_like(mask)
    for start in range(len(mask)):
        rows, columns = {start}, set[int]()
        while True:
            more = {c for r in rows for c in np.flatnonzero(mask[r]).tolist()}
            others = {r for c in more for r in np.flatnonzero(mask[:, c]).tolist()} | rows
            if (rows, columns) == (others, more):
                break
            rows, columns = others, more
        result[start, sorted(columns)] = True
    return result


@given(known=tables())
def test_known_entries_stay_and_others_are_filled_where_a_chain_leads(known: Array) -> None:
    """No known entry changes; a gap is filled exactly where known entries connect it."""
    values, spread = complete(known)
    assert np.array_equal(values[~np.isnan(known)], known[~np.isnan(known)])
    assert np.array_equal(~np.isnan(values), reached(known))
    assert 0 < spread < np.inf


@given(known=tables(), row=st.floats(-3, 3), column=st.floats(-3, 3))
def test_units_do_not_matter(known: Array, row: float, column: float) -> None:
    """Measuring a row or a column in another unit changes its filled entries by that unit."""
    before = complete(known)
    shift = np.zeros_like(known)
    shift[:1] += row
    shift[:, 0] += column
    after = complete(known + shift)
    np.testing.assert_allclose(after.values - shift, before.values, atol=1e-2)


@given(
    rows=st.lists(st.floats(-3, 3), min_size=2, max_size=8),
    columns=st.lists(st.floats(-3, 3), min_size=2, max_size=5),
    gap=st.data(),
)
def test_rows_and_columns_that_do_not_interact_are_found_exactly(
    rows: list[float], columns: list[float], gap: st.DataObject
) -> None:
    """Where every workload gains alike from an accelerator, one gap is filled exactly."""
    truth = np.add.outer(rows, columns)
    i = gap.draw(st.integers(0, len(rows) - 1))
    j = gap.draw(st.integers(0, len(columns) - 1))
    known = truth.copy()
    known[i, j] = np.nan
    assert complete(known).values[i, j] == pytest.approx(truth[i, j], abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_interactions_are_found(seed: int) -> None:
    """Workloads that like one kind of accelerator are told from those that like the other."""
    chance = np.random.default_rng(seed)
    taste = chance.choice([-1.0, 1.0], 40)
    truth = np.outer(taste, [1, 1, 1, -1, -1, -1]) + chance.normal(0, 0.05, (40, 6))
    known = truth.copy()
    gaps = [(row, int(chance.integers(6))) for row in range(40)]
    for gap in gaps:
        known[gap] = np.nan
    values, spread = complete(known)
    errors = [abs(values[gap] - truth[gap]) for gap in gaps]
    assert np.median(errors) < 0.15
    assert np.mean([error <= spread for error in errors]) > 0.6
