"""`tieline accelerators` as a user sees it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tieline.cli.accelerators import accelerators
from tieline.model.accelerator import FIGURES
from tieline.model.catalogue import catalogue
from tieline.model.errors import InputError
from tieline.model.workload import WORKLOAD_CLASSES


def run(*arguments: str, width: int = 80) -> Result:
    """Run the command on a terminal of that width."""
    result = CliRunner().invoke(accelerators, arguments, env={"COLUMNS": str(width)})
    if result.exception is not None:
        raise result.exception
    return result


def document(*arguments: str) -> Any:  # noqa: ANN401 - JSON is any
    """Give what `--json` prints."""
    return json.loads(run(*arguments, "--json").stdout)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("arguments", [(), ("--class", "decode"), ("huawei-910c",)])
def test_no_line_is_wider_than_the_terminal(width: int, arguments: tuple[str, ...]) -> None:
    """Output fits the terminal, and loses no text to make it fit."""
    out = run(*arguments, width=width).stdout
    assert max(map(len, out.splitlines())) <= width
    assert "…" not in out


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_has_every_accelerator_with_every_rate(width: int) -> None:
    """At any usual width the table shows all accelerators and the rate of each class."""
    lines = run(width=width).stdout.splitlines()
    assert lines[0].split()[:7] == ["id", "train", "tune", "prefill", "decode", "batch", "hpc"]
    shown = {line.split()[0]: line.split()[1:7] for line in lines[1 : len(catalogue()) + 1]}
    assert list(shown) == list(catalogue())
    assert shown["nvidia-h100-sxm"][:3] == ["0.88", "0.85", "~0.95"]
    assert shown["biren-br100"][0] == "?1.03"


def test_a_narrow_table_says_what_it_leaves_out() -> None:
    """Columns that do not fit are named, and all are there on a wide terminal."""
    narrow, wide = run(width=80).stdout, run(width=200).stdout
    assert "a wider terminal also shows: TB/s, BF16, W, USD, origin, name" in narrow
    assert "also shows" not in wide
    heads = narrow.splitlines()[0].split()
    assert wide.splitlines()[0].split() == [*heads, "TB/s", "BF16", "W", "USD", "origin", "name"]


def test_a_class_puts_the_fastest_first() -> None:
    """With `--class` the rows go from fast to slow for that work."""
    listed = document("--class", "training")["accelerators"]
    rates = [one["rates"]["training"]["value"] for one in listed]
    assert len(rates) == len(catalogue())
    assert rates == sorted(rates, reverse=True)


def test_one_accelerator_is_shown_with_everything_known() -> None:
    """One accelerator is shown with each figure, rate, range, basis, roofline and source."""
    out = run("nvidia-h20-96", width=200).stdout
    one = catalogue()["nvidia-h20-96"]
    for name, figure in one.figures.items():
        assert FIGURES[name][1] in out
        assert figure.date in out
        assert figure.source in out
    for kind in WORKLOAD_CLASSES:
        assert kind in out
    for text in ("0.45", "0.20", "0.83", "measured", "inferred", "assumed", "CONFLICT"):
        assert text in out
    assert "roofline: memory bandwidth 4 / 4.8 TB/s of nvidia-h200-sxm" in out


def test_what_is_not_known_is_named() -> None:
    """A figure that nobody published is listed as not known, not left out in silence."""
    assert "not known: memory, memory bandwidth, compute BF16" in run("kunlun-m100").stdout


def test_json_is_one_document_with_everything() -> None:
    """`--json` gives every accelerator with figures and rates, and for an id that one alone."""
    whole = document()
    assert whole["reference"] == "nvidia-h200-sxm"
    assert whole["classes"] == list(WORKLOAD_CLASSES)
    assert [one["id"] for one in whole["accelerators"]] == list(catalogue())
    for one in whole["accelerators"]:
        assert list(one["rates"]) == list(WORKLOAD_CLASSES)
    single = document("huawei-910c")
    assert single in whole["accelerators"]
    assert set(single["figures"]["memory_gb"]) == {
        "value",
        "unit",
        "source",
        "date",
        "confidence",
    }


def test_an_unknown_id_is_one_line_with_the_nearest_names() -> None:
    """A mistyped id gets one line that names what was meant, and exit code 2."""
    with pytest.raises(InputError, match=r"unknown accelerator nvidia-h200; did you mean nvidia-"):
        run("nvidia-h200")
    done = subprocess.run(
        [Path(sys.executable).with_name("tieline"), "accelerators", "nvidia-h200"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
