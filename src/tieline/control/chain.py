r"""The hash chain over the event log: who changes the past changes every hash after it. Pure.

The hash of a line is the SHA-256, in 64 hex digits, of this text in UTF-8:

    PREVIOUS\n[SEQ,AT,JOB,EVENT,DATA]

PREVIOUS is the hash of the line before, and 64 zeros for the first. What follows is JSON without
spaces, with keys in order of their code points, all beyond ASCII escaped as \uXXXX and numbers in
the shortest form that gives them back (Python's `repr`). AT always has a fraction or an exponent;
JOB is empty where the event is not about a job.

The guards of the database keep everybody from changing the log who does not take them away. The
chain shows what somebody did who could: lines that were changed, inserted, moved or taken out of
the middle. It cannot show by itself that lines at the end are gone, nor that all of it was
written anew; for that, note a head now and then in another place.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tieline.control.ports import StoredEvent

#: The hash before the first line.
START: Final = "0" * 64

_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, slots=True)
class Head:
    """A line of the log and its hash, which stands for all lines up to it."""

    seq: int = 0
    hash: str = START

    def __str__(self) -> str:
        """Give it as `SEQ:HASH`."""
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Break:
    """The first line at which the log is not what was written."""

    seq: int
    text: str


def line_hash(previous: str, line: StoredEvent) -> str:
    """Give the hash of a line after the hash of the line before; `line.hash` is not read.

    Raises
    ------
    ValueError
        A number in it is not finite.
    """
    # SQLite keeps -0.0 as 0.
    fields = [line.seq, float(line.at) + 0.0, line.job_id, line.event, line.data]
    return sha256(f"{previous}\n{_CANONICAL.encode(fields)}".encode()).hexdigest()


def follows(head: Head, line: StoredEvent) -> Head | Break:
    """Give the head after one more line, or what is wrong with the line."""
    if line.seq != head.seq + 1:
        return Break(line.seq, f"it follows line {head.seq}: lines are missing or out of order")
    try:
        fits = line.hash == line_hash(head.hash, line)
    except ValueError:
        fits = False
    if not fits:
        return Break(line.seq, "its hash does not fit it and the line before")
    return Head(line.seq, line.hash)


def verify(lines: Iterable[StoredEvent], anchor: Head | None = None) -> Head | Break:
    """Give the head of a log in which every line is as it was written, or else the first break.

    Parameters
    ----------
    lines
        The whole log, in order.
    anchor
        A head that was noted earlier. The log must still have it.
    """
    head = Head()
    for line in lines:
        found = follows(head, line)
        if isinstance(found, Break):
            return found
        head = found
        if anchor is not None and head.seq == anchor.seq and head.hash != anchor.hash:
            return Break(head.seq, "its hash is another than the one noted earlier")
    if anchor is not None and head.seq < anchor.seq:
        return Break(head.seq, f"it is the last line, but there was a line {anchor.seq}")
    return head
