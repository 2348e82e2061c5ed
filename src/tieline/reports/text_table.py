"""A table of text, shown alike on the terminal and on pages."""

from collections.abc import Sequence
from typing import NamedTuple


class Rows(NamedTuple):
    """A table of text."""

    heads: tuple[str, ...]
    """One per column, in lines; `>` before it aligns the column to the right."""
    rows: Sequence[tuple[str, ...]]
    starts: frozenset[int]
    """Rows that begin a group."""
