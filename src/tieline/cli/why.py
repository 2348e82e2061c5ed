"""`tieline why`: every pool's answer to a job, in plain words."""

import click
from rich.console import Console
from rich.text import Text

from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import console, estimate_text, print_json, status_text, table
from tieline.wire.schemas import PoolReasons, Why


@click.command()
@click.argument("job_id", metavar="ID")
@AS_JSON
@URL
def why(job_id: str, url: str | None, *, as_json: bool) -> None:
    """Say why a job is where it is: every pool's answer while it waits."""
    with connected(url) as client:
        found = client.why(job_id)
    if as_json:
        print_json(found)
    else:
        show(console(), found)


def show(screen: Console, found: Why) -> None:
    """Print the answer: the sentence, every pool's reasons, and what would help."""
    job = found.job
    screen.print(Text.assemble(f"{job.id} {job.name}".strip(), " ", status_text(job.status)))
    screen.print(found.sentence, style="bold red" if found.never else "")
    if found.pools:
        answers = table("pool", ">free", ">node", ">price", ">worth", "answer", fold=("answer",))
        for one in found.pools:
            answers.add_row(
                one.pool,
                f"{one.free}",
                f"{one.largest}",
                f"{one.price_per_h:.3g}",
                "-" if one.never else f"{one.worth_per_h:.3g}",
                _answer(one),
            )
        screen.print()
        screen.print(answers)
        if found.estimate is not None:
            screen.print(f"\ntaken to run {estimate_text(found.estimate)}", style="dim")
        screen.print(
            "\nfree: accelerators, in the pool and most on one node; "
            "price and worth: finished jobs per accelerator-hour",
            style="dim",
        )
    for hint in found.hints:
        screen.print(f"- {hint}")


def _answer(one: PoolReasons) -> Text:
    words = "; ".join(one.words)
    return Text.assemble(("never: ", "red"), words) if one.never else Text(words)
