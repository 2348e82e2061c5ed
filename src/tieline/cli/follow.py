"""Following jobs on the screen: what happens to them, and what they write."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import click

from tieline.cli.screen import event_text, span
from tieline.client import Client, Sighting
from tieline.control.lifecycle import ENDS_ATTEMPT, Status
from tieline.wire.schemas import Job

#: Events with which a run ends, and its last line with it.
_ENDS: Final = {event.name.lower() for event in ENDS_ATTEMPT}
#: The exit code of a command that Ctrl-C ended.
_INTERRUPTED: Final = 130


def followed(client: Client, jobs: Sequence[Job], *, output: bool = True) -> list[Job]:
    """Print what happens to the jobs until all have ended, and give them as they are then.

    With `output` what they write goes to standard output, each line after the id of its job
    where they are several, and what happens to them to standard error; without it, what happens
    goes to standard output.
    """
    latest = {job.seq: job for job in jobs}
    lines = {job.seq: _Lines(job.id) for job in jobs} if len(jobs) > 1 else {}
    with leaving(jobs, "following"):
        for sighting in client.follow(jobs):
            job = latest[sighting.job.seq] = sighting.job
            if output and sighting.output:
                told = lines[job.seq].whole(sighting.output) if lines else sighting.output
                click.echo(told, nl=False)
            elif not sighting.output:
                if lines and sighting.event is not None and sighting.event.event in _ENDS:
                    click.echo(lines[job.seq].rest(), nl=False)
                click.echo(_line(sighting), err=output)
        for left in lines.values():
            click.echo(left.rest(), nl=False)
    return list(latest.values())


def all_succeeded(jobs: Sequence[Job]) -> bool:
    """Tell whether every job has ended well."""
    return all(job.status is Status.SUCCEEDED for job in jobs)


@contextmanager
def leaving(jobs: Sequence[Job], doing: str) -> Iterator[None]:
    """Say, where Ctrl-C ends the block, that it does not end the jobs."""
    try:
        yield
    except KeyboardInterrupt:
        first, last = jobs[0].id, jobs[-1].id
        which = f"{first} goes on" if len(jobs) == 1 else f"{first} to {last} go on"
        end = first if len(jobs) == 1 else f"{first}..{last}"
        click.echo(
            f"\nstopped {doing}; {which}: see `tieline jobs {end}`, end with `tieline cancel "
            f"{end}`",
            err=True,
        )
        sys.exit(_INTERRUPTED)


def _line(sighting: Sighting) -> str:
    job, event = sighting.job, sighting.event
    if event is None:
        return f"{job.id} {sighting.problem}"
    return f"{job.id} +{span(event.at - job.submitted_at)} {event_text(event)}"


class _Lines:
    """The output of one job, of which only whole lines are printed."""

    def __init__(self, job_id: str) -> None:
        self._before: Final = f"{job_id}: ".encode()
        self._begun = b""

    def whole(self, piece: bytes) -> bytes:
        """Give the lines that are whole with this piece, each after the id."""
        *lines, self._begun = (self._begun + piece).split(b"\n")
        return b"".join(self._before + line + b"\n" for line in lines)

    def rest(self) -> bytes:
        """Give the line that has begun, once nothing follows."""
        begun, self._begun = self._begun, b""
        return self._before + begun + b"\n" if begun else b""
