"""`tieline jobs`, `job`, `cancel` and `logs`: what there is, and what became of it."""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console
from rich.table import Table

from tieline.cli.follow import all_succeeded, followed, leaving
from tieline.cli.ranges import METAVAR, is_range, jobs_of_range
from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import (
    console,
    estimate_text,
    event_text,
    fitted,
    print_json,
    ran,
    span,
    status_text,
    table,
    waited,
)
from tieline.cli.suggestions import job_ids
from tieline.client import Client
from tieline.control.lifecycle import Status
from tieline.model.errors import InputError, NotFoundError
from tieline.wire.schemas import Event, Job, JobDetail, named

#: Jobs that are listed unless told otherwise.
_NEWEST: Final = 20
_STATUSES: Final = {named(status): status for status in Status}


@click.command()
@click.argument("ids", metavar=f"[{METAVAR}]...", nargs=-1, shell_complete=job_ids)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(list(_STATUSES)),
    metavar="STATUS",
    help=f"Only these; may be given several times. One of {', '.join(_STATUSES)}.",
)
@click.option("--tenant", metavar="TENANT", help="Only those of this tenant.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"At most.  [default: {_NEWEST}; all where ids are given]",
)
@AS_JSON
@URL
def jobs(
    ids: Sequence[str],
    *,
    statuses: Sequence[str],
    tenant: str | None,
    limit: int | None,
    url: str | None,
    as_json: bool,
) -> None:
    """List jobs, the newest first: all, or those of the ids and ranges given."""
    wanted = [_STATUSES[name] for name in statuses]
    most = limit or (None if ids else _NEWEST)
    with connected(url) as client:
        if ids:
            found = _named(client, ids, wanted, tenant)[:most]
        else:
            found = client.jobs(status=wanted, tenant=tenant, limit=most or _NEWEST)
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
        if len(found) == most:
            screen.print(f"\nthe newest {most}; see --limit", style="dim")
    else:
        click.echo("no jobs")


def _named(
    client: Client, ids: Sequence[str], wanted: Sequence[Status], tenant: str | None
) -> list[Job]:
    """Give the jobs of ids and ranges, the newest first."""
    found: dict[int, Job] = {}
    for text in ids:
        if is_range(text):
            these = jobs_of_range(client, text, status=wanted, tenant=tenant)
            found |= {job.seq: job for job in these}
        else:
            one = client.job(text)
            if (not wanted or one.status in wanted) and tenant in {None, one.tenant}:
                found[one.seq] = one
    return [found[seq] for seq in sorted(found, reverse=True)]


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
@click.argument("job_id", metavar="ID", shell_complete=job_ids)
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Show what happens to it until it has ended; 0 only if it succeeded.",
)
@AS_JSON
@URL
def job(job_id: str, url: str | None, *, follow: bool, as_json: bool) -> None:
    """Show everything about one job."""
    if follow and as_json:
        raise click.UsageError("--follow prints line by line, --json one document: give one")
    with connected(url) as client:
        found = client.job(job_id)
        if follow:
            sys.exit(0 if all_succeeded(followed(client, [found], output=False)) else 1)
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
        lines.add_row(f"+{span(event.at - found.submitted_at)}", event_text(event))
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


@click.command()
@click.argument("ids", metavar=f"{METAVAR}...", nargs=-1, required=True, shell_complete=job_ids)
@AS_JSON
@URL
def cancel(ids: Sequence[str], url: str | None, *, as_json: bool) -> None:
    """Ask for the end of jobs. One that has ended stays as it is."""
    asked: list[Job] = []
    unknown: list[str] = []
    with connected(url) as client:
        for job_id in _each_id(client, ids):
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


def _each_id(client: Client, ids: Sequence[str]) -> list[str]:
    """Give each id once; a range stands for its jobs, of which there must be one."""
    found: list[str] = []
    for text in ids:
        these = [text]
        if is_range(text):
            these = [job.id for job in jobs_of_range(client, text)][::-1]
            if not these:
                raise NotFoundError(f"there is no job in {text}")
        found += these
    return list(dict.fromkeys(found))


@click.command()
@click.argument("job_id", metavar="ID", shell_complete=job_ids)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@URL
def logs(job_id: str, url: str | None, *, follow: bool) -> None:
    """Print the output of a job."""
    size = 0
    with connected(url) as client:
        found = client.job(job_id)
        with leaving([found], "following"):
            for piece in client.output(job_id, follow=follow):
                click.echo(piece, nl=False)
                size += len(piece)
        found = client.job(job_id)
    if not size:
        more = "" if found.started_at else f": see `tieline why {job_id}`"
        click.echo(f"{job_id} is {named(found.status)} and has no output{more}", err=True)
