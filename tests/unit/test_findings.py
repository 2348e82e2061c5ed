"""What follows from a plan: each figure of a memo is what it says it is."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tieline.model.network import Link
from tieline.model.plan import (
    HOURS_PER_QUARTER,
    Branch,
    Cap,
    ImportRatio,
    Outcome,
    PlanSpec,
    Risk,
    Stock,
    Sweep,
)
from tieline.planning.findings import Findings, findings
from tieline.planning.frontier import frontier, tail_mean
from tieline.planning.near_optimal import SLACKS, choices
from tieline.planning.plan import Plan, Result
from tieline.planning.pooling import pooling
from tieline.planning.regret import LEAST_REGRET, PLAN
from tieline.planning.shadow import limit_prices, pool_prices, ratio_price
from tieline.planning.sweep import curve
from tieline.planning.verdict import verdicts
from twins.plan_cases import chip, place, plan, work

RE_BAN = Branch(
    "export",
    2,
    (Outcome("open", 0.6), Outcome("re-ban", 0.4, ban=frozenset({"US"}))),
)
RAMP = Branch(
    "ramp", 3, (Outcome("slow", 0.5, supply={"CN": 0.4}), Outcome("fast", 0.5, supply={"CN": 1.5}))
)
SPEC = plan(
    6,
    regions=(
        place("east", usd_per_kwh=0.1, pue=1.25, power_w=300e3),
        place("west", usd_per_kwh=0.04),
    ),
    links=(Link(("east", "west"), 1.0e9, 0.02, 1.0e-13),),
    chips=(
        chip("h", price_usd=27e3, duty=0.25, install_usd=8e3, supply=(60.0,) * 6, lead=2),
        chip("a", "CN", rate=0.6, price_usd=24e3, install_usd=4e3, supply=(50.0,) * 6),
        chip("old", rate=0.3),
    ),
    stock=(Stock("east", "old", 200.0), Stock("west", "old", 100.0)),
    demand=(
        work("train", {"east": (80.0, 90, 120, 150, 190, 240), "west": (20.0,) * 6}, 3.0),
        work("serve", {"east": (60.0,) * 6}, 4.0, max_rtt_s=0.01, workload="decode"),
    ),
    domestic=frozenset({"CN"}),
    caps=(Cap("licence", frozenset({"h"}), 200.0),),
    import_ratio=ImportRatio(1.0, base=10.0),
    branches=(RE_BAN, RAMP),
    discount=0.08,
    utilisation=0.8,
)


def spec_at(path: str, value: float) -> PlanSpec:
    """Give the plan with another price of `h`, or another chance of a re-ban."""
    if path == "price":
        h = SPEC.chips[0]
        assert h.offer is not None
        dearer = replace(h, offer=replace(h.offer, price_usd=value))
        return replace(SPEC, chips=(dearer, *SPEC.chips[1:]))
    stays, ban = RE_BAN.outcomes
    both = (replace(stays, probability=1 - value), replace(ban, probability=value))
    return replace(SPEC, branches=(replace(RE_BAN, outcomes=both), RAMP))


SWEEPS = (
    Sweep("price", (5e3, 27e3, 60e3, 120e3)),
    Sweep("chance", (0.0, 0.4, 1.0)),
)


@pytest.fixture(scope="module")
def found() -> Findings:
    """Give all findings about the plan, with a price and a chance swept."""
    plan = Plan(replace(SPEC, sweeps=SWEEPS))
    return findings(plan, spec_at, {"price": 27e3, "chance": 0.4})


def cost(spec: PlanSpec) -> float:
    """Give the least mean cost of a plan, solved from cold."""
    return Plan(spec).solve().objective_usd


def held(found: Findings, accelerator: str, least: float, most: float) -> float:
    """Give the cost of the plan with so many of one accelerator ordered in the first year."""
    result = found.result
    c = result.inputs.axes["accelerator"].index(accelerator)
    index = result.program.variables["buy"].index[:, c]
    tree = result.inputs.tree
    weight = np.where(tree.quarter < 4, tree.probability, 0.0)
    there = index >= 0
    columns, values = index[there], np.broadcast_to(weight, index.shape)[there]
    unit = result.program.unit[columns]
    plan = Plan(SPEC)
    solver = plan.loaded(result.program)
    with (
        solver.extra_limit(columns, values * unit, most),
        solver.extra_limit(columns, -values * unit, -least),
    ):
        return float(result.program.cost @ (solver.minimum() / result.program.unit)) * (
            result.program.usd
        )


def test_verdicts_are_the_orders(found: Findings) -> None:
    """Buy is an order in the first quarter, wait one in a later node, else do not buy."""
    buy = found.result.array("buy").sum(axis=(0, 2))
    for c, verdict in enumerate(found.verdicts):
        now, ever = buy[c, 0] >= 0.5, (buy[c] >= 0.5).any()
        assert verdict.action == ("buy" if now else "wait" if ever else "do not buy")
        assert verdict.now == pytest.approx(buy[c, 0])
        assert sum(verdict.by_region.values()) == pytest.approx(verdict.now, abs=1.0)
        assert bool(verdict.triggers) == (verdict.action == "wait")


@pytest.mark.parametrize(
    ("unmet", "first"), [(2.0, {"2028Q1 open": 0.6}), (90.0, {"2027Q2": 1.0})]
)
def test_triggers_are_first_orders(unmet: float, first: dict[str, float]) -> None:
    """What is waited for is where the first order on each way is, with its chance.

    Work that comes late is bought for late, where no ban has come; before it, if it is dear.
    """
    late = plan(
        6,
        chips=(chip("h", price_usd=27e3, lead=1),),
        demand=(work("train", {"a": (0.0, 0.0, 0.0, 0.0, 0.0, 90.0)}, unmet),),
        branches=(RE_BAN,),
        discount=0.08,
    )
    (verdict,) = verdicts(Plan(late).solve())
    assert verdict.action == "wait"
    found = {trigger.node: trigger.probability for trigger in verdict.triggers}
    assert found == pytest.approx(first)


def test_break_even_price() -> None:
    """Below the break-even price some are ordered now, above it none; all other prices equal."""
    dear = spec_at("price", 90e3)
    verdict = verdicts(Plan(dear).solve())[0]
    assert verdict.action != "buy"
    pays = verdict.break_even_usd
    assert pays is not None
    assert 0 < pays < 90e3

    def ordered(first_price: float) -> float:
        plan = Plan(dear)
        inputs = plan.inputs
        price, outlay = inputs.price.copy(), inputs.outlay.copy()
        price[0, 0], outlay[0, 0] = first_price, first_price * 1.25 + 8e3
        return float(
            plan.under(replace(inputs, price=price, outlay=outlay)).array("buy")[:, 0, :, 0].sum()
        )

    assert ordered(pays * 1.001) < 0.5
    assert ordered(pays * 0.999) > 0.5


def test_pooling_is_the_plan_without_links(found: Findings) -> None:
    """Without links nothing is cheaper; alike is at least as well served as with them."""
    pooled = found.pooling
    alone = replace(SPEC, links=())
    assert pooled.apart is not None
    assert pooled.nothing_joined is not None
    assert pooled.nothing_apart is not None
    assert pooled.apart.cost_usd == pytest.approx(cost(alone), rel=1e-7)
    assert pooled.apart.cost_usd >= pooled.joined.cost_usd
    assert pooled.nothing_joined.ordered == pooled.nothing_apart.ordered == 0.0
    assert pooled.nothing_joined.unmet_share <= pooled.nothing_apart.unmet_share
    assert pooled.joined.unmet_share <= pooled.nothing_joined.unmet_share


def test_equal_service_without_links() -> None:
    """At no more unmet demand, separate regions order the more accelerators that links save."""
    spare = plan(
        4,
        regions=(place("east"), place("west")),
        links=(Link(("east", "west"), 1.0e9, 0.02),),
        chips=(chip("a", price_usd=20e3, lead=0), chip("old", rate=0.5)),
        stock=(Stock("west", "old", 100.0),),
        demand=(work("train", {"east": (90.0,) * 4}, 20.0),),
    )
    base = Plan(spare).solve()
    pooled = pooling(Plan(spare), base)
    assert pooled.alike is not None
    assert pooled.alike.unmet_share <= pooled.joined.unmet_share + 1e-6
    assert pooled.alike.ordered == pytest.approx(pooled.joined.ordered + 50.0)


def test_what_must_be_served_may_leave_no_choice() -> None:
    """Where links or orders are needed to serve what must be, findings say so and go on."""
    must = plan(
        3,
        regions=(place("east", space=0.0), place("west")),
        links=(Link(("east", "west"), 1.0e9, 0.02),),
        chips=(chip("a", price_usd=20e3, lead=0),),
        demand=(work("train", {"east": (90.0,) * 3}, None),),
        branches=(RE_BAN,),
    )
    found = findings(Plan(must), spec_at, {})
    pooled = found.pooling
    assert pooled.joined.unmet_share == 0.0
    assert (pooled.apart, pooled.nothing_joined, pooled.nothing_apart) == (None, None, None)
    assert found.delay.all_usd is None
    assert found.delay.by_accelerator == {"a": None}
    assert "buy none" not in found.regret.costs_usd
    assert {PLAN, LEAST_REGRET} <= set(found.regret.costs_usd)


def test_delay_is_a_quarter_without_orders(found: Findings) -> None:
    """Delay costs what the plan costs more if nothing, or none of one, is ordered first."""
    plan = Plan(SPEC)
    base = plan.solve().objective_usd
    allowed = plan.inputs.allowed.copy()
    allowed[:, :, 0] = False
    waited = plan.under(replace(plan.inputs, allowed=allowed)).objective_usd
    assert found.delay.all_usd == pytest.approx(waited - base, rel=1e-6, abs=1.0)
    assert found.delay.all_usd >= max(found.delay.by_accelerator.values()) - 1.0
    assert set(found.delay.by_accelerator) == {
        verdict.accelerator for verdict in found.verdicts if verdict.action == "buy"
    }


def test_ends_of_the_choice_are_near_optimal(found: Findings) -> None:
    """Each end of a range costs at most so much more, and beyond it no plan does."""
    best = found.result.objective_usd
    for choice in found.choices:
        for slack in SLACKS:
            low, high = choice.ranges[slack]
            assert low <= choice.best + 1e-3
            assert high >= choice.best - 1e-3
            for end in (low, high):
                assert held(found, choice.accelerator, end - 1e-3, end + 1e-3) <= (
                    best * (1 + slack) + 10.0
                )
            if low > 1.0:
                assert held(found, choice.accelerator, 0.0, low - 1.0) > best * (1 + slack)


def test_choice_widens_with_slack(found: Findings) -> None:
    """What may cost more may differ more."""
    for choice in choices(Plan(SPEC), found.result):
        narrow, wide = (choice.ranges[slack] for slack in SLACKS)
        assert wide[0] <= narrow[0] + 1e-3
        assert wide[1] >= narrow[1] - 1e-3


def test_information(found: Findings) -> None:
    """Knowing the future saves the plan's cost less the mean of the best costs, never less than 0.

    Planning for the mean future costs more, or as much.
    """
    known = found.information
    tree = found.result.inputs.tree
    chance = tree.probability[tree.leaves]
    assert known.perfect_usd == pytest.approx(found.result.mean_usd - known.known_usd @ chance)
    assert known.perfect_usd >= -1.0
    assert known.stochastic_usd is not None
    assert known.stochastic_usd >= -1.0
    for s, steps in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        sure = tuple(
            replace(branch, outcomes=(replace(branch.outcomes[i], probability=1.0),))
            for branch, i in zip((RE_BAN, RAMP), steps, strict=True)
        )
        assert known.known_usd[s] == pytest.approx(cost(replace(SPEC, branches=sure)), rel=1e-6)


def test_regret(found: Findings) -> None:
    """Nobody does better than who knows; least regret has the least largest regret of all."""
    regret = found.regret
    assert set(regret.costs_usd) == {
        PLAN,
        "buy none",
        "domestic only",
        "imports only",
        "buy all allowed",
        LEAST_REGRET,
    }
    for name, costs in regret.costs_usd.items():
        assert (costs >= regret.best_usd - 1.0).all()
        assert regret.regret(name).max() >= regret.regret(LEAST_REGRET).max() - 1.0
        assert regret.mean_usd(name) >= regret.mean_usd(PLAN) - 1.0
    none = Plan(SPEC)
    nothing = none.under(replace(none.inputs, allowed=np.zeros_like(none.inputs.allowed)))
    assert regret.mean_usd("buy none") == pytest.approx(nothing.mean_usd, rel=1e-9)
    assert sum(regret.ordered_now["buy none"].values()) == 0.0
    assert regret.ordered_now["domestic only"]["h"] == 0.0
    assert regret.ordered_now["imports only"]["a"] == 0.0


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, risk=Risk(0.5, 0.3))], ids=["mean", "risk"])
def test_prices_of_limits_hold_in_their_range(spec: PlanSpec) -> None:
    """Inside its range a price tells the saving of a change of the limit; beyond it less.

    Shown by changing the limit in the plan itself.
    """
    base = Plan(spec).solve()
    prices = {price.path: price for price in limit_prices(Plan(spec), base)}
    changed: dict[str, Callable[[float], PlanSpec]] = {
        "rules.caps.licence.at_most": lambda to: replace(
            spec, caps=(replace(spec.caps[0], at_most=to),)
        ),
        "rules.import_ratio.base": lambda to: replace(
            spec, import_ratio=ImportRatio(1.0, base=to)
        ),
        "regions.east.power_mw": lambda to: replace(
            spec, regions=(replace(spec.regions[0], power_w=to * 1e6), spec.regions[1])
        ),
    }
    tried = 0
    for path in set(changed) & set(prices):
        price = prices[path]
        assert price.usd > 0
        assert price.low <= price.at <= price.high
        for to in (price.low, price.high):
            if np.isfinite(to) and to >= 0 and abs(to - price.at) > 1e-6:
                saved = base.objective_usd - cost(changed[path](to))
                assert saved == pytest.approx(price.usd * (to - price.at), rel=0.02, abs=10.0)
                tried += 1
    assert tried > 0


def test_price_of_the_ratio(found: Findings) -> None:
    """The price of the import ratio is the saving per ratio of a small change."""
    price = ratio_price(found.result)
    assert price is not None
    assert price > 0

    def at(ratio: float) -> float:
        return cost(replace(SPEC, import_ratio=ImportRatio(ratio, base=10.0)))

    up, down = (at(1.0) - at(1.001)) / 0.001, (at(0.999) - at(1.0)) / 0.001
    assert min(up, down) * 0.99 <= price <= max(up, down) * 1.01


def test_a_pool_is_worth_the_work_it_would_serve() -> None:
    """Where work is left over, an accelerator-hour is worth its rate times an hour of that work.

    Less the power it draws when busy, which it would not draw otherwise.
    """
    alone = plan(
        2,
        regions=(place("a", usd_per_kwh=0.1, pue=1.5),),
        chips=(chip("old", rate=0.4, idle=0.25, power_w=800.0),),
        stock=(Stock("a", "old", 10.0),),
        demand=(work("w", {"a": (100.0, 100.0)}, 3.0),),
        utilisation=0.8,
        discount=0.1,
    )
    busy = 0.1 * 1.5 * 0.8 * 0.75
    expected = 0.8 * (0.4 * 3.0 - busy)
    assert pool_prices(Plan(alone).solve()) == pytest.approx(np.full((1, 1, 2), expected))
    assert HOURS_PER_QUARTER == 2191.5


def test_thresholds_lie_between_two_verdicts(found: Findings) -> None:
    """On both sides of a threshold, just outside its interval, the verdict is the one told."""
    several = [(one.sweep.path, threshold) for one in found.curves for threshold in one.thresholds]
    assert several
    for path, threshold in several:
        for side, action in ((-1, threshold.below), (1, threshold.above)):
            spec = spec_at(path, threshold.value + side * threshold.within)
            of = {one.accelerator: one.action for one in verdicts(Plan(spec).solve())}
            assert of[threshold.accelerator] == action


def test_curve_leaves_out_what_has_no_solution() -> None:
    """Values at which the plan has no solution are named and do not end the sweep."""
    must = replace(
        SPEC, demand=(work("w", {"west": (50.0,) * 6}, None),), stock=SPEC.stock, links=()
    )

    def at(_path: str, value: float) -> PlanSpec:
        return replace(must, stock=(Stock("west", "old", value),))

    one = curve(Plan(at("", 400.0)), Sweep("stock", (0.0, 400.0, 500.0)), 400.0, at)
    assert one.left_out == (0.0,)
    assert [point.value for point in one.points] == [400.0, 500.0]


def test_frontier(found: Findings) -> None:
    """Along the frontier the mean never falls and the tail never rises."""
    assert found.frontier is not None
    means = [point.mean_usd for point in found.frontier.points]
    tails = [point.tail_usd for point in found.frontier.points]
    assert all(a <= b + 1.0 for a, b in pairwise(means))
    assert all(a >= b - 1.0 for a, b in pairwise(tails))
    certain = replace(SPEC, branches=())
    assert frontier(Plan(certain), Plan(certain).solve()) is None


def test_tail_is_the_mean_of_the_dearest_part() -> None:
    """CVaR takes part of a future where the tail ends within it."""
    costs, chance = np.array([1.0, 5.0, 3.0]), np.array([0.5, 0.1, 0.4])
    assert tail_mean(costs, chance, 0.1) == pytest.approx(5.0)
    assert tail_mean(costs, chance, 0.3) == pytest.approx((0.1 * 5 + 0.2 * 3) / 0.3)
    assert tail_mean(costs, chance, 1.0) == pytest.approx(2.2)


def test_results_are_labelled(found: Findings) -> None:
    """Values and prices come with the names of what they are of."""
    result: Result = found.result
    buy = result.values("buy")
    assert buy.index.names == ["tenant", "accelerator", "region", "node"]
    assert buy.loc[("all", "h", "east", "2027Q1")] >= 0.0
    power = result.prices("power")
    assert power.index.names == ["region", "node"]
    assert (power >= -1e-9).all()
    costs = result.future_costs
    assert list(costs.index) == ["open slow", "open fast", "re-ban slow", "re-ban fast"]
