"""The hash chain shows every change of the past."""

import hashlib
import random
from dataclasses import replace
from typing import Final

import pytest

from tieline.control.chain import START, Break, Head, line_hash, verify
from tieline.control.ports import StoredEvent


def chained(lines: list[StoredEvent]) -> list[StoredEvent]:
    """Give the lines with the hashes that a store gives them."""
    made, head = [], START
    for line in lines:
        head = line_hash(head, line)
        made.append(replace(line, hash=head))
    return made


LOG: Final = chained(
    [
        StoredEvent(1, 1.0, "job-000001", "submitted", {"key": "é", "by": "ann"}),
        StoredEvent(2, 2.5, "", "leader-began", {"epoch": 1, "name": "here:1"}),
        StoredEvent(3, 2.5, "job-000001", "placed", {"version": 1, "attempt": 1, "pool": "p/q"}),
        StoredEvent(4, 3.0, "job-000001", "started", {"version": 2, "attempt": 1}),
        StoredEvent(5, 9.0, "job-000001", "succeeded", {"version": 3, "ended_at": 8.25}),
    ]
)


def test_the_form_is_as_it_is_written_down() -> None:
    """The hash of a line is that of the text which the description gives, byte by byte."""
    text = '[1,1.0,"job-000001","submitted",{"by":"ann","key":"\\u00e9"}]'
    first = hashlib.sha256(f"{'0' * 64}\n{text}".encode()).hexdigest()
    assert LOG[0].hash == first
    text = '[2,2.5,"","leader-began",{"epoch":1,"name":"here:1"}]'
    assert LOG[1].hash == hashlib.sha256(f"{first}\n{text}".encode()).hexdigest()


def test_a_whole_log_verifies() -> None:
    """A log as it was written has a head, its last line; an empty one has the head 0."""
    assert verify(LOG) == Head(5, LOG[-1].hash)
    assert verify([]) == Head(0, START)
    assert f"{verify(LOG)}" == f"5:{LOG[-1].hash}"


@pytest.mark.parametrize(
    "change",
    [
        {"at": 2.500001},
        {"job_id": "job-000002"},
        {"event": "started"},
        {"data": {"version": 1, "attempt": 1, "pool": "p/r"}},
        {"data": {"version": 1.0, "attempt": 1, "pool": "p/q"}},
        {"data": {}},
        {"at": float("nan")},
        {"hash": ""},
    ],
    ids=str,
)
def test_a_changed_line_is_found(change: dict[str, object]) -> None:
    """Whatever is changed in a line, the log breaks there."""
    log = [*LOG]
    log[2] = replace(log[2], **change)  # type: ignore[arg-type]
    found = verify(log)
    assert isinstance(found, Break)
    assert found.seq == 3


def test_a_line_that_was_hashed_anew_breaks_the_next() -> None:
    """A changed line with a hash that fits it does not fit the line after it."""
    log = [*LOG]
    forged = replace(log[2], at=99.0)
    log[2] = replace(forged, hash=line_hash(log[1].hash, forged))
    found = verify(log)
    assert isinstance(found, Break)
    assert found.seq == 4


@pytest.mark.parametrize("gone", [0, 1, 3])
def test_a_line_that_is_gone_is_found(gone: int) -> None:
    """A line taken out of the log is missed at the line after it."""
    found = verify(LOG[:gone] + LOG[gone + 1 :])
    assert isinstance(found, Break)
    assert found.seq == gone + 2


def test_lines_in_another_order_are_found() -> None:
    """Lines that changed places break the log, with their old numbers or with new ones."""
    rng = random.Random(3)  # noqa: S311 - orders of a test
    for _ in range(20):
        moved = rng.sample(LOG, len(LOG))
        numbered = [replace(line, seq=seq) for seq, line in enumerate(moved, 1)]
        if moved != LOG:
            assert isinstance(verify(moved), Break)
            assert isinstance(verify(numbered), Break)


def test_an_inserted_line_is_found() -> None:
    """A line between two others breaks the log, at the latest at the one after it."""
    extra = StoredEvent(3, 2.0, "", "site-drained", {"site": "x"})
    extra = replace(extra, hash=line_hash(LOG[1].hash, extra))
    rest = [replace(line, seq=line.seq + 1) for line in LOG[2:]]
    found = verify([*LOG[:2], extra, *rest])
    assert isinstance(found, Break)
    assert found.seq == 4


def test_a_noted_head_shows_what_the_chain_cannot() -> None:
    """Lines gone from the end, and a log written anew, are found by a head noted before."""
    noted = Head(4, LOG[3].hash)
    assert verify(LOG, noted) == verify(LOG)
    short = verify(LOG[:3], noted)
    assert isinstance(short, Break)
    assert "there was a line 4" in short.text
    anew = chained([replace(line, at=line.at + 1, hash="") for line in LOG])
    assert verify(anew) == Head(5, anew[-1].hash)
    assert isinstance(verify(anew, noted), Break)


def test_minus_zero_is_zero() -> None:
    """A time of -0.0, of which a database keeps no sign, has the hash of 0.0."""
    line = LOG[0]
    assert line_hash(START, replace(line, at=-0.0)) == line_hash(START, replace(line, at=0.0))
