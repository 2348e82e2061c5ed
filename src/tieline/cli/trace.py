"""`tieline trace`: look at recorded jobs, turn them into the native format, fetch public ones."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table

from tieline.cli.trace_options import FORMAT, OPTIONS, pairs
from tieline.model.trace import Trace
from tieline.traces.describe import describe as facts
from tieline.traces.download import BASE_URL, PUBLIC
from tieline.traces.download import download as fetch
from tieline.traces.native import write_trace
from tieline.traces.registry import read_trace

#: Rows of a table of sizes, tenants or kinds of work; the rest are summed up.
_MOST_ROWS: Final = 12
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
#: Unit, its length in seconds, up to which length it is used.
_UNITS: Final = (
    ("s", 1.0, 120.0),
    ("min", 60.0, 7_200.0),
    ("h", 3_600.0, 172_800.0),
    ("d", 86_400.0, float("inf")),
)

_AS_JSON: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)


@click.group()
def trace() -> None:
    """Look at recorded jobs, convert them, fetch public ones."""


@trace.command()
@click.argument("file", type=click.Path())
@FORMAT
@OPTIONS
@_AS_JSON
def describe(file: str, *, kind: str | None, options: Sequence[str], as_json: bool) -> None:
    """Show what is in FILE: jobs, sizes, run times, tenants, load, what was left out."""
    found = facts(read_trace(file, kind, **pairs(options)))
    if as_json:
        _print_json(found)
    else:
        _show(Console(highlight=False, markup=False), found)


@trace.command()
@click.argument("file", type=click.Path())
@click.argument("out", type=click.Path())
@FORMAT
@OPTIONS
@_AS_JSON
def convert(
    file: str, out: str, *, kind: str | None, options: Sequence[str], as_json: bool
) -> None:
    """Write the jobs of FILE to OUT, a native trace (.csv or .parquet)."""
    read = read_trace(file, kind, **pairs(options))
    write_trace(read, out)
    if as_json:
        document = {
            "out": out,
            "jobs": len(read),
            "skipped": dict(read.skipped),
            "notes": list(read.notes),
            "lost": _lost(read),
        }
        _print_json(document)
        return
    click.echo(f"{out}: {len(read):,} jobs")
    for reason, number in read.skipped.items():
        click.echo(f"  left out: {_rows(number)}, {reason}")
    for text in _lost(read):
        click.echo(f"  lost: {text}")


@trace.command(epilog="Known: " + ", ".join(PUBLIC))
@click.argument("name")
@click.option("--to", "folder", default=".", metavar="DIR", help="Folder to save it in.")
@click.option(
    "--mirror",
    default=BASE_URL,
    metavar="URL",
    help=f"Address that serves the same paths as {BASE_URL}.",
)
@_AS_JSON
def download(name: str, *, folder: str, mirror: str, as_json: bool) -> None:
    """Fetch the public trace NAME, check it, and say whose it is."""
    error_console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=error_console,
        transient=True,
        disable=not error_console.is_terminal,
    ) as progress:
        task = progress.add_task(name, total=None)
        path = fetch(
            name,
            folder,
            base_url=mirror,
            on_bytes=lambda done, total: progress.update(task, completed=done, total=total),
        )
    public = PUBLIC[name]
    if as_json:
        document = {
            "name": name,
            "path": str(path),
            "bytes": public.bytes,
            "sha256": public.sha256,
            "format": public.format,
            "licence": public.licence,
            "cite": public.cite,
        }
        _print_json(document)
        return
    click.echo(f"{path}: {public.about}")
    click.echo(f"licence: {public.licence}")
    click.echo(f"cite: {public.cite}")


def _lost(read: Trace) -> list[str]:
    """Say what of a trace has no place in a native file."""
    if read.throughputs is None:
        return []
    types = ", ".join(sorted({kind for _, kind, _ in read.throughputs.steps_per_s}))
    reference = read.throughputs.reference
    return [f"the measured speeds on {types}; the run times are those on {reference}"]


def _print_json(document: Mapping[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))


def _show(console: Console, found: Mapping[str, Any]) -> None:
    """Print the facts about a trace as tables no wider than the terminal."""
    console.print(found["name"], style="bold")
    console.print(_summary(found))
    if len(found["load"]["by_period"]) and found["load"]["peak"]:
        _show_load(console, found["load"])
    total = found["accelerator_hours"]
    run = found["duration_s"]
    console.print("\nrun time", style="bold")
    times = _table("", "")
    for name, seconds in run.items():
        times.add_row(name, _time(seconds))
    console.print(times)
    groups = (
        ("accelerators per job", _by_size(found["sizes"])),
        ("tenants", found["tenants"]),
        ("work", found["workloads"]),
    )
    for title, group in groups:
        if len(group) > 1 or title == "accelerators per job":
            console.print()
            console.print(_shares(title, group, total))
    skipped = found["skipped"].items()
    _show_list(console, "left out", [f"{_rows(number)}: {why}" for why, number in skipped])
    _show_list(console, "to know", found["notes"])


def _summary(found: Mapping[str, Any]) -> Table:
    load = found["load"]
    rows = [
        ("jobs", f"{found['jobs']:,} of {found['rows']:,} rows"),
        ("span", f"{_time(found['span_s'])}, last submission {_time(found['last_submission_s'])}"),
        ("work", f"{found['accelerator_hours']:,.0f} accelerator-hours"),
        (
            "needed",
            f"{load['mean']:,.1f} accelerators on average, {load['peak']:,.0f} at the peak",
        ),
    ]
    if found["accelerator"]:
        rows.append(("recorded on", found["accelerator"]))
    if found["types"]:
        named = (f"{name} {number:,}" for name, number in found["types"].items() if number)
        rows.append(("types", ", ".join(named)))
    if found["estimates"]:
        asked = found["estimates"]["asked_over_run_p50"]
        ratio = "" if asked is None else f", half of them ask for over {asked:.3g} x their run"
        rows.append(("estimates", f"{found['estimates']['jobs']:,} jobs{ratio}"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, text in rows:
        table.add_row(name, text)
    return table


def _show_load(console: Console, load: Mapping[str, Any]) -> None:
    """Draw the mean load per period as a row of blocks."""
    periods = load["by_period"]
    merged = 1
    while len(periods) // merged > console.width:
        merged += 1
    means = [
        sum(periods[start : start + merged]) / len(periods[start : start + merged])
        for start in range(0, len(periods), merged)
    ]
    top = max(means)
    blocks = "".join(_BLOCKS[min(7, int(8 * mean / top))] if top else " " for mean in means)
    title = f"\naccelerators needed if nobody waits, {_time(load['period_s'] * merged)} a block"
    console.print(f"{title}, highest {top:,.0f}", style="bold")
    console.print(blocks)


def _by_size(sizes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give the sizes one by one, or in powers of two where there are many."""
    if len(sizes) <= _MOST_ROWS:
        return [{"name": str(size["count"]), **size} for size in sizes]
    groups: dict[int, dict[str, Any]] = {}
    for size in sizes:
        power = (size["count"] - 1).bit_length()
        low, high = 2 ** (power - 1) + 1 if power else 1, 2**power
        empty = {"name": f"{low}-{high}" if low < high else str(high)}
        group = groups.setdefault(power, empty | {"jobs": 0, "accelerator_hours": 0.0})
        group["jobs"] += size["jobs"]
        group["accelerator_hours"] += size["accelerator_hours"]
    return list(groups.values())


def _shares(title: str, groups: Sequence[Mapping[str, Any]], total: float) -> Table:
    """Lay groups out with their shares of jobs and work; the tail in one row."""
    table = _table(title, "jobs", "%", "accelerator-h", "%")
    jobs = sum(group["jobs"] for group in groups)
    shown = list(groups) if len(groups) <= _MOST_ROWS + 1 else list(groups[:_MOST_ROWS])
    rest = groups[len(shown) :]
    if rest:
        shown.append(
            {
                "name": f"{len(rest):,} others",
                "jobs": sum(group["jobs"] for group in rest),
                "accelerator_hours": sum(group["accelerator_hours"] for group in rest),
            }
        )
    for group in shown:
        hours = group["accelerator_hours"]
        table.add_row(
            group["name"],
            f"{group['jobs']:,}",
            f"{group['jobs'] / jobs:.1%}",
            f"{hours:,.0f}",
            f"{hours / total:.1%}" if total else "-",
        )
    return table


def _show_list(console: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"\n{title}", style="bold")
        grid = Table.grid(padding=(0, 1, 0, 0))
        for line in lines:
            grid.add_row("-", line)
        console.print(grid)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", overflow="fold")
    if not any(heads):
        table.show_header = False
    return table


def _rows(number: int) -> str:
    return f"{number:,} {'row' if number == 1 else 'rows'}"


def _time(seconds: float) -> str:
    """Give a length of time in the unit that suits it."""
    unit, length = next((unit, length) for unit, length, most in _UNITS if seconds < most)
    return f"{seconds / length:.3g} {unit}"
