"""Mistakes in plan files: each is one line that names its place, what is there and the mend."""

import pytest

from tieline.files.plan import plan_from
from tieline.files.problems import FileErrors
from tieline.files.syntax import parse

TEXT = """\
from: 2027Q1
quarters: 4
domestic: [CN]
regions: [{id: west, power_mw: 12}, {id: east}]
links: [{between: [west, east], bandwidth_gbit_s: 400}]
existing: [{region: west, accelerator: huawei-910b2, count: 4000, retires: 2027Q3}]
accelerators:
  - {id: huawei-910b2}
  - {id: nvidia-h200-sxm, price: 27000 USD, lead_quarters: 2}
  - {id: huawei-910c, price: 180000 CNY, supply: [500, 800]}
  - {id: own, price: 1 USD, origin: EU, power_w: 900, rates: {training: 0.5, decode: 0.2}}
currencies: {CNY: 0.14}
supply_factor: {CN: 0.5}
tenants: [{id: state, buys: [CN], regions: [west]}, {id: firm, budget: {total: 1M CNY}}]
demand:
  - {id: training, class: training, amounts: {west: 1500, east: [500, 700]}}
  - {id: records, class: decode, amounts: {east: 300}, sensitivity: secret}
rules:
  trust: {secret: [CN]}
  import_ratio: {ratio: 1}
  caps: [{id: licence, accelerators: [nvidia-h200-sxm], at_most: 3000}]
branches:
  - id: export
    from: 2027Q2
    outcomes:
      - {id: open, probability: 0.7, price: {US: 0.9}, caps: {licence: 5000}, import_ratio: 2}
      - {id: ban, probability: 0.3, ban: [US], supply: {CN: 2}}
  - id: relief
    from: 2027Q4
    after: export.ban
    outcomes:
      - {id: comes, probability: 0.5, lift: [US], duty: {US: 0.5}, demand: {training: 1.5}}
      - {id: stays, probability: 0.5}
sweeps: [{set: accelerators.nvidia-h200-sxm.price, values: [20000, 30000]}]
sources: [{of: accelerators.nvidia-h200-sxm.price, source: Reuters}]
"""


def mistakes(text: str) -> list[str]:
    """Give the mistakes in the text of a plan file, without the name of the file."""
    with pytest.raises(FileErrors) as raised:
        plan_from(parse(text, "plan.yaml"), name="plan")
    return [str(problem).removeprefix("plan.yaml:") for problem in raised.value.problems]


def test_the_file_without_mistakes_is_read() -> None:
    """The file that the mistakes are put into has none."""
    spec = plan_from(parse(TEXT, "plan.yaml"), name="plan")
    assert [chip.accelerator.id for chip in spec.chips][-1] == "own"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "region: west, acc",
            "region: wets, acc",
            "6: existing[0].region: unknown region 'wets'; did you mean west, east?",
            id="unknown region of a stock",
        ),
        pytest.param(
            "[west, east], band",
            "[west, west], band",
            "5: links[0].between: a link from 'west' to itself; allowed: two regions",
            id="link to itself",
        ),
        pytest.param(
            "[west, east], band",
            "[west, north], band",
            "5: links[0].between[1]: unknown region 'north'; allowed: east, west",
            id="unknown region of a link",
        ),
        pytest.param(
            "regions: [west]",
            "regions: [wst]",
            "14: tenants[0].regions[0]: unknown region 'wst'; did you mean west, east?",
            id="unknown region of a tenant",
        ),
        pytest.param(
            "east: [500, 700]",
            "est: [500, 700]",
            "16: demand[0].amounts.est: unknown region 'est'; did you mean west, east?",
            id="unknown region of an amount",
        ),
        pytest.param(
            "{id: east}]",
            "{id: east}, {id: west}]",
            "4: regions[2].id: second region id 'west', first on line 4; allowed: once",
            id="second region",
        ),
        pytest.param(
            "retires: 2027Q3}",
            "retires: 2027Q3}, {region: west, accelerator: huawei-910b2, count: 1, "
            "retires: 2027Q3}",
            "6: existing[1]: second stock of huawei-910b2 in 'west' that retires then, "
            "first on line 6; allowed: once",
            id="second stock",
        ),
        pytest.param(
            "accelerator: huawei-910b2",
            "accelerator: nvidia-h20-96",
            "6: existing[0].accelerator: 'nvidia-h20-96' is not listed under "
            "`accelerators`; list it there; it needs no price",
            id="stock of an accelerator that is not listed",
        ),
        pytest.param(
            "{id: huawei-910b2}",
            "{id: huawei-910b2}\n  - {id: huawei-910b2}",
            "9: accelerators[1].id: second accelerator id 'huawei-910b2', first on "
            "line 8; allowed: once",
            id="second accelerator",
        ),
        pytest.param(
            "{id: firm",
            "{id: state",
            "14: tenants[1].id: second tenant id 'state', first on line 14; allowed: once",
            id="second tenant",
        ),
        pytest.param(
            "id: records, class",
            "id: training, class",
            "17: demand[1].id: second demand id 'training', first on line 16; allowed: once",
            id="second demand",
        ),
        pytest.param(
            "at_most: 3000}",
            "at_most: 3000}, {id: licence, accelerators: [CN], at_most: 1}",
            "21: rules.caps[1].id: second cap id 'licence', first on line 21; allowed: once",
            id="second cap",
        ),
        pytest.param(
            "id: relief",
            "id: export",
            "28: branches[1].id: second branch id 'export', first on line 23; allowed: once",
            id="second branch",
        ),
        pytest.param(
            "{id: stays,",
            "{id: comes,",
            "33: branches[1].outcomes[1].id: second outcome id 'comes', first on line "
            "32; allowed: once",
            id="second outcome",
        ),
        pytest.param(
            "[nvidia-h200-sxm], at",
            "[nvidia-h20-96], at",
            "21: rules.caps[0].accelerators[0]: unknown accelerator or origin "
            "'nvidia-h20-96'; did you mean nvidia-h200-sxm?",
            id="cap on what is not in the plan",
        ),
        pytest.param(
            "buys: [CN]",
            "buys: [CH]",
            "14: tenants[0].buys[0]: unknown accelerator or origin 'CH'; allowed: CN, "
            "EU, US, huawei-910b2, huawei-910c, nvidia-h200-sxm, own",
            id="nothing to buy",
        ),
        pytest.param(
            "domestic: [CN]",
            "domestic: [CNN]",
            "3: domestic[0]: unknown origin 'CNN'; did you mean CN?",
            id="unknown domestic origin",
        ),
        pytest.param(
            "{secret: [CN]}",
            "{secret: [CN, huawei-960]}",
            "19: rules.trust.secret[1]: unknown accelerator or origin 'huawei-960'; "
            "did you mean huawei-910c, huawei-910b2?",
            id="trust in nobody",
        ),
        pytest.param(
            "factor: {CN",
            "factor: {CNN",
            "13: supply_factor.CNN: unknown accelerator or origin 'CNN'; did you mean CN?",
            id="unknown supply factor",
        ),
        pytest.param(
            "ban: [US],",
            "ban: [USA],",
            "27: branches[0].outcomes[1].ban[0]: unknown accelerator or origin 'USA'; "
            "did you mean US?",
            id="ban of nothing",
        ),
        pytest.param(
            "lift: [US]",
            "lift: [nvidia-h100-sxm]",
            "32: branches[1].outcomes[0].lift[0]: unknown accelerator or origin "
            "'nvidia-h100-sxm'; did you mean nvidia-h200-sxm?",
            id="lift of what is not in the plan",
        ),
        pytest.param(
            "price: {US",
            "price: {UK",
            "26: branches[0].outcomes[0].price.UK: unknown accelerator or origin 'UK'; "
            "allowed: CN, EU, US, huawei-910b2, huawei-910c, nvidia-h200-sxm, own",
            id="price of nothing",
        ),
        pytest.param(
            "duty: {US",
            "duty: {nvidia",
            "32: branches[1].outcomes[0].duty.nvidia: unknown accelerator or origin "
            "'nvidia'; did you mean nvidia-h200-sxm?",
            id="duty on nothing",
        ),
        pytest.param(
            "supply: {CN: 2",
            "supply: {MN: 2",
            "27: branches[0].outcomes[1].supply.MN: unknown accelerator or origin "
            "'MN'; allowed: CN, EU, US, huawei-910b2, huawei-910c, nvidia-h200-sxm, own",
            id="supply of nothing",
        ),
        pytest.param(
            "demand: {training",
            "demand: {trainin",
            "32: branches[1].outcomes[0].demand.trainin: unknown demand 'trainin'; did "
            "you mean training?",
            id="unknown demand",
        ),
        pytest.param(
            "caps: {licence",
            "caps: {licnce",
            "26: branches[0].outcomes[0].caps.licnce: unknown cap 'licnce'; did you mean licence?",
            id="unknown cap",
        ),
        pytest.param(
            "sensitivity: secret",
            "sensitivity: sensitive",
            "17: demand[1].sensitivity: unknown sensitivity 'sensitive'; allowed: open, secret",
            id="unknown sensitivity",
        ),
        pytest.param(
            "probability: 0.7",
            "probability: 0.6",
            "25: branches[0].outcomes: probabilities that sum to 0.9; allowed: a sum of 1",
            id="probabilities below 1",
        ),
        pytest.param(
            "probability: 0.7",
            "probability: 0.70001",
            "25: branches[0].outcomes: probabilities that sum to 1.00001; allowed: a sum of 1",
            id="probabilities above 1",
        ),
        pytest.param(
            "export.ban",
            "export.re-ban",
            "30: branches[1].after: unknown outcome 'export.re-ban'; did you mean "
            "export.ban, export.open?",
            id="unknown parent",
        ),
        pytest.param(
            "export.ban",
            "relief.comes",
            "30: branches[1].after: waits for itself, by way of relief; name an "
            "outcome that comes earlier",
            id="parent of itself",
        ),
        pytest.param(
            "from: 2027Q4",
            "from: 2027Q2",
            "29: branches[1].from: 2027Q2 is not later than 2027Q2, when 'export', "
            "which it comes after, becomes known; allowed: 2027Q3 or later",
            id="branch before its parent",
        ),
        pytest.param(
            "from: 2027Q2",
            "from: 2027Q1",
            "24: branches[0].from: 2027Q1 is the first quarter, which is decided "
            "before anything is known; allowed: 2027Q2 to 2027Q4",
            id="branch in the first quarter",
        ),
        pytest.param(
            "from: 2027Q2",
            "from: 2026Q4",
            "24: branches[0].from: 2026Q4 is before the plan begins; allowed: 2027Q2 to 2027Q4",
            id="branch in the past",
        ),
        pytest.param(
            "from: 2027Q4",
            "from: 2028Q1",
            "29: branches[1].from: 2028Q1 is after the end of the plan; allowed: 2027Q2 to 2027Q4",
            id="branch after the end",
        ),
        pytest.param(
            "retires: 2027Q3",
            "retires: 2026Q4",
            "6: existing[0].retires: 2026Q4 is before the plan begins; allowed: 2027Q1 or later",
            id="stock that retired in the past",
        ),
        pytest.param(
            "from: 2027Q1",
            "from: 2027",
            "1: from: 2027; allowed: a quarter such as 2027Q1",
            id="no quarter",
        ),
        pytest.param(
            "180000 CNY",
            "180000 EUR",
            "10: accelerators[2].price: unknown currency 'EUR'; say under `currencies` "
            "what one is worth in USD",
            id="unknown currency",
        ),
        pytest.param(
            "1M CNY",
            "1M EUR",
            "14: tenants[1].budget.total: unknown currency 'EUR'; say under "
            "`currencies` what one is worth in USD",
            id="unknown currency of a budget",
        ),
        pytest.param(
            "180000 CNY",
            "180000",
            "10: accelerators[2].price: 180000 without a currency; allowed: an amount "
            "and its currency, such as 27000 USD, 1.4M CNY or 2bn USD",
            id="price without currency",
        ),
        pytest.param(
            "{CNY: 0.14}",
            "{CNY: 0.14, USD: 1}",
            "12: currencies.USD: a worth of USD, which is 1 by definition; leave it out",
            id="worth of USD",
        ),
        pytest.param(
            ", decode: 0.2}",
            "}",
            "11: accelerators[3].id: 'own' is not in the catalogue; give its `rates` for decode",
            id="rate that nobody knows",
        ),
        pytest.param(
            "origin: EU, power_w: 900, rates: {training: 0.5, decode: 0.2}",
            "duty: 0",
            "11: accelerators[3].id: 'own' is not in the catalogue; give its `origin`, "
            "`power_w` and `rates` for decode and training",
            id="accelerator of which nothing is said",
        ),
        pytest.param(
            "{id: huawei-910b2}",
            "{id: huawei-910b2}\n  - {id: nvidia-h20}",
            "9: accelerators[1].id: 'nvidia-h20' is not in the catalogue; give its "
            "`origin`, `power_w` and `rates` for decode and training, or did you mean "
            "nvidia-h20-141, nvidia-h20-96, nvidia-h200-nvl?",
            id="misspelt accelerator",
        ),
        pytest.param(
            "{id: huawei-910b2}",
            "{id: huawei-910b2}\n  - {id: huawei-960}",
            "9: accelerators[1].power_w: missing; needed: power of one in use; the "
            "catalogue has none for huawei-960",
            id="accelerator without a known power",
        ),
        pytest.param(
            "{secret: [CN]}",
            "{secret: []}",
            "17: demand[1]: no accelerator can serve it (4 not trusted with its "
            "sensitivity); all of it must be served; add one that can, or leave this "
            "demand out",
            id="nobody is trusted",
        ),
        pytest.param(
            "{secret: [CN]}",
            "{secret: [CN], open: [CN]}",
            "19: rules.trust.open: a list for 'open', which all may serve; choose another name",
            id="list of who is trusted with what is open",
        ),
        pytest.param(
            "  import_ratio: {ratio: 1}\n",
            "",
            "25: branches[0].outcomes[0].import_ratio: a new ratio, but there is none "
            "before it; put the first one under `rules`, as `import_ratio`",
            id="ratio without a rule",
        ),
        pytest.param(
            "[500, 700]",
            "[5, 6, 7, 8, 9]",
            "16: demand[0].amounts.east: 5 numbers for 4 quarters; allowed: at most one for each",
            id="series that is too long",
        ),
        pytest.param(
            "[500, 800]",
            "[5, 6, 7, 8, 9]",
            "10: accelerators[2].supply: 5 numbers for 4 quarters; allowed: at most one for each",
            id="supply that is too long",
        ),
        pytest.param(
            "lead_quarters: 2}",
            "lead_quarters: 4}",
            "9: accelerators[1].lead_quarters: on offer, but comes after 4 quarters, "
            "in a plan of 4; allowed: at most 3, or no `price`",
            id="accelerator that comes too late",
        ),
        pytest.param(
            "ban: [US],",
            "ban: [US], lift: [US],",
            "27: branches[0].outcomes[1].lift: US under `ban`, too; allowed: under one of the two",
            id="ban and lift at once",
        ),
        pytest.param(
            "set: accelerators.nvidia-h200-sxm.price",
            "set: accelerators.nvidia-h200.price",
            "34: sweeps[0].set: unknown entry of accelerators 'nvidia-h200'; did you "
            "mean nvidia-h200-sxm?",
            id="sweep of an unknown accelerator",
        ),
        pytest.param(
            "set: accelerators.nvidia-h200-sxm.price",
            "set: accelerators.nvidia-h200-sxm.prize",
            "34: sweeps[0].set: unknown field 'prize'; did you mean price?",
            id="sweep of an unknown field",
        ),
        pytest.param(
            "set: accelerators.nvidia-h200-sxm.price",
            "set: accelerators.huawei-910b2.price",
            "34: sweeps[0].set: no money stands there whose currency the values could "
            "have; give it an amount",
            id="sweep of an absent price",
        ),
        pytest.param(
            "set: accelerators.nvidia-h200-sxm.price",
            "set: rules.caps",
            "34: sweeps[0].set: more than one value; name one of them",
            id="sweep of a list",
        ),
        pytest.param(
            "set: accelerators.nvidia-h200-sxm.price",
            "set: risk",
            "34: sweeps[0].set: a group of fields; name one of them: weight, tail",
            id="sweep of a group",
        ),
        pytest.param(
            "[20000, 30000]",
            "[30000, 20000]",
            "34: sweeps[0].values[1]: 20000 after 30000; allowed: ascending values",
            id="sweep that falls",
        ),
        pytest.param(
            "of: accelerators.nvidia-h200-sxm.price",
            "of: accelerators.nvidia-h200-sxm.prices",
            "35: sources[0].of: unknown field 'prices'; did you mean price, price_growth, rates?",
            id="source of an unknown field",
        ),
        pytest.param(
            "of: accelerators.nvidia-h200-sxm.price",
            "of: accelerators.nvidia-h200-sxm.supply",
            "35: sources[0].of: nothing stands there; name a place that is in this file",
            id="source of what is absent",
        ),
        pytest.param(
            "regions: [{id: west, power_mw: 12}, {id: east}]\n",
            "",
            "1: regions: missing; needed: where accelerators stand, here or in a "
            "network file under `network`",
            id="no region",
        ),
        pytest.param(
            ".price, values: [20000, 30000]",
            ".duty, values: [1, 20]",
            "34: sweeps[0].values[1]: 20 for accelerators.nvidia-h200-sxm.duty; "
            "allowed: a number from 0 to 10",
            id="sweep beyond a limit",
        ),
        pytest.param(
            ".price, values: [20000, 30000]",
            ".lead_quarters, values: [1, 1.5, 2]",
            "34: sweeps[0].values[1]: 1.5 for "
            "accelerators.nvidia-h200-sxm.lead_quarters; allowed: a whole number from "
            "0 to 80 quarters",
            id="sweep of halves where whole numbers stand",
        ),
    ],
)
def test_a_mistake_is_one_line(old: str, new: str, expected: str) -> None:
    """Each mistake is told with line and field, what is there, and what is allowed or needed."""
    assert TEXT.count(old) == 1
    assert mistakes(TEXT.replace(old, new)) == [expected]


@pytest.mark.parametrize(
    ("demand", "changes", "why"),
    [
        (
            "records, class: decode",
            {"[CN]}\n  import": "[EU]}\n  import", "decode: 0.2": "decode: 0"},
            (
                "3 not trusted with its sensitivity, 1 with rate 0 for decode); "
                "all of it must be served"
            ),
        ),
        (
            "records, class: decode, unmet_per_hour: 1 USD",
            {"{secret: [CN]}": "{secret: []}"},
            "4 not trusted with its sensitivity)",
        ),
        (
            "records, class: decode",
            {
                "{id: own": "{id: nvidia-l20}\n  - {id: own",
                "{secret: [CN]}": "{secret: [nvidia-l20]}",
            },
            (
                "4 not trusted with its sensitivity, 1 neither there nor on offer); "
                "all of it must be served"
            ),
        ),
    ],
)
def test_demand_that_nobody_can_serve(demand: str, changes: dict[str, str], why: str) -> None:
    """Demand that every accelerator is barred from is told with the reasons, each counted."""
    text = TEXT.replace("records, class: decode", demand)
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (found,) = mistakes(text)
    assert found.partition(": ")[2] == (
        f"demand[1]: no accelerator can serve it ({why}; "
        "add one that can, or leave this demand out"
    )


def test_branches_that_wait_for_one_another() -> None:
    """Branches in a circle are one mistake, at the first of them."""
    text = TEXT.replace("from: 2027Q2\n", "from: 2027Q2\n    after: relief.comes\n")
    assert mistakes(text) == [
        (
            "25: branches[0].after: waits for itself, by way of export, relief; "
            "name an outcome that comes earlier"
        )
    ]


def test_a_name_of_two_outcomes() -> None:
    """A branch after a name that two outcomes have, by the dots in their ids, is refused."""
    more = (
        "  - {id: export.ban, from: 2027Q3, outcomes: [{id: stays, probability: 1}]}\n"
        "  - {id: more, from: 2027Q4, after: export.ban.stays, "
        "outcomes: [{id: open, probability: 1}]}\nsweeps"
    )
    text = TEXT.replace("{id: ban, prob", "{id: ban.stays, prob").replace("sweeps", more)
    text = text.replace("after: export.ban\n", "after: export.open\n")
    assert mistakes(text) == [
        "35: branches[3].after: 'export.ban.stays' names two outcomes; give one of them another id"
    ]


@pytest.mark.parametrize(
    ("branches", "found"),
    [
        (14, "16,384 futures"),
        (60, "more than 1,000,000,000,000 futures"),
    ],
)
def test_too_many_futures(branches: int, found: str) -> None:
    """Independent branches multiply; what no memory holds is refused before the tree is made."""
    coin = "outcomes: [{id: heads, probability: 0.5}, {id: tails, probability: 0.5}]"
    more = "".join(f"  - {{id: b{n}, from: 2027Q2, {coin}}}\n" for n in range(branches))
    head, _, tail = TEXT.partition("  - id: export")
    text = head + more + tail[tail.index("sweeps") :]
    assert mistakes(text) == [
        (
            f"22: branches: {found}; allowed: at most 10,000; "
            "leave out branches, or put one after another"
        )
    ]


def test_mistakes_of_all_kinds_are_told_together() -> None:
    """Wrong values, unknown names and wrong times are all in one report, in order of lines."""
    text = TEXT.replace("quarters: 4", "quarters: four").replace("[US]", "[USA]", 1)
    found = mistakes(text.replace("1 USD", "1 JPY"))
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == [
        "quarters",
        "accelerators[3].price",
        "branches[0].outcomes[1].ban[0]",
    ]
