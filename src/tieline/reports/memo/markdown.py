"""A memo as Markdown: the words and tables of the page, without pictures."""

import re
from collections.abc import Iterator

from tieline import __version__
from tieline.reports.drawing import Picture
from tieline.reports.memo.contents import Contents
from tieline.reports.text_table import Rows


def markdown(memo: Contents) -> str:
    """Give the memo as Markdown; equal plans give equal text."""
    return "\n".join(_lines(memo)).rstrip() + "\n"


def _lines(memo: Contents) -> Iterator[str]:
    yield from (f"# {_text(memo.name)}: to buy or not to buy", "")
    yield from _items(memo.verdicts, bold=True)
    yield from (_text(memo.cost), "")
    yield from (f"{_text(memo.about)}. Planned by Tieline {__version__}.", "")
    for question, answer in memo.answers:
        yield from (f"## {question}", "", _text(" ".join(answer)), "")
    if memo.limits or memo.ratio:
        yield from ("## What is a limit worth?", "")
    if memo.limits:
        yield from _grid(memo.limits)
    yield from _items(memo.ratio)
    yield from _sweeps(memo.sweeps)
    yield from ("## What is it built on?", "", _text(memo.assumed), "")
    yield from ("# Appendix", "")
    for part in memo.parts:
        if part.rows is not None:
            yield from (f"## {_text(part.title)}", "")
            yield from _grid(part.rows)
            if part.note:
                yield from (_text(part.note), "")
    yield from ("## How to read it", "")
    yield from _items([f"{name}: {meaning}" for name, meaning in memo.how_to_read.items()])


def _sweeps(sweeps: list[Picture]) -> Iterator[str]:
    if sweeps:
        yield from ("## Where does the verdict change?", "")
        yield from _items([f"{one.title}: {one.caption}" for one in sweeps])


def _items(lines: list[str], *, bold: bool = False) -> Iterator[str]:
    for line in lines:
        yield f"- **{_text(line)}**" if bold else f"- {_text(line)}"
    if lines:
        yield ""


def _grid(rows: Rows) -> Iterator[str]:
    heads = [_text(" ".join(head.lstrip(">").split())) for head in rows.heads]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'|'.join('--:' if head.startswith('>') else '---' for head in rows.heads)}|"
    for row in rows.rows:
        yield f"| {' | '.join(map(_text, row))} |"
    yield ""


def _text(text: str) -> str:
    """Give text that Markdown shows as it is; backticks stay, for words of the plan."""
    return re.sub(r"([\\*_\[\]<>|#])", r"\\\1", " ".join(text.split()))
