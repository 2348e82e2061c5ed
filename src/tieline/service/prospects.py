"""Forecasts and changes in plain words, and as they go over the wire."""

from collections.abc import Sequence
from math import inf, isfinite

from tieline.model.units import format_duration
from tieline.simulation.forecast import Forecast
from tieline.simulation.outlook import Outlook
from tieline.wire import schemas


def forecast_of(found: Outlook, pools: Sequence[str]) -> schemas.StartForecast:
    """Give when a job will start; `pools` are the ids by row."""
    told = found.forecast
    return schemas.StartForecast(
        at=found.at_s,
        start_at=_known(told.start_s),
        low_at=_known(told.low_s),
        high_at=_known(told.high_s),
        chance=told.chance,
        until_at=_known(told.until_s),
        never=_never(told),
        pool=_pool(told, pools),
        runs=told.runs,
        sentence=_sentence(told, found.at_s, pools),
        grounds=list(found.grounds),
    )


def changes_of(found: Outlook, pools: Sequence[str]) -> list[schemas.Change]:
    """Give the changes that would start the job sooner, the cheapest first."""
    # Sooner than never needs no saying.
    instead = "" if _never(found.forecast) else f" instead of {when(found.forecast, found.at_s)}"
    return [
        schemas.Change(
            words=change.words,
            by=change.by,
            start_at=_known(change.forecast.start_s),
            pool=_pool(change.forecast, pools),
            sentence=f"{change.words}: {_starts(change.forecast, found.at_s, pools)}{instead}",
        )
        for change in found.remedies.changes
    ]


def when(told: Forecast, now: float) -> str:
    """Give the time to the start in words: `in about 3h`, `later than in 2d`, `never`."""
    if _never(told):
        return "never"
    if told.start_s == inf:
        return f"later than in {_span(told.until_s - now)}"
    return "now" if told.start_s <= now else f"in about {_span(told.start_s - now)}"


def _sentence(told: Forecast, now: float, pools: Sequence[str]) -> str:
    if _never(told):
        return "It never starts unless something is changed, or a closed site opens."
    begin = f"It {_starts(told, now, pools)}"
    if told.chance == 0 or told.low_s == told.high_s:
        return f"{begin}."
    low = f"{_span(told.low_s - now)}" if isfinite(told.low_s) else None
    high = f"{_span(told.high_s - now)}" if isfinite(told.high_s) else None
    if low is None:
        return f"{begin}."
    ends = f"between {low} and {high} from now" if high else f"in {low} at the earliest"
    return f"{begin}; {ends} in {told.chance * 10:.0f} of 10 cases."


def _starts(told: Forecast, now: float, pools: Sequence[str]) -> str:
    pool = _pool(told, pools)
    return f"starts {when(told, now)}" + (f" at {pool}" if pool else "")


def _never(told: Forecast) -> bool:
    return told.start_s == inf and told.until_s == inf


def _pool(told: Forecast, pools: Sequence[str]) -> str | None:
    return pools[told.pool] if told.pool >= 0 else None


def _known(time_s: float) -> float | None:
    return time_s if isfinite(time_s) else None


def _span(seconds: float) -> str:
    return format_duration(max(0.0, float(round(seconds)) if seconds > 1 else seconds))
