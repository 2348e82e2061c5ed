"""The tutorial on plans is what happens: its commands print what it shows."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from tieline.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorials" / "first-plan.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh|console|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with the examples in it, with a wide terminal."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def blocks(language: str) -> list[str]:
    """Give the blocks of code in a language."""
    return [body for found, body in BLOCK.findall(PAGE) if found == language]


def run(command: str) -> str:
    """Run a command and give what it prints, line ends trimmed."""
    program, *words = shlex.split(command)
    assert program == "tieline"
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return "".join(f"{line.rstrip()}\n" for line in result.output.splitlines())


@pytest.mark.parametrize("block", blocks("console"), ids=range(len(blocks("console"))))
def test_commands_print_what_the_page_shows(block: str) -> None:
    """Each console block prints what it shows; `...` is any text on a line."""
    command, _, shown = block.removeprefix("$ ").partition("\n")
    wanted = ".*".join(map(re.escape, shown.split("...")))
    printed = run(command)
    assert re.fullmatch(wanted, printed), printed


def test_memo_is_written(here: Path) -> None:
    """The command of the page writes a page, its text and its numbers."""
    (block,) = blocks("sh")
    run(block.strip())
    assert {file.name for file in (here / "memo").iterdir()} == {
        "memo.html",
        "memo.md",
        "plan.json",
    }


def test_example_is_in_the_file() -> None:
    """The part of the plan that the page shows is in its file."""
    plan = (ROOT / "examples" / "plan-small" / "plan.yaml").read_text(encoding="utf-8")
    assert [block for block in blocks("yaml") if block not in plan] == []
    assert blocks("yaml")
