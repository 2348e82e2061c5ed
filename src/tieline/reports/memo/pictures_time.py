"""Pictures over time: what the stock can serve against the demand, and what capacity is worth."""

from collections.abc import Sequence
from math import ceil
from textwrap import fill
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tieline.model.plan import quarter_name
from tieline.planning.capability import capability
from tieline.planning.plan import Result
from tieline.planning.price_duration import price_duration
from tieline.reports.drawing import COLOURS, DASHES, new_figure, plain, svg
from tieline.reports.memo.scales import AMOUNTS

_Floats = NDArray[np.float64]

#: Futures drawn side by side.
MOST_FUTURES: Final = 4
#: Accelerators with a line of their own.
_MOST_LINES: Final = 6
#: Names of quarters that fit side by side across the page.
_MOST_NAMES: Final = 8
#: Letters of a title that fit above one of several pictures.
_TITLE: Final = 24


def stock(result: Result) -> bytes:
    """Draw what the stock can serve, by origin, in futures that differ, with the demand."""
    inputs, tree = result.inputs, result.inputs.tree
    able = capability(result)
    origins = [chip.accelerator.origin or "unknown" for chip in inputs.spec.chips]
    names = sorted(set(origins), key=lambda one: (one not in inputs.spec.domestic, one))
    layers = np.array([able[[one == name for one in origins]].sum(axis=0) for name in names])
    demand = inputs.amount.sum(axis=(0, 1))
    shown = different_futures(result, layers)
    figure = new_figure(height=2.05)
    grid = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    quarters = np.arange(inputs.spec.quarters + 1)
    for axes, future in zip(grid, shown, strict=True):
        plain(axes)
        below = np.zeros(inputs.spec.quarters)
        path = tree.path[future]
        for place, name in enumerate(names):
            top = below + layers[place, path]
            colour = COLOURS[(2, 1, 4, 3, 5)[place % 5]]
            axes.stairs(
                top, quarters, baseline=below, fill=True, color=colour, alpha=0.85, label=name
            )
            below = top
        axes.stairs(demand[path], quarters, baseline=None, color="#000000", lw=1.6, label="demand")
        axes.set_title(_title(result, future, len(shown)), fontsize=8.5, parse_math=False)
        _quarters(axes, result, _MOST_NAMES // len(shown))
        axes.yaxis.set_major_formatter(AMOUNTS)
    grid[0].set_ylabel("reference\naccelerators")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=7, frameon=False)
    return svg(figure)


def _title(result: Result, future: int, shown: int) -> str:
    """Give the name of a future in lines that fit, with its probability."""
    tree = result.inputs.tree
    if shown == 1:
        return "as in every future" if len(tree.leaves) > 1 else ""
    chance = tree.probability[tree.leaves[future]]
    return f"{fill(tree.futures()[future], _TITLE)}\n({chance:.0%})"


def different_futures(result: Result, layers: _Floats) -> list[int]:
    """Give the futures to show: the likeliest, then again and again the one most unlike these.

    Parameters
    ----------
    layers
        Axes of any number of layers, and N.
    """
    tree = result.inputs.tree
    demand = result.inputs.amount.sum(axis=(0, 1))
    seen = np.concatenate([layers, demand[None]])[:, tree.path]
    traits = np.moveaxis(seen, 1, 0).reshape(len(tree.path), -1)
    chosen = [int(np.argmax(tree.probability[tree.leaves]))]
    while len(chosen) < MOST_FUTURES:
        apart = np.array([np.abs(traits - traits[one]).sum(axis=1) for one in chosen]).min(axis=0)
        if apart.max() <= 1e-6 * np.abs(traits).sum(axis=1).max():
            break
        chosen.append(int(np.argmax(apart)))
    return chosen


def prices(result: Result, pool_prices: _Floats, colours: dict[str, str]) -> bytes:
    """Draw what an accelerator-hour is worth: per quarter, and from the dearest time down."""
    figure = new_figure(height=2.9)
    over_time, duration = figure.subplots(1, 2, sharey=True)
    names = result.inputs.axes["accelerator"]
    best = pool_prices.max(axis=1)
    worth, share = price_duration(result)
    shown = _most_worth(best)
    quarters = np.arange(result.inputs.spec.quarters + 1)
    for place, c in enumerate(shown):
        look = {
            "color": colours[names[c]],
            "linestyle": DASHES[place % len(DASHES)],
            "linewidth": 1.5,
        }
        over_time.stairs(best[c], quarters, baseline=None, label=names[c], **look)
        duration.stairs(worth[c], 100 * np.concatenate([[0.0], share[c]]), baseline=None, **look)
    for axes in (over_time, duration):
        plain(axes)
        axes.set_ylim(bottom=0)
    _quarters(over_time, result, _MOST_NAMES // 2)
    over_time.set_ylabel("worth of one more\n[USD per accelerator-hour]")
    duration.set_xlabel("share of time, over all futures [%]")
    duration.set_xlim(0, 100)
    handles, labels = over_time.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)
    return svg(figure)


def _most_worth(best: _Floats) -> Sequence[int]:
    """Give the accelerators whose hours are worth most, in order of the file."""
    order = np.argsort(-best.sum(axis=1), kind="stable")[:_MOST_LINES]
    return sorted(int(c) for c in order)


def _quarters(axes: Axes, result: Result, most: int) -> None:
    """Mark quarters by their names, few enough to be read."""
    spec = result.inputs.spec
    every = ceil(spec.quarters / max(1, most))
    at = np.arange(0, spec.quarters, every)
    axes.set_xticks(at + 0.5, [quarter_name(spec.first + int(t)) for t in at], fontsize=8)
    axes.set_xlim(0, spec.quarters)
