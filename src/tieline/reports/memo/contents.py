"""What stands where in a memo, for the HTML page and Markdown alike."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tieline.planning.findings import Findings
from tieline.reports.drawing import Picture
from tieline.reports.memo import pictures, recorded, tables, words
from tieline.reports.memo.recorded import NOTHING, Recorded
from tieline.reports.memo.verdict_words import verdict_lines
from tieline.reports.text_table import Rows

#: Limits before the appendix, so that all of it fits two pages; the page takes four sweeps.
_FIRST_LIMITS: Final = 5

_HOW_TO_READ: Final = {
    "reference accelerator": (
        "Demand is counted in accelerators of the reference model (nvidia-h200-sxm) that would"
        " be kept busy; every other model counts by its rate for that work."
    ),
    "cost": (
        "Orders, electricity and traffic, and what is lost on demand that is not served, less"
        " what accelerators are still worth at the end; in USD of the first quarter."
    ),
    "pays below": "The price at which, all else equal, the first one would be ordered now.",
    "range": (
        "Fewest and most first-year orders of plans that cost at most so much more. Each range"
        " is for one accelerator by itself: not every combination is as good."
    ),
    "regret": (
        "What a strategy costs more, in a future, than the best plan of who knew that it comes."
    ),
    "saves": (
        "What the plan would cost less, in the mean, if the limit were eased by one in every"
        " quarter, as long as the limit lies in the range named."
    ),
}


class Part(NamedTuple):
    """A section of the appendix."""

    title: str
    rows: Rows | None
    note: str = ""


class Contents(NamedTuple):
    """A memo."""

    name: str
    about: str
    verdicts: list[str]
    cost: str
    answers: list[tuple[str, list[str]]]
    choice: Picture | None
    regret: Picture
    stock: Picture
    sweeps: list[Picture]
    limits: Rows | None
    ratio: list[str]
    assumed: str
    risk: Picture | None
    pictures: list[Picture]
    parts: list[Part]
    how_to_read: Mapping[str, str]


def contents(
    found: Findings,
    units: Mapping[str, str],
    taken: Recorded = NOTHING,
) -> Contents:
    """Give the contents of a memo; `taken` is what the plan takes from recorded jobs."""
    result, spec = found.result, found.result.inputs.spec
    return Contents(
        name=spec.name,
        about=words.about(spec, len(result.inputs.tree.leaves)),
        verdicts=verdict_lines(result, found.verdicts),
        cost=words.cost(result),
        answers=words.answers(found),
        choice=pictures.of_choice(found),
        regret=pictures.of_regret(found),
        stock=pictures.of_stock(found),
        sweeps=[pictures.of_sweep(found, curve, units) for curve in found.curves],
        limits=tables.dearest_limits(found, _FIRST_LIMITS),
        ratio=words.ratio(found.ratio_usd),
        assumed=" ".join([*recorded.demand(taken.load), words.assumed(spec.assumptions)]),
        risk=pictures.of_risk(found),
        pictures=list(pictures.of_appendix(found, taken.prices)),
        parts=[part for part in _parts(found, taken) if part.rows is not None],
        how_to_read=_HOW_TO_READ,
    )


def _parts(found: Findings, taken: Recorded) -> Iterator[Part]:
    result = found.result
    yield Part("Verdicts", tables.verdicts(found))
    yield Part(
        "Orders",
        tables.orders(result),
        "Ordered in the first quarter, and in each year (the first quarter included), mean over"
        " the futures. What is ordered in each future is in plan.json.",
    )
    yield Part("Strategies", tables.regrets(found))
    yield Part("Where verdicts change", tables.thresholds(found))
    yield Part("Every limit that binds", tables.limits(found))
    if taken.prices is not None:
        yield Part(
            "A replay's prices beside the plan's",
            recorded.prices_table(taken.prices, result),
            recorded.how_priced(taken.prices),
        )
    yield Part("Futures", tables.futures(result))
    yield Part("What was assumed, and how well it is known", tables.assumptions(result))
