"""The reference page of the files says what the code does."""

import re
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

from tieline.cli.check import check
from tieline.files import syntax
from tieline.files.document import MAX_MISTAKES
from tieline.files.network_fields import MAX_POOL
from tieline.model.units import parse_bytes, parse_duration
from tieline.model.workload import WORKLOAD_CLASSES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "files.md").read_text(encoding="utf-8")


def test_tables_are_those_of_the_models() -> None:
    """The tables are what the models give: run scripts/files_reference.py after a change."""
    script = runpy.run_path(str(ROOT / "scripts" / "files_reference.py"))
    assert script["updated"](PAGE) == PAGE
    written = set(re.findall(r"<!-- fields: (\w+) -->", PAGE))
    models = {name for name in script["_MODELS"] if name.endswith("Fields")}
    assert written == models


def test_limits_are_those_of_the_code() -> None:
    """The limits named in the text are the ones that hold."""
    for words in (
        f"at most {syntax.MAX_BYTES // 2**20} MiB",
        f"{syntax.MAX_VALUES:,} values",
        f"{syntax.MAX_DEPTH} levels",
        f"up to\n{MAX_MISTAKES} of them",
        f"at most {MAX_POOL:,}",
        *(f"`{name}`" for name in WORKLOAD_CLASSES),
    ):
        assert words in PAGE


def test_quantities_are_read() -> None:
    """Every way to write a quantity that the page shows can be read."""
    durations, sizes = re.findall(r"^\| (?:duration|size) \| (.*?) \|", PAGE, re.MULTILINE)
    assert all(parse_duration(text) > 0 for text in re.findall(r"`(.*?)`", durations))
    assert all(parse_bytes(text) > 0 for text in re.findall(r"`(.*?)`", sizes))


def test_example_of_mistakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mistakes shown on the page are printed for a file that has them."""
    (tmp_path / "network.yaml").write_text(
        "regions: [{id: gui-an}]\nsites:\n  - id: gui-an-1\n    region: guian\n"
        "    pools: [{accelerator: huawei-910b2, nodes: -4, accelerators_per_node: 8}]\n"
    )
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(check, ["network.yaml"])
    assert f"$ tieline check network.yaml\n{result.stdout}```" in PAGE


def test_example_of_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan shown on the page is read, and summed up as the page shows."""
    found = re.search(r"```yaml\n(from: 2027Q1\n.*?)```", PAGE, re.DOTALL)
    assert found is not None
    (tmp_path / "plan.yaml").write_text(found[1])
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(check, ["plan.yaml"])
    assert f"$ tieline check plan.yaml\n{result.stdout}```" in PAGE
