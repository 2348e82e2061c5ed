"""A twin in labelled algebra finds the same optimum, and prices are what limits are worth."""

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tieline.files.plan import read_plan
from tieline.model.plan import PlanSpec
from tieline.planning.inputs import Inputs, inputs_of
from tieline.planning.plan import Plan, Result, apart
from twins.plan_features import CASES, each, offer
from twins.plan_linopy import optimum, twin
from twins.plan_rules import objective, walk

ROOT = Path(__file__).parents[2]


def drawn(regions: int, accelerators: int, futures: int) -> PlanSpec:
    """Give a plan that the benchmarks draw."""
    draw = runpy.run_path(str(ROOT / "benchmarks" / "_plans.py"))["drawn_plan"]
    spec: PlanSpec = draw(regions, accelerators, futures)
    return spec


def agree(inputs: Inputs) -> None:
    """Demand that the twin's optimum is the planner's."""
    found = Plan(inputs.spec).under(inputs).objective_usd
    assert found == pytest.approx(optimum(twin(inputs)), rel=1e-7)


# ------------------------------------------------------------------------------ the optimum


@pytest.mark.parametrize("name", CASES)
def test_the_twin_has_the_same_optimum(name: str) -> None:
    """A model written anew from the page has the same least cost, whatever features a plan has."""
    agree(inputs_of(CASES[name][0]))


@pytest.mark.parametrize(
    ("name", "feature"), [(name, feature) for name, (_, all_) in CASES.items() for feature in all_]
)
def test_every_feature_matters_in_its_case(name: str, feature: str) -> None:
    """What the twin is compared on depends on each feature: without it the cost is another."""
    spec, features = CASES[name]
    cost = Plan(spec).solve().objective_usd
    without = Plan(features[feature](spec)).solve().objective_usd
    assert abs(without - cost) > 1e-5 * abs(cost)


@pytest.mark.parametrize("name", CASES)
def test_every_case_walked_by_hand_keeps_every_rule(name: str) -> None:
    """The plan's own words, future by future, allow what is decided, at the cost it has."""
    result = Plan(CASES[name][0]).solve()
    walked, risk = walk(result), result.inputs.spec.risk
    assert walked.wrong == []
    cost = objective(walked.futures, risk.weight, risk.tail)
    assert result.objective_usd == pytest.approx(cost, rel=1e-7)


@pytest.mark.parametrize("size", [(2, 2, 1), (2, 3, 3), (3, 4, 9)])
def test_the_twin_agrees_on_drawn_plans(size: tuple[int, int, int]) -> None:
    """The plans that speed is measured on have the twin's optimum."""
    agree(inputs_of(drawn(*size)))


@pytest.mark.parametrize("name", ["plan-small", "plan-firm"])
def test_the_twin_agrees_on_the_examples(name: str) -> None:
    """The examples have the twin's optimum."""
    agree(inputs_of(read_plan(ROOT / "examples" / name / "plan.yaml")))


def test_the_twin_agrees_without_links() -> None:
    """A plan whose regions each serve themselves has the twin's optimum."""
    agree(
        apart(
            inputs_of(replace(CASES["links"][0], trust={}, demand=CASES["links"][0].demand[::2]))
        )
    )


# ----------------------------------------------------------------------------------- prices


class Limit(NamedTuple):
    """A limit of a case, how to ease it, and what the prices say that one more of it saves."""

    case: str
    step: float
    eased: Callable[[PlanSpec, float], PlanSpec]
    worth: Callable[[Result], float]


def shifted(amounts: tuple[float, ...] | None, quarter: int, more: float) -> tuple[float, ...]:
    """Give amounts by quarter with one of them changed."""
    return tuple(x + more * (t == quarter) for t, x in enumerate(amounts or ()))


def more_supply(spec: PlanSpec, more: float) -> PlanSpec:
    """Let more of the second accelerator be ordered in the fourth quarter."""
    before = spec.chips[1].offer
    return offer(1, supply=shifted(before.supply if before else None, 3, more))(spec)


def supply_worth(result: Result) -> float:
    """Outcomes multiply what is supplied, and with it what one more means."""
    before, there = result.inputs.spec.chips[1].offer, result.inputs.tree.quarter == 3
    factor = result.inputs.supply[1] / ((before and before.supply) or ())[3]
    return float((result.price_array("supply")[1] * factor)[there].sum())


def more_under_cap(at: int) -> Callable[[PlanSpec, float], PlanSpec]:
    """Let a cap be higher, until it changes."""
    return lambda spec, more: each("caps", at, at_most=spec.caps[at].at_most + more)(spec)


def cap_worth(at: int, limit: str) -> Callable[[Result], float]:
    """A cap for each holds as often as there are members; changed ones are other limits."""

    def worth(result: Result) -> float:
        spec, cap = result.inputs.spec, result.inputs.spec.caps[at]
        prices = result.price_array(limit)[at] * (result.inputs.cap[at] == cap.at_most)
        members = [[buyer.members] for buyer in spec.buyers] if cap.each else 1
        return float((prices * members).sum())

    return worth


def more_demand(spec: PlanSpec, more: float) -> PlanSpec:
    """Let there be less of the first demand in the last quarter."""
    one = spec.demand[0]
    return each("demand", 0, amounts={"a": shifted(one.amounts["a"], 2, -more)})(spec)


def demand_worth(result: Result) -> float:
    """Outcomes multiply what is demanded."""
    inputs, there = result.inputs, result.inputs.tree.quarter == 2
    factor = inputs.amount[0, 0] / inputs.spec.demand[0].amounts["a"][2]
    return float(-(result.price_array("demand")[0, 0] * factor)[there].sum())


def more_money(at: int, field: str) -> Callable[[PlanSpec, float], PlanSpec]:
    """Let a buyer have more money."""

    def eased(spec: PlanSpec, more: float) -> PlanSpec:
        before = spec.buyers[at].budget
        after = replace(before, **{field: getattr(before, field) + more})
        return each("buyers", at, budget=after)(spec)

    return eased


def carried(result: Result) -> float:
    """With carry-over, one more in each quarter is one more for each that has come."""
    quarters = result.inputs.tree.quarter + 1
    return float(result.price_array("budget")[0] @ quarters)


def more_for_all(spec: PlanSpec, more: float) -> PlanSpec:
    """Let all buyers together have more money in each quarter."""
    each_quarter = spec.budget.per_quarter_usd + more
    return replace(spec, budget=replace(spec.budget, per_quarter_usd=each_quarter))


def more_base(spec: PlanSpec, more: float) -> PlanSpec:
    """Let more be imported without domestic ones."""
    rule = spec.import_ratio
    return replace(spec, import_ratio=rule and replace(rule, base=rule.base + more))


def base_worth(result: Result) -> float:
    """The base holds for each member, or as often as there are members."""
    prices = result.price_array("import ratio")
    members = [float(buyer.members) for buyer in result.inputs.spec.buyers]
    each_of = members if len(prices) > 1 else [sum(members)]
    return float(prices.sum(axis=1) @ each_of)


LIMITS: dict[str, Limit] = {
    "supply": Limit("rules", 0.1, more_supply, supply_worth),
    "supply, by outcome": Limit("ordered", 0.1, more_supply, supply_worth),
    "cap": Limit("rules", 0.1, more_under_cap(1), cap_worth(1, "cap")),
    "cap for each": Limit("rules", 0.1, more_under_cap(0), cap_worth(0, "cap for each")),
    "base for each": Limit("rules", 0.1, more_base, base_worth),
    "base in total": Limit("ordered", 0.1, more_base, base_worth),
    "budget carried over": Limit("rules", 100.0, more_money(0, "per_quarter_usd"), carried),
    "budget in total": Limit(
        "ordered",
        1000.0,
        more_money(0, "total_usd"),
        lambda result: float(result.prices("budget")["first"].sum()),
    ),
    "budget of all": Limit(
        "ordered",
        100.0,
        more_for_all,
        lambda result: float(result.prices("quarterly budget")["all"].sum()),
    ),
    "power": Limit(
        "fleet",
        100.0,
        lambda spec, more: each("regions", power_w=spec.regions[0].power_w + more)(spec),
        lambda result: float(result.prices("power").sum()),
    ),
    "space": Limit(
        "fleet",
        0.1,
        lambda spec, more: each("regions", space=spec.regions[0].space + more)(spec),
        lambda result: float(result.prices("space").sum()),
    ),
    "bandwidth": Limit(
        "links",
        1.0e4,
        lambda spec, more: each(
            "links", 0, bandwidth_bytes_s=spec.links[0].bandwidth_bytes_s + more
        )(spec),
        lambda result: float(result.prices("link")[["a>b", "b>a"]].sum()),
    ),
    "demand": Limit("links", 0.1, more_demand, demand_worth),
    "what is there": Limit(
        "links",
        0.1,
        lambda spec, more: each("stock", 0, count=spec.stock[0].count + more)(spec),
        lambda result: float(result.price_array("stock")[0, 1, 0]),
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_prices_are_what_limits_are_worth(name: str) -> None:
    """A little more of a limit saves at most its price, a little less costs at least its price.

    Costs are convex in a limit, so this holds however large the change; where the price is
    not one number (a kink) it lies between the two.
    """
    limit = LIMITS[name]
    spec, worth = CASES[limit.case][0], limit.worth(Plan(CASES[limit.case][0]).solve())
    less, same, more = (
        Plan(limit.eased(spec, step)).solve().objective_usd
        for step in (-limit.step, 0.0, limit.step)
    )
    close = 1e-9 * abs(same)
    assert worth * limit.step > 1e3 * close, "the limit does not bind, so it shows nothing"
    assert less - same >= worth * limit.step - close
    assert same - more <= worth * limit.step + close
    assert same - more >= 0.1 * worth * limit.step, "the kink is too near to show much"
