"""Mistakes in a file, each with its place, what was found there and what is allowed.

Fault     where in the data (`("sites", 0, "region")`), what was found, what is allowed
Problem   a fault with file and line
FileErrors  all problems of a file, in order of lines
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tieline.model.catalogue import nearest
from tieline.model.errors import InputError

Loc = tuple[str | int, ...]
"""A place in the data: keys and indices from the top."""

_LONGEST_VALUE: Final = 60
_LONGEST_LIST: Final = 12
#: Shorter names are part of too many others to tell what was meant.
_SHORTEST_CLUE: Final = 3


class Fault(NamedTuple):
    """One mistake in data that may have come from anywhere."""

    loc: Loc
    found: str
    allowed: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file."""

    file: str
    line: int | None
    """Counted from 1; None when the data has no lines, as from the API."""
    field: str
    """Such as `sites[0].pools[1].accelerator`; empty for the file as a whole."""
    found: str
    allowed: str

    def __str__(self) -> str:
        """Give `file:line: field: found; allowed`."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return ": ".join(filter(None, (place, self.field, f"{self.found}; {self.allowed}")))


class FileErrors(InputError):  # noqa: N818 - it holds several
    """A file has mistakes: all of them, in order of lines.

    The text is one line per mistake, after a line with their number where there are several.
    """

    code = "file"

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Put the problems in order; there must be one at least."""
        self.problems: Final = tuple(sorted(problems, key=lambda problem: problem.line or 0))
        lines = [str(problem) for problem in self.problems]
        if len(self.problems) > 1:
            lines.insert(0, f"{self.problems[0].file}: {len(self.problems)} mistakes")
        super().__init__("\n".join(lines))


def field_name(loc: Loc) -> str:
    """Give a place as people write it: `sites[0].pools[1].accelerator`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() and len(part) <= _LONGEST_VALUE else shown(part)
            text += f".{name}" if text else name
    return text


def unknown(kind: str, name: str, known: Collection[str]) -> tuple[str, str]:
    """Say that a name is not known, and what was perhaps meant."""
    shortest_first = sorted(known, key=lambda one: (len(one), one))
    near = nearest(name[:_LONGEST_VALUE], shortest_first) if len(name) >= _SHORTEST_CLUE else []
    if near:
        allowed = f"did you mean {', '.join(near)}?"
    elif known:
        allowed = f"allowed: {listed(known)}"
    else:
        allowed = f"there is no {kind} at all"
    return f"unknown {kind} {shown(name)}", allowed


def unknown_name(loc: Loc, kind: str, name: str, known: Collection[str]) -> Fault:
    """Give the fault of a name in the data that is not known."""
    found, allowed = unknown(kind, name, known)
    more = " (tieline accelerators lists all)" if kind == "accelerator" else ""
    return Fault(loc, found, allowed + more)


def listed(names: Collection[str]) -> str:
    """Give names in order, only the first where they are many."""
    first = ", ".join(sorted(names)[:_LONGEST_LIST])
    more = len(names) - _LONGEST_LIST
    return f"{first} and {more} more" if more > 0 else first


def shown(value: object) -> str:
    """Give a value as it can be shown in a line."""
    if isinstance(value, dict):
        return "a group of fields"
    if isinstance(value, list):
        return "a list"
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
