"""How a trace file is named on the command line: its format and the options of the format."""

from collections.abc import Sequence
from typing import Final

import click

from tieline.model.errors import InputError
from tieline.traces.registry import COMMON_OPTIONS, FORMATS


def _options_help() -> str:
    lines = [f"any format: {name} = {text}" for name, text in COMMON_OPTIONS.items()]
    for kind in FORMATS.values():
        lines += [f"{kind.name}: {name} = {text}" for name, text in kind.options.items()]
    return "Option of the format, repeatable. " + "; ".join(lines) + "."


FORMAT: Final = click.option(
    "--format",
    "kind",
    type=click.Choice(list(FORMATS)),
    help="Found out from the columns by default.",
)
OPTIONS: Final = click.option(
    "--option", "-o", "options", multiple=True, metavar="NAME=VALUE", help=_options_help()
)


def pairs(options: Sequence[str]) -> dict[str, str]:
    """Split NAME=VALUE.

    Raises
    ------
    InputError
        A text of another form.
    """
    found = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InputError(f"--option: found {text!r}, expected NAME=VALUE")
        found[name] = value
    return found
