"""Which pictures a memo has, in order, each with its words; equal plans give equal bytes."""

from collections.abc import Iterator, Mapping

from tieline.planning.findings import Findings
from tieline.planning.plan import Result
from tieline.planning.sweep import Curve
from tieline.reports.drawing import COLOURS, Picture
from tieline.reports.memo import words
from tieline.reports.memo.pictures_choice import frontier, ranges, sweep
from tieline.reports.memo.pictures_futures import MOST_COLUMNS, regret, unmet
from tieline.reports.memo.pictures_map import regions
from tieline.reports.memo.pictures_replay import price_curves
from tieline.reports.memo.pictures_time import prices, stock
from tieline.reports.memo.pictures_tree import tree
from tieline.reports.memo.replay_prices import ReplayPrices, worth_of_pools


def of_choice(found: Findings) -> Picture | None:
    """Give the picture of the near-optimal ranges; None where nothing is on offer."""
    if not found.choices:
        return None
    return Picture(
        "How free the choice is",
        "Fewest and most at 1 % or 3 % more cost.",
        ranges(found.choices),
    )


def of_stock(found: Findings) -> Picture:
    """Give the picture of stock by origin against demand."""
    return Picture(
        "What there is, and what is wanted",
        "What the stock could serve, by origin, and the demand (line), in the futures that differ"
        " most.",
        stock(found.result),
    )


def of_regret(found: Findings) -> Picture:
    """Give the picture of the regrets of all strategies."""
    return Picture(
        "Regret",
        "What each strategy costs more than the best plan of who knows the future."
        + _likeliest(found.result),
        regret(found.regret),
    )


def of_risk(found: Findings) -> Picture | None:
    """Give the picture of mean cost against risk; None where it says nothing."""
    if found.frontier is None or found.frontier.flat:
        return None
    return Picture(
        "What it costs to be careful",
        "Mean cost and cost of the dearest futures, for different weights on the latter.",
        frontier(found.frontier),
    )


def of_sweep(found: Findings, curve: Curve, units: Mapping[str, str]) -> Picture:
    """Give the picture of one value varied."""
    unit = words.unit_of(curve.sweep.path, units)
    return Picture(
        _capital(words.sweep_title(curve)),
        " ".join(words.sweep(curve, most=1)),
        sweep(curve, unit, colours_of(found.result)),
    )


def of_appendix(found: Findings, replayed: ReplayPrices | None = None) -> Iterator[Picture]:
    """Give the pictures that go into detail; `replayed` are prices to hold the plan against."""
    result = found.result
    colours = colours_of(result)
    if len(result.inputs.tree.leaves) > 1:
        yield Picture(
            "The futures, and when to buy",
            "What becomes known when, and where on each way an accelerator is first ordered.",
            tree(result, colours),
        )
    drawn = regions(result)
    if drawn is not None:
        yield Picture(
            "Who serves whom",
            "Demand of each region (circle), and how much of it is served in which other one, in"
            " the quarter in which that is most.",
            drawn,
        )
    yield Picture(
        "What capacity is worth",
        "What an hour of one more accelerator saves, in the region where it saves most: per"
        " quarter (left, mean over the futures), and for what share of the time (right).",
        prices(result, found.pool_prices, colours),
    )
    if replayed is not None:
        yield Picture(
            "What capacity was worth in the replay",
            "What an hour of one more accelerator was worth, for what share of the time, in the"
            " dearest pools of the replay (left) and, in the colour of the accelerator, in the"
            " plan's first year (right). Prices far above the plan's stand on a scale in powers of"
            " ten.",
            price_curves(worth_of_pools(replayed, result), colours),
        )
    if result.array("unmet").sum() > 0:
        yield Picture(
            "What is not served",
            "Part of each demand that is not served, over all quarters." + _likeliest(result),
            unmet(result),
        )


def colours_of(result: Result) -> dict[str, str]:
    """Give each accelerator its colour, the same in every picture; those on offer come first."""
    chips = sorted(result.inputs.spec.chips, key=lambda chip: chip.offer is None)
    return {
        chip.accelerator.id: COLOURS[(place + 2) % len(COLOURS)]
        for place, chip in enumerate(chips)
    }


def _likeliest(result: Result) -> str:
    hidden = len(result.inputs.tree.leaves) > MOST_COLUMNS
    return f" Of the futures the {MOST_COLUMNS} likeliest are shown." if hidden else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
