"""Plans small enough to be solved by hand cost what the formula says."""

from dataclasses import replace

import pytest

from tieline.model.network import Link
from tieline.model.plan import (
    HOURS_PER_QUARTER,
    Branch,
    Budget,
    Buyer,
    Cap,
    ImportRatio,
    Outcome,
    PlanSpec,
    Risk,
    Stock,
)
from tieline.planning.plan import Plan, Result
from twins.plan_cases import chip, place, plan, work

#: USD for a quarter in which one reference accelerator's work is not served, at 2 USD an hour.
LOSS = 2.0 * HOURS_PER_QUARTER
US, CN = frozenset({"US"}), frozenset({"CN"})


def solved(spec: PlanSpec) -> Result:
    """Give the result of a plan."""
    return Plan(spec).solve()


def bought(result: Result, accelerator: str = "x") -> list[float]:
    """Give how many are ordered in each node, by all tenants in all regions."""
    buy = result.array("buy")
    chips = [one.accelerator.id for one in result.inputs.spec.chips]
    return [float(x) for x in buy[:, chips.index(accelerator)].sum(axis=(0, 1))]


def once(spec: PlanSpec, **outcomes: Outcome) -> PlanSpec:
    """Give the plan with one question, answered in the second quarter."""
    return replace(spec, branches=(Branch("q", 1, tuple(outcomes.values())),))


@pytest.mark.parametrize("price", [1000.0, 4000.0, 7000.0, 8000.0, 9000.0, 12_000.0, 20_000.0])
@pytest.mark.parametrize(("discount", "growth"), [(0.0, -0.2), (0.2, 0.0)])
def test_one_chip_is_bought_when_it_costs_less_than_what_it_serves(
    price: float, discount: float, growth: float
) -> None:
    """Over two quarters: buy at once, a quarter later or never, whichever is the least.

    Per unit of demand, with u = utilisation, n = 1/u accelerators, f(t) = (1 + d)^(-t/4),
    E = energy for a quarter, life L = 4, and a residual of the straight-line book value:

        never  (1 + f1) loss
        later  loss + n price (1 + growth) (f1 - f2 (L - 1)/L) + f1 E
        now    n price (1 - f2 (L - 2)/L) + (1 + f1) E
    """
    amount, part, idle = 30.0, 0.6, 0.3
    spec = plan(
        2,
        regions=(place("a", usd_per_kwh=0.5, pue=1.25),),
        chips=(chip("x", idle=idle, price_usd=price, price_growth=growth, lead=0, life=4),),
        demand=(work("w", {"a": (amount, amount)}, 2.0),),
        discount=discount,
        utilisation=part,
    )
    f1, f2 = (1.0 + discount) ** -0.25, (1.0 + discount) ** -0.5
    kilowatts = 1.25 * (idle / part + (1.0 - idle))  # 1 kW each; what idles draws 30 % of it
    energy = 0.5 * HOURS_PER_QUARTER * kilowatts
    never = (1.0 + f1) * LOSS
    later = LOSS + price * (1.0 + growth) / part * (f1 - f2 * 3 / 4) + f1 * energy
    now = price / part * (1.0 - f2 * 2 / 4) + (1.0 + f1) * energy
    best = min(never, later, now)
    result = solved(spec)
    assert result.objective_usd == pytest.approx(amount * best, rel=1e-9)
    orders = {never: [0.0, 0.0], later: [0.0, amount / part], now: [amount / part, 0.0]}
    assert bought(result) == pytest.approx(orders[best], abs=1e-6)


@pytest.mark.parametrize("life", [1, 2, 4])
def test_what_is_left_at_the_end_is_the_rest_of_its_life(life: int) -> None:
    """An order of the last quarter costs 1/life of price, duty and installation together."""
    spec = plan(
        1,
        chips=(chip("x", price_usd=300.0, duty=0.1, install_usd=70.0, lead=0, life=life),),
        demand=(work("w", {"a": (10.0,)}, 2.0),),
    )
    paid = 300.0 * 1.1 + 70.0
    assert solved(spec).objective_usd == pytest.approx(10.0 * paid / life, rel=1e-9)


@pytest.mark.parametrize("chance", [0.1, 0.39, 0.41, 0.8])
def test_the_newsvendor_orders_for_high_demand_above_the_critical_ratio(chance: float) -> None:
    """Ordered before demand is known, more than the low demand pays if P(high) > price/loss.

    With demand D, or 3 D with chance p, and price = 0.4 loss:
        order D    D price + p 2 D loss
        order 3 D  3 D price
    """
    demand, price = 50.0, 0.4 * LOSS
    spec = once(
        plan(
            2,
            chips=(chip("x", price_usd=price, residual=0.0, lead=1),),
            demand=(work("w", {"a": (0.0, demand)}, 2.0),),
        ),
        high=Outcome("high", chance, demand={"w": 3.0}),
        low=Outcome("low", 1.0 - chance),
    )
    result = solved(spec)
    for_low, for_high = demand * price + chance * 2 * demand * LOSS, 3 * demand * price
    assert result.objective_usd == pytest.approx(min(for_low, for_high), rel=1e-9)
    assert bought(result)[0] == pytest.approx(3 * demand if chance > 0.4 else demand)


@pytest.mark.parametrize("cap", [0.0, 10.0, 39.0, 41.0, 100.0])
def test_a_quota_costs_what_it_keeps_from_being_served(cap: float) -> None:
    """Cost(Q) = D loss - min(Q, D) (loss - price); one more is worth loss - price while Q < D."""
    demand, price = 40.0, 1500.0
    spec = plan(
        1,
        chips=(chip("x", price_usd=price, residual=0.0, lead=0),),
        demand=(work("w", {"a": (demand,)}, 2.0),),
        caps=(Cap("quota", US, at_most=cap),),
    )
    result, gain = solved(spec), LOSS - price
    assert result.objective_usd == pytest.approx(demand * LOSS - min(cap, demand) * gain)
    assert result.prices("cap").sum() == pytest.approx(gain if cap < demand else 0.0)


def test_a_cap_for_each_holds_as_often_as_there_are_members() -> None:
    """Five members with 3 each order 15, and one more for each saves 5 (loss - price)."""
    spec = plan(
        1,
        chips=(chip("x", price_usd=1500.0, residual=0.0, lead=0),),
        demand=(work("w", {"a": (40.0,)}, 2.0),),
        buyers=(Buyer("firms", members=5),),
        caps=(Cap("quota", US, at_most=3.0, each=True),),
    )
    result = solved(spec)
    assert bought(result) == pytest.approx([15.0])
    assert 5 * result.prices("cap for each").sum() == pytest.approx(5 * (LOSS - 1500.0))


@pytest.mark.parametrize("domestic_price", [1400.0, 2400.0, 2420.0, 9000.0])
def test_domestic_ones_are_bought_for_the_imports_they_allow(domestic_price: float) -> None:
    """A domestic one that loses money pays if the imports it allows gain more than it loses.

    Rate r = 0.3, imports <= base + h domestic: it pays if h (loss - import price) + r loss
    exceeds its price; then imports + r domestic = D, so domestic = (D - base)/(h + r).
    """
    demand, base, h, r, price = 100.0, 16.0, 0.5, 0.3, 0.5 * LOSS
    spec = plan(
        1,
        chips=(
            chip("x", price_usd=price, residual=0.0, lead=0),
            chip("y", "CN", rate=r, price_usd=domestic_price, residual=0.0, lead=0),
        ),
        demand=(work("w", {"a": (demand,)}, 2.0),),
        domestic=CN,
        import_ratio=ImportRatio(h, base),
    )
    result = solved(spec)
    assert domestic_price > r * LOSS, "alone it loses money"
    if h * (LOSS - price) + r * LOSS > domestic_price:
        domestic = (demand - base) / (h + r)
        cost = domestic * domestic_price + (base + h * domestic) * price
    else:
        domestic, cost = 0.0, base * price + (demand - base) * LOSS
    assert result.objective_usd == pytest.approx(cost, rel=1e-9)
    assert bought(result, "y") == pytest.approx([domestic])
    assert bought(result) == pytest.approx([base + h * domestic])


@pytest.mark.parametrize("bandwidth", [0.0, 2.0e9, 5.0e9])
def test_a_link_carries_as_much_work_as_its_bandwidth(bandwidth: float) -> None:
    """Served elsewhere is min(bandwidth / traffic of one, what is there, demand).

    Each costs traffic x seconds x price of a byte; one more byte/s is worth
    (loss - that)/traffic while the link is what limits.
    """
    demand, there, traffic, usd = 60.0, 30.0, 1.0e8, 1.0e-12
    spec = plan(
        1,
        regions=(place("a"), place("b")),
        chips=(chip("x"),),
        stock=(Stock("b", "x", there),),
        demand=(work("w", {"a": (demand,)}, 2.0, bandwidth_bytes_s=traffic),),
        links=(Link(("a", "b"), bandwidth, 0.01, usd),),
    )
    served = min(bandwidth / traffic, there, demand)
    each = traffic * HOURS_PER_QUARTER * 3600.0 * usd
    result = solved(spec)
    cost = served * each + (demand - served) * LOSS
    assert result.objective_usd == pytest.approx(cost, rel=1e-9)
    if bandwidth == 2.0e9:
        assert result.prices("link").sum() == pytest.approx((LOSS - each) / traffic, rel=1e-9)


def test_power_limits_what_is_bought_and_a_watt_has_a_price() -> None:
    """N = power / (pue x W); a watt is worth (loss - price) / (pue x W)."""
    watts, pue, power, price, demand = 700.0, 1.3, 27_300.0, 1500.0, 50.0
    spec = plan(
        1,
        regions=(place("a", pue=pue, power_w=power),),
        chips=(chip("x", power_w=watts, price_usd=price, residual=0.0, lead=0),),
        demand=(work("w", {"a": (demand,)}, 2.0),),
    )
    result, count = solved(spec), power / (pue * watts)
    assert bought(result) == pytest.approx([count])
    cost = count * price + (demand - count) * LOSS
    assert result.objective_usd == pytest.approx(cost, rel=1e-9)
    assert result.prices("power").sum() == pytest.approx((LOSS - price) / (pue * watts))


@pytest.mark.parametrize(
    ("budget", "units"),
    [
        (Budget(20_000.0), 20.0),
        (Budget(20_000.0, carry_over=False), 10.0),
        (Budget(20_000.0, total_usd=30_000.0), 15.0),
        (Budget(total_usd=24_000.0), 12.0),
    ],
)
def test_what_is_not_spent_may_be_spent_later_where_it_carries_over(
    budget: Budget, units: float
) -> None:
    """With supply in the second quarter only: 2 B / price with carry-over, else B / price."""
    price = 2000.0
    spec = plan(
        2,
        chips=(chip("x", price_usd=price, residual=0.0, lead=0, supply=(0.0, 1000.0)),),
        demand=(work("w", {"a": (0.0, 50.0)}, 2.0),),
    )
    for limited in (
        replace(spec, buyers=(Buyer("one", budget=budget),)),
        replace(spec, buyers=(Buyer("one"), Buyer("two")), budget=budget),
    ):
        result = solved(limited)
        assert bought(result) == pytest.approx([0.0, units])
        cost = units * price + (50.0 - units) * LOSS
        assert result.objective_usd == pytest.approx(cost, rel=1e-9)


@pytest.mark.parametrize(("fate", "back"), [("refunded", 1.0), ("arrive", 0.0)])
def test_an_order_that_a_ban_stops_is_paid_back_when_it_would_have_come(
    fate: str, back: float
) -> None:
    """Ordered at once, banned a quarter later with chance p, due another quarter later.

    Refunded it costs price (1 - p f2), serves with chance 1 - p, and is then left for 3/4 of its
    life; else it costs its price, serves and is left in any case.
    """
    chance, price, demand, f2, f3 = 0.3, 1500.0, 20.0, 1.1**-0.5, 1.1**-0.75
    spec = once(
        plan(
            3,
            chips=(chip("x", price_usd=price, lead=2, life=4),),
            demand=(work("w", {"a": (0.0, 0.0, demand)}, 2.0),),
            discount=0.1,
        ),
        ban=Outcome("ban", chance, ban=US, undelivered=fate),  # type: ignore[arg-type]
        free=Outcome("free", 1.0 - chance),
    )
    result = solved(spec)
    lost = back * chance
    each = price * (1.0 - lost * f2) - (1.0 - lost) * price * 3 / 4 * f3 + lost * f2 * LOSS
    assert bought(result)[0] == pytest.approx(demand)
    assert result.objective_usd == pytest.approx(demand * each, rel=1e-9)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("tail", [0.1, 0.25, 0.5, 1.0])
def test_the_mean_of_the_worst_of_two_futures(weight: float, tail: float) -> None:
    """Costs of high with chance p, else low: CVaR is high, or mixed where the tail exceeds p.

    CVaR = (min(p, tail) high + max(0, tail - p) low) / tail
    """
    chance, low = 0.25, 7.0 * LOSS
    high = 2.5 * low
    spec = once(
        plan(2, chips=(chip("x"),), demand=(work("w", {"a": (0.0, 7.0)}, 2.0),)),
        bad=Outcome("bad", chance, demand={"w": 2.5}),
        good=Outcome("good", 1.0 - chance),
    )
    result = solved(replace(spec, risk=Risk(weight, tail)))
    mean = chance * high + (1.0 - chance) * low
    worst = (min(chance, tail) * high + max(0.0, tail - chance) * low) / tail
    assert result.objective_usd == pytest.approx((1.0 - weight) * mean + weight * worst, rel=1e-9)
    assert result.mean_usd == pytest.approx(mean, rel=1e-9)
    assert result.future_costs.to_dict() == pytest.approx({"bad": high, "good": low}, rel=1e-9)


@pytest.mark.parametrize(("demand", "lots"), [(7.9, 1), (10.0, 1), (11.0, 2), (16.1, 2)])
def test_whole_lots_round_to_what_pays(demand: float, lots: int) -> None:
    """With lots of 8 at 0.3 loss each, a further lot pays if it serves at least 0.3 of it: 2.4."""
    price = 0.3 * LOSS
    spec = plan(
        1,
        chips=(chip("x", price_usd=price, residual=0.0, lead=0, lot=8),),
        demand=(work("w", {"a": (demand,)}, 2.0),),
        whole_lots=True,
    )
    result = solved(spec)
    assert bought(result) == pytest.approx([8.0 * lots])
    cost = 8 * lots * price + max(0.0, demand - 8 * lots) * LOSS
    assert result.objective_usd == pytest.approx(cost, rel=1e-9)
    assert solved(replace(spec, whole_lots=False)).objective_usd == pytest.approx(demand * price)


def sure(at: int, **changes: object) -> Branch:
    """Give a question whose answer is certain, and what it changes."""
    return Branch(f"b{at}", at, (Outcome(f"o{at}", 1.0, **changes),))  # type: ignore[arg-type]


def test_what_is_banned_decays_with_every_quarter_of_the_ban() -> None:
    """Of S accelerators S (1 - d)^(quarters banned so far) work; lifting ends it, and mends none.

    Banned in the quarters 1 and 2, and again from 4 on: 0, 0, 1, 2, 2, 3 quarters so far.
    """
    there, decay = 10.0, 0.2
    spec = plan(
        6,
        chips=(chip("x", decay=decay),),
        stock=(Stock("a", "x", there),),
        demand=(work("w", {"a": (50.0,) * 6}, 2.0),),
        branches=(sure(1, ban=US), sure(3, lift=US), sure(4, ban=frozenset({"x"}))),
    )
    served = solved(spec).array("serve").sum(axis=(0, 1, 2))
    kept = [(1.0 - decay) ** quarters for quarters in (0, 0, 1, 2, 2, 3)]
    assert served == pytest.approx([there * part for part in kept])


def test_only_orders_under_way_when_the_ban_comes_are_refunded() -> None:
    """Ordered at once, due in two quarters, a ban in the next: refunded; after it: delivered.

    The chip is too dear to be ordered but for the last quarter, in which only what is ordered
    in the third one serves; a second ban, without refunds, does not stop it.
    """
    price = 0.3 * LOSS
    spec = plan(
        5,
        chips=(chip("x", price_usd=price, residual=0.0, lead=2, life=1),),
        demand=(work("w", {"a": (0.0, 0.0, 9.0, 0.0, 9.0)}, 2.0),),
        branches=(sure(1, ban=US, undelivered="refunded"), sure(2, lift=US), sure(3, ban=US)),
    )
    result = solved(spec)
    stock = result.array("stock").sum(axis=(0, 1))
    assert stock == pytest.approx([0.0, 0.0, 0.0, 0.0, 9.0])
    assert result.objective_usd == pytest.approx(9.0 * LOSS + 9.0 * price)


def test_outcomes_change_prices_duties_supply_and_demand_from_their_quarter_on() -> None:
    """Factors multiply, the last duty counts.

    Orders are min(supply, demand) in each quarter, for that quarter alone, and cost
    price x (1 + duty); what is left over is lost.
    """
    spec = plan(
        4,
        chips=(
            chip(
                "x", price_usd=1000.0, duty=0.1, residual=0.0, lead=0, life=1, supply=(30.0,) * 4
            ),
        ),
        demand=(work("w", {"a": (20.0,) * 4}, 2.0),),
        branches=(
            sure(1, price={"US": 1.5}, duty={"x": 0.3}, demand={"training": 0.5}),
            sure(2, price={"x": 2.0}, supply={"US": 0.6}, demand={"w": 4.0}),
            sure(3, duty={"US": 0.0}, supply={"x": 0.5}),
        ),
    )
    result = solved(spec)
    orders, demand = [20.0, 10.0, 18.0, 9.0], [20.0, 10.0, 40.0, 40.0]
    outlays = [1000.0 * 1.1, 1500.0 * 1.3, 3000.0 * 1.3, 3000.0]
    assert bought(result) == pytest.approx(orders)
    cost = sum(
        n * usd + (amount - n) * LOSS
        for n, usd, amount in zip(orders, outlays, demand, strict=True)
    )
    assert result.objective_usd == pytest.approx(cost, rel=1e-9)


def test_a_cap_that_changes_counts_from_then_on() -> None:
    """Of a cap of 12 all are ordered before it is 5: then 5 more, and no more after these."""
    spec = plan(
        3,
        chips=(chip("x", price_usd=1000.0, residual=0.0, lead=0),),
        demand=(work("w", {"a": (50.0,) * 3}, 2.0),),
        caps=(Cap("quota", US, at_most=12.0),),
        branches=(sure(1, caps={"quota": 5.0}),),
    )
    assert bought(solved(spec)) == pytest.approx([12.0, 5.0, 0.0])


@pytest.mark.parametrize(("counts", "later"), [("ordered", 6.0), ("deployed", 4.0)])
def test_a_ratio_that_changes_counts_from_then_on(counts: str, later: float) -> None:
    """Imports <= 4 + ratio x domestic; 10 domestic ones of each quarter count once.

    At ratio 0.5 with orders counted: 4 + 5 at once. At 0.2 from the second quarter on: 4 + 2 in
    all. Counted on delivery, a quarter after the order, those of the first quarter do not count
    any more, nor are domestic ones of the second there before the third: imports come a quarter
    sooner than they, so they are 4 at once and, ordered in the second quarter, 4 again.
    """
    spec = plan(
        3,
        chips=(
            chip("x", price_usd=1000.0, residual=0.0, lead=0),
            chip("y", "CN", rate=0.9, price_usd=10.0, lead=1, supply=(10.0, 10.0, 0.0)),
        ),
        demand=(work("w", {"a": (90.0, 90.0, 0.0)}, 2.0),),
        domestic=CN,
        import_ratio=ImportRatio(0.5, 4.0, counts),  # type: ignore[arg-type]
        branches=(sure(1, import_ratio=0.2),),
    )
    first = 9.0 if counts == "ordered" else 4.0
    assert bought(solved(spec)) == pytest.approx([first, later, 0.0])


@pytest.mark.parametrize("banned", [True, False])
def test_what_comes_after_an_answer_comes_only_after_it(banned: bool) -> None:
    """Demand that triples only after a ban of chance 0.4, with chance 0.5 then."""
    after = "ban.yes" if banned else "ban.no"
    spec = plan(
        3,
        chips=(chip("x"),),
        demand=(work("w", {"a": (0.0, 0.0, 5.0)}, 2.0),),
        branches=(
            Branch("ban", 1, (Outcome("yes", 0.4, ban=US), Outcome("no", 0.6))),
            Branch("rush", 2, (Outcome("r", 0.5, demand={"w": 3.0}), Outcome("s", 0.5)), after),
        ),
    )
    chance = 0.5 * (0.4 if banned else 0.6)
    assert solved(spec).mean_usd == pytest.approx(5.0 * LOSS * (1.0 + 2.0 * chance))
