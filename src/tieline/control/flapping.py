"""A site that comes and goes: when it is trusted with new work again. Pure.

    open --fails--> closed --answers--> open
                    closed --answers, and has failed too often--> quarantined until T
               quarantined --answers after T--> open
               quarantined --fails--> closed
               quarantined --an operator vouches for it--> open

*Safety*: a site that opens has failed fewer than `failures` times within the last `window_s`, or
has answered, without failing, for at least `first_s`; failures before an operator vouched for it
are forgotten.
*Progress*: a site that answers from some time on is open `longest_s` later, when it is asked.
`tests/property/test_flapping.py` holds both.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

_MOST_DOUBLINGS: Final = 30


class Mode(StrEnum):
    """Whether a site is trusted with new work."""

    OPEN = "open"
    CLOSED = "closed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Caution:
    """When a site counts as one that flaps [s]."""

    failures: int = 3
    """So many within the window and it is quarantined when it answers again."""
    window_s: float = 600.0
    first_s: float = 60.0
    """The first quarantine; each one after it is twice as long."""
    longest_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is remembered of a site."""

    mode: Mode = Mode.OPEN
    until: float = 0.0
    """End of the quarantine."""
    failed_at: tuple[float, ...] = ()
    """When it failed last, oldest first; no more than are counted."""
    quarantines: int = 0
    """In a row: since it last went a whole window without failing."""


def failed(standing: Standing, at: float, caution: Caution) -> Standing:
    """Give the standing of a site that fails; one that is closed already stays as it is."""
    if standing.mode is Mode.CLOSED:
        return standing
    recent = _recent(standing, at, caution)
    in_a_row = standing.quarantines if recent else 0
    latest = (*recent, at)[-caution.failures :]
    return replace(standing, mode=Mode.CLOSED, failed_at=latest, quarantines=in_a_row)


def answered(standing: Standing, at: float, caution: Caution) -> Standing:
    """Give the standing of a site that answers."""
    if standing.mode is Mode.OPEN or (standing.mode is Mode.QUARANTINED and at < standing.until):
        return standing
    recent = _recent(standing, at, caution)
    if standing.mode is Mode.CLOSED and len(recent) >= caution.failures:
        doubled = min(standing.quarantines, _MOST_DOUBLINGS)
        pause_s = min(caution.longest_s, caution.first_s * 2.0**doubled)
        in_a_row = standing.quarantines + 1
        return replace(standing, mode=Mode.QUARANTINED, until=at + pause_s, quarantines=in_a_row)
    return replace(standing, mode=Mode.OPEN, failed_at=recent)


def vouched(standing: Standing) -> Standing:
    """Give the standing of a site of which an operator says that it is well."""
    return Standing(Mode.CLOSED if standing.mode is Mode.CLOSED else Mode.OPEN)


def _recent(standing: Standing, at: float, caution: Caution) -> tuple[float, ...]:
    return tuple(moment for moment in standing.failed_at if moment > at - caution.window_s)
