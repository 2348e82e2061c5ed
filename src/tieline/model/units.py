"""Quantities as people write them: durations and sizes, read into seconds and bytes.

A number without a unit is in the base unit. Prefixes are decimal (GB = 1e9 bytes) unless
written as binary (GiB = 2**30 bytes).
"""

import math
import re
from itertools import pairwise
from typing import Final, Literal

from tieline.model.errors import InputError

BYTES_PER_GB: Final = 1e9
BYTES_PER_GBIT: Final = 1e9 / 8
SECONDS_PER_MS: Final = 1e-3
WATTS_PER_MW: Final = 1e6
SECONDS_PER_HOUR: Final = 3600.0

#: Seconds per unit, largest first.
_SECONDS: Final = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
_LONG_NAMES: Final = {
    "week": "w",
    "day": "d",
    "hour": "h",
    "hr": "h",
    "minute": "m",
    "min": "m",
    "second": "s",
    "sec": "s",
}
_BYTES: Final = {
    "B": 1.0,
    "kB": 1e3,
    "KB": 1e3,
    **{f"{prefix}B": 10.0 ** (6 + 3 * power) for power, prefix in enumerate("MGTPE")},
    **{f"{prefix}iB": 1024.0 ** (1 + power) for power, prefix in enumerate("KMGTPE")},
}
_DURATION_FORMS: Final = "seconds, or text such as 90s, 30min, 2h, 1h30m, 1d or 2:30:00"
_SIZE_FORMS: Final = "bytes, or text such as 500MB, 1.5TB or 2TiB"

#: Longer text is no quantity, and is not shown whole.
_LONGEST: Final = 60
_NUMBER: Final = r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"
_PART: Final = re.compile(rf"\s*({_NUMBER})\s*([^\W\d_]+)\s*")
_CLOCK: Final = re.compile(r"(?:([0-9]+)-)?([0-9]+):([0-5][0-9]):([0-5][0-9])")


class QuantityError(InputError):
    """The text is not a quantity of the wanted kind."""

    code = "quantity"

    def __init__(self, found: str, allowed: str) -> None:
        """Keep what was found and what is allowed apart, for reports that show both."""
        super().__init__(f"{found}; allowed: {allowed}")
        self.found = found
        self.allowed = allowed


def parse_duration(value: object) -> float:
    """Give a duration [s] from a number of seconds or text such as `1h30m` or `2:30:00`.

    Parts go from large to small, each unit at most once. `D-HH:MM:SS` is read as Slurm does.

    Raises
    ------
    QuantityError
        Not a finite number >= 0, or text of another form or with another unit.

    Examples
    --------
    >>> parse_duration("1h30m")
    5400.0
    >>> parse_duration("1-02:00:00")
    93600.0
    """
    number = _plain_number(value, _DURATION_FORMS)
    if number is not None:
        return number
    text = str(value).strip()
    clock = _CLOCK.fullmatch(text)
    if clock:
        parts = (float(part or 0) for part in clock.groups())
        total = sum(part * size for part, size in zip(parts, (86400, 3600, 60, 1), strict=True))
        return _finite(total, text, _DURATION_FORMS)
    seconds, last = 0.0, math.inf
    for amount, unit in _parts(text, _DURATION_FORMS):
        size = _unit(text, unit, "time")
        if size >= last:
            raise QuantityError(f"{text!r}: unit {unit!r} is out of order", _DURATION_FORMS)
        seconds, last = seconds + amount * size, size
    return _finite(seconds, text, _DURATION_FORMS)


def parse_bytes(value: object) -> float:
    """Give a size [bytes, whole] from a number of bytes or text such as `1.5TB` or `2TiB`.

    Raises
    ------
    QuantityError
        Not a finite number >= 0, or text of another form or with another unit.

    Examples
    --------
    >>> parse_bytes("1.5TB")
    1500000000000.0
    """
    number = _plain_number(value, _SIZE_FORMS)
    if number is None:
        text = str(value).strip()
        (amount, unit), *more = _parts(text, _SIZE_FORMS)
        if more:
            raise QuantityError(f"{text!r} has more than one part", _SIZE_FORMS)
        number = _finite(amount * _unit(text, unit, "size"), text, _SIZE_FORMS)
    return float(round(number))


def format_duration(seconds: float) -> str:
    """Give a duration in its two largest units, such as `1h30m`, `2d` or `0.25s`.

    Examples
    --------
    >>> format_duration(5400), format_duration(9089.67), format_duration(0.25)
    ('1h30m', '2h31m', '0.25s')
    """
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.3g}s"
    names = list(_SECONDS)[1:5]
    for large, small in pairwise(names):
        whole = round(seconds / _SECONDS[small])
        many, rest = divmod(whole, round(_SECONDS[large] / _SECONDS[small]))
        if many:
            return f"{many}{large}{rest}{small}" if rest else f"{many}{large}"
    raise AssertionError(seconds)  # a minute or more has a minute


def format_bytes(size: float) -> str:
    """Give a size with a decimal prefix and three significant digits, such as `1.5TB`.

    Examples
    --------
    >>> format_bytes(1.5e12), format_bytes(999_999)
    ('1.5TB', '1MB')
    """
    size = float(f"{size:.3g}")
    for unit in ("EB", "PB", "TB", "GB", "MB", "kB"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.4g}{unit}"
    return f"{size:g}B"


def _plain_number(value: object, forms: str) -> float | None:
    """Give the value of a bare number; None for text that must be taken apart."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise QuantityError(f"{value!r:.{_LONGEST}}", forms)
    if isinstance(value, str):
        if len(value) > _LONGEST or not re.fullmatch(_NUMBER, value.strip()):
            return None
        value = float(value)
    return _finite(value, str(value), forms)


def _parts(text: str, forms: str) -> list[tuple[float, str]]:
    """Split `1h30m` into its amounts and units."""
    if not text or len(text) > _LONGEST or _PART.sub("", text):
        raise QuantityError(f"{text!r:.{_LONGEST}}", forms)
    return [(float(amount), unit) for amount, unit in _PART.findall(text)]


def _unit(text: str, unit: str, of: Literal["time", "size"]) -> float:
    """Give what one unit of a text is worth."""
    table, forms = (_SECONDS, _DURATION_FORMS) if of == "time" else (_BYTES, _SIZE_FORMS)
    name = unit
    if of == "time" and unit not in table:
        name = _LONG_NAMES.get(unit.lower().removesuffix("s"), unit)
    if name not in table:
        raise QuantityError(f"{text!r}: {unit!r} is no unit of {of}", forms)
    return table[name]


def _finite(number: float, text: str, forms: str) -> float:
    """Refuse what is negative, infinite, not a number or too large to be either."""
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not 0 <= number < math.inf:
        raise QuantityError(f"{text:.{_LONGEST}}", f"{forms}; finite and not negative")
    return number
