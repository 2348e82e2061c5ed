"""The `tieline` command: finds the subcommand and turns errors into one clear line.

Exit codes: 0 done, 1 the run failed, 2 wrong input. A stack trace only with `--debug`.
"""

import sys
from importlib import import_module
from typing import Final

import click

from tieline import __version__
from tieline.model.errors import InputError, TielineError

#: Subcommand -> module that holds it; imported only when it is called.
COMMANDS: Final = {
    "accelerators": "tieline.cli.accelerators",
    "cancel": "tieline.cli.jobs",
    "check": "tieline.cli.check",
    "demo": "tieline.cli.demo",
    "job": "tieline.cli.jobs",
    "jobs": "tieline.cli.jobs",
    "logs": "tieline.cli.jobs",
    "pools": "tieline.cli.pools",
    "prices": "tieline.cli.pools",
    "replay": "tieline.cli.replay",
    "submit": "tieline.cli.submit",
    "trace": "tieline.cli.trace",
    "up": "tieline.cli.up",
    "why": "tieline.cli.why",
}


class LazyGroup(click.Group):
    """A group whose commands are imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the command names, sorted."""
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give one command; None when there is none of that name."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tieline")
@click.option("--debug", is_flag=True, help="Show the stack trace of an error.")
def cli(*, debug: bool) -> None:
    """Join compute centres with different accelerators into one network."""
    del debug


def main() -> None:
    """Run the command line."""
    try:
        cli(prog_name="tieline")
    except TielineError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"tieline: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)
