"""Data as read from a file, knowing its lines; and the search for faulty parts of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tieline.files.problems import Fault, FileErrors, Loc, Problem, field_name

#: Mistakes after which the search ends: who has more has the wrong file.
MAX_MISTAKES: Final = 100


class _Lines:
    """The lines that the parts of a container were read from."""

    def __init__(self, line: int) -> None:
        """Begin an empty container at a line."""
        super().__init__()
        self.line = line
        self.lines: dict[str | int, int] = {}
        self.plain: dict[str | int, str] = {}
        """Unquoted words that were read as something that looks otherwise: `no` for false."""

    def mark(self, part: str | int, line: int, plain: str | None) -> None:
        """Note the line of a part, and how it was written where that is not its value."""
        self.lines[part] = line
        if plain is not None:
            self.plain[part] = plain


class Fields(_Lines, dict[str, object]):
    """A mapping that knows its lines."""


class Items(_Lines, list[object]):
    """A list that knows its lines."""


@dataclass(frozen=True, slots=True)
class Document:
    """Data under the name that mistakes are reported by."""

    file: str
    data: object
    """`Fields` when read from a file; plain dictionaries when it came otherwise."""
    problems: tuple[Problem, ...] = ()
    """Mistakes that were found while reading and did not stop it."""

    def demand(self, faults: Iterable[Fault]) -> None:
        """Raise `FileErrors` with the mistakes, unless there are none."""
        problems = [*self.problems, *map(self._located, islice(faults, MAX_MISTAKES))]
        if problems:
            raise FileErrors(problems)

    def _located(self, fault: Fault) -> Problem:
        line = line_of(self.data, fault.loc)
        return Problem(self.file, line, field_name(fault.loc), fault.found, fault.allowed)


def line_of(data: object, loc: Loc) -> int | None:
    """Give the line of a place, or of the innermost part of it that is there."""
    line = getattr(data, "line", None)
    for part in loc:
        if not isinstance(data, Fields | Items) or part not in data.lines:
            break
        line = data.lines[part]
        data = data[part]  # type: ignore[index] # a part that has a line is there
    return line


def each(data: object, pattern: str, loc: Loc = ()) -> Iterator[tuple[Loc, object]]:
    """Give place and value of everything that matches a pattern such as `sites.*.region`.

    Parts that are absent or of another type are passed over, so data with mistakes can be
    searched.
    """
    head, _, rest = pattern.partition(".")
    if head == "*" and isinstance(data, list):
        found: Iterable[tuple[str | int, object]] = enumerate(data)
    elif isinstance(data, dict):
        found = data.items() if head == "*" else ((k, data[k]) for k in (head,) if k in data)
    else:
        return
    for key, value in found:
        if rest:
            yield from each(value, rest, (*loc, key))
        else:
            yield (*loc, key), value


def texts(data: object, pattern: str) -> Iterator[tuple[Loc, str]]:
    """Give place and value of every text that matches the pattern."""
    return ((loc, value) for loc, value in each(data, pattern) if isinstance(value, str))
