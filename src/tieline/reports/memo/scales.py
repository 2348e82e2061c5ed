"""How axes of memos count: accelerators and money with few digits."""

from typing import Final

from matplotlib.ticker import FuncFormatter

_BILLION, _MILLION, _THOUSAND = 1e9, 1e6, 1e3


def _amount(value: float, _place: float | None = None) -> str:
    if abs(value) >= _MILLION:
        return f"{value / _MILLION:g}M"
    if abs(value) >= 10 * _THOUSAND:
        return f"{value / _THOUSAND:g}k"
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:g}"  # noqa: PLR2004 - digits


#: Marks such as 0.5, 2,000, 20k and 1.2M.
AMOUNTS: Final = FuncFormatter(_amount)


def money_unit(largest: float) -> tuple[str, float]:
    """Give the unit for money of a size, and its worth in USD."""
    units = (("bn USD", _BILLION), ("M USD", _MILLION), ("thousand USD", _THOUSAND))
    return next((pair for pair in units if largest >= pair[1]), ("USD", 1.0))
