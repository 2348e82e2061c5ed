"""The accelerator catalogue: the data that ships with the package, and the way to read it.

Four tables, edited by hand, one fact per line:

    accelerators.csv    id, name, vendor, origin, stack, note
    figures.csv         accelerator, figure, value, unit, date, confidence, source
    rates.csv           accelerator, class, value, low, high, basis, source
    stacks.csv          id, name

What is not known has no line. Rates hold what was measured or reasoned; what follows from
specifications alone is worked out by `tieline.model.rates` and never stored.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, cast

from tieline.model.accelerator import Accelerator, Basis, Figure, Rate

#: Suggestions for a mistyped id.
_SUGGESTIONS: Final = 3
_SIMILARITY: Final = 0.5


@cache
def catalogue() -> Mapping[str, Accelerator]:
    """Give all accelerators by id, ordered by vendor and id.

    Returns
    -------
    Mapping
        Read only, the same object at every call.
    """
    figures: dict[str, dict[str, Figure]] = defaultdict(dict)
    for row in _rows("figures.csv"):
        figures[row["accelerator"]][row["figure"]] = Figure(
            value=float(row["value"]),
            unit=row["unit"],
            source=row["source"],
            date=row["date"],
            confidence=row["confidence"],
        )
    rates: dict[str, dict[str, Rate]] = defaultdict(dict)
    for row in _rows("rates.csv"):
        rates[row["accelerator"]][row["class"]] = Rate(
            value=float(row["value"]),
            basis=cast("Basis", row["basis"]),
            source=row["source"],
            low=float(row["low"]) if row["low"] else None,
            high=float(row["high"]) if row["high"] else None,
        )
    rows = sorted(_rows("accelerators.csv"), key=lambda row: (row["vendor"].lower(), row["id"]))
    return MappingProxyType(
        {
            row["id"]: Accelerator(
                **row,
                figures=MappingProxyType(figures[row["id"]]),
                rates=MappingProxyType(rates[row["id"]]),
            )
            for row in rows
        }
    )


@cache
def stacks() -> Mapping[str, str]:
    """Give the display name of each software stack id of the catalogue."""
    return MappingProxyType({row["id"]: row["name"] for row in _rows("stacks.csv")})


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Give up to three of `known` that `name` may have meant, the likeliest first.

    Those that contain it come before those that are merely spelled alike.
    """
    lowered = {one.lower(): one for one in known}
    wanted = name.lower()
    containing = [one for one in lowered if wanted and wanted in one]
    alike = get_close_matches(wanted, lowered, _SUGGESTIONS, _SIMILARITY)
    return [lowered[one] for one in dict.fromkeys([*containing, *alike])][:_SUGGESTIONS]


def _rows(table: str) -> Iterator[dict[str, str]]:
    with files(__name__).joinpath(table).open(encoding="utf-8") as file:
        yield from csv.DictReader(file)
