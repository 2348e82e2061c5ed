"""`tieline submit`: hands jobs to the control plane and, on request, waits for their end."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import console, print_json, ran, span, status_text, table
from tieline.client import Refusal
from tieline.control.lifecycle import Status
from tieline.files.document import Document
from tieline.files.job import jobs_from
from tieline.files.problems import Fault
from tieline.files.syntax import read_document
from tieline.wire.schemas import MAX_JOBS, MAX_KEY, Job, named

#: Jobs that went wrong are listed up to this many.
_MOST_ROWS: Final = 10


@click.command()
@click.argument("file", metavar="JOB.yaml")
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(1, MAX_JOBS),
    help="Submit each job of the file this often.",
)
@click.option("--wait", is_flag=True, help="Wait for the end of all; 0 only if all succeeded.")
@click.option(
    "--key",
    metavar="KEY",
    help=f"Name of this submission: a second one with the same key adds nothing. "
    f"At most {MAX_KEY} characters.",
)
@AS_JSON
@URL
@click.pass_context
def submit(
    context: click.Context,
    file: str,
    *,
    count: int,
    wait: bool,
    key: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Submit the jobs of a file: one, or all those under `jobs`.

    Mistakes in the file are told with their lines before anything is sent.
    """
    document = read_document(Path(file))
    specs = jobs_from(document)
    with connected(url) as client:
        try:
            jobs = client.submit(specs, count=count, key=key)
        except Refusal as refusal:
            document.demand(_faults(refusal, document))
            raise
        if not as_json:
            click.echo(_receipt(jobs))
        if wait:
            with console(stderr=True).status("") as line:  # shown on a terminal only
                jobs = client.wait(jobs, watch=lambda now: line.update(_progress(now)))
    if as_json:
        print_json({"jobs": [job.model_dump(mode="json") for job in jobs]})
    elif wait:
        _show_ends(jobs)
    if wait and any(job.status is not Status.SUCCEEDED for job in jobs):
        context.exit(1)


def _faults(refusal: Refusal, document: Document) -> Iterator[Fault]:
    """Give the mistakes that the control plane found, by their places in the file."""
    several = isinstance(document.data, dict) and "jobs" in document.data
    for one in refusal.problems:
        parts = re.findall(r"[^.\[\]]+", one.field)
        loc = tuple(int(part) if part.isdecimal() else part for part in parts)
        yield Fault(loc if several else loc[2:], one.found, one.allowed)


def _receipt(jobs: Sequence[Job]) -> str:
    first, last = jobs[0], jobs[-1]
    if len(jobs) == 1:
        return f"{first.id} {named(first.status)}"
    return f"{len(jobs):,} jobs: {first.id} to {last.id}"


def _progress(jobs: Sequence[Job]) -> str:
    counts = Counter(job.status for job in jobs)
    parts = [f"{counts[status]:,} {named(status)}" for status in Status if counts[status]]
    return f"{', '.join(parts)}; {span(time.time() - jobs[0].submitted_at)}"


def _show_ends(jobs: Sequence[Job]) -> None:
    now = time.time()
    if len(jobs) > 1:
        click.echo(_progress(jobs))
    wrong = [job for job in jobs if job.status is not Status.SUCCEEDED]
    shown = jobs if len(jobs) == 1 else wrong[:_MOST_ROWS]
    if shown:
        ends = table("job", "status", ">exit", ">ran", "pool", "detail", fold=("pool", "detail"))
        for job in shown:
            code = "-" if job.exit_code is None else f"{job.exit_code}"
            status = status_text(job.status)
            ends.add_row(job.id, status, code, span(ran(job, now)), job.pool or "-", job.detail)
        console().print(ends)
    if wrong:
        click.echo(f"see what went wrong: tieline logs {wrong[0].id}")
