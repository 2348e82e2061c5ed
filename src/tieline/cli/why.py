"""`tieline why`: every pool's answer to a job, in plain words."""

from collections.abc import Sequence
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import console, estimate_text, print_json, span, status_text, table
from tieline.cli.suggestions import job_ids
from tieline.wire.schemas import PoolReasons, Rival, Why

_RIVALS: Final = "whom it would have to beat"
#: Pools whose contest is shown.
_POOLS: Final = 8


@click.command()
@click.argument("job_id", metavar="ID", shell_complete=job_ids)
@AS_JSON
@URL
def why(job_id: str, url: str | None, *, as_json: bool) -> None:
    """Say why a job is where it is, when it will start, and what would start it sooner."""
    with connected(url) as client:
        found = client.why(job_id)
    if as_json:
        print_json(found)
    else:
        show(console(), found)


def show(screen: Console, found: Why) -> None:
    """Print the answer: every pool's reasons, who comes first, when it starts, what would help."""
    job = found.job
    screen.print(Text.assemble(f"{job.id} {job.name}".strip(), " ", status_text(job.status)))
    screen.print(found.sentence, style="bold red" if found.never else "")
    if found.forecast is not None and not found.never:
        screen.print(found.forecast.sentence, style="bold")
    if found.pools:
        _show_pools(screen, found)
    if found.forecast is not None:
        _show_rivals(screen, found.pools, found.forecast.at)
        _show_changes(screen, found)
        if found.forecast.grounds:
            screen.print("\n" + " ".join(found.forecast.grounds), style="dim")


def _show_pools(screen: Console, found: Why) -> None:
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


def _show_rivals(screen: Console, pools: Sequence[PoolReasons], now: float) -> None:
    """Print who has each pool that the job may use, or comes first there."""
    contested = [one for one in pools if one.rivals]
    if not contested:
        return
    made = table("pool", ">run", ">ahead", ">to beat", _RIVALS, fold=(_RIVALS,))
    for one in contested[:_POOLS]:
        to_beat = "-" if one.to_beat_per_h is None else f"{one.to_beat_per_h:.3g}"
        rivals = "; ".join(_rival(rival, now) for rival in one.rivals)
        made.add_row(one.pool, f"{one.running}", f"{one.ahead}", to_beat, rivals)
    screen.print()
    screen.print(made)
    if len(contested) > _POOLS:
        screen.print(f"and {len(contested) - _POOLS} pools more (--json has all)", style="dim")
    screen.print(
        "\nrun: jobs that run there; ahead: waiting jobs that come first; to beat: the worth that "
        "would put it before them",
        style="dim",
    )


def _rival(one: Rival, now: float) -> str:
    what = "waits" if one.ends_at is None else f"runs for {span(one.ends_at - now)} more"
    if one.ends_at is not None and one.ends_at <= now:
        what = "runs past its estimate"
    job = one.job or "another tenant's job"
    return f"{job} ({one.worth_per_h:.3g}, x{one.count}) {what}"


def _show_changes(screen: Console, found: Why) -> None:
    """Print what would start the job sooner."""
    screen.print()
    if found.changes:
        screen.print("it would start sooner, the cheapest change first", style="bold")
    for change in found.changes:
        screen.print(Text.assemble(f"- {change.sentence}", (f" ({change.by})", "dim")))
    if not found.changes:
        screen.print("No single change that was tried would start it sooner.")
    if found.changes_untried:
        screen.print(f"{found.changes_untried} changes not tried: no time.", style="dim")


def _answer(one: PoolReasons) -> Text:
    words = "; ".join(one.words)
    return Text.assemble(("never: ", "red"), words) if one.never else Text(words)
