"""`tieline jobs`, `job`, `cancel` and `logs`: what there is, and what became of it."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import (
    console,
    estimate_text,
    fitted,
    print_json,
    ran,
    span,
    status_text,
    table,
    waited,
)
from tieline.control.lifecycle import Status
from tieline.model.errors import InputError, NotFoundError
from tieline.wire.schemas import Event, Job, JobDetail, named

_STATUSES: Final = {named(status): status for status in Status}


@click.command()
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(list(_STATUSES)),
    metavar="STATUS",
    help=f"Only these; may be given several times. One of {', '.join(_STATUSES)}.",
)
@click.option("--tenant", metavar="TENANT", help="Only those of this tenant.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most.")
@AS_JSON
@URL
def jobs(
    statuses: Sequence[str], tenant: str | None, limit: int, url: str | None, *, as_json: bool
) -> None:
    """List jobs, the newest first."""
    wanted = [_STATUSES[name] for name in statuses]
    with connected(url) as client:
        found = client.jobs(status=wanted, tenant=tenant, limit=limit)
    if as_json:
        print_json({"jobs": [job.model_dump(mode="json") for job in found]})
    elif found:
        screen = console()
        made = _table_of(found, time.time())
        left_out = fitted(made, screen.width, elastic="name", spare=("waited", "tenant", "pool"))
        screen.print(made)
        if left_out:
            heads = ", ".join(reversed(left_out))
            screen.print(f"\na wider terminal also shows: {heads}", style="dim")
        if len(found) == limit:
            screen.print(f"\nthe newest {limit}; see --limit", style="dim")
    else:
        click.echo("no jobs")


def _table_of(found: Sequence[Job], now: float) -> Table:
    made = table("job", "status", "tenant", ">n", "pool", ">waited", ">ran", "name", gap=1)
    for job in found:
        made.add_row(
            job.id,
            status_text(job.status),
            job.tenant,
            f"{job.count}",
            job.pool or "-",
            span(waited(job, now)),
            span(ran(job, now)),
            job.name or job.workload,
        )
    return made


@click.command()
@click.argument("job_id", metavar="ID")
@AS_JSON
@URL
def job(job_id: str, url: str | None, *, as_json: bool) -> None:
    """Show everything about one job."""
    with connected(url) as client:
        found = client.job(job_id)
        history = client.events(job_id).events
    if as_json:
        events = [event.model_dump(mode="json") for event in history]
        print_json({**found.model_dump(mode="json"), "events": events})
    else:
        _show(console(), found, history, time.time())


def _show(screen: Console, found: JobDetail, history: Sequence[Event], now: float) -> None:
    stacks = found.spec.get("stacks")
    gang = f"{found.count} accelerator{'s' * (found.count != 1)}"
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    grid.add_row("job", f"{found.id} {found.name}".strip())
    grid.add_row("status", status_text(found.status))
    grid.add_row("tenant", found.tenant)
    grid.add_row("work", f"{found.workload} on {gang}")
    if isinstance(stacks, dict):
        grid.add_row("built for", " or ".join(sorted(stacks)))
    if found.estimate is not None:
        grid.add_row("estimate", estimate_text(found.estimate))
    grid.add_row("pool", found.pool or "-")
    grid.add_row(
        "submitted", f"{_moment(found.submitted_at)}, {span(now - found.submitted_at)} ago"
    )
    grid.add_row("waited", span(waited(found, now)))
    grid.add_row("ran", span(ran(found, now)))
    if found.exit_code is not None:
        grid.add_row("exit code", f"{found.exit_code}")
    if found.detail:
        grid.add_row("detail", found.detail)
    screen.print(grid)
    _show_rates(screen, found)
    screen.print("\nhistory", style="bold")
    lines = Table.grid(padding=(0, 2, 0, 0))
    lines.add_column(justify="right", style="dim")
    lines.add_column(overflow="fold")
    for event in history:
        lines.add_row(f"+{span(event.at - found.submitted_at)}", _line(event))
    screen.print(lines)
    more = "why" if not found.status.ended and found.started_at is None else "logs"
    screen.print(f"\ntieline {more} {found.id}", style="dim")


def _show_rates(screen: Console, found: JobDetail) -> None:
    if not found.rates:
        return
    screen.print("\nrates", style="bold")
    lines = table("accelerator", ">rate", "basis", "source", fold=("source",))
    for accelerator, rate in sorted(found.rates.items(), key=lambda item: -item[1].value):
        lines.add_row(accelerator, f"{rate.value:.2f}", rate.basis, rate.source)
    screen.print(lines)


def _moment(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _line(event: Event) -> str:
    parts = [event.event.replace("-", " ")]
    if "pool" in event.data:
        parts.append(f"on {event.data['pool']}")
    if "exit_code" in event.data:
        parts.append(f"with exit code {event.data['exit_code']}")
    detail = f": {event.data['detail']}" if "detail" in event.data else ""
    return " ".join(parts) + detail


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@AS_JSON
@URL
def cancel(job_ids: Sequence[str], url: str | None, *, as_json: bool) -> None:
    """Ask for the end of jobs. One that has ended stays as it is."""
    asked: list[Job] = []
    unknown: list[str] = []
    with connected(url) as client:
        for job_id in dict.fromkeys(job_ids):
            try:
                asked.append(client.cancel(job_id))
            except NotFoundError:
                unknown.append(job_id)
    if as_json:
        jobs = [job.model_dump(mode="json") for job in asked]
        print_json({"jobs": jobs, "unknown": unknown})
    else:
        for one in asked:
            state = f"had {named(one.status)}" if one.status.ended else "is being cancelled"
            click.echo(f"{one.id} {state}")
    if unknown:
        raise InputError(f"there is no job {', '.join(unknown)}; `tieline jobs` lists the jobs")


@click.command()
@click.argument("job_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@URL
def logs(job_id: str, url: str | None, *, follow: bool) -> None:
    """Print the output of a job."""
    size = 0
    with connected(url) as client:
        for piece in client.output(job_id, follow=follow):
            click.echo(piece, nl=False)
            size += len(piece)
        found = client.job(job_id)
    if not size:
        more = "" if found.started_at else f": see `tieline why {job_id}`"
        click.echo(f"{job_id} is {named(found.status)} and has no output{more}", err=True)
