"""Plan files: what they give, and each mistake with its line and words."""

import json
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from click.testing import CliRunner

from tieline.cli.check import check
from tieline.files.document import Document
from tieline.files.plan import plan_from, plan_to_dict, read_plan
from tieline.files.plan_futures import futures
from tieline.files.plan_values import Money, money_of
from tieline.files.problems import FileErrors
from tieline.files.syntax import parse
from tieline.model.accelerator import Accelerator
from tieline.model.catalogue import catalogue
from tieline.model.network import Link, Region
from tieline.model.plan import (
    Assumption,
    Branch,
    Budget,
    Buyer,
    Cap,
    Chip,
    Demand,
    ImportRatio,
    Offer,
    Outcome,
    PlanRegion,
    PlanSpec,
    Risk,
    Stock,
    Sweep,
)

TEXT = """\
name: two regions
from: 2027Q1
quarters: 4
discount: 0.1
utilisation: 0.7
domestic: [CN]
regions:
  - {id: west, name: West, electricity_usd_per_kwh: 0.055, pue: 1.2, power_mw: 12, space: 9000}
  - {id: east}
links: [{between: [west, east], bandwidth_gbit_s: 400, rtt_ms: 20, usd_per_gb: 0.002}]
existing:
  - {region: west, accelerator: huawei-910b2, count: 4000}
  - {region: west, accelerator: huawei-910b2, count: 500, retires: 2027Q3}
accelerators:
  - {id: huawei-910b2, decay_when_banned: 0.1}
  - {id: nvidia-h200-sxm, price: 27k USD, duty: 0.25, install: 1000 USD, lead_quarters: 2}
  - {id: huawei-910c, price: 180000 CNY, supply: [500, 800], supply_growth: 0.5, power_w: 1460}
  - {id: own, price: 5000 USD, supply: 10, supply_growth: -0.5, origin: EU, power_w: 900,
     rates: {training: 0.5, decode: 0.25}, idle_power: 0.2, residual: 0.5, lot: 8,
     life_quarters: 16, price_growth: -0.02, lead_quarters: 0}
currencies: {CNY: 0.125}
supply_factor: {CN: 0.5, huawei-910c: 0.5}
budget: {per_quarter: 1bn USD, total: 24bn CNY, carry_over: no}
tenants:
  - {id: state, members: 3, budget: {total: 1M USD}, buys: [CN], regions: [west]}
  - {id: firm}
demand:
  - id: pretraining
    class: training
    amounts: {west: 1500, east: [500, 700]}
    growth: 1
    unmet_per_hour: 4 USD
  - {id: records, class: decode, amounts: {east: 0.5}, sensitivity: sensitive, max_rtt_ms: 5,
     gbit_s: 0.08}
rules:
  trust: {sensitive: [CN]}
  import_ratio: {ratio: 1, base: 10, counts: ordered, per_tenant: no}
  caps: [{id: licence, accelerators: [nvidia-h200-sxm], at_most: 3000, each: yes}]
branches:
  - id: export
    from: 2027Q2
    outcomes:
      - {id: open, probability: 0.7, price: {US: 0.9}, caps: {licence: 5000}, import_ratio: 2}
      - {id: re-ban, probability: 0.3, ban: [US], undelivered: refunded, supply: {CN: 2}}
  - id: relief
    from: 2027Q4
    after: export.re-ban
    outcomes:
      - {id: comes, probability: 0.5, lift: [US], duty: {US: 0.5}, demand: {training: 1.5}}
      - {id: stays, probability: 0.5}
risk: {weight: 0.3, tail: 0.2}
whole_lots: yes
sweeps:
  - {set: accelerators.nvidia-h200-sxm.price, values: [20000, 30000], title: price of the H200}
sources:
  - {of: accelerators.nvidia-h200-sxm.price, source: Reuters, confidence: medium}
  - {of: demand.pretraining.amounts, source: ours}
"""

TRAINING, DECODE = 0.33, 0.3  # of the 910B2
SPEC = PlanSpec(
    name="two regions",
    first=4 * 2027,
    quarters=4,
    regions=(
        PlanRegion(Region("west", "West", 0.055, 1.2), 12e6, 9000),
        PlanRegion(Region("east")),
    ),
    chips=(
        Chip(
            catalogue()["huawei-910b2"],
            1.8 * 400,
            decay=0.1,
            rates={"training": TRAINING, "decode": DECODE},
        ),
        Chip(
            catalogue()["nvidia-h200-sxm"],
            1.8 * 700,
            rates={"training": 1.0, "decode": 1.0},
            offer=Offer("nvidia-h200-sxm", 27000, 1000, 0.25, lead=2),
        ),
        Chip(
            catalogue()["huawei-910c"],
            1460,
            rates={"training": 0.65, "decode": 0.65},
            offer=Offer("huawei-910c", 22500, supply=(125, 200, 300, 450)),
        ),
        Chip(
            Accelerator("own", "own", "", "EU", ""),
            900,
            0.2,
            rates={"training": 0.5, "decode": 0.25},
            offer=Offer(
                "own",
                5000,
                price_growth=-0.02,
                lead=0,
                supply=(10, 5, 2.5, 1.25),
                life=16,
                residual=0.5,
                lot=8,
            ),
        ),
    ),
    demand=(
        Demand(
            "pretraining",
            "training",
            {"west": (1500, 3000, 6000, 12000), "east": (500, 700, 1400, 2800)},
            4.0,
        ),
        Demand("records", "decode", {"east": (0.5,) * 4}, None, "sensitive", 0.005, 1e7),
    ),
    links=(Link(("west", "east"), 5e10, 0.02, 2e-12),),
    stock=(Stock("west", "huawei-910b2", 4000), Stock("west", "huawei-910b2", 500, 2)),
    buyers=(
        Buyer("state", 3, Budget(total_usd=1e6), frozenset({"CN"}), frozenset({"west"})),
        Buyer("firm"),
    ),
    discount=0.1,
    utilisation=0.7,
    budget=Budget(1e9, 3e9, carry_over=False),
    domestic=frozenset({"CN"}),
    trust={"sensitive": frozenset({"CN"})},
    caps=(Cap("licence", frozenset({"nvidia-h200-sxm"}), 3000, each=True),),
    import_ratio=ImportRatio(1.0, 10.0, "ordered", per_tenant=False),
    branches=(
        Branch(
            "export",
            1,
            (
                Outcome("open", 0.7, price={"US": 0.9}, caps={"licence": 5000}, import_ratio=2),
                Outcome(
                    "re-ban", 0.3, frozenset({"US"}), undelivered="refunded", supply={"CN": 2}
                ),
            ),
        ),
        Branch(
            "relief",
            3,
            (
                Outcome(
                    "comes",
                    0.5,
                    lift=frozenset({"US"}),
                    duty={"US": 0.5},
                    demand={"training": 1.5},
                ),
                Outcome("stays", 0.5),
            ),
            "export.re-ban",
        ),
    ),
    risk=Risk(0.3, 0.2),
    whole_lots=True,
    sweeps=(Sweep("accelerators.nvidia-h200-sxm.price", (20000, 30000), "price of the H200"),),
)


def read(text: str) -> PlanSpec:
    """Give the plan of a text."""
    return plan_from(parse(text, "plan.yaml"), name="plan")


def test_every_field_arrives() -> None:
    """A plan file gives the plan it describes: units converted, series and defaults filled in."""
    assert replace(read(TEXT), assumptions=()) == SPEC


def test_what_is_left_out_has_no_limit() -> None:
    """The shortest plan has one buyer, no limit, no rule and one future."""
    spec = read(
        "{from: 2030Q4, quarters: 2, regions: [{id: a}], accelerators: [{id: nvidia-h20-96, "
        "price: 1 USD}], demand: [{id: w, class: hpc, amounts: {a: 1}}]}"
    )
    assert (spec.name, spec.first, spec.buyers) == ("plan", 4 * 2030 + 3, (Buyer("all"),))
    assert (spec.budget, spec.regions[0].power_w) == (Budget(), inf)
    assert spec.chips[0].offer == Offer("nvidia-h20-96", 1.0)
    assert (spec.trust, spec.caps, spec.import_ratio, spec.branches) == ({}, (), None, ())
    assert futures(spec.branches) == 1


def test_numbers_that_the_file_leaves_out_have_their_source() -> None:
    """Sources of the file come first, then each rate and power of the catalogue that is used."""
    found = read(TEXT).assumptions
    assert found[:2] == (
        Assumption("accelerators.nvidia-h200-sxm.price", "27k USD", "Reuters", "medium"),
        Assumption(
            "demand.pretraining.amounts", "{west: 1500, east: [500, 700]}", "ours", "assumed"
        ),
    )
    rest = {one.of: (one.value, one.confidence) for one in found[2:]}
    assert rest == {
        "accelerators.huawei-910b2.rates.training": ("0.33", "measured"),
        "accelerators.huawei-910b2.rates.decode": ("0.3", "inferred"),
        "accelerators.huawei-910b2.power_w": ("720 W", "assumed"),
        "accelerators.nvidia-h200-sxm.rates.training": ("1", "measured"),
        "accelerators.nvidia-h200-sxm.rates.decode": ("1", "measured"),
        "accelerators.nvidia-h200-sxm.power_w": ("1260 W", "assumed"),
        "accelerators.huawei-910c.rates.training": ("0.65", "inferred"),
        "accelerators.huawei-910c.rates.decode": ("0.65", "measured"),
    }


def test_the_file_decides_before_the_catalogue() -> None:
    """Origin and rates of the file stand in for those of the catalogue; other rates stay."""
    text = TEXT.replace("910b2, decay", "910b2, origin: XX, rates: {decode: 0.9}, decay")
    spec = read(text.replace("{sensitive: [CN]}", "{sensitive: [XX]}"))
    assert spec.chips[0].accelerator.origin == "XX"
    assert spec.chips[0].rates == {"training": TRAINING, "decode": 0.9}


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("27000 USD", 27000.0),
        ("27,000.50 USD", 27000.5),
        ("1.1M USD", 1_100_000.0),
        (".5k USD", 500.0),
        ("2.3bn USD", 2_300_000_000.0),
    ],
)
def test_money_is_read_and_written(text: str, amount: float) -> None:
    """Money in any of its forms is its amount, and is written so that it is read again."""
    found = money_of(text)
    assert found == Money(amount, "USD")
    assert money_of(str(found)) == found


def test_shape_of_the_file_is_read_again() -> None:
    """What `plan_to_dict` gives describes the same plan."""
    data = plan_to_dict(parse(TEXT, "plan.yaml"))
    again = plan_from(Document("plan.yaml", data), name="plan")
    assert replace(again, assumptions=()) == SPEC
    assert data["accelerators"][2] == {
        "id": "huawei-910c",
        "price": "180000 CNY",
        "supply": [500, 800],
        "supply_growth": 0.5,
        "power_w": 1460,
    }


NETWORK = """\
regions: [{id: west, pue: 1.5}, {id: east, name: East, electricity_usd_per_kwh: 0.1}]
links: [{between: [west, east], bandwidth_gbit_s: 8}]
accelerators: [{id: volta, stack: cuda, origin: US, tdp_w: 300, rates: {training: 0.1}}]
sites:
  - id: w1
    region: west
    pools: [{accelerator: huawei-910b2, nodes: 2, accelerators_per_node: 8}]
  - id: w2
    region: west
    pools:
      - {accelerator: huawei-910b2, nodes: 1, accelerators_per_node: 8}
      - {accelerator: volta, nodes: 1, accelerators_per_node: 4}
"""
JOINED = """\
network: net.yaml
from: 2027Q1
quarters: 2
regions: [{id: east, pue: 1.1, power_mw: 3}]
existing: [{region: east, accelerator: huawei-910b2, count: 5}]
accelerators: [{id: huawei-910b2}]
demand: [{id: w, class: training, amounts: {west: 1}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a network and a plan upon it, both without mistakes."""
    (tmp_path / "net.yaml").write_text(NETWORK)
    (tmp_path / "plan.yaml").write_text(JOINED)
    return tmp_path


def test_a_network_is_taken_over(folder: Path) -> None:
    """Regions, links and pools are those of the network; the plan adds to them by id."""
    spec = read_plan(folder / "plan.yaml")
    assert spec.name == "plan"
    assert spec.regions == (
        PlanRegion(Region("west", pue=1.5)),
        PlanRegion(Region("east", "East", 0.1, 1.1), 3e6),
    )
    assert spec.links == (Link(("west", "east"), 1e9),)
    assert spec.stock == (
        Stock("west", "huawei-910b2", 24),
        Stock("west", "volta", 4),
        Stock("east", "huawei-910b2", 5),
    )
    chips = [(chip.accelerator.id, chip.power_w, chip.offer) for chip in spec.chips]
    assert chips == [("huawei-910b2", 720.0, None), ("volta", 540.0, None)]
    assert spec.chips[1].rates == {"training": 0.1}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "quarters: 2\n",
            "quarters: 2\nlinks: [{between: [west, east], bandwidth_gbit_s: 1}]\n",
            "plan.yaml:4: links: links beside `network`, which brings its own; "
            "put them into the network file, or leave `network` out",
            id="links of its own",
        ),
        pytest.param(
            "{id: east, pue",
            "{id: north, pue",
            "plan.yaml:4: regions[0].id: unknown region 'north'; allowed: east, west",
            id="region that the network has not",
        ),
        pytest.param(
            "region: east, acc",
            "region: west, acc",
            "plan.yaml:5: existing[0]: the network file has the huawei-910b2 in 'west' already; "
            "leave them out here, or `network`",
            id="stock that the network has",
        ),
        pytest.param(
            "network: net.yaml",
            "network: nets.yaml",
            "plan.yaml:1: network: nets.yaml: no such file; check the path",
            id="no such network",
        ),
    ],
)
def test_what_contradicts_its_network(folder: Path, old: str, new: str, expected: str) -> None:
    """What a plan says against its network is one line, in the plan."""
    assert JOINED.count(old) == 1
    (folder / "plan.yaml").write_text(JOINED.replace(old, new))
    with pytest.raises(FileErrors) as raised:
        read_plan(folder / "plan.yaml")
    assert str(raised.value).replace(f"{folder}/", "") == expected


def test_mistakes_in_the_network_are_told_in_it(folder: Path) -> None:
    """A mistake in the network has its line there; a power that it lacks is told in the plan."""
    (folder / "net.yaml").write_text(NETWORK.replace("region: west", "region: wets", 1))
    with pytest.raises(FileErrors, match=r"net.yaml:6: sites\[0\].region: unknown region 'wets'"):
        read_plan(folder / "plan.yaml")
    (folder / "net.yaml").write_text(NETWORK.replace("tdp_w: 300, ", ""))
    with pytest.raises(FileErrors) as raised:
        read_plan(folder / "plan.yaml")
    assert str(raised.value).replace(f"{folder}/", "") == (
        "plan.yaml:1: network: the power of its volta is not known; "
        "list it under `accelerators`, with `power_w`"
    )


def test_check_sums_a_plan_up(folder: Path) -> None:
    """`tieline check` tells a plan from other files and says what is in it, in one line."""
    (folder / "full.yaml").write_text(TEXT)
    result = CliRunner().invoke(check, [str(folder / "plan.yaml"), str(folder / "full.yaml")])
    assert result.exit_code == 0
    joined, full = result.stdout.replace(f"{folder}/", "").splitlines()
    assert joined == (
        "plan.yaml: plan OK: from 2027Q1, 2 quarters, 2 regions, 1 link, 2 accelerator models, "
        "1 demand, 1 future; 33 accelerators: 29 huawei-910b2, 4 volta"
    )
    assert full == (
        "full.yaml: plan OK: from 2027Q1, 4 quarters, 2 regions, 1 link, 4 accelerator models, "
        "2 demands, 3 futures; 4,500 accelerators: 4,500 huawei-910b2"
    )


def test_check_prints_a_plan_in_the_shape_of_its_file(folder: Path) -> None:
    """With --json, `tieline check` prints a plan as its file has it, and reads it as a plan."""
    result = CliRunner().invoke(check, [str(folder / "plan.yaml"), "--json"])
    (report,) = json.loads(result.stdout)["files"]
    assert report["kind"] == "plan"
    assert report["data"] == {
        "network": "net.yaml",
        "from": "2027Q1",
        "quarters": 2,
        "regions": [{"id": "east", "pue": 1.1, "power_mw": 3}],
        "existing": [{"region": "east", "accelerator": "huawei-910b2", "count": 5}],
        "accelerators": [{"id": "huawei-910b2"}],
        "demand": [{"id": "w", "class": "training", "amounts": {"west": 1}}],
    }


def test_a_plan_without_its_quarters_is_told_so(folder: Path) -> None:
    """A file with demand is read as a plan, so that what it lacks is what is said."""
    (folder / "plan.yaml").write_text(JOINED.replace("quarters: 2\n", ""))
    result = CliRunner().invoke(check, [str(folder / "plan.yaml")])
    assert result.exit_code == 2
    assert result.stdout.endswith("plan.yaml:1: quarters: missing; needed: how far it looks\n")
