"""The `tieline` command itself: its list of commands, its errors, its exit codes."""

import subprocess
import sys

import click
import pytest

from tieline.cli.main import COMMANDS, cli

HEAVY = {"numba", "numpy", "polars", "pydantic", "rich", "httpx", "fastapi", "matplotlib"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_there_and_has_its_line(name: str) -> None:
    """Each command in the list can be loaded, says what it does, and has one line in the help."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help
    line = COMMANDS[name][1]
    assert line.endswith(".")
    assert len(line) <= 80


def test_help_is_quick() -> None:
    """`tieline --help` lists every command without importing any of them."""
    code = f"""
import sys
sys.argv = ["tieline", "--help"]
from tieline.cli.main import main
try:
    main()
finally:
    print("imported:", *sorted({HEAVY!r} & set(sys.modules)))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.endswith("imported:\n")
    for name, (_, line) in COMMANDS.items():
        assert f"\n  {name} " in run.stdout
        assert line.split()[0] in run.stdout


def test_an_unknown_command_is_wrong_input() -> None:
    """A mistyped command is told with exit code 2."""
    run = subprocess.run(
        [sys.executable, "-c", "from tieline.cli.main import main; main()", "jbos"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert "No such command 'jbos'" in run.stderr
