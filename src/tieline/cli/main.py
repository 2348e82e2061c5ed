"""The `tieline` command: finds the subcommand and turns errors into one clear line.

Exit codes: 0 done, 1 the run failed, 2 wrong input. A stack trace only with `--debug`.
"""

import sys
from importlib import import_module
from typing import Final

import click
from click.shell_completion import CompletionItem

from tieline import __version__
from tieline.model.errors import InputError, TielineError

#: Subcommand -> module that holds it, imported only when it is called, and its line in the help.
COMMANDS: Final = {
    "accelerators": (
        "tieline.cli.accelerators",
        "Show the accelerators known, or everything about one: figures, rates, sources.",
    ),
    "audit": ("tieline.cli.audit", "Check a store: its event log, its jobs, its promises."),
    "cancel": ("tieline.cli.jobs", "Ask for the end of jobs."),
    "check": (
        "tieline.cli.check",
        "Check network and job files: every mistake with its line, or what a file holds.",
    ),
    "completion": (
        "tieline.cli.completion",
        "Print the script by which a shell completes commands, options and ids.",
    ),
    "demo": (
        "tieline.cli.demo.command",
        "Join three centres on this machine and run real jobs on them.",
    ),
    "job": ("tieline.cli.jobs", "Show everything about one job."),
    "jobs": ("tieline.cli.jobs", "List jobs, the newest first."),
    "logs": ("tieline.cli.jobs", "Print the output of a job."),
    "plan": ("tieline.cli.plan", "Say what to buy, when and where, or not at all."),
    "pools": ("tieline.cli.pools", "Show every pool: what is in use, free and waited for."),
    "prices": ("tieline.cli.pools", "Show what an accelerator-hour is worth at each pool."),
    "replay": ("tieline.cli.replay", "Run a recorded trace through the scheduler."),
    "site": ("tieline.cli.site", "Look at sites, close them to new work, find their pools."),
    "submit": ("tieline.cli.submit", "Submit the jobs of a file."),
    "token": (
        "tieline.cli.token",
        "Make, list and revoke the tokens of an API that asks for them.",
    ),
    "trace": ("tieline.cli.trace", "Look at recorded jobs, convert them, fetch public ones."),
    "up": ("tieline.cli.up", "Serve a network: the scheduling loop and the HTTP API."),
    "whoami": ("tieline.cli.whoami", "Say whom the control plane takes you for."),
    "why": ("tieline.cli.why", "Say why a job is where it is: every pool's answer."),
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
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), cmd_name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Give the commands that begin so, without importing any, and the options."""
        lines = {name: line for name, (_, line) in sorted(COMMANDS.items())}
        found = [CompletionItem(name, help=line) for name, line in lines.items()]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [one for one in found if one.value.startswith(incomplete)] + options

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their lines, without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in sorted(COMMANDS.items())])


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
