"""Rates under any specification."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.model.accelerator import FIGURES, Accelerator, Figure
from tieline.model.catalogue import catalogue
from tieline.model.class_rates import roofline
from tieline.model.rates import RateBook
from tieline.model.workload import WORKLOAD_CLASSES, Workload

VALUES = st.floats(min_value=1e-3, max_value=1e6)
FIGURE_SETS = st.dictionaries(st.sampled_from(list(FIGURES)), VALUES)
CLASSES = st.sampled_from(WORKLOAD_CLASSES)
IDS = st.sampled_from(list(catalogue()))


def chip(figures: dict[str, float]) -> Accelerator:
    """Give an accelerator with these figures."""
    return Accelerator(
        id="own",
        name="own",
        vendor="own",
        origin="CN",
        stack="cuda",
        figures={
            name: Figure(value, FIGURES[name][0], "drawn", "2026", "low")
            for name, value in figures.items()
        },
    )


@given(figures=FIGURE_SETS, name=st.data(), factor=st.floats(1.0, 100.0), kind=CLASSES)
def test_a_better_specification_never_lowers_the_roofline(
    figures: dict[str, float], name: st.DataObject, factor: float, kind: str
) -> None:
    """Raising one figure and leaving the rest never makes an accelerator slower."""
    before = roofline(chip(figures), kind)
    if before is None:
        return
    raised = name.draw(st.sampled_from(sorted(figures)))
    after = roofline(chip({**figures, raised: figures[raised] * factor}), kind)
    assert after is not None
    assert after.value >= before.value


@given(figures=FIGURE_SETS, factor=st.floats(0.01, 100.0), kind=CLASSES)
def test_the_roofline_grows_in_proportion(
    figures: dict[str, float], factor: float, kind: str
) -> None:
    """Twice every figure is twice the rate."""
    before = roofline(chip(figures), kind)
    after = roofline(chip({name: value * factor for name, value in figures.items()}), kind)
    assert (before is None) == (after is None)
    if before is not None and after is not None:
        assert after.value == pytest.approx(before.value * factor)


@given(figures=FIGURE_SETS, kind=CLASSES, base=IDS)
def test_any_accelerator_has_a_sound_rate(figures: dict[str, float], kind: str, base: str) -> None:
    """Whatever is known of an accelerator, its rate is positive, finite and in its range."""
    book = RateBook({**catalogue(), "own": chip(figures)}, relative_to=base)
    rate = book.rate(Workload(kind), "own", 1)
    assert 0 < rate.value < math.inf
    assert (rate.low or rate.value) <= rate.value <= (rate.high or rate.value)


@given(one=IDS, other=IDS, kind=CLASSES)
def test_the_rate_of_one_to_the_other_is_the_inverse_of_the_other_way(
    one: str, other: str, kind: str
) -> None:
    """If a job is twice as fast here as there, it is half as fast there as here."""
    workload = Workload(kind)
    there = RateBook(catalogue(), relative_to=one).rate(workload, other, 1).value
    back = RateBook(catalogue(), relative_to=other).rate(workload, one, 1).value
    assert there * back == pytest.approx(1.0)
