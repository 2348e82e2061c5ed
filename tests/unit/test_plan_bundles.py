"""Plans with many futures are solved in parts, and the gap that is proven is true."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tieline.model.plan import Branch, Outcome, PlanSpec, Risk
from tieline.planning.bundles import nearly_best, weights_at
from tieline.planning.inputs import inputs_of
from tieline.planning.plan import Plan
from twins.plan_rules import walk

ROOT = Path(__file__).parents[2]


def drawn(futures: int) -> PlanSpec:
    """Give a small plan that the benchmarks draw, with one link at most between two regions."""
    draw = runpy.run_path(str(ROOT / "benchmarks" / "_plans.py"))["drawn_plan"]
    spec: PlanSpec = draw(5, 3, futures)
    return spec


def uneven() -> PlanSpec:
    """Give a plan in which one answer leads to another question and the others do not."""
    spec = drawn(3)
    late = Branch(
        "late",
        8,
        (Outcome("good", 0.5, supply={"CN": 2.0}), Outcome("bad", 0.5, supply={"CN": 0.1})),
        after="b0.high",
    )
    return replace(spec, branches=(*spec.branches, late))


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("spec", [drawn(1), drawn(9), uneven()], ids=lambda s: s.name)
def test_the_best_lies_within_the_proven_gap(spec: PlanSpec, weight: float) -> None:
    """What is found costs no less than the best, and no more than the gap says."""
    spec = replace(spec, risk=Risk(weight, 0.1))
    best = Plan(spec).solve().objective_usd
    found = nearly_best(inputs_of(spec), 0.05)
    assert found is not None
    cost, gap = found.objective_usd, found.solution.gap
    assert 0 <= gap <= 0.05
    assert best * (1 - 1e-7) <= cost
    assert cost * (1 - gap) <= best * (1 + 1e-6)


def test_what_is_found_keeps_every_rule() -> None:
    """The plan's own words, future by future, allow what is decided, at the cost it has."""
    found = nearly_best(inputs_of(drawn(9)), 0.05)
    assert found is not None
    assert walk(found).wrong == []


def test_a_gap_that_cannot_be_proven_gives_nothing() -> None:
    """Where the parts are too far from the whole there is no plan, rather than a worse one."""
    assert nearly_best(inputs_of(drawn(9)), 0.0) is None


def test_whole_lots_are_not_solved_in_parts() -> None:
    """A mean of whole lots is no whole lot, so such a plan is left to the whole program."""
    assert nearly_best(inputs_of(replace(drawn(3), whole_lots=True)), 0.5) is None


def test_weights_are_those_of_the_worst_futures() -> None:
    """With the mean of the worst half, of four futures alike, the two dearest weigh all."""
    chances = np.full(4, 0.25)
    weights = weights_at(np.array([3.0, 9.0, 1.0, 7.0]), chances, Risk(1.0, 0.5))
    assert weights == pytest.approx([0.0, 0.5, 0.0, 0.5])
