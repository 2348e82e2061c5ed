#!/usr/bin/env python3
"""Write the commands of docs/reference/cli.md anew, from the command line itself.

    python scripts/cli_reference.py

What a command takes stands between `<!-- command: submit -->` and `<!-- end -->`; the text
around these parts is kept. A test demands that the page is what this gives.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from tieline.cli.main import cli

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

_PART: Final = re.compile(r"(<!-- command: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def commands() -> dict[str, click.Context]:
    """Give every command that does something, by its name: `submit`, `trace describe`."""
    return dict(_commands(click.Context(cli, info_name="tieline")))


def _commands(above: click.Context) -> Iterator[tuple[str, click.Context]]:
    group = above.command
    if not isinstance(group, click.Group):
        yield above.command_path.removeprefix("tieline "), above
        return
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is not None:
            yield from _commands(click.Context(command, info_name=name, parent=above))


def updated(page: str) -> str:
    """Give the page with every command written anew."""
    known = commands()
    return _PART.sub(lambda found: found[1] + part(known[found[2]]) + found[3], page)


def part(context: click.Context) -> str:
    """Give usage, help and options of one command as Markdown."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = ["```text", usage, "```", "", inspect.cleandoc(command.help or ""), ""]
    lines += ["| option | meaning |", "|---|---|"]
    lines += [f"| `{_cell(names)}` | {_cell(meaning)} |" for names, meaning in _options(context)]
    return "\n".join([*lines, "", *([command.epilog, ""] if command.epilog else [])])


def _options(context: click.Context) -> Iterator[tuple[str, str]]:
    """Give what has a meaning of its own, as `--help` shows it; `--help` itself left out."""
    for one in context.command.params:
        record = one.get_help_record(context)
        if record is not None and record[1]:
            yield record


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
