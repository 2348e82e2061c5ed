"""The prices of a replay beside those of a plan: what one more accelerator-hour is worth.

A replay's price counts finished jobs; a job is worth its mean work times what an hour of unmet
work costs in the plan (docs/explanation/planning.md).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tieline.model.accelerator import REFERENCE
from tieline.model.catalogue import catalogue
from tieline.model.class_rates import absolute_rate
from tieline.model.errors import InputError
from tieline.model.plan import QUARTERS_PER_YEAR, PlanSpec
from tieline.planning.plan import Result
from tieline.planning.shadow import pool_prices

_Floats = NDArray[np.float64]

_PRICES: Final = "prices_price.parquet"
_JOBS: Final = "jobs_price.parquet"
_HOUR_S: Final = 3600.0
#: Fewer accelerators than this are none.
_LEAST: Final = 0.5


class PriceCurve(NamedTuple):
    """Prices from the dearest down, each with the share of time at which it ends."""

    usd_per_hour: _Floats
    share: _Floats

    @property
    def mean_usd(self) -> float:
        """Give the mean over time [USD per accelerator-hour]."""
        return float(self.usd_per_hour @ np.diff(self.share, prepend=0.0))

    @property
    def above_zero(self) -> float:
        """Give the share of time with a price above 0."""
        return float(np.diff(self.share, prepend=0.0)[self.usd_per_hour > 0].sum())


@dataclass(frozen=True)
class ReplayPrices:
    """What a replay under `price` says about its pools, in the money of a plan."""

    folder: str
    jobs: int
    """Jobs that ran."""
    span_s: float
    """To the end of the last job."""
    work_s: float
    """Mean work of a job that ran [reference accelerator-seconds]."""
    unmet_usd_per_hour: float
    """Of the plan: what an hour of unmet work costs [USD per reference accelerator-hour]."""
    by_pool: Mapping[str, PriceCurve]
    note: str = ""
    """What a user must know about it."""


@dataclass(frozen=True)
class PoolWorth:
    """What an accelerator-hour of a pool is worth in a replay, and in a plan."""

    pool: str
    accelerator: str
    replay: PriceCurve
    plan: PriceCurve | None
    """Of the quarters of the first year, in the regions that have the accelerator then; None
    where none has."""


def read_replay_prices(folder: Path, spec: PlanSpec) -> ReplayPrices:
    """Give the prices in a folder that `tieline replay --policy price --out` wrote.

    Raises
    ------
    InputError
        There is no such folder, it has no prices or those of several scales, no job ran, or no
        demand of the plan says what unmet work costs.
    """
    unmet_usd = _unmet_usd_per_hour(spec)
    _refuse_without_prices(folder)
    try:
        on = json.loads((folder / "summary.json").read_text("utf-8"))["trace"]["recorded_on"]
        jobs = pl.read_parquet(folder / _JOBS).filter(pl.col("end_s").is_not_null())
        prices = pl.read_parquet(folder / _PRICES)
        work_s, note = _mean_work(jobs, on)
        span_s = float(jobs.select(pl.col("end_s").max()).item() or 0.0)
        used = jobs["pool"].cast(pl.String)
        named = prices.select("hour", "price", pl.col("pool").cast(pl.String))
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"--prices-from {folder}: its tables cannot be read; replay anew with --out"
        ) from error
    if span_s <= 0:
        raise InputError(
            f"--prices-from {folder}: no job of the replay ran for any time, so it has no price"
        )
    pools = sorted({*named["pool"], *used})
    job_usd = work_s * unmet_usd
    by_pool = {
        pool: _curve(named.filter(pl.col("pool") == pool), span_s, job_usd) for pool in pools
    }
    return ReplayPrices(str(folder), len(jobs), span_s, work_s, unmet_usd, by_pool, note)


def _refuse_without_prices(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(
            f"--prices-from {folder}: no such folder; name what tieline replay --out wrote"
        )
    if (folder / _PRICES).exists():
        return
    scales = sorted(
        one.stem.removeprefix("prices_price_") for one in folder.glob("prices_price_*")
    )
    if scales:
        raise InputError(
            f"--prices-from {folder}: has prices at several scales ({', '.join(scales)});"
            " replay at one --scale"
        )
    if (folder / _JOBS).exists():
        raise InputError(
            f"--prices-from {folder}: no job of the replay could run, so nothing has a price; see"
            " its report.html"
        )
    raise InputError(f"--prices-from {folder}: has no prices; replay with --policy price --out")


def _mean_work(jobs: pl.DataFrame, on: str) -> tuple[float, str]:
    """Give the mean work of jobs [reference accelerator-seconds], and what to know about it."""
    by_kind = jobs.group_by(
        pl.col("workload").cast(pl.String).str.split("/").list.first().alias("kind")
    ).agg((pl.col("count") * pl.col("duration_s")).sum().alias("work"))
    base = catalogue().get(on)
    work = sum(
        seconds * (absolute_rate(base, kind).value if base else 1.0)
        for kind, seconds in by_kind.sort("kind").iter_rows()
    )
    note = "" if base else f"run times are taken to hold on {REFERENCE}"
    return work / max(1, len(jobs)), note


def _curve(prices: pl.DataFrame, span_s: float, job_usd: float) -> PriceCurve:
    """Give the curve of one pool; hours that are not in the table have a price of 0.

    Jobs per second times USD s/h per job: the seconds cancel out.
    """
    priced = prices.filter(pl.col("price") > 0)
    hours, means = priced["hour"].to_numpy(), priced["price"].to_numpy()
    # The last hour may end early; its mean is over the whole of it.
    lasts = np.clip(span_s - hours * _HOUR_S, 1.0, _HOUR_S)
    values = means * job_usd * _HOUR_S / lasts
    order = np.argsort(-values, kind="stable")
    share = np.minimum(1.0, np.cumsum(lasts[order]) / span_s)
    return PriceCurve(np.append(values[order], 0.0), np.append(share, 1.0))


def _unmet_usd_per_hour(spec: PlanSpec) -> float:
    """Give what an hour of unmet work costs: mean over the demands, by first-quarter amounts.

    Demands that must be served have no such price and do not count.

    Raises
    ------
    InputError
        No demand has one.
    """
    priced = [
        (one.unmet_usd_per_hour, sum(series[0] for series in one.amounts.values()))
        for one in spec.demand
        if one.unmet_usd_per_hour is not None
    ]
    amount = sum(weight for _, weight in priced)
    if amount <= 0:
        raise InputError(
            "--prices-from: no demand of the plan that is there in the first quarter has"
            " unmet_per_hour, so a finished job is worth no money; add it"
        )
    return sum(usd * weight for usd, weight in priced) / amount


def worth_of_pools(prices: ReplayPrices, result: Result) -> tuple[PoolWorth, ...]:
    """Give the worth of each pool in a replay and in a plan, the dearest of the replay first.

    The accelerator of a pool is the last part of its id.
    """
    planned = _planned(result)
    worth = []
    for pool, curve in prices.by_pool.items():
        chip = pool.rpartition("/")[2]
        worth.append(PoolWorth(pool, chip, curve, planned.get(chip)))
    return tuple(sorted(worth, key=lambda one: -one.replay.mean_usd))


def _planned(result: Result) -> dict[str, PriceCurve]:
    """Give the plan's curve in the first year, by accelerator that some region has then."""
    inputs = result.inputs
    values = pool_prices(result)[:, :, :QUARTERS_PER_YEAR]
    first_year = inputs.tree.quarter < QUARTERS_PER_YEAR
    there = result.array("stock")[:, :, first_year].max(axis=2) >= _LEAST
    curves = {}
    for c in np.flatnonzero(there.any(axis=1)).tolist():
        prices = np.sort(values[c, there[c]].ravel())[::-1]
        share = np.arange(1, len(prices) + 1) / len(prices)
        curves[inputs.axes["accelerator"][c]] = PriceCurve(prices, share)
    return curves
