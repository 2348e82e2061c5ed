"""What the commands share on the screen: a console, plain tables, times as people read them."""

import json
from collections.abc import Mapping
from typing import Final

import click
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tieline.control.lifecycle import Status
from tieline.model.units import format_duration
from tieline.wire.schemas import Job, named

_STYLES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "yellow",
    Status.SUBMITTED: "cyan",
    Status.RUNNING: "cyan",
    Status.CANCELLING: "magenta",
    Status.UNKNOWN: "magenta",
    Status.LOST: "magenta",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "dim",
}


def console(*, stderr: bool = False) -> Console:
    """Give a console that shows text as it is, without guessing at markup."""
    return Console(highlight=False, markup=False, stderr=stderr)


def print_json(document: BaseModel | Mapping[str, object]) -> None:
    """Print one JSON document, readable and complete."""
    plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def table(*heads: str, fold: str = "", gap: int = 2) -> Table:
    """Give an empty table without lines.

    Parameters
    ----------
    heads
        One per column; `>` before it aligns the column to the right.
    fold
        Head of the column that breaks into lines where it is too long; others are cut.
    gap
        Blanks between columns.
    """
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for head in heads:
        made.add_column(
            head.removeprefix(">"),
            justify="right" if head.startswith(">") else "left",
            no_wrap=head != fold,
            overflow="fold" if head == fold else "ellipsis",
        )
    return made


def status_text(status: Status) -> Text:
    """Give a status in its colour."""
    return Text(named(status), style=_STYLES[status])


def span(seconds: float | None) -> str:
    """Give a length of time, `-` where there is none; clocks of two machines may disagree."""
    if seconds is None:
        return "-"
    seconds = max(0.0, seconds)
    return f"{seconds:.1f}s" if seconds < 10 else format_duration(round(seconds))  # noqa: PLR2004 - one digit more


def waited(job: Job, now: float) -> float | None:
    """Give how long a job waited for its run, or has waited so far [s]."""
    end = job.started_at or (job.ended_at if job.status.ended else now)
    return None if end is None else end - job.submitted_at


def ran(job: Job, now: float) -> float | None:
    """Give how long a job ran, or has run so far [s]; None when it has not."""
    if job.started_at is None:
        return None
    return (job.ended_at or now) - job.started_at
