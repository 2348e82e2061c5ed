"""Quantities as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.model.units import (
    QuantityError,
    format_bytes,
    format_duration,
    parse_bytes,
    parse_duration,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90.0", 90),
        ("1e3", 1000),
        ("90s", 90),
        (" 2 h ", 7200),
        ("2 hours", 7200),
        ("30min", 1800),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1 h 30 min 5 s", 5405),
        ("1.5d", 129600),
        ("2w", 1209600),
        ("250ms", 0.25),
        ("2:30:00", 9000),
        ("1-12:00:00", 129600),
    ],
)
def test_duration_forms(text: object, seconds: float) -> None:
    """A duration is a number of seconds, amounts with units, or a clock time."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2 parsecs", "'2 parsecs': 'parsecs' is no unit of time"),
        ("10 GBit", "'10 GBit': 'GBit' is no unit of time"),
        ("1M", "'1M': 'M' is no unit of time"),
        ("30m1h", "'30m1h': unit 'h' is out of order"),
        ("1h1h", "'1h1h': unit 'h' is out of order"),
        ("1h30", "'1h30'"),
        ("h", "'h'"),
        ("", "''"),
        ("-5s", "'-5s'"),
        ("2:30", "'2:30'"),
        ("2:61:00", "'2:61:00'"),
        ("\u0661h", "'\u0661h'"),
        (-5, "-5"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (10**400, "1" + "0" * 59),
        ("1" * 400, "'" + "1" * 59),
        (True, "True"),
        (None, "None"),
        ([1], "[1]"),
    ],
)
def test_what_is_no_duration(text: object, found: str) -> None:
    """What is no duration is named, with the forms that are allowed."""
    with pytest.raises(QuantityError) as raised:
        parse_duration(text)
    assert raised.value.found == found
    assert "seconds, or text such as 90s, 30min, 2h" in raised.value.allowed
    assert str(raised.value) == f"{found}; allowed: {raised.value.allowed}"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (5, 5),
        ("5.0", 5),
        ("100GB", 100e9),
        ("1.5 TB", 1.5e12),
        ("1.5TiB", 1.5 * 2**40),
        ("3kB", 3000),
        ("3KB", 3000),
        ("2EiB", 2.0**61),
        ("0.1GB", 1e8),
        ("1.0000000004GB", 1_000_000_000),
    ],
)
def test_size_forms(text: object, size: float) -> None:
    """A size is a number of bytes, or an amount with a decimal or binary unit; bytes are whole."""
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10 Gbit", "'10 Gbit': 'Gbit' is no unit of size"),
        ("10gb", "'10gb': 'gb' is no unit of size"),
        ("2h", "'2h': 'h' is no unit of size"),
        ("1GB 2MB", "'1GB 2MB' has more than one part"),
        ("1e999 GB", "1e999 GB"),
        (-1, "-1"),
    ],
)
def test_what_is_no_size(text: object, found: str) -> None:
    """What is no size is named: bits are not bytes, and units are written as usual."""
    with pytest.raises(QuantityError) as raised:
        parse_bytes(text)
    assert raised.value.found == found


@given(st.integers(0, 10**8))
def test_formatted_duration_is_near(seconds: int) -> None:
    """A duration as shown can be read again, and is off by half its second unit at most."""
    again = parse_duration(format_duration(seconds))
    assert again == pytest.approx(seconds, rel=0.5 / 24)


@given(st.integers(1, 10**20))
def test_formatted_size_is_near(size: int) -> None:
    """A size as shown can be read again, to three digits."""
    assert parse_bytes(format_bytes(size)) == pytest.approx(size, rel=0.005, abs=0.5)


def test_shown_quantities() -> None:
    """Quantities are shown in the units that people use for their size."""
    assert [format_duration(s) for s in (0, 0.25, 59, 90, 5400, 7199.9, 86400, 9e6)] == [
        "0s",
        "0.25s",
        "59s",
        "1m30s",
        "1h30m",
        "2h",
        "1d",
        "104d4h",
    ]
    assert [format_bytes(b) for b in (0, 999, 1000, 1.5e12, 2**40)] == [
        "0B",
        "999B",
        "1kB",
        "1.5TB",
        "1.1TB",
    ]
