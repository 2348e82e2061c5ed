"""What holds of every plan: no rule broken, no limit that helps, no dependence on the order."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from math import inf
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.model.errors import InputError
from tieline.model.network import Link
from tieline.model.plan import Budget, Outcome, PlanSpec, Stock
from tieline.planning.inputs import inputs_of
from tieline.planning.model import program_of
from tieline.planning.plan import Plan, Result
from twins.plan_cases import DECODE, TRAINING, chip, place, plan, tiny_plans, work
from twins.plan_rules import objective, walk

#: What the solver's tolerances leave, of costs.
CLOSE = 1e-7

Change = Callable[[PlanSpec], PlanSpec]
Part = TypeVar("Part")


def solved(spec: PlanSpec) -> Result:
    """Give the result of a plan."""
    return Plan(spec).solve()


def cost_of(spec: PlanSpec) -> float:
    """Give the least cost of a plan [USD]."""
    return solved(spec).objective_usd


def cost_if_any(found: Callable[[], Result]) -> float:
    """Give the least cost; inf where limits contradict one another."""
    try:
        return found().objective_usd
    except InputError:
        return inf


def near(usd: float) -> object:
    """Give what equals a cost but for rounding: plans of 0 USD are rounded to a cent."""
    return pytest.approx(usd, rel=CLOSE, abs=0.01)


# ------------------------------------------------------------------------- safety: "never"


@settings(max_examples=60)
@given(tiny_plans(), st.booleans())
def test_no_result_breaks_a_rule_and_costs_are_as_reckoned(spec: PlanSpec, lots: bool) -> None:
    """Every future, walked by hand with the decisions of its nodes, keeps every rule.

    Decisions are read by node, so what is decided before an answer cannot depend on it.
    """
    result = solved(replace(spec, whole_lots=lots))
    walked = walk(result)
    assert walked.wrong == []
    assert walked.nodes == set(result.inputs.tree.names)
    assert sum(chance for chance, _ in walked.futures) == pytest.approx(1.0)
    assert result.mean_usd == pytest.approx(objective(walked.futures, 0.0, 1.0), rel=1e-6, abs=1)
    cost = objective(walked.futures, spec.risk.weight, spec.risk.tail)
    assert result.objective_usd == pytest.approx(cost, rel=1e-6, abs=1)


def eased(budget: Budget, factor: float) -> Budget:
    """Give a budget with more money."""
    return replace(
        budget,
        per_quarter_usd=budget.per_quarter_usd * factor,
        total_usd=budget.total_usd * factor,
    )


def every(part: str, **change: Callable[[object], object]) -> Change:
    """Give the change of a field of each of the parts of a plan."""
    return lambda spec: replace(
        spec,
        **{
            part: tuple(
                replace(one, **{name: to(getattr(one, name)) for name, to in change.items()})
                for one in getattr(spec, part)
            )
        },
    )


def more(amount: float) -> float:
    """Give half as much again, and one."""
    return 1.5 * amount + 1.0


EASE: dict[str, Change] = {
    "supply": every(
        "chips",
        offer=lambda one: replace(one, supply=one.supply and tuple(map(more, one.supply))),
    ),
    "power": every("regions", power_w=more),
    "space": every("regions", space=more),
    "bandwidth": every("links", bandwidth_bytes_s=more),
    "caps": every("caps", at_most=more),
    "budgets": every("buyers", budget=lambda one: eased(one, 1.5)),
    "budget of all": lambda spec: replace(spec, budget=eased(spec.budget, 1.5)),
    "base": lambda spec: replace(
        spec,
        import_ratio=spec.import_ratio and replace(spec.import_ratio, base=9.0),
    ),
    "ratio": lambda spec: replace(
        spec,
        import_ratio=spec.import_ratio and replace(spec.import_ratio, ratio=2.0),
    ),
    "trust": lambda spec: replace(spec, trust={"secret": frozenset({"US", "CN"})}),
    "who buys": every("buyers", buys=lambda _: frozenset()),
    "where": every("buyers", regions=lambda _: frozenset()),
    "round trips": every("demand", max_rtt_s=lambda _: inf),
    "utilisation": lambda spec: replace(spec, utilisation=1.0),
    "carry-over": every("buyers", budget=lambda one: replace(one, carry_over=True)),
}


@settings(max_examples=60)
@given(tiny_plans(), st.sampled_from(sorted(EASE)))
def test_a_limit_that_is_eased_never_costs_more(spec: PlanSpec, limit: str) -> None:
    """Whatever could be done under a limit can be done under a wider one."""
    before = cost_of(spec)
    assert cost_of(EASE[limit](spec)) <= before + CLOSE * abs(before) + 0.01


PAIRS = list(combinations("abcd", 2))
LINKS = st.builds(
    Link,
    st.sampled_from(PAIRS),
    st.sampled_from([1.0e6, 2.0e6, 1.0e10]),
    st.sampled_from([0.004, 0.007, 0.02]),
    st.sampled_from([0.0, 1.0e-12]),
)


@settings(max_examples=100)
@given(st.lists(LINKS, max_size=6), LINKS, st.sampled_from([inf, 0.012]))
def test_another_link_never_costs_more(links: list[Link], more: Link, rtt_s: float) -> None:
    """A way that need not be taken costs nothing, whatever other ways there are."""
    spec = plan(
        1,
        regions=tuple(place(name) for name in "abcd"),
        chips=(chip("c"),),
        stock=(Stock("a", "c", 50.0), Stock("b", "c", 20.0)),
        demand=tuple(
            work(f"w{name}", {name: (30.0,)}, 2.0, max_rtt_s=rtt_s, bandwidth_bytes_s=1.0e5)
            for name in "bcd"
        ),
        links=tuple(links),
    )
    before = cost_of(spec)
    assert cost_of(replace(spec, links=(*links, more))) <= before + CLOSE * abs(before) + 0.01


def in_money(factor: float) -> Change:
    """Give the change of a plan to another currency."""

    def times(usd: float | None) -> float | None:
        return None if usd is None else usd * factor

    def change(spec: PlanSpec) -> PlanSpec:
        for part in (
            every(
                "chips",
                offer=lambda one: replace(
                    one,
                    price_usd=one.price_usd * factor,
                    install_usd=one.install_usd * factor,
                ),
            ),
            every("demand", unmet_usd_per_hour=times),
            every("links", usd_per_byte=times),
            every("buyers", budget=lambda one: eased(one, factor)),
            every(
                "regions",
                region=lambda one: replace(
                    one, electricity_usd_per_kwh=times(one.electricity_usd_per_kwh)
                ),
            ),
        ):
            spec = part(spec)
        return replace(spec, budget=eased(spec.budget, factor))

    return change


@settings(max_examples=60)
@given(tiny_plans(), st.sampled_from([0.001, 0.14, 7.0, 1.0e6]))
def test_costs_are_in_whatever_money_prices_are_in(spec: PlanSpec, factor: float) -> None:
    """All prices, budgets and values times a factor: costs times that factor."""
    cost = cost_of(in_money(factor)(spec)) / factor
    assert cost == near(cost_of(spec))


@settings(max_examples=60)
@given(tiny_plans(), st.integers(0, 1))
def test_what_has_no_chance_changes_nothing(spec: PlanSpec, which: int) -> None:
    """An outcome of probability 0 costs nothing, however bad it is, nor does what comes after."""
    never = Outcome(
        "never",
        0.0,
        ban=frozenset({"US", "CN"}),
        supply={"US": 0.0},
        demand={TRAINING: 99.0, DECODE: 99.0},
        caps={"q0": 0.0},
    )
    branches = tuple(
        replace(one, outcomes=(never, *one.outcomes)) if i == which else one
        for i, one in enumerate(spec.branches)
    )
    changed = solved(replace(spec, branches=branches))
    assert changed.objective_usd == near(cost_of(spec))
    assert changed.inputs.tree.names == inputs_of(spec).tree.names


def shuffled(spec: PlanSpec, seed: int) -> PlanSpec:
    """Give the plan with everything that has an order in another one."""
    draw = np.random.default_rng(seed)

    def mixed(parts: tuple[Part, ...]) -> tuple[Part, ...]:
        return tuple(parts[i] for i in draw.permutation(len(parts)))

    branches = tuple(replace(one, outcomes=mixed(one.outcomes)) for one in spec.branches)
    return replace(
        spec,
        regions=mixed(spec.regions),
        chips=mixed(spec.chips),
        demand=mixed(spec.demand),
        links=tuple(replace(one, ends=one.ends[::-1]) for one in mixed(spec.links)),
        stock=mixed(spec.stock),
        buyers=mixed(spec.buyers),
        caps=mixed(spec.caps),
        branches=mixed(branches),
    )


def unique(result: Result) -> bool:
    """Say whether no other decisions cost as little: a sufficient condition.

    Whatever costs as little meets with equality all limits that have a price, and keeps at its
    bound all that has a reduced cost (complementary slackness, with any optimal prices). It is
    unique if these equations have one solution.
    """
    program, solution = result.program, result.solution
    shape = (len(program.row_lower), len(program.cost))
    columns = np.repeat(np.arange(shape[1]), np.diff(program.starts))
    matrix = np.zeros(shape)
    matrix[program.rows, columns] = program.values
    priced = np.abs(solution.prices * program.row_unit / program.usd) > CLOSE
    free = np.abs(solution.reduced * program.unit / program.usd) <= CLOSE
    held = matrix[priced | (program.row_lower == program.row_upper)][:, free]
    return bool(np.linalg.matrix_rank(held, tol=1e-9) == free.sum())


@settings(max_examples=60)
@given(tiny_plans(), st.integers(0, 99))
def test_the_order_of_the_file_decides_nothing(spec: PlanSpec, seed: int) -> None:
    """In another order the plan costs the same; where only one thing is best, it is done."""
    first, second = solved(spec), solved(shuffled(spec, seed))
    assert second.objective_usd == near(first.objective_usd)
    if unique(first):
        orders = first.values("buy").to_dict()
        again = second.values("buy").to_dict()
        assert again == pytest.approx(orders, rel=1e-6, abs=1e-5)


CHANGES: dict[str, Change] = EASE | {
    "discount": lambda spec: replace(spec, discount=0.05),
    "dearer": every("chips", offer=lambda one: replace(one, price_usd=1.3 * one.price_usd)),
    "cheaper": every("chips", offer=lambda one: replace(one, price_usd=0.5 * one.price_usd)),
    "slower": every("chips", offer=lambda one: replace(one, lead=one.lead + 1)),
    "less supply": every("chips", offer=lambda one: replace(one, supply=(5.0,) * 4)),
    "no caps": lambda spec: replace(spec, caps=()),
    "no rule": lambda spec: replace(spec, import_ratio=None),
    "no links": lambda spec: replace(spec, links=()),
    "no questions": lambda spec: replace(spec, branches=()),
    "no budget": lambda spec: replace(spec, budget=Budget()),
    "less money": lambda spec: replace(spec, budget=Budget(2.0e4)),
    "less power": every("regions", power_w=lambda watts: 0.6 * watts),
    "more worth": every("demand", unmet_usd_per_hour=lambda usd: usd and 2.0 * usd),
    "must": every("demand", unmet_usd_per_hour=lambda _: None),
    "bad futures": lambda spec: replace(spec, risk=replace(spec.risk, weight=0.9)),
    "tail": lambda spec: replace(spec, risk=replace(spec.risk, tail=0.4)),
    "no stock": lambda spec: replace(spec, stock=()),
    "one region": lambda spec: replace(
        spec,
        regions=spec.regions[:1],
        links=(),
        stock=tuple(one for one in spec.stock if one.region == "r0"),
    ),
}


@settings(max_examples=60)
@given(tiny_plans(must=True), st.lists(st.sampled_from(sorted(CHANGES)), max_size=6))
def test_a_live_plan_knows_what_a_fresh_one_would(spec: PlanSpec, changes: list[str]) -> None:
    """After any changes, also of what there is, a what-if is a solution of the plan as it is."""
    live = Plan(spec)
    assert cost_if_any(live.solve) == near(cost_if_any(live.solve))
    for name in changes:
        spec = CHANGES[name](spec)
        asked, fresh = spec, Plan(spec)
        assert cost_if_any(lambda asked=asked: live.what_if(asked)) == near(
            cost_if_any(fresh.solve)
        )


@settings(max_examples=60)
@given(tiny_plans(), st.sampled_from([0.4, 0.9, 1.0, 1.2, 3.0]), st.sampled_from([0.5, 1.0, 2.0]))
def test_prices_bound_the_costs_of_plans_with_other_limits(
    spec: PlanSpec, supply: float, demand: float
) -> None:
    """No plan that differs only in amounts costs less than the prices of another one say.

    Weak duality: prices x limits <= costs, with equality for the plan that they come from; all
    variables that have bounds are bounded by 0, so bounds add nothing.
    """
    other = every(
        "chips",
        offer=lambda one: replace(
            one, supply=one.supply and tuple(supply * x for x in one.supply)
        ),
    )(spec)
    other = every(
        "demand",
        amounts=lambda amounts: {r: tuple(demand * x for x in by) for r, by in amounts.items()},
    )(other)
    result, there = solved(spec), solved(other)
    prices = result.solution.prices
    program = program_of(there.inputs)
    lower, upper = (program.row_unit * x for x in (program.row_lower, program.row_upper))
    bound = np.where(prices > 0, lower, upper)
    priced = np.abs(prices) > 1e-9 * np.abs(prices).max(initial=0.0)
    worth = float(prices[priced] @ bound[priced])
    assert worth <= there.objective_usd + CLOSE * abs(there.objective_usd) + 0.01
    if supply == demand == 1.0:
        assert worth == near(result.objective_usd)


# -------------------------------------------------------------------- progress: "in the end"


@settings(max_examples=60)
@given(tiny_plans())
def test_a_plan_that_may_leave_demand_unmet_has_a_solution(spec: PlanSpec) -> None:
    """Where there is room for what is there, to buy nothing and serve nobody is allowed."""
    result = solved(spec)
    idle = Plan(replace(spec, chips=tuple(replace(one, offer=None) for one in spec.chips)))
    assert result.objective_usd <= idle.solve().objective_usd * (1 + CLOSE) + 0.01


@settings(max_examples=60)
@given(tiny_plans())
def test_what_is_worth_serving_is_served_where_supply_is_cheap(spec: PlanSpec) -> None:
    """With an accelerator for nearly nothing, at once and without limits, no demand is unmet.

    All futures weigh something: if only the worst do, what the others cost does not matter.
    """
    gift = chip("gift", "CN", price_usd=1.0, lead=0, life=1, power_w=100.0)
    free = replace(
        spec,
        chips=(*spec.chips, gift),
        regions=tuple(replace(one, power_w=inf, space=inf) for one in spec.regions),
        buyers=tuple(
            replace(one, budget=Budget(), buys=frozenset(), regions=frozenset())
            for one in spec.buyers
        ),
        budget=Budget(),
        risk=replace(spec.risk, weight=min(0.5, spec.risk.weight)),
        trust={"secret": frozenset({"gift"})},
        caps=(),
        import_ratio=None,
        branches=tuple(
            replace(
                one,
                outcomes=tuple(
                    replace(o, ban=o.ban - {"CN"}, supply={}, import_ratio=None)
                    for o in one.outcomes
                ),
            )
            for one in spec.branches
        ),
    )
    assert solved(free).array("unmet").max() <= 1e-6
