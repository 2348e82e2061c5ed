"""Prices of limits of the example plans: changing the file by a little saves what they say."""

from pathlib import Path

import pytest

from tieline.files.plan import plan_from
from tieline.files.plan_paths import value_at, with_value
from tieline.files.syntax import read_document
from tieline.planning.plan import Plan
from tieline.planning.shadow import limit_prices
from twins.plan_linopy import optimum, twin

EXAMPLES = Path(__file__).parents[2] / "examples"
#: Limits of each example that bind and stand in its file as one number.
BINDING = {
    "plan-small": {"accelerators.huawei-910c.supply"},
    "plan-firm": {
        "rules.caps.licence.at_most",
        "accelerators.huawei-910c.supply",
        "accelerators.cambricon-mlu590.supply",
    },
}


@pytest.mark.parametrize("name", BINDING)
def test_changing_the_file_saves_what_the_price_says(name: str) -> None:
    """A little more of a limit saves at most its price, a little less costs at least as much.

    Of the planner and of its twin alike, both solved from cold.
    """
    document = read_document(EXAMPLES / name / "plan.yaml")
    live = Plan(plan_from(document, name=name))
    base = live.solve()
    prices = {price.path: price for price in limit_prices(live, base, most=30)}
    assert BINDING[name] <= set(prices)
    for path in sorted(BINDING[name]):
        price, at = prices[path], value_at(document, path)
        assert isinstance(at, int | float)
        step = 0.002 * at
        saved = []
        for change in (step, -step):
            there = Plan(plan_from(with_value(document, path, at + change), name=name))
            cost = there.solve().objective_usd
            assert optimum(twin(there.inputs)) == pytest.approx(cost, rel=1e-7)
            saved.append((base.objective_usd - cost) / change)
        more, less = saved
        slack = 1e-3 * price.usd + 1e-6
        assert more - slack <= price.usd <= less + slack
