"""What holds for every plan file, however it was made."""

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tieline.files.document import Document
from tieline.files.plan import plan_from, plan_to_dict
from tieline.files.plan_futures import futures
from tieline.files.plan_paths import PathError, value_at, with_value
from tieline.files.plan_values import money_of
from tieline.files.problems import FileErrors
from tieline.files.syntax import parse
from tieline.model.catalogue import catalogue
from tieline.model.plan import PlanSpec, quarter_name
from tieline.model.workload import WORKLOAD_CLASSES

FIRST = 4 * 2027
ids = st.from_regex(r"[A-Za-z][A-Za-z0-9._-]{0,4}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
chips = st.sampled_from(sorted(n for n, one in catalogue().items() if "tdp_w" in one.figures))
money = st.builds(
    "{} {}".format,
    st.sampled_from(["0", "27000", "1.5k", "2M", "1,000.25", "3bn"]),
    st.sampled_from(["USD", "CNY"]),
)
shares = st.integers(0, 100).map(lambda one: one / 100)
counts = st.integers(0, 10**6) | st.integers(0, 10**8).map(lambda one: one / 100)
names = st.lists(chips | st.sampled_from(["US", "CN"]), max_size=2, unique=True)


def few(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    """Draw short lists without doubles."""
    return st.lists(of, min_size=least, max_size=3, unique=True)


@st.composite
def plan_data(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what a plan file without mistakes may hold."""
    quarters = draw(st.integers(2, 6))
    regions, models = draw(few(ids, 1)), draw(few(chips, 1))
    either = st.lists(st.sampled_from([*models, "US", "CN"]), max_size=2, unique=True)
    region, chip = st.sampled_from(regions), st.sampled_from(models)
    quarter = st.integers(FIRST, FIRST + quarters).map(quarter_name)
    series = counts | st.lists(counts, min_size=1, max_size=quarters)
    entry = st.fixed_dictionaries(
        {"price": money, "lead_quarters": st.integers(0, quarters - 1)},
        optional={"install": money, "duty": shares, "supply": series, "supply_growth": shares}
        | {"power_w": st.integers(1, 2000), "lot": st.integers(1, 100), "origin": st.just("CN")},
    )
    demand = st.fixed_dictionaries(
        {
            "class": st.sampled_from(WORKLOAD_CLASSES),
            "amounts": st.dictionaries(region, series, min_size=1),
        },
        optional={
            "growth": shares,
            "unmet_per_hour": money,
            "max_rtt_ms": counts.map(lambda n: n % 99),
        },
    )
    stock = st.fixed_dictionaries(
        {"region": region, "accelerator": chip, "count": counts}, optional={"retires": quarter}
    )
    pairs = [[one, other] for one in regions for other in regions if one < other]
    budget = st.fixed_dictionaries({}, optional={"total": money, "carry_over": st.booleans()})
    caps = draw(few(ids))
    data = {
        "from": quarter_name(FIRST),
        "quarters": quarters,
        "currencies": {"CNY": 0.14},
        "regions": [{"id": one, "pue": 1 + draw(shares)} for one in regions],
        "links": [{"between": pair, "bandwidth_gbit_s": 1 + draw(counts) % 999} for pair in pairs],
        "accelerators": [{"id": one, **draw(entry)} for one in models],
        "existing": draw(
            st.lists(
                stock,
                max_size=3,
                unique_by=lambda one: (one["region"], one["accelerator"], one.get("retires")),
            )
        ),
        "demand": [{"id": one, **draw(demand)} for one in draw(few(ids, 1))],
        "tenants": [
            {"id": one, "buys": draw(either), "budget": draw(budget)} for one in draw(few(ids))
        ],
        "supply_factor": draw(st.dictionaries(chip, shares)),
        "rules": {
            "trust": {"secret": draw(either)},
            "import_ratio": {"ratio": draw(shares), "base": draw(counts)},
            "caps": [
                {"id": one, "accelerators": draw(either) or ["US"], "at_most": draw(counts)}
                for one in caps
            ],
        },
        "branches": draw(branches_data(quarters, caps, either)),
        "risk": {"weight": draw(shares)},
        "sources": [{"of": f"accelerators.{models[0]}.price", "source": draw(texts)}],
    }
    return {name: value for name, value in data.items() if value or draw(st.booleans())}


@st.composite
def branches_data(
    draw: st.DrawFn, quarters: int, caps: list[str], either: st.SearchStrategy[list[str]]
) -> list[dict[str, Any]]:
    """Draw branches, of which later ones may come after an outcome of earlier ones."""
    made: list[dict[str, Any]] = []
    for name in draw(st.lists(st.sampled_from("xyz"), max_size=3, unique=True)):
        at = draw(st.integers(1, quarters - 1))
        weights = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3).filter(any))
        branch: dict[str, Any] = {
            "id": name,
            "from": quarter_name(FIRST + at),
            "outcomes": [
                {
                    "id": f"o{number}",
                    "probability": weight / sum(weights),
                    "ban": draw(either),
                    "caps": {cap: draw(counts) for cap in caps},
                    "import_ratio": draw(shares),
                }
                for number, weight in enumerate(weights)
            ],
        }
        earlier = [one for one in made if one["from"] < branch["from"]]
        if draw(st.booleans()) and earlier:
            branch["after"] = f"{draw(st.sampled_from(earlier))['id']}.o0"
        made.append(branch)
    return made


def read(data: object) -> PlanSpec:
    """Read data as the text of a plan file."""
    return plan_from(written(data), name="plan")


def written(data: object) -> Document:
    """Give data as a document that knows its lines: JSON is YAML."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    return parse(text.replace("Infinity", ".inf").replace("NaN", ".nan"), "plan.yaml")


def shuffled(data: object, choose: st.DataObject) -> object:
    """Give the data with every list of groups in another order."""
    if isinstance(data, dict):
        return {name: shuffled(value, choose) for name, value in data.items()}
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return [shuffled(one, choose) for one in choose.draw(st.permutations(data))]
    return data


def in_order(spec: PlanSpec) -> PlanSpec:
    """Give a plan with its parts in order of their names."""
    branches = (
        replace(one, outcomes=tuple(sorted(one.outcomes, key=attrgetter("id"))))
        for one in spec.branches
    )
    return replace(
        spec,
        regions=tuple(sorted(spec.regions, key=attrgetter("region.id"))),
        chips=tuple(sorted(spec.chips, key=attrgetter("accelerator.id"))),
        demand=tuple(sorted(spec.demand, key=attrgetter("id"))),
        buyers=tuple(sorted(spec.buyers, key=attrgetter("id"))),
        caps=tuple(sorted(spec.caps, key=attrgetter("id"))),
        links=tuple(sorted(spec.links, key=attrgetter("ends"))),
        stock=tuple(sorted(spec.stock, key=repr)),
        branches=tuple(sorted(branches, key=attrgetter("id"))),
        assumptions=tuple(sorted(spec.assumptions, key=attrgetter("of"))),
    )


@given(plan_data(), st.data())
def test_order_in_the_file_does_not_matter(data: dict[str, Any], choose: st.DataObject) -> None:
    """The same entries in another order are the same plan, but for their order."""
    spec = read(data)
    assert in_order(read(shuffled(data, choose))) == in_order(spec)
    assert futures(spec.branches) >= 1
    for series in (one for demand in spec.demand for one in demand.amounts.values()):
        assert len(series) == spec.quarters


@given(plan_data())
def test_shape_of_the_file_is_read_again(data: dict[str, Any]) -> None:
    """What a plan file says, as it was understood, is read as the same plan."""
    document = written(data)
    again = plan_to_dict(document)
    spec = read(again)
    assert replace(spec, assumptions=()) == replace(read(data), assumptions=())
    assert plan_to_dict(written(again)) == again


def leaves(data: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Give the paths of all single values that are not in lists of names."""
    if isinstance(data, dict):
        for name, value in data.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(data, list):
        for number, value in enumerate(data):
            if not isinstance(value, str):
                name = value.get("id", number) if isinstance(value, dict) else number
                yield from leaves(value, f"{path}.{name}")
    else:
        yield path, data


@given(plan_data(), shares | st.integers(1, 9), st.data())
def test_a_value_that_is_set_stands_there(
    data: dict[str, Any], value: float, choose: st.DataObject
) -> None:
    """What is set at the path of any number or sum of money is what the file then says there."""
    document = written(data)
    found = [
        (path, old)
        for path, old in leaves(data)
        if money_of(old) or (isinstance(old, int | float) and not isinstance(old, bool))
    ]
    path, old = choose.draw(st.sampled_from(found))
    before = copy.deepcopy(document.data)
    changed = with_value(document, path, value)
    now, then = money_of(value_at(changed, path)), money_of(old)
    if then is None:
        assert value_at(changed, path) == value
    else:
        assert now is not None
        assert (now.amount, now.currency) == (value, then.currency)
    assert document.data == before
    read_or_refused(changed)


@given(plan_data(), st.data())
def test_probabilities_sum_to_one_after_each_change(
    data: dict[str, Any], choose: st.DataObject
) -> None:
    """Whatever probabilities are set, those of a branch with several outcomes sum to 1."""
    document = written(data)
    paths = [
        f"branches.{branch['id']}.outcomes.{outcome['id']}.probability"
        for branch in data.get("branches", [])
        for outcome in branch["outcomes"]
        if len(branch["outcomes"]) > 1
    ]
    for path in choose.draw(st.lists(st.sampled_from(paths), max_size=3)) if paths else ():
        document = with_value(document, path, choose.draw(shares))
    for branch in plan_from(document, name="plan").branches:
        assert abs(sum(one.probability for one in branch.outcomes) - 1) < 1e-9


#: Values that stand where others belong.
oddities = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats()
    | ids
    | texts
    | money
    | st.sampled_from(["2027Q1", "2027Q3", "2031Q4", "5 EUR", "US", "open", "x.o0", "risk.weight"])
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ids, inner, max_size=2),
    max_leaves=3,
)
#: What damages a plan: another value in some place, a part left out, a part given twice.
damages = st.lists(
    st.tuples(st.sampled_from(["other", "gone", "twice"]), oddities), min_size=1, max_size=4
)


def containers(data: object) -> list[Any]:
    """Give all lists and groups in data, the outermost first."""
    found = [data] if isinstance(data, dict | list) and data else []
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return found + [one for value in inner for one in containers(value)]


@given(plan_data(), damages, st.data())
def test_a_damaged_plan_is_read_or_refused_in_words(
    data: dict[str, Any], harms: list[tuple[str, object]], choose: st.DataObject
) -> None:
    """Any values in any places of a plan make a plan, or mistakes with their lines and words."""
    data = copy.deepcopy(data)
    for harm, oddity in harms:
        container = choose.draw(st.sampled_from(containers(data) or [data]))
        if not container:
            continue
        keys = list(container) if isinstance(container, dict) else range(len(container))
        at = choose.draw(st.sampled_from(keys))
        if harm == "other":
            container[at] = copy.deepcopy(oddity)
        elif harm == "gone":
            del container[at]
        elif isinstance(container, list):
            container.append(copy.deepcopy(container[at]))
    read_or_refused(written(data))


@given(plan_data(), st.lists(ids | st.sampled_from("0123"), max_size=4), oddities, st.data())
def test_any_setting_is_done_or_refused_in_words(
    data: dict[str, Any], ends: list[str], value: object, choose: st.DataObject
) -> None:
    """Any value at any path gives a plan, or an error of one kind; the rest stays as it was."""
    parts = choose.draw(st.sampled_from([path for path, _ in leaves(data)])).split(".")
    kept = parts[: choose.draw(st.integers(0, len(parts)))]
    path = ".".join([*kept, *ends])
    document = written(data)
    single = value if isinstance(value, str | int | float) else None
    with suppress(PathError):  # the only error there is
        read_or_refused(with_value(document, path, single))
    assert document.data == written(data).data


def read_or_refused(document: Document) -> None:
    """Read a plan; the only error is one that names its lines."""
    try:
        spec = plan_from(document, name="plan")
    except FileErrors as error:
        for problem in error.problems:
            assert problem.found
            assert problem.allowed
            assert str(problem).isprintable(), str(problem)
            assert problem.line is not None or problem.file != "plan.yaml"
    else:
        assert spec.chips
        assert spec.demand
        assert spec.regions
