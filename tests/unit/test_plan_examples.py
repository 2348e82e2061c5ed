"""The example plans: without mistakes, every number with its source, as large as they say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tieline.cli.check import check
from tieline.files.plan import read_plan
from tieline.files.plan_paths import located, part_at
from tieline.files.plan_values import money_of
from tieline.files.problems import Loc
from tieline.files.syntax import read_document
from tieline.model.plan import PlanSpec

EXAMPLES = Path(__file__).parents[2] / "examples"
PLANS = sorted(EXAMPLES.glob("plan-*/plan.yaml"))
NATIONAL = EXAMPLES / "plan-h200" / "plan.yaml"
#: Parts of a plan whose numbers are choices of the reader, not facts.
CHOICES = {"quarters", "sweeps", "sources"}


def numbers(data: object, loc: Loc = ()) -> Iterator[Loc]:
    """Give the place of every number, and of every amount of money."""
    if isinstance(data, dict):
        for name, part in data.items():
            yield from numbers(part, (*loc, name))
    elif isinstance(data, list):
        for index, part in enumerate(data):
            yield from numbers(part, (*loc, index))
    elif not isinstance(data, bool) and (isinstance(data, int | float) or money_of(data)):
        yield loc


def without_source(path: Path) -> list[Loc]:
    """Give the places of numbers that are neither at nor below a place with a source."""
    data = read_document(path).data
    said = [located(data, source["of"]) for source in part_at(data, ("sources",))]  # type: ignore[attr-defined]
    return [
        loc
        for loc in numbers(data)
        if loc[0] not in CHOICES and not any(loc[: len(place)] == place for place in said)
    ]


@pytest.fixture(scope="module")
def national() -> PlanSpec:
    """The national plan."""
    return read_plan(NATIONAL)


@pytest.mark.parametrize("file", PLANS, ids=lambda file: file.parent.name)
def test_example_has_no_mistake(file: Path) -> None:
    """Every example plan is without mistakes, and its head says what it is."""
    assert file.read_text().startswith("# ")
    result = CliRunner().invoke(check, [str(file)])
    assert (result.exit_code, result.stderr) == (0, "")


def test_network_of_the_firm_has_no_mistake() -> None:
    """The network that a plan takes over is a network file of its own, with a head."""
    file = EXAMPLES / "plan-firm" / "network.yaml"
    assert file.read_text().startswith("# ")
    result = CliRunner().invoke(check, [str(file)])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("file", PLANS, ids=lambda file: file.parent.name)
def test_every_number_has_a_source(file: Path) -> None:
    """Every number of an example stands at or below a place that names its source."""
    assert list(numbers(read_document(file).data))
    assert without_source(file) == []


def test_number_without_source_is_found(tmp_path: Path) -> None:
    """A number beside a place with a source has none itself."""
    file = tmp_path / "plan.yaml"
    file.write_text(
        "from: 2027Q1\n"
        "quarters: 2\n"
        "discount: 0.1\n"
        "accelerators: [{id: huawei-910c, price: 1 USD, supply: 2}]\n"
        "demand: [{id: work, class: training, amounts: {east: 3}}]\n"
        "sources:\n"
        "  - {of: accelerators.huawei-910c.price, source: a page}\n"
        "  - {of: demand, source: a page}\n"
    )
    assert without_source(file) == [("discount",), ("accelerators", 0, "supply")]


def test_small_fits_on_a_screen() -> None:
    """The plan of the tutorial is at most 45 lines of at most 99 characters."""
    lines = (EXAMPLES / "plan-small" / "plan.yaml").read_text().splitlines()
    assert len(lines) <= 45
    assert max(len(line) for line in lines) <= 99


def test_national_fleet_is_that_of_the_count(national: PlanSpec) -> None:
    """The fleet's FP16 compute is that of the ministry's count, 1,590 EF, within 2 %."""
    tflops = {
        chip.accelerator.id: chip.accelerator.figures["bf16_tflops"].value
        for chip in national.chips
    }
    total = sum(stock.count * tflops[stock.accelerator] for stock in national.stock)
    assert total / 1e6 == pytest.approx(1590, rel=0.02)


def test_national_demand_is_four_million_of_the_fleet(national: PlanSpec) -> None:
    """The first quarter's work is 1.6 M reference accelerators: 4 M at 0.40 each."""
    first = sum(series[0] for one in national.demand for series in one.amounts.values())
    assert first == pytest.approx(0.40 * 4.0e6)


def test_national_supply_is_the_middle_case(national: PlanSpec) -> None:
    """Domestic makers supply 1.65 M accelerators in a year at the pace of the first quarter."""
    first = [
        chip.offer.supply[0]
        for chip in national.chips
        if chip.offer is not None and chip.offer.supply is not None
    ]
    assert 4 * sum(first) == pytest.approx(1.65e6, rel=0.01)


def test_national_government_work_stays_on_domestic_chips(national: PlanSpec) -> None:
    """Only domestic accelerators serve government work, and state-funded centres buy no other."""
    assert national.trust == {"sensitive": national.domestic}
    assert {one.buys for one in national.buyers if one.id == "state"} == {national.domestic}


def test_national_plan_has_the_hubs_and_three_sizes_of_supply(national: PlanSpec) -> None:
    """The national plan has eight regions, and futures for imports, a re-ban, volume and ramp."""
    assert len(national.regions) == 8
    outcomes = {one.id: [outcome.id for outcome in one.outcomes] for one in national.branches}
    assert outcomes == {
        "imports": ["closed", "open"],
        "re-ban": ["banned", "stays"],
        "volume": ["per-firm", "conditional", "half-us"],
        "ramp": ["low", "mid", "high"],
    }
