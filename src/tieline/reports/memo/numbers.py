"""Numbers as people read them: three digits, no more."""

from math import floor, isfinite, log10
from typing import Final

_DIGITS: Final = 3
_BILLION, _MILLION, _THOUSAND = 1e9, 1e6, 1e3
_HUNDRED: Final = 100
#: Less than half a cent per dollar of what a number is compared with is nothing.
_NO_SHARE: Final = 5e-5


def count(number: float) -> str:
    """Give a number of things, whole and to three digits.

    Examples
    --------
    >>> count(1236.4), count(12.3), count(3_987_654)
    ('1,240', '12', '3,990,000')
    """
    return f"{round(rounded(number)):,}" if isfinite(number) else "any number"


def usd(amount: float) -> str:
    """Give money to three digits, in the unit that keeps it short.

    Examples
    --------
    >>> usd(1.2345e9), usd(49_920_901), usd(27_000), usd(-0.123)
    ('1.23bn USD', '49.9M USD', '27,000 USD', '-0.123 USD')
    """
    amount = rounded(amount)
    size = abs(amount)
    if size >= _BILLION:
        return f"{_digits(amount / _BILLION)}bn USD"
    if size >= _MILLION:
        return f"{_digits(amount / _MILLION)}M USD"
    return f"{amount:,.0f} USD" if size >= _HUNDRED or size == 0 else f"{amount:.3g} USD"


def plain(number: float) -> str:
    """Give a number of any kind to three digits.

    Examples
    --------
    >>> plain(0.41236), plain(24070.3), plain(9_630_000), plain(float("inf"))
    ('0.412', '24,100', '9.63M', 'no limit')
    """
    if not isfinite(number):
        return "no limit"
    number = rounded(number)
    if abs(number) >= _MILLION:
        return usd(number).removesuffix(" USD")
    return f"{number:,.0f}" if abs(number) >= _HUNDRED else f"{number:.3g}"


def percent(part: float) -> str:
    """Give a part of something in percent.

    Examples
    --------
    >>> percent(0.1234), percent(0.7), percent(0.00001), percent(0.00591)
    ('12.3 %', '70 %', '0 %', '0.6 %')
    """
    size = 100 * abs(part)
    if size < 100 * _NO_SHARE:
        return "0 %"
    return f"{100 * part:.1g} %" if size < 1 else f"{_digits(100 * rounded(part))} %"


def between(value: float, within: float) -> str:
    """Give a value that is known to within a distance, with the digits that this leaves it.

    Examples
    --------
    >>> between(24070.3, 39.06), between(0.41875, 0.0078)
    ('24,070 ± 40', '0.419 ± 0.008')
    """
    if within <= 0:
        return plain(value)
    place = -floor(log10(within))
    digits = max(0, place)
    return f"{round(value, place):,.{digits}f} ± {round(within, place):,.{digits}f}"


def rounded(number: float) -> float:
    """Give a number with its first three digits."""
    if number == 0 or not isfinite(number):
        return number
    return round(number, _DIGITS - 1 - floor(log10(abs(number))))


def _digits(number: float) -> str:
    return f"{number:.3g}" if abs(number) < _THOUSAND else f"{number:,.0f}"
