"""What the commands share on the screen: a console, plain tables, times as people read them."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import click
from pydantic import BaseModel
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tieline.control.lifecycle import Status
from tieline.model.units import format_duration
from tieline.wire.schemas import Estimate, Event, Job, named

#: An elastic column is not cut below this width.
_LEAST_ELASTIC: Final = 10

_STYLES: Final[Mapping[Status, str]] = {
    Status.QUEUED: "yellow",
    Status.SUBMITTED: "cyan",
    Status.RUNNING: "cyan",
    Status.STOPPING: "yellow",
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


def progress_bar() -> Progress:
    """Give a bar on a terminal, on standard error, and nothing elsewhere."""
    error_console = console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=error_console,
        transient=True,
        disable=not error_console.is_terminal,
    )


def print_json(document: BaseModel | Mapping[str, object]) -> None:
    """Print one JSON document, readable and complete."""
    plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def table(*heads: str, fold: Collection[str] = (), gap: int = 2) -> Table:
    """Give an empty table without lines, no wider than the terminal.

    Parameters
    ----------
    heads
        One per column; `>` before it aligns the column to the right.
    fold
        Heads of the columns that break into lines when the terminal is narrow, the widest
        first; the others keep their width.
    gap
        Blanks between columns.
    """
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for head in heads:
        justify: JustifyMethod = "right" if head.startswith(">") else "left"
        name = head.removeprefix(">")
        made.add_column(name, justify=justify, no_wrap=name not in fold, overflow="fold")
    return made


def fitted(made: Table, width: int, *, elastic: str, spare: Sequence[str]) -> list[str]:
    """Leave out columns until the rest fits; give the heads of those left out.

    Parameters
    ----------
    elastic
        Head of the column that is cut where it is too long, before any is left out.
    spare
        Heads of the columns that may go, the first first.
    """
    gone: list[str] = []
    for column in made.columns:
        widest = max(cell_len(str(cell)) for cell in (column.header, *column.cells))
        if column.header == elastic:
            column.overflow, column.min_width = "ellipsis", min(widest, _LEAST_ELASTIC)
        else:
            column.min_width = widest
    gap = made.padding[1]
    for head in spare:
        needed = sum((column.min_width or 0) + gap for column in made.columns) - gap
        if needed <= width:
            break
        made.columns = [column for column in made.columns if column.header != head]
        gone.append(head)
    return gone


def status_text(status: Status) -> Text:
    """Give a status in its colour."""
    return Text(named(status), style=_STYLES[status])


def event_text(event: Event) -> str:
    """Give what happened to a job in plain words."""
    parts = [event.event.replace("-", " ")]
    if "pool" in event.data:
        parts.append(f"on {event.data['pool']}")
    if "exit_code" in event.data:
        parts.append(f"with exit code {event.data['exit_code']}")
    detail = f": {event.data['detail']}" if "detail" in event.data else ""
    return " ".join(parts) + detail


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


def estimate_text(estimate: Estimate) -> str:
    """Give how long a job is taken to run, and how that is known."""
    known = {
        "user": "as its file says",
        "history": "from ended jobs like it",
        "default": "nobody says, and no job like it has ended",
    }.get(estimate.basis, estimate.basis)
    return f"{span(estimate.run_s)} on {estimate.on} ({known})"
