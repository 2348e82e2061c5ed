"""What a memo says of recorded jobs: where demand comes from, and a replay's prices."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from tieline.model.accelerator import REFERENCE
from tieline.model.units import format_duration
from tieline.planning.load import Load
from tieline.planning.plan import Result
from tieline.reports.memo.numbers import percent, plain, usd
from tieline.reports.memo.replay_prices import (
    PoolWorth,
    PriceCurve,
    ReplayPrices,
    worth_of_pools,
)
from tieline.reports.text_table import Rows

#: Pools named in a sentence.
_NAMED: Final = 3


class Recorded(NamedTuple):
    """What a plan takes from recorded jobs."""

    load: Load | None = None
    """Where its demand comes from; None: from its file."""
    prices: ReplayPrices | None = None
    """What it is held against; None: nothing."""


#: All numbers of the plan are those of its file.
NOTHING: Final = Recorded()


def demand(load: Load | None) -> list[str]:
    """Say where demand comes from; nothing where it is that of the file."""
    if load is None:
        return []
    classes = [f"{plain(many)} with {kind}" for kind, many in sorted(load.by_class.items())]
    note = f" ({load.note})" if load.note else ""
    return [
        (
            f"Demand is scaled to {load.source}: {load.jobs:,} jobs in"
            f" {format_duration(load.span_s)} keep {REFERENCE} busy: {', '.join(classes)}{note}."
        )
    ]


def prices(found: ReplayPrices | None, result: Result) -> list[str]:
    """Say what an accelerator-hour is worth in a replay and in the plan; nothing without one."""
    if found is None:
        return []
    worth = worth_of_pools(found, result)
    named = [
        f"{one.pool} {usd(one.replay.mean_usd)} (plan: {_plan_usd(one)})" for one in worth[:_NAMED]
    ]
    more = f", and {len(worth) - _NAMED} more" if len(worth) > _NAMED else ""
    return [
        (
            f"In the replay {found.folder} ({format_duration(found.span_s)}) an accelerator-hour"
            f" was worth, in the mean: {', '.join(named)}{more}."
        )
    ]


def how_priced(found: ReplayPrices) -> str:
    """Say how prices of a replay are turned into money."""
    note = f"; {found.note}" if found.note else ""
    return (
        "A finished job of the replay counts as the mean work of one"
        f" ({plain(found.work_s / 3600)} hours of one {REFERENCE}{note}) times what an hour of"
        f" unmet work costs in the plan ({usd(found.unmet_usd_per_hour)}, mean over the demands"
        " with such a price by their amounts in the first quarter). Where jobs differ much in"
        " size this is too high: short ones come first, and each counts as the mean. The plan's"
        " price is the mean of its first year over the regions that have the accelerator."
    )


def prices_table(found: ReplayPrices, result: Result) -> Rows:
    """Give one row per pool of the replay: its price, and the plan's for its accelerator."""
    heads = ("pool", "accelerator", ">replay\n[per hour]", ">above 0\n[of time]")
    rows = [
        (
            one.pool,
            one.accelerator,
            usd(one.replay.mean_usd),
            percent(one.replay.above_zero),
            _plan_usd(one),
        )
        for one in worth_of_pools(found, result)
    ]
    return Rows((*heads, ">plan\n[per hour]"), rows, frozenset())


def _plan_usd(one: PoolWorth) -> str:
    return "-" if one.plan is None else usd(one.plan.mean_usd)


def recorded_document(recorded: Recorded, result: Result) -> dict[str, Any]:
    """Give `demand_from` and `replay_prices`; null for what there is not."""
    load, found = recorded
    return {
        "demand_from": None
        if load is None
        else {
            "source": load.source,
            "jobs": load.jobs,
            "span_s": load.span_s,
            "by_class": load.by_class,
            "note": load.note,
        },
        "replay_prices": None
        if found is None
        else {
            "folder": found.folder,
            "jobs": found.jobs,
            "span_s": found.span_s,
            "work_s": found.work_s,
            "unmet_usd_per_hour": found.unmet_usd_per_hour,
            "note": found.note,
            "pools": _pools(worth_of_pools(found, result)),
        },
    }


def _pools(worth: Sequence[PoolWorth]) -> list[dict[str, Any]]:
    return [
        {
            "pool": one.pool,
            "accelerator": one.accelerator,
            "replay": _curve(one.replay),
            "plan": None if one.plan is None else _curve(one.plan),
        }
        for one in worth
    ]


def _curve(one: PriceCurve) -> dict[str, Any]:
    return {
        "mean_usd_per_hour": one.mean_usd,
        "above_0": one.above_zero,
        "usd_per_hour": one.usd_per_hour,
        "share": one.share,
    }
