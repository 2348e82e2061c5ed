"""Pictures of how free the choice is: near-optimal ranges, values varied, the price of safety."""

from collections.abc import Sequence
from math import inf, isfinite
from typing import Final

import numpy as np
from matplotlib.axes import Axes

from tieline.planning.frontier import Frontier
from tieline.planning.near_optimal import Choice
from tieline.planning.sweep import Curve
from tieline.reports.drawing import COLOURS, MARKERS, new_axes, svg
from tieline.reports.memo.numbers import plain, rounded
from tieline.reports.memo.scales import AMOUNTS, money_unit

_BLUES = ("#0072B2", "#9CCBEA")
#: Of two pictures side by side [inches].
_HALF, _LOW = 3.7, 2.0
#: Numbers nearer to one another than this part of the axis would overlap.
_APART: Final = 0.15


def ranges(found: Sequence[Choice]) -> bytes:
    """Draw the fewest and most first-year orders of each accelerator, and those of the plan."""
    figure, axes = new_axes(height=0.8 + 0.27 * len(found), width=_HALF)
    rows = np.arange(len(found))
    slacks = sorted(found[0].ranges, reverse=True)
    for place, slack in enumerate(slacks):
        low = np.array([one.ranges[slack][0] for one in found])
        high = np.array([one.ranges[slack][1] for one in found])
        colour = _BLUES[len(slacks) - 1 - place]
        name = f"costs {100 * slack:g} % more"
        axes.barh(rows, high - low, 0.62 - 0.28 * place, low, color=colour, label=name)
    best = [one.best for one in found]
    axes.plot(best, rows, "D", color="#000000", markersize=4.5, label="this plan", clip_on=False)
    axes.set_yticks(rows, [one.accelerator for one in found], parse_math=False)
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(AMOUNTS)
    axes.set_xlabel("first-year orders [accelerators]")
    figure.legend(
        loc="outside upper left", ncols=3, frameon=False, fontsize=7.5, columnspacing=1.0
    )
    return svg(figure)


def sweep(curve: Curve, unit: str, colours: dict[str, str]) -> bytes:
    """Draw how first-year orders follow one value; its value now, and where verdicts change."""
    figure, axes = new_axes(height=_LOW, width=_HALF)
    values = [point.value for point in curve.points]
    for name, colour in colours.items():
        orders = [point.first_year.get(name, 0.0) for point in curve.points]
        if max(orders, default=0.0) > 0:
            mark = MARKERS[list(colours).index(name) % len(MARKERS)]
            axes.plot(values, orders, color=colour, marker=mark, markersize=3, lw=1.4, label=name)
    if isfinite(curve.present):
        axes.axvline(curve.present, color="#5a6570", lw=1, ls=(0, (4, 2)))
        _say(axes, curve.present, "in the file", 0.03)
    written = -inf
    for value in sorted({one.value for one in curve.thresholds}):
        axes.axvline(value, color=COLOURS[0], lw=1.2, ls=":")
        if value - written > _APART * (values[-1] - values[0]):
            _say(axes, value, plain(value), 0.93, COLOURS[0])
            written = value
    axes.set_ylim(0, 1.22 * max(axes.get_ylim()[1], 1.0))
    axes.locator_params(nbins=5)
    axes.yaxis.set_major_formatter(AMOUNTS)
    axes.xaxis.set_major_formatter(AMOUNTS)
    axes.set_ylabel("orders [accelerators]", fontsize=8)
    field = " ".join(curve.sweep.path.split(".")[-2:]).replace("_", " ")
    axes.set_xlabel(f"{field} [{unit}]" if unit else field, parse_math=False)
    if axes.get_legend_handles_labels()[0]:
        figure.legend(
            loc="outside upper left", ncols=3, frameon=False, fontsize=7.5, columnspacing=1.0
        )
    return svg(figure)


def frontier(found: Frontier) -> bytes:
    """Draw mean cost against the cost of the worst futures, for weights of the worst."""
    figure, axes = new_axes(height=_LOW, width=_HALF)
    unit, length = money_unit(max(abs(point.tail_usd) for point in found.points))
    means = [point.mean_usd / length for point in found.points]
    tails = [point.tail_usd / length for point in found.points]
    axes.plot(means, tails, color=COLOURS[2], marker="o", markersize=4, lw=1.4)
    places: dict[tuple[float, float], list[float]] = {}
    for point, mean, tail in zip(found.points, means, tails, strict=True):
        places.setdefault((rounded(mean), rounded(tail)), []).append(point.weight)
    for place, weights in places.items():
        text = "weight " + ", ".join(f"{weight:g}" for weight in weights)
        axes.annotate(text, place, (0, 5), textcoords="offset points", fontsize=7.5, ha="center")
    axes.margins(0.25)
    axes.set_xlabel(f"mean cost [{unit}]")
    axes.set_ylabel(f"mean of dearest {100 * found.tail:g} %\n[{unit}]")
    return svg(figure)


def _say(axes: Axes, x: float, text: str, height: float, colour: str = "#5a6570") -> None:
    """Write beside a line across the axes, at a part of their height."""
    axes.annotate(
        text,
        (x, height),
        (3, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        fontsize=8,
        color=colour,
    )
