"""Plans whose costs fall without end: what pays, and why."""

import re
from dataclasses import replace
from typing import Any

import pytest

from tieline.model.errors import InputError
from tieline.model.plan import (
    Budget,
    Cap,
    ImportRatio,
)
from tieline.planning.plan import Plan
from twins.plan_limits import chip, chips, place, plan, work

ENDLESS = (
    "ordering h200 pays without end: in 2027Q1 it costs 10,000 USD and is worth 12,800 USD when"
    " the plan ends (residual 1.6), and no supply, budget, cap, power or space limits it"
)


def test_what_pays_without_end_is_named() -> None:
    """An accelerator that is worth more at the end than it costs is named, with both."""
    spec = plan(chips=chips(h200={"residual": 1.6}))
    with pytest.raises(InputError, match=re.escape(ENDLESS) + "$"):
        Plan(spec).solve()


@pytest.mark.parametrize(
    "limit",
    [
        {"budget": Budget(total_usd=2e6)},
        {"caps": (Cap("licence", frozenset({"US"}), 200.0),)},
        {"regions": (place("east", power_w=2e5), place("west", space=50.0))},
        {"chips": chips(h200={"residual": 1.6, "supply": (200.0,) * 4})},
    ],
)
def test_one_limit_is_enough_to_end_it(limit: dict[str, Any]) -> None:
    """What pays is ordered up to the limit where there is one: the plan has an optimum."""
    spec = replace(plan(chips=chips(h200={"residual": 1.6})), **limit)
    assert Plan(spec).solve().values("buy").sum() > 100.0


def test_every_accelerator_that_pays_without_end_is_named() -> None:
    """Two that pay are both named; one whose supply is limited is not."""
    spec = plan(
        chips=(
            *chips(h200={"residual": 1.6}, c910={"residual": 1.5}),
            chip("b30a", "US", residual=1.9, supply=(1.0,) * 4),
        )
    )
    with pytest.raises(InputError) as error:
        Plan(spec).solve()
    assert re.findall(r"ordering (\S+) pays", str(error.value)) == ["h200", "910c"]


def test_accelerators_that_pay_only_together_are_named_together() -> None:
    """What pays under the import ratio needs domestic ones beside it: both are named."""
    spec = plan(chips=chips(h200={"residual": 3.0}), import_ratio=ImportRatio(1.0))
    with pytest.raises(InputError) as error:
        Plan(spec).solve()
    assert re.findall(r"ordering (\S+) pays", str(error.value)) == ["h200", "910c"]


def test_money_that_grows_dearer_is_told() -> None:
    """A refund pays where money is worth more later; the discount is named."""
    spec = plan(chips=chips(h200={"lead": 1}), discount=-0.5, demand=(work(0.0),))
    with pytest.raises(InputError, match=r"residual 1, discount -0\.5"):
        Plan(spec).solve()
