"""Paths into a plan file: what they name, and what setting a value does."""

import pytest

from tieline.files.document import Document
from tieline.files.plan import plan_from
from tieline.files.plan_paths import PathError, Value, setting, value_at, with_value
from tieline.files.problems import FileErrors
from tieline.files.syntax import parse
from tieline.model.errors import InputError
from tieline.model.plan import ImportRatio, PlanSpec, Risk

TEXT = """\
from: 2027Q1
quarters: 4
regions: [{id: west}, {id: east}]
links: [{between: [west, east], bandwidth_gbit_s: 400}]
existing: [{region: west, accelerator: huawei-910b2, count: 4000}]
accelerators:
  - {id: huawei-910b2}
  - {id: v1, price: 180000 CNY, origin: CN, power_w: 500, rates: {training: 0.5}}
  - {id: v1.5, price: 1M USD, origin: CN, power_w: 500, rates: {training: 0.5}, supply: [5, 8]}
currencies: {CNY: 0.14}
demand: [{id: work, class: training, amounts: {west: 1e3, east: [5, 7]}}]
branches:
  - id: export
    from: 2027Q2
    outcomes:
      - {id: open, probability: 0.6}
      - {id: ban, probability: 0.3}
      - {id: closed, probability: 0.1}
  - id: sure
    from: 2027Q3
    outcomes: [{id: is, probability: 1}, {id: "1", probability: 0}, {id: or, probability: 0}]
"""
BASE = parse(TEXT, "plan.yaml")


def changed(path: str, value: Value) -> PlanSpec:
    """Give the plan with one value set."""
    return plan_from(with_value(BASE, path, value), name="plan")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("quarters", 4),
        ("accelerators.v1.price", "180000 CNY"),
        ("accelerators.v1.5.price", "1M USD"),
        ("accelerators.v1.5.supply", [5, 8]),
        ("accelerators.v1.5.supply.1", 8),
        ("accelerators.0.id", "huawei-910b2"),
        ("existing.0.count", 4000),
        ("links.0.between.1", "east"),
        ("demand.work.amounts.west", 1000.0),
        ("demand.work.amounts.north", None),
        ("branches.export.outcomes.ban.probability", 0.3),
        ("branches.sure.outcomes.1.id", "1"),
        ("branches.sure.outcomes.2.id", "or"),
        ("discount", 0.0),
        ("risk.tail", 0.1),
        ("risk", {}),
        ("rules.import_ratio.ratio", None),
        ("accelerators.huawei-910b2.install", "0 USD"),
        ("accelerators.huawei-910b2.price", None),
    ],
)
def test_a_path_names_what_stands_there(path: str, value: object) -> None:
    """Entries go by id, which may have dots, else by number; what is absent has its default."""
    assert value_at(BASE, path) == value


def test_a_value_is_replaced() -> None:
    """The plan has the new value, all else as it was; the old document is left alone."""
    spec = changed("demand.work.amounts.east.1", 9.0)
    assert spec.demand[0].amounts["east"] == (5, 9, 9, 9)
    assert changed("demand.work.amounts.east", 6.0).demand[0].amounts["east"] == (6,) * 4
    assert changed("branches.export.from", "2027Q4").branches[0].at == 3
    assert changed("quarters", 6.0).quarters == 6
    assert changed("whole_lots", value=True).whole_lots
    assert value_at(BASE, "demand.work.amounts.east.1") == 7


@pytest.mark.parametrize(
    ("value", "usd"), [(200_000.0, 28_000.0), (0, 0.0), ("30k USD", 30_000.0), (1e-7, 1.4e-8)]
)
def test_a_number_for_money_keeps_its_currency(value: Value, usd: float) -> None:
    """A bare number where money stands is in the currency that stands there."""
    offer = changed("accelerators.v1.price", value).chips[1].offer
    assert offer is not None
    assert offer.price_usd == pytest.approx(usd, rel=1e-12)


def test_money_where_none_stands_needs_its_currency() -> None:
    """Where no money stands a bare number is refused as in a file; a default has a currency."""
    with pytest.raises(FileErrors, match=r"plan.yaml:7: accelerators\[0\].price: 5 without a cur"):
        changed("accelerators.huawei-910b2.price", 5)
    assert changed("accelerators.huawei-910b2.price", "5 USD").chips[0].offer is not None
    offer = changed("accelerators.v1.install", 5).chips[1].offer
    assert offer is not None
    assert offer.install_usd == 5


def test_absent_groups_are_made() -> None:
    """A field that the file leaves out can be set, with the groups it stands in."""
    assert changed("risk.weight", 0.25).risk == Risk(0.25)
    assert changed("rules.import_ratio.ratio", 2).import_ratio == ImportRatio(2)
    assert changed("accelerators.v1.rates.training", 0.7).chips[1].rates == {"training": 0.7}
    supplied = with_value(with_value(BASE, "supply_factor.v1.5", 0.5), "supply_factor.CN", 0.5)
    offer = plan_from(supplied, name="plan").chips[2].offer
    assert offer is not None
    assert offer.supply == (1.25, 2, 2, 2)
    factor = "branches.export.outcomes.ban.price.v1.5"
    assert changed(factor, 2).branches[0].outcomes[1].price == {"v1.5": 2}
    with pytest.raises(FileErrors, match=r"plan.yaml:1: rules.import_ratio.ratio: missing"):
        changed("rules.import_ratio.base", 2)


@pytest.mark.parametrize(
    ("outcome", "value", "expected"),
    [
        ("export.outcomes.ban", 0.0, (6 / 7, 0.0, 1 / 7)),
        ("export.outcomes.ban", 0.65, (0.3, 0.65, 0.05)),
        ("export.outcomes.ban", 1, (0.0, 1.0, 0.0)),
        ("sure.outcomes.is", 0.5, (0.5, 0.25, 0.25)),
        ("sure.outcomes.or", 0.5, (0.5, 0.0, 0.5)),
    ],
)
def test_the_other_probabilities_make_room(
    outcome: str, value: float, expected: tuple[float, ...]
) -> None:
    """The other outcomes of a branch keep their proportions; where all are 0 they share alike."""
    spec = changed(f"branches.{outcome}.probability", value)
    branch = next(one for one in spec.branches if outcome.startswith(one.id))
    assert [one.probability for one in branch.outcomes] == pytest.approx(expected, abs=1e-15)
    assert sum(one.probability for one in branch.outcomes) == pytest.approx(1, abs=1e-12)


def test_a_probability_that_is_none_changes_no_other() -> None:
    """A probability above 1 is told as it would be in the file, and only that."""
    with pytest.raises(FileErrors) as raised:
        changed("branches.export.outcomes.ban.probability", 1.5)
    assert str(raised.value) == (
        "plan.yaml:17: branches[0].outcomes[1].probability: 1.5; allowed: a number from 0 to 1"
    )


def test_lines_are_those_of_the_file() -> None:
    """Mistakes after a change have the lines of the file, and name the value that was set."""
    with pytest.raises(FileErrors) as raised:
        changed("demand.work.amounts.west", "many")
    assert str(raised.value) == (
        "plan.yaml:11: demand[0].amounts.west: 'many'; "
        "allowed: a number, or a list with one for each quarter, of which the last goes on"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("accelerators.v2.price", "unknown entry of accelerators 'v2'; allowed: huawei-910b2, v1"),
        ("accelerators.huawei.price", "unknown entry of accelerators 'huawei'; did you mean hua"),
        ("accelerators.v1.prize", "unknown field 'prize'; did you mean price?"),
        ("acelerators.v1.price", "unknown field 'acelerators'; did you mean accelerators?"),
        ("accelerators", "more than one value; name one of them"),
        ("currencies", "more than one value; name one of them"),
        ("accelerators.v1", "a group of fields; name one of them: id, price, duty, install"),
        ("risk.weight.more", "nothing lies below risk.weight; end the path there"),
        ("demand.work.amounts.east.2", "unknown entry of demand[0].amounts.east '2'; allowed: 0"),
        ("risk.", "unknown field ''; allowed: tail, weight"),
        ("", "unknown field ''; allowed: accelerators, branches"),
    ],
)
def test_a_path_that_leads_nowhere(path: str, message: str) -> None:
    """A path that leads nowhere, or to several values, is refused with the nearest names."""
    with pytest.raises(PathError) as raised:
        with_value(BASE, path, 1)
    assert str(raised.value).startswith(f"{path}: {message}")


def test_what_is_no_group_is_not_made_one() -> None:
    """Nothing is set below a value that stands where fields belong; it is the file's mistake."""
    with pytest.raises(PathError, match=r"^risk.weight: risk is 5; needed there: fields$"):
        with_value(parse(f"{TEXT}risk: 5\n", "plan.yaml"), "risk.weight", 0.5)


def test_plain_data_has_its_values_set() -> None:
    """Data that did not come from a file can be changed just so."""
    document = Document("plan", {"quarters": 4})
    assert with_value(document, "rules.import_ratio.ratio", 2.0).data == {
        "quarters": 4,
        "rules": {"import_ratio": {"ratio": 2.0}},
    }


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("risk.weight=0.3", "risk.weight", 0.3),
        ("quarters = 8", "quarters", 8),
        ("accelerators.v1.price=27k USD", "accelerators.v1.price", "27k USD"),
        ("whole_lots=yes", "whole_lots", True),
        ("name='2027'", "name", "2027"),
        ("name=a=b", "name", "a=b"),
        ("accelerators.v1.supply=", "accelerators.v1.supply", None),
    ],
)
def test_a_setting_is_read_as_in_a_file(text: str, path: str, value: Value) -> None:
    """The value after `=` is what it would be in YAML: a number, a truth value, text, nothing."""
    assert setting(text) == (path, value)


@pytest.mark.parametrize("text", ["risk.weight", "=3", " = 3", ""])
def test_what_sets_nothing_is_refused(text: str) -> None:
    """Without path or `=` there is nothing to set, and the error says how it is written."""
    with pytest.raises(InputError, match=r"sets nothing; write PATH=VALUE, such as risk.weight"):
        setting(text)
