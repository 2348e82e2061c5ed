"""`tieline submit`: hands jobs to the control plane and, on request, waits for their end."""

import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import click

from tieline.cli.follow import all_succeeded, followed, leaving
from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import console, print_json, ran, span, status_text, table
from tieline.client import Client, Refusal
from tieline.control.lifecycle import Status
from tieline.files.array import INDEX, ArrayError, JobArray, indices_of
from tieline.files.document import Document, each
from tieline.files.job import entries_from
from tieline.files.problems import Fault
from tieline.files.syntax import read_document
from tieline.model.errors import InputError
from tieline.model.job import JobSpec
from tieline.wire.schemas import MAX_JOBS, MAX_KEY, Job, named

#: Jobs that went wrong are listed up to this many.
_MOST_ROWS: Final = 10


@click.command()
@click.argument("file", metavar="JOB.yaml", type=click.Path())
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(1, MAX_JOBS),
    help="Submit each job of the file this often.",
)
@click.option(
    "--array",
    metavar="INDICES",
    help="Submit it once for each index, such as 0-99, 0-99:3 or 1,5,9, which the job finds in "
    f"{INDEX}.",
)
@click.option("--wait", is_flag=True, help="Wait for the end of all; 0 only if all succeeded.")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Print the output of all and, on standard error, what happens to them; 0 only if all "
    "succeeded.",
)
@click.option(
    "--key",
    metavar="KEY",
    help=f"Name of this submission: a second one with the same key adds nothing. "
    f"At most {MAX_KEY} characters.",
)
@AS_JSON
@URL
def submit(  # noqa: PLR0913 - one argument per option
    file: str,
    *,
    count: int,
    array: str | None,
    wait: bool,
    follow: bool,
    key: str | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Submit the jobs of a file: one, or all those under `jobs`.

    Mistakes in the file are told with their lines before anything is sent. Ctrl-C ends the
    waiting or following, not the jobs.
    """
    if follow and as_json:
        raise click.UsageError("--follow prints line by line, --json one document: give one")
    document = read_document(Path(file))
    entries = _entries(document, array)
    if count > 1 and any(isinstance(one, JobArray) for one in entries):
        raise InputError(f"--count {count}: an array has a job for each index; leave --count out")
    with connected(url) as client:
        try:
            jobs = client.submit(entries, count=count, key=key)
        except Refusal as refusal:
            document.demand(_faults(refusal, document, entries))
            raise
        if not as_json:
            click.echo(_receipt(jobs), err=follow)
        if follow:
            jobs = followed(client, jobs)
        elif wait:
            jobs = _waited(client, jobs)
    if as_json:
        print_json({"jobs": [job.model_dump(mode="json") for job in jobs]})
    elif wait and not follow:
        _show_ends(jobs)
    if (wait or follow) and not all_succeeded(jobs):
        sys.exit(1)


def _entries(document: Document, array: str | None) -> Sequence[JobSpec | JobArray]:
    """Give the jobs of a file, each as an array where the command line says so."""
    if array is not None:
        try:
            indices_of(array)
        except ArrayError as error:
            raise InputError(f"--array: {error}") from None
        for _, job in chain([((), document.data)], each(document.data, "jobs.*")):
            if isinstance(job, dict) and "jobs" not in job:
                job["array"] = array
    return entries_from(document)


def _waited(client: Client, jobs: Sequence[Job]) -> list[Job]:
    with (
        leaving(jobs, "waiting"),
        console(stderr=True).status("") as line,  # shown on a terminal only
    ):
        return client.wait(jobs, watch=lambda now: line.update(_progress(now)))


def _faults(
    refusal: Refusal, document: Document, entries: Sequence[JobSpec | JobArray]
) -> Iterable[Fault]:
    """Give the mistakes that the control plane found, by their places in the file.

    It counts the jobs of an array one by one.
    """
    several = isinstance(document.data, dict) and "jobs" in document.data
    sizes = [len(one.indices) if isinstance(one, JobArray) else 1 for one in entries]
    place = [number for number, size in enumerate(sizes) for _ in range(size)]
    found: dict[Fault, None] = {}
    for one in refusal.problems:
        parts = re.findall(r"[^.\[\]]+", one.field)
        loc = tuple(int(part) if part.isdecimal() else part for part in parts)
        if several and len(loc) > 1 and isinstance(loc[1], int) and loc[1] < len(place):
            loc = (loc[0], place[loc[1]], *loc[2:])
        found[Fault(loc if several else loc[2:], one.found, one.allowed)] = None
    return found


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
