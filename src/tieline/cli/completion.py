"""`tieline completion`: what makes a shell complete commands, options and ids."""

from typing import Final

import click
from click.shell_completion import get_completion_class

#: Where each shell keeps what it reads at its start.
_SHELLS: Final = {
    "bash": 'eval "$(tieline completion bash)" in ~/.bashrc',
    "fish": "tieline completion fish > ~/.config/fish/completions/tieline.fish",
    "zsh": 'eval "$(tieline completion zsh)" in ~/.zshrc, after compinit',
}


@click.command()
@click.argument("shell", type=click.Choice(sorted(_SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which a shell completes commands, options and ids.

    Ids of jobs and sites come from the control plane, where one answers within half a second.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click knows no {shell}")
    made = kind(context.find_root().command, {}, "tieline", "_TIELINE_COMPLETE")
    click.echo(made.source_template % made.source_vars())


completion.epilog = "\n\n".join(f"{shell}: {line}" for shell, line in _SHELLS.items())
