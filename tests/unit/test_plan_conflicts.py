"""Plans that cannot be: the limits in conflict, in the words of the file."""

import re
from dataclasses import replace

import pytest

from tieline.model.errors import InputError
from tieline.model.plan import (
    Branch,
    Budget,
    Buyer,
    Cap,
    ImportRatio,
    Outcome,
    PlanSpec,
    Stock,
)
from tieline.planning.conflicts import conflict
from tieline.planning.inputs import inputs_of
from tieline.planning.plan import Plan, apart
from twins.plan_limits import (
    FULL,
    GBIT,
    LESS,
    MUST,
    ONE_LINK,
    REBAN,
    chips,
    higher,
    place,
    plan,
    without,
    work,
)

EIGHTY = "80,000,000,000 USD a quarter"
IN_TOTAL = "500,000 USD in total; 700,000 USD more would do"
#: Each has one conflict: the plan, when it shows, and a line for each limit.
CASES: dict[str, tuple[PlanSpec, str, list[str]]] = {
    "power": (
        plan(regions=(place("east", power_w=0.04e6), place("west"))),
        "2027Q1",
        [f"{MUST}; 60 {LESS}", "power of region east is 0.04 MW; 0.06 MW more would do"],
    ),
    "power, later": (
        plan(
            regions=(place("east", power_w=0.1e6), place("west")),
            demand=(work(0, amounts={"east": (90.0, 100.0, 110.0, 150.0)}),),
        ),
        "2027Q3",
        [f"{MUST}; 50 {LESS}", "power of region east is 0.1 MW; 0.05 MW more would do"],
    ),
    "idle power of what is there": (
        plan(
            regions=(place("east", power_w=0.02e6), place("west")),
            stock=(Stock("east", "h200", 100.0),),
            demand=(work(0.0),),
        ),
        "2027Q1",
        ["power of region east is 0.02 MW; 0.01 MW more would do"],
    ),
    "space": (
        plan(regions=(place("east", space=60.0), place("west"))),
        "2027Q1",
        [f"{MUST}; 40 {LESS}", "space of region east is 60 accelerators; 40 more would do"],
    ),
    "space of what is there": (
        plan(regions=(place("east", space=60.0),), stock=(Stock("east", "h200", 100.0),)),
        "2027Q1",
        ["space of region east is 60 accelerators; 40 more would do"],
    ),
    "supply": (
        plan(chips=chips(h200={"supply": (30.0,) * 4}, c910={"supply": (10.0, 20.0, 20.0, 20.0)})),
        "2027Q1",
        [
            f"{MUST}; 65 {LESS}",
            "supply of h200 is 30 a quarter; 65 more a quarter would do",
            "supply of 910c is 10 to 20 a quarter; 130 more a quarter would do",
        ],
    ),
    "nothing on offer": (
        plan(
            chips=chips(h200={"sold": False}, c910={"sold": False}),
            stock=(Stock("east", "h200", 70.0),),
        ),
        "2027Q1",
        [f"{MUST}, and nothing on offer can serve more of it; 30 {LESS}"],
    ),
    "what is there retires": (
        plan(
            chips=chips(h200={"sold": False}, c910={"supply": (10.0,) * 4}),
            stock=(Stock("east", "h200", 100.0, retires=2),),
        ),
        "2027Q3",
        [f"{MUST}; 85 {LESS}", "supply of 910c is 10 a quarter; 56.7 more a quarter would do"],
    ),
    "lead times": (
        plan(chips=chips(h200={"lead": 2}, c910={"lead": 1})),
        "2027Q1",
        [f"{MUST}; 100 {LESS}", "lead_quarters of h200 is 2", "lead_quarters of 910c is 1"],
    ),
    "budget": (
        plan(budget=Budget(80e9, 400_000.0)),
        "2027Q1",
        [
            f"{MUST}; 60 {LESS}",
            f"the budget is {EIGHTY} and 400,000 USD in total; 600,000 USD more would do",
        ],
    ),
    "budget of a tenant": (
        plan(
            buyers=(
                Buyer("lab", budget=Budget(per_quarter_usd=200_000.0, carry_over=False)),
                Buyer("firm", budget=Budget(100_000.0, 500_000.0)),
            )
        ),
        "2027Q1",
        [
            f"{MUST}; 70 {LESS}",
            "budget of tenant lab is 200,000 USD a quarter; 700,000 USD more would do",
            f"budget of tenant firm is 100,000 USD a quarter and {IN_TOTAL}",
        ],
    ),
    "cap": (
        plan(
            caps=(Cap("licence", frozenset({"US"}), 5.0, each=True),),
            buyers=(Buyer("firms", members=4),),
            chips=chips(c910={"supply": (100.0, 0.0, 0.0, 0.0)}),
        ),
        "2027Q1",
        [
            f"{MUST}; 30 {LESS}",
            "supply of 910c is 0 to 100 a quarter; 60 more a quarter would do",
            "cap licence is 5 accelerators for each member; 7.5 more would do",
        ],
    ),
    "import ratio": (
        plan(
            import_ratio=ImportRatio(0.5, base=10.0),
            chips=chips(c910={"supply": (60.0, 0.0, 0.0, 0.0)}),
        ),
        "2027Q1",
        [
            f"{MUST}; 30 {LESS}",
            "supply of 910c is 0 to 60 a quarter; 30 more a quarter would do",
            "import_ratio is 0.5, base 10; a base higher by 30 would do",
        ],
    ),
    "trust": (
        plan(
            demand=(work(100.0, sensitivity="secret"),),
            trust={"secret": frozenset({"CN"})},
            chips=chips(c910={"supply": (150.0, 0.0, 0.0, 0.0)}),
        ),
        "2027Q1",
        [
            f"{MUST}; 25 {LESS}",
            "supply of 910c is 0 to 150 a quarter; 50 more a quarter would do",
            "only CN may serve secret work (trust)",
        ],
    ),
    "link": (
        plan(regions=FULL, links=ONE_LINK, demand=(work(100.0, bandwidth_bytes_s=0.2 * GBIT),)),
        "2027Q1",
        [
            f"{MUST}; 50 {LESS}",
            "space of region east is 0 accelerators; 50 more would do",
            "link between east and west carries 10 Gbit/s; 10 Gbit/s more would do",
        ],
    ),
    "round trip": (
        plan(regions=FULL, links=ONE_LINK, demand=(work(100.0, max_rtt_s=0.005),)),
        "2027Q1",
        [
            f"{MUST}; 100 {LESS}",
            "space of region east is 0 accelerators; 100 more would do",
            "max_rtt_ms of demand records is 5",
        ],
    ),
    "what tenants may buy": (
        plan(
            regions=(place("east", power_w=0.15e6), place("west")),
            buyers=(
                Buyer("lab", buys=frozenset({"CN"})),
                Buyer("firm", regions=frozenset({"west"})),
            ),
        ),
        "2027Q1",
        [
            f"{MUST}; 25 {LESS}",
            "power of region east is 0.15 MW; 0.05 MW more would do",
            "tenant firm buys only for west",
            "tenant lab buys only CN",
        ],
    ),
    "ban in one future": (
        plan(
            branches=(REBAN,),
            regions=(place("east", space=100.0), place("west")),
            stock=(Stock("east", "910c", 100.0, retires=2),),
            demand=(work(0.0, amounts={"east": (0.0, 0.0, 100.0, 100.0)}),),
        ),
        "2027Q3 (banned)",
        [
            f"{MUST}; 50 {LESS}",
            "space of region east is 100 accelerators; 50 more would do",
            "outcome banned of branch ban bans US from 2027Q3 on",
        ],
    ),
    "whole lots": (
        plan(
            whole_lots=True,
            chips=chips(h200={"lot": 64, "supply": (110.0,) * 4}, c910={"sold": False}),
            demand=(work(0.0, amounts={"east": (100.0, 0.0, 0.0, 0.0)}),),
        ),
        "2027Q1",
        [
            f"{MUST}; 36 {LESS}",
            "supply of h200 is 110 a quarter; 18 more a quarter would do",
            "orders are whole lots (whole_lots)",
        ],
    ),
}
NAMED = pytest.mark.parametrize("name", CASES)


@NAMED
def test_a_conflict_is_told_in_the_words_of_the_file(name: str) -> None:
    """The error says when limits clash first, and each with what would do alone."""
    spec, when, limits = CASES[name]
    begin = "no plan keeps all of these" if len(limits) > 1 else "no plan keeps this"
    expected = "\n  ".join([f"{begin}, first in {when}:", *limits])
    with pytest.raises(InputError, match=re.escape(expected) + "$"):
        Plan(spec).solve()


@NAMED
def test_no_limit_of_a_conflict_can_be_spared(name: str) -> None:
    """Whichever of the named limits is taken out of the plan, there is a plan then."""
    spec, _, limits = CASES[name]
    for line in limits:
        assert Plan(without(spec, line)).solve().objective_usd >= 0


@NAMED
def test_what_is_said_to_be_enough_is_enough_and_not_more(name: str) -> None:
    """With a limit as much higher as is said there is a plan, with 2 % less there is none."""
    spec, _, limits = CASES[name]
    for line in limits:
        found = re.search(r"(?:by )?([\d.,]+)(?: \S+)?(?: more.*)? would do", line)
        if found and "less" not in line:
            amount = float(found[1].replace(",", ""))
            assert Plan(higher(spec, line, amount)).solve().objective_usd >= 0
            with pytest.raises(InputError, match="no plan keeps"):
                Plan(higher(spec, line, 0.98 * amount)).solve()


def test_conflicts_that_share_no_limit_are_told_together() -> None:
    """A second conflict has lines of its own, and each says what would do for itself."""
    spec = plan(
        regions=(place("east", power_w=0.04e6), place("west", space=10.0)),
        stock=(Stock("west", "910c", 30.0),),
    )
    with pytest.raises(InputError) as error:
        Plan(spec).solve()
    assert str(error.value).splitlines() == [
        "no plan keeps all of these, first in 2027Q1:",
        f"  {MUST}; 60 {LESS}",
        "  power of region east is 0.04 MW; 0.06 MW more would do",
        "nor this, first in 2027Q1:",
        "  space of region west is 10 accelerators; 20 more would do",
    ]


def test_what_is_decided_before_an_answer_must_suit_all_futures() -> None:
    """Limits that clash in no single future are told as such."""
    before = {"h200": {"lead": 2, "supply": (100.0, 0.0, 0.0, 0.0)}, "c910": {"sold": False}}
    west = Outcome("west", 0.5, demand={"records": 0.0})
    east = Outcome("east", 0.5, demand={"archive": 0.0})
    late = (0.0, 0.0, 100.0, 100.0)
    spec = plan(
        chips=chips(**before),
        demand=(
            work(0.0, amounts={"east": late}),
            work(0.0, id="archive", amounts={"west": late}),
        ),
        branches=(Branch("where", 1, (west, east)),),
    )
    with pytest.raises(InputError) as error:
        Plan(spec).solve()
    begin, *limits = str(error.value).splitlines()
    assert begin == "no plan keeps all of these, as futures share what is decided before them:"
    assert f"  {MUST}; 100 {LESS}" in limits
    assert "  supply of h200 is 0 to 100 a quarter; 100 more a quarter would do" in limits


def test_regions_that_are_kept_apart_are_named() -> None:
    """Where the plan without links has no solution, that is one of the limits."""
    plan_of = Plan(plan(regions=FULL, links=ONE_LINK))
    with pytest.raises(InputError, match="every region serves itself"):
        plan_of.under(apart(plan_of.inputs))
    assert plan_of.solve().objective_usd > 0


def test_orders_that_a_variant_leaves_out_are_named() -> None:
    """Where a variant of the plan may not order what it needs, that is one of the limits."""
    plan_of = Plan(plan())
    nothing = replace(plan_of.inputs, allowed=plan_of.inputs.allowed & False)
    with pytest.raises(InputError, match="not everything on offer may be ordered in this variant"):
        plan_of.under(nothing)


def test_the_order_of_the_file_does_not_change_what_is_named() -> None:
    """Regions, accelerators and demands in another order: the same limits clash."""
    spec, _, limits = CASES["import ratio"]
    turned = replace(spec, chips=spec.chips[::-1], regions=spec.regions[::-1])
    assert set(conflict(inputs_of(turned)).splitlines()[1:]) == {f"  {one}" for one in limits}


def test_in_a_large_plan_what_would_do_is_told_up_to_where_it_shows() -> None:
    """Where the whole plan would take long, amounts are those up to the first clash."""
    many = tuple(place(f"r{i}") for i in range(1200))
    spec = plan(
        regions=(place("east", power_w=0.1e6), *many),
        demand=(work(0.0, amounts={"east": (90.0, 100.0, 110.0, 150.0)}),),
    )
    with pytest.raises(InputError) as error:
        Plan(spec).solve()
    assert str(error.value).splitlines() == [
        "no plan keeps all of these, first in 2027Q3:",
        f"  {MUST}; 10 {LESS} until then",
        "  power of region east is 0.1 MW; 0.01 MW more would do until then",
    ]
