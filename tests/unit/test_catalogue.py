"""The catalogue against its own rules, and against the facts it was made from."""

import csv
import importlib.util
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import cast

import pytest

from tieline.model.accelerator import BASES, CONFIDENCES, FIGURES, REFERENCE
from tieline.model.catalogue import catalogue, nearest, stacks
from tieline.model.workload import WORKLOAD_CLASSES

ROOT = Path(__file__).parents[2]
EN_DASH = "\u2013"
DATE = re.compile(r"20\d\d(-[01]\d|Q[1-4])?")

#: Rows of the planning factors -> the accelerators they speak of.
PLANNED = {
    "H100 SXM": ["nvidia-h100-sxm"],
    "H800": ["nvidia-h800-sxm"],
    "H200 NVL": ["nvidia-h200-nvl"],
    "A100/A800": ["nvidia-a100-80", "nvidia-a800-80"],
    "H20": ["nvidia-h20-96"],
    "B200": ["nvidia-b200"],
    "GB200": ["nvidia-gb200"],
    "MI300X": ["amd-mi300x"],
    "MI325X": ["amd-mi325x"],
    "Gaudi2": ["intel-gaudi2"],
    "TPU v5p": ["google-tpu-v5p"],
    "TPU v5e": ["google-tpu-v5e"],
    "910B (B2/B3)": ["huawei-910b2", "huawei-910b3"],
    "910C in CM384": ["huawei-910c"],
    "950PR/Atlas 350": ["huawei-950pr", "huawei-950pr-atlas350"],
    "950DT": ["huawei-950dt"],
    "MLU590": ["cambricon-mlu590"],
    "C500/C550": ["metax-c500", "metax-c550"],
    "K100-AI": ["hygon-k100ai"],
    "BI-150": ["iluvatar-bi150"],
    "S5000": ["mthreads-s5000"],
    "P800": ["kunlun-p800"],
}
#: Where another value was chosen, or the row holds no number; the source of the rate says why.
OTHERWISE = {
    ("nvidia-h800-sxm", "prefill"): "as the H100 SXM",
    ("nvidia-b200", "decode"): "equal precision",
    ("google-tpu-v5e", "training"): "Chosen over the planning factor 0.13",
}


@pytest.fixture(scope="module")
def facts() -> Path:
    """Give the folder with the facts the catalogue was made from."""
    folder = ROOT.parent / "shared" / "facts"
    if not folder.is_dir():
        pytest.skip("the facts are not beside the checkout, in ../shared/facts")
    return folder


def rows(table: str) -> list[dict[str, str]]:
    """Give one table of the package as it stands in the file."""
    text = files("tieline.model.catalogue").joinpath(table).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def script() -> ModuleType:
    """Give the script that works out measured rates."""
    spec = importlib.util.spec_from_file_location(
        "measured_rates", ROOT / "scripts" / "measured_rates.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["measured_rates"] = module
    spec.loader.exec_module(module)
    return module


def test_every_accelerator_equals_the_facts(facts: Path) -> None:
    """Every accelerator of the facts is there, with exactly their figures and no other."""
    stated = {}
    with (facts / "accelerators.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            figures = {name: float(row[name]) for name in FIGURES if row[name]}
            stated[row["id"]] = (row["name"], row["vendor"], row["origin"], figures)
    held = {
        one.id: (
            one.name,
            one.vendor,
            one.origin,
            {name: figure.value for name, figure in one.figures.items()},
        )
        for one in catalogue().values()
    }
    assert len(held) == 63
    assert held == stated


def test_confidence_and_price_date_equal_the_facts(facts: Path) -> None:
    """A figure has the confidence of its row, or its own where the row names it."""
    wrong = []
    with (facts / "accelerators.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            overall, _, exception = row["confidence"].rstrip(")").partition(" (")
            own = dict([exception.split()]) if exception.count(" ") == 1 else {}
            for name, figure in catalogue()[row["id"]].figures.items():
                label = {"price_usd": "price", "tdp_w": "TDP"}.get(name, "")
                stated = own.get(label, overall)
                stated = {"low-medium": "medium-low", "unknown": "low"}.get(stated, stated)
                placeholder = figure.source.startswith("placeholder")
                date = row["price_date"] if name == "price_usd" else figure.date
                if (figure.confidence, figure.date) != ("low" if placeholder else stated, date):
                    wrong.append((row["id"], name, figure.confidence, figure.date))
    assert wrong == []


def test_a_stack_id_stands_for_one_stack_of_the_facts(facts: Path) -> None:
    """Two accelerators share a stack id exactly where the facts give them the same stack."""
    with (facts / "accelerators.csv").open(encoding="utf-8", newline="") as file:
        pairs = {(row["stack"], catalogue()[row["id"]].stack) for row in csv.DictReader(file)}
    assert len({told for told, _ in pairs}) == len({held for _, held in pairs}) == len(pairs)


def test_measured_rates_follow_from_the_measurements(facts: Path) -> None:
    """A measured ratio is the stored rate, or the rate's source tells it and what was chosen."""
    measured = script()
    derived = list(measured.rate_rows(measured.read_results(facts / "measured.csv")))
    assert len(derived) > 20
    for chip, kind, value, _, _, _, source in derived:
        if chip not in catalogue():
            continue
        rate = catalogue()[chip].rates[kind]
        verbatim = rate.source.startswith(source) and rate.value == float(value)
        assert verbatim or f"gives {value};" in rate.source, (chip, kind)


def test_planning_factors_are_kept_with_their_basis(facts: Path) -> None:
    """A planning factor is the stored rate, inferred exactly where it is marked so."""
    text = (facts / "planning-factors.md").read_text(encoding="utf-8")
    text = text[: text.index("\nReading:")].replace(EN_DASH, "-")
    table = {line.split("|")[1].strip(): line for line in text.splitlines() if line[:2] == "| "}
    checked = 0
    for name, chips in PLANNED.items():
        for kind, cell in zip(
            ("training", "prefill", "decode"), table[name].split("|")[2:5], strict=True
        ):
            for chip in chips:
                rate = catalogue()[chip].rates.get(kind)
                if (chip, kind) in OTHERWISE:
                    assert rate is not None
                    assert OTHERWISE[chip, kind] in rate.source
                elif rate is None:
                    assert cell.strip() == "-"
                else:
                    checked += 1
                    assert (rate.value, rate.basis, rate.low, rate.high) == planned(cell)
    assert checked > 60


def planned(cell: str) -> tuple[float, str, float | None, float | None]:
    """Read `0.88 [0.80-0.92] (i)`."""
    found = re.match(r"\s*([\d.]+)(?: \[([\d.]+)-([\d.]+)\])?", cell)
    assert found is not None, cell
    low, high = (float(end) if end else None for end in found.groups()[1:])
    return float(found[1]), "inferred" if "(i)" in cell else "measured", low, high


def test_every_figure_is_complete() -> None:
    """Every figure has a positive value, its unit, a source, a date and a confidence."""
    for one in catalogue().values():
        for name, figure in one.figures.items():
            where = (one.id, name)
            assert math.isfinite(figure.value), where
            assert figure.value > 0, where
            assert figure.unit == FIGURES[name][0], where
            assert figure.source.strip(), where
            assert DATE.fullmatch(figure.date), where
            assert figure.confidence in CONFIDENCES, where


def test_every_stored_rate_is_complete() -> None:
    """Every stored rate has a known class and basis, a source, and lies inside its range."""
    for one in catalogue().values():
        for kind, rate in one.rates.items():
            where = (one.id, kind)
            assert kind in WORKLOAD_CLASSES, where
            assert rate.basis in BASES, where
            assert rate.source.strip(), where
            assert 0 < (rate.low or rate.value) <= rate.value, where
            assert rate.value <= (rate.high or rate.value) < math.inf, where


def test_a_roofline_is_never_stored() -> None:
    """What code can work out from the specification is no data."""
    assert [row for row in rows("rates.csv") if row["source"].startswith("roofline")] == []


def test_the_tables_name_one_another_without_gaps_or_repetition() -> None:
    """A line names an accelerator, figure, class and stack that exist, and none comes twice."""
    ids = [row["id"] for row in rows("accelerators.csv")]
    figures = [(row["accelerator"], row["figure"]) for row in rows("figures.csv")]
    rates = [(row["accelerator"], row["class"]) for row in rows("rates.csv")]
    for keys in (ids, figures, rates, [row["id"] for row in rows("stacks.csv")]):
        assert [key for key, count in Counter(keys).items() if count > 1] == []
    assert {one for one, _ in figures + rates} <= set(ids)
    assert {name for _, name in figures} == set(FIGURES)
    assert {row["stack"] for row in rows("accelerators.csv")} == set(stacks())


def test_the_reference_is_in_the_catalogue_without_stored_rates() -> None:
    """The reference is 1 by definition, so nothing about its rates is data."""
    assert catalogue()[REFERENCE].rates == {}
    assert {"bf16_tflops", "fp8_tflops", "int8_tops", "memory_bw_tbs"} <= set(
        catalogue()[REFERENCE].figures
    )


def test_the_catalogue_is_ordered_shared_and_read_only() -> None:
    """The catalogue is one read-only object, by vendor and then by id."""
    order = [(one.vendor.lower(), one.id) for one in catalogue().values()]
    assert order == sorted(order)
    assert [one.id for one in catalogue().values()] == list(catalogue())
    assert catalogue() is catalogue()
    with pytest.raises(TypeError):
        cast("dict[str, object]", catalogue())["mine"] = None
    with pytest.raises(TypeError):
        cast("dict[str, object]", catalogue()["amd-mi300x"].rates)["hpc"] = None


def test_reading_the_catalogue_is_quick() -> None:
    """Reading the catalogue costs less than 50 ms."""
    spent = []
    for _ in range(5):
        begin = time.perf_counter()
        catalogue.__wrapped__()
        spent.append(time.perf_counter() - begin)
    assert min(spent) < 0.05


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("nvidia-h200-smx", "nvidia-h200-sxm"),
        ("NVIDIA-H20-96", "nvidia-h20-96"),
        ("910c", "huawei-910c"),
        ("huawei_910b2", "huawei-910b2"),
        ("mi300x", "amd-mi300x"),
        ("cambricon-590", "cambricon-mlu590"),
    ],
)
def test_the_nearest_name_comes_first(mistyped: str, meant: str) -> None:
    """A slip of the fingers or a short form leads to the accelerator that was meant."""
    assert nearest(mistyped, catalogue())[0] == meant


def test_nothing_near_is_nothing() -> None:
    """A name like no other, or none at all, gets no suggestion; none gets more than three."""
    known: Mapping[str, object] = catalogue()
    assert nearest("zzzzzzzz", known) == []
    assert nearest("", known) == []
    assert len(nearest("nvidia", known)) == 3
