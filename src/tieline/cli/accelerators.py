"""`tieline accelerators`: the catalogue as a table, or everything about one accelerator."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import accumulate
from typing import Any, Final, Literal

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tieline.cli.suggestions import accelerator_ids
from tieline.model.accelerator import FIGURES, REFERENCE, Accelerator, Rate
from tieline.model.catalogue import catalogue, nearest, stacks
from tieline.model.class_rates import roofline
from tieline.model.errors import InputError
from tieline.model.rates import RateBook
from tieline.model.workload import WORKLOAD_CLASSES, Workload

Justify = Literal["left", "right"]

_MARKS: Final = {"measured": "", "inferred": "~", "assumed": "?"}
_LEGEND: Final = "0.88 measured, ~0.85 inferred, ?0.41 assumed (mostly from specifications)"
#: Column heads of the classes, short enough for six of them on 80 columns.
_HEADS: Final = {
    "training": "train",
    "fine-tuning": "tune",
    "prefill": "prefill",
    "decode": "decode",
    "batch-inference": "batch",
    "hpc": "hpc",
}
#: Columns after id and rates, head and field; where the terminal is narrow the last go first.
_COLUMNS: Final = (
    ("GB", "memory_gb"),
    ("stack", "stack"),
    ("TB/s", "memory_bw_tbs"),
    ("BF16", "bf16_tflops"),
    ("W", "tdp_w"),
    ("USD", "price_usd"),
    ("origin", "origin"),
    ("name", "name"),
)


@click.command()
@click.argument("accelerator", metavar="[ID]", required=False, shell_complete=accelerator_ids)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--class",
    "kind",
    type=click.Choice(WORKLOAD_CLASSES),
    help="Rates of this class alone, the fastest first.",
)
def accelerators(accelerator: str | None, *, as_json: bool, kind: str | None) -> None:
    """Show the accelerators known, or everything about one: figures, rates, sources.

    A rate is the progress per accelerator-second relative to the H200 SXM.
    """
    known = catalogue()
    kinds = WORKLOAD_CLASSES if kind is None else (kind,)
    book = RateBook(known)
    if accelerator is not None and accelerator not in known:
        names = nearest(accelerator, known)
        hint = f"did you mean {', '.join(names)}?" if names else "see `tieline accelerators`"
        raise InputError(f"unknown accelerator {accelerator}; {hint}")
    chosen = list(known.values()) if accelerator is None else [known[accelerator]]
    rates = {one.id: _rates(book, one, kinds) for one in chosen}
    if kind is not None:
        chosen.sort(key=lambda one: -rates[one.id][kind].value)
    if as_json:
        documents = [_document(one, rates[one.id]) for one in chosen]
        document = (
            documents[0]
            if accelerator is not None
            else {"reference": REFERENCE, "classes": kinds, "accelerators": documents}
        )
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False)
    if accelerator is None:
        _show_table(console, chosen, rates)
    else:
        _show_one(console, chosen[0], rates[accelerator])


def _rates(book: RateBook, accelerator: Accelerator, kinds: Iterable[str]) -> dict[str, Rate]:
    return {kind: book.rate(Workload(kind), accelerator.id, 1) for kind in kinds}


def _document(accelerator: Accelerator, rates: Mapping[str, Rate]) -> dict[str, Any]:
    bounds = {kind: roofline(accelerator, kind) for kind in rates}
    return {
        "id": accelerator.id,
        "name": accelerator.name,
        "vendor": accelerator.vendor,
        "origin": accelerator.origin,
        "stack": accelerator.stack,
        "stack_name": stacks()[accelerator.stack],
        "note": accelerator.note,
        "figures": {name: asdict(figure) for name, figure in accelerator.figures.items()},
        "rates": {kind: asdict(rate) for kind, rate in rates.items()},
        "roofline": {kind: bound and asdict(bound) for kind, bound in bounds.items()},
    }


def _show_table(
    console: Console, chosen: Sequence[Accelerator], rates: Mapping[str, Mapping[str, Rate]]
) -> None:
    kinds = rates[chosen[0].id]
    columns = [
        ["id", *(one.id for one in chosen)],
        *([_HEADS[kind], *(_short(rates[one.id][kind]) for one in chosen)] for kind in kinds),
        *([head, *(_cell(one, field) for one in chosen)] for head, field in _COLUMNS),
    ]
    always = 1 + len(kinds)
    ends = list(accumulate(1 + max(map(len, column)) for column in columns))
    shown = max(always, sum(end - 1 <= console.width for end in ends))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for head, *_ in columns[:shown]:
        justify: Justify = "left" if head in {"id", "stack", "origin", "name"} else "right"
        table.add_column(head, justify=justify, no_wrap=True)
    for row in zip(*columns[:shown], strict=True):
        if row[0] != "id":
            table.add_row(*row)
    console.print(table)
    console.print(f"\nrates relative to {REFERENCE}:\n{_LEGEND}", style="dim")
    left_out = [head for head, *_ in columns[shown:]]
    if left_out:
        console.print(f"a wider terminal also shows: {', '.join(left_out)}", style="dim")
    console.print("everything, with sources: tieline accelerators ID", style="dim")


def _short(rate: Rate) -> str:
    return f"{_MARKS[rate.basis]}{rate.value:.2f}"


def _cell(accelerator: Accelerator, field: str) -> str:
    if field not in FIGURES:
        return str(getattr(accelerator, field))
    figure = accelerator.figures.get(field)
    return f"{figure.value:g}" if figure else "-"


class _Footnotes:
    """Sources, numbered in the order in which they are first used."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def mark(self, source: str) -> str:
        """Give the number of a source."""
        return f"[{self.numbers.setdefault(source, len(self.numbers) + 1)}]"


def _show_one(console: Console, one: Accelerator, rates: Mapping[str, Rate]) -> None:
    notes = _Footnotes()
    console.print(one.name, style="bold")
    console.print(f"{one.id}, origin {one.origin}, stack {one.stack}: {stacks()[one.stack]}")
    if one.note:
        console.print(one.note)
    figures = _table("figure", "value", "unit", "date", "confidence", "source")
    for name, figure in one.figures.items():
        value = f"{figure.value:.10g}"
        mark = notes.mark(figure.source)
        figures.add_row(FIGURES[name][1], value, figure.unit, figure.date, figure.confidence, mark)
    if one.figures:
        console.print()
        console.print(figures)
    missing = [meaning for name, (_, meaning) in FIGURES.items() if name not in one.figures]
    if missing:
        console.print(f"not known: {', '.join(missing)}", style="dim")
    table = _table("rate", "value", "low", "high", "basis", "source", "roofline", "")
    for kind, rate in rates.items():
        bound = roofline(one, kind)
        ends = ("-" if end is None else f"{end:.2f}" for end in (rate.low, rate.high))
        by_specification = ("-", "") if bound is None else (f"{bound.value:.2f}", bound.source)
        table.add_row(
            kind,
            f"{rate.value:.2f}",
            *ends,
            rate.basis,
            notes.mark(rate.source),
            by_specification[0],
            by_specification[1] and notes.mark(by_specification[1]),
        )
    console.print()
    console.print(table)
    console.print(f"progress per accelerator-second, {REFERENCE} = 1\n", style="dim")
    sources = Table.grid(padding=(0, 1, 0, 0))
    for source, number in notes.numbers.items():
        sources.add_row(f"[{number}]", Text(source, overflow="fold"))
    console.print(sources)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        numeric = head in {"value", "low", "high", "roofline"}
        table.add_column(head, justify="right" if numeric else "left", overflow="fold")
    return table
