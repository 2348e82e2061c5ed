"""A plan's findings as tables of text, for the terminal and the pages alike."""

from collections import Counter
from math import isfinite

import numpy as np

from tieline.model.plan import QUARTERS_PER_YEAR, quarter_name
from tieline.planning.findings import Findings
from tieline.planning.near_optimal import Choice
from tieline.planning.plan import Result
from tieline.planning.shadow import LimitPrice
from tieline.planning.verdict import Verdict
from tieline.reports.memo import words
from tieline.reports.memo.numbers import between, count, percent, plain, usd
from tieline.reports.memo.verdict_words import NONE
from tieline.reports.text_table import Rows


def verdicts(found: Findings) -> Rows:
    """Give one row per accelerator on offer: orders, their range, and prices."""
    free = {one.accelerator: one for one in found.choices}
    heads = (
        "accelerator",
        "verdict",
        ">now",
        "where",
        ">first\nyear",
        ">range at\n+1 % cost",
        ">range at\n+3 % cost",
        ">price",
        ">pays\nbelow",
    )
    rows = [
        (
            one.accelerator,
            one.action,
            count(one.now),
            _where(one),
            count(one.first_year),
            *_ranges(free.get(one.accelerator)),
            usd(one.price_usd),
            "-" if one.break_even_usd is None else usd(one.break_even_usd),
        )
        for one in found.verdicts
    ]
    return Rows(heads, rows, frozenset())


def on_screen(found: Findings) -> Rows:
    """Give one row per accelerator on offer, narrow enough for a terminal."""
    free = {one.accelerator: one for one in found.choices}
    heads = ("accelerator", ">now", "where", ">first\nyear", ">range at\n+1 % cost", ">price\nUSD")
    rows = [
        (
            one.accelerator,
            count(one.now),
            _where(one),
            count(one.first_year),
            _ranges(free.get(one.accelerator))[0],
            plain(one.price_usd),
            "-" if one.break_even_usd is None else plain(one.break_even_usd),
        )
        for one in found.verdicts
    ]
    return Rows((*heads, ">pays\nbelow"), rows, frozenset())


def _where(one: Verdict) -> str:
    largest = sorted(one.by_region, key=lambda name: -one.by_region[name])
    more = f" +{len(largest) - 1}" if len(largest) > 1 else ""
    return f"{largest[0]}{more}" if largest else "-"


def _ranges(one: Choice | None) -> tuple[str, str]:
    """Give the range of orders at each slack, the smaller slack first."""
    if one is None:
        return "-", "-"
    small, large = (one.ranges[slack] for slack in sorted(one.ranges))
    return _range(*small), _range(*large)


def _range(low: float, high: float) -> str:
    return f"{count(low)} to {count(high)}"


def dearest_limits(found: Findings, most: int) -> Rows | None:
    """Give one short row per limit that is worth most; None where no limit binds."""
    rows = [(_name(one), usd(one.usd), _holds(one)) for one in found.limit_prices[:most]]
    return Rows(("one more of", ">saves", ">while it is"), rows, frozenset()) if rows else None


def limits(found: Findings) -> Rows | None:
    """Give one row per limit that binds, the dearest first; None where none does."""
    rows = [
        (_name(one), one.path, plain(one.at), usd(one.usd), _holds(one))
        for one in found.limit_prices
    ]
    heads = ("one more of", "in the file", ">now", ">saves", ">while it is")
    return Rows(heads, rows, frozenset()) if rows else None


def _name(one: LimitPrice) -> str:
    return one.limit if one.unit == "accelerator" else f"{one.limit} [{one.unit}]"


def _holds(one: LimitPrice) -> str:
    """Give the range over which the price of a limit holds."""
    low = plain(max(0.0, one.low)) if isfinite(one.low) else "0"
    return f"{low} to {plain(one.high)}" if isfinite(one.high) else f"above {low}"


def regrets(found: Findings) -> Rows:
    """Give one row per strategy: mean cost, and its regrets."""
    heads = ("strategy", ">mean cost", ">mean regret", ">largest regret", "orders now")
    one = found.regret
    rows = [
        (
            name,
            usd(one.mean_usd(name)),
            usd(float(one.regret(name) @ one.probability)),
            usd(float(one.regret(name).max())),
            _orders(one.ordered_now[name]),
        )
        for name in one.costs_usd
    ]
    return Rows(heads, rows, frozenset())


def _orders(ordered: dict[str, float]) -> str:
    return ", ".join(f"{count(n)} {name}" for name, n in ordered.items() if n >= NONE) or "nothing"


def futures(result: Result) -> Rows:
    """Give one row per future: its probability and cost."""
    tree = result.inputs.tree
    chances = tree.probability[tree.leaves]
    rows = [
        (name, percent(float(chance)), usd(float(cost)))
        for name, chance, cost in zip(tree.futures(), chances, result.future_costs, strict=True)
    ]
    return Rows(("future", ">probability", ">cost"), rows, frozenset())


def orders(result: Result) -> Rows | None:
    """Give mean orders per year by accelerator, region and tenant; None where nothing is bought.

    What is ordered in each node is in the document.
    """
    inputs, names = result.inputs, result.inputs.axes
    spec, tree = inputs.spec, inputs.tree
    years = (spec.first + tree.quarter) // QUARTERS_PER_YEAR
    shown = sorted(set(years.tolist()))
    mean = result.array("buy") * tree.probability
    now = result.array("buy")[..., 0]
    rows: list[tuple[str, ...]] = []
    starts: set[int] = set()
    seen = Counter[int]()
    for c, r, k in np.ndindex(mean.shape[1], mean.shape[2], mean.shape[0]):
        by_year = [float(mean[k, c, r, years == year].sum()) for year in shown]
        if sum(by_year) < NONE:
            continue
        if not seen[c]:
            starts.add(len(rows))
        seen[c] += 1
        labels = names["accelerator"][c], names["region"][r], names["tenant"][k]
        rows.append((*labels, count(float(now[k, c, r])), *map(count, by_year)))
    first = quarter_name(spec.first)
    heads = ("accelerator", "region", "tenant", f">{first}", *(f">{year}" for year in shown))
    return Rows(heads, rows, frozenset(starts)) if rows else None


def thresholds(found: Findings) -> Rows | None:
    """Give one row per change of a verdict in any sweep; None where none changes."""
    heads = ("varied", ">in the file", "accelerator", ">above", "verdict turns")
    rows = [
        (
            words.sweep_title(curve),
            words.at_present(curve),
            one.accelerator,
            between(one.value, one.within),
            f"{one.below} -> {one.above}",
        )
        for curve in found.curves
        for one in curve.thresholds
    ]
    return Rows(heads, rows, frozenset()) if rows else None


def assumptions(result: Result) -> Rows | None:
    """Give one row per number with a source; None where the plan names none."""
    rows = [
        (one.of, one.value, one.confidence, one.source) for one in result.inputs.spec.assumptions
    ]
    heads = ("number", "value", "confidence", "source")
    return Rows(heads, rows, frozenset()) if rows else None
