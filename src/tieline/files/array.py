"""Arrays: one job as many, alike but for an index that each finds in its environment.

0-99        every index from 0 to 99
0-99:3      every third of them
1,5,9       these; parts of all three forms may be joined by commas
"""

import re
from dataclasses import dataclass, replace
from typing import Annotated, Final

from pydantic import AfterValidator

from tieline.files.problems import shown
from tieline.files.schema import Kind, refusal
from tieline.model.errors import InputError
from tieline.model.job import JobSpec

#: Most jobs of one array, and of all arrays of one submission together.
MAX_ARRAY: Final = 10_000
#: Where a job of an array finds its index, and how many there are.
INDEX: Final = "TIELINE_ARRAY_INDEX"
SIZE: Final = "TIELINE_ARRAY_SIZE"
#: Room in a name for the index, `[999999999]`.
INDEX_ROOM: Final = 11

_FORM: Final = "indices such as 0-99, 0-99:3 or 1,5,9"
_PART: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})(?::([0-9]{1,9}))?)?")
_MEMBER: Final = re.compile(r"\[[0-9]{1,9}\]\Z")


class ArrayError(InputError):
    """The text gives no indices."""

    def __init__(self, found: str, allowed: str) -> None:
        """Keep what was found and what is allowed apart, for reports that show both."""
        super().__init__(f"{found}; allowed: {allowed}")
        self.found: Final = found
        self.allowed: Final = allowed


@dataclass(frozen=True, slots=True)
class JobArray:
    """A job and the indices for each of which it is run once."""

    spec: JobSpec
    indices: tuple[int, ...]
    """At least one; each once."""

    def jobs(self) -> tuple[JobSpec, ...]:
        """Give one job per index, in order, each with `[INDEX]` after its name."""
        name = self.spec.name or self.spec.workload.kind
        size = f"{len(self.indices)}"
        return tuple(
            replace(
                self.spec,
                name=f"{name}[{index}]",
                env={**self.spec.env, INDEX: f"{index}", SIZE: size},
            )
            for index in self.indices
        )


def indices_of(text: str) -> tuple[int, ...]:
    """Give the indices that a text stands for, in its order.

    Raises
    ------
    ArrayError
        It has another form, names an index twice, or stands for more than `MAX_ARRAY`.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        span = _span(part.strip(), text)
        if len(found) + len(span) > MAX_ARRAY:
            raise ArrayError(f"more than {MAX_ARRAY:,} indices", f"{MAX_ARRAY:,} in one array")
        for index in span:
            if index in found:
                raise ArrayError(f"index {index} given twice", "once")
            found[index] = None
    return tuple(found)


def _checked(text: str) -> str:
    try:
        indices_of(text)
    except ArrayError as error:
        raise refusal(error.found, f"allowed: {error.allowed}") from None
    return text


Indices = Annotated[str, AfterValidator(_checked), Kind(_FORM)]
"""The field of a file."""


def shared_name(name: str) -> str:
    """Give the name that all jobs of an array have in common."""
    return _MEMBER.sub("", name)


def _span(part: str, text: str) -> range:
    match = _PART.fullmatch(part)
    if match is None:
        raise ArrayError(shown(text), _FORM)
    first, last, step = match.groups()
    end = int(first if last is None else last)
    if end < int(first):
        raise ArrayError(f"{part}, which runs backwards", f"such as {end}-{first}")
    if step is not None and int(step) == 0:
        raise ArrayError(f"{part}, with steps of 0", "steps of at least 1")
    return range(int(first), end + 1, int(step or 1))
