"""Rules that hold for the project as a whole, not for one module of it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import tieline

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "docs", "examples", "scripts", "src", "tests")
TEXT = {"", ".csv", ".css", ".html", ".js", ".lock", ".md", ".py", ".sh", ".toml", ".yaml"}

MOST_LINES = 400
#: What only one machine has: folders of a user, and hosts that packages come from.
PRIVATE = re.compile(
    r"(?<![\w.~-])/(?:work|root|home|Users)/\w"
    r"|pypi\.(?:org|python)|pythonhosted|--(?:extra-)?index-url|--trusted-host"
)
HEAVY = {"fastapi", "matplotlib", "numba", "numpy", "polars", "pydantic", "rich", "sqlalchemy"}


def text_files() -> Iterator[Path]:
    """Give every text file of the project, build products left out."""
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT)
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in TEXT:
                yield path


def name(path: Path) -> str:
    """Give the path as it stands in the project."""
    return str(path.relative_to(ROOT))


def locked() -> dict[str, str]:
    """Give the version of each package in the lock, by name."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return dict(line.removesuffix(" \\").split("==") for line in lines if line[:1].isalnum())


def test_no_source_file_is_too_long() -> None:
    """A source file holds one idea, in at most 400 lines."""
    lengths = {
        name(path): len(path.read_text().splitlines()) for path in (ROOT / "src").rglob("*.py")
    }
    assert {file: lines for file, lines in lengths.items() if lines > MOST_LINES} == {}


def test_every_test_states_its_rule() -> None:
    """A test begins with one sentence, the rule it holds the code to."""
    silent = [
        f"{name(path)}:{node.lineno} {node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not (ast.get_docstring(node) or "").strip()
    ]
    assert silent == []


def test_no_file_names_a_private_machine_or_registry() -> None:
    """What is written holds on every machine: no user's folder, no package registry."""
    found = [
        f"{name(path)}:{number} {match.group()}"
        for path in text_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if (match := PRIVATE.search(line))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line", [*(f"see /{folder}/x" for folder in ("home/ann", "work")), "--index-url x", "pypi.org"]
)
def test_private_places_are_recognised(line: str) -> None:
    """The guard above sees what it is there for."""
    assert PRIVATE.search(line)


@pytest.mark.parametrize("module", ["tieline", "tieline.cli.main"])
def test_starting_is_light(module: str) -> None:
    """The package and its command start without any of the heavy libraries."""
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.split() == []


def test_the_lock_covers_every_dependency() -> None:
    """Each package the project asks for is in the lock, in a version that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    versions = locked()
    wrong = [
        text
        for text in asked
        if (need := Requirement(text)).name not in versions
        or versions[need.name] not in need.specifier
    ]
    assert wrong == []


def test_there_is_one_version() -> None:
    """The package, what is installed and the changelog agree on the version."""
    assert version("tieline") == tieline.__version__
    assert f"## [{tieline.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
