"""The picture of the futures: a tree with the first order of each accelerator on it."""

from collections.abc import Iterator
from math import ceil
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tieline.model.plan import quarter_name
from tieline.planning.plan import Result
from tieline.planning.tree import Tree
from tieline.reports.drawing import MARKERS, new_axes, svg
from tieline.reports.memo.numbers import count
from tieline.reports.memo.verdict_words import NONE

_Floats = NDArray[np.float64]

#: Above so many futures only counts at the root are written.
_MOST_COUNTS: Final = 12
#: Height of a future [inches], at least and at most.
_LEAF: Final = (0.17, 0.36)
_TALLEST: Final = 4.5
#: Names of quarters that fit side by side.
_MOST_NAMES: Final = 10
#: The markers of the legend as text.
_SIGNS: Final = dict(zip(MARKERS, "\u25cf\u25a0\u25c6\u25b2\u25bc", strict=True))


def tree(result: Result, colours: dict[str, str]) -> bytes:
    """Draw the tree from left to right; a mark where an accelerator is first ordered."""
    grown = result.inputs.tree
    heights = _heights(grown)
    leaves = len(grown.leaves)
    leaf = min(_LEAF[1], max(_LEAF[0], _TALLEST / leaves))
    figure, axes = new_axes(height=1.1 + leaf * max(leaves, 3))
    axes.grid(visible=False)
    for n in range(1, len(grown)):
        parent = grown.parent[n]
        x = (grown.quarter[parent], grown.quarter[parent] + 0.35, grown.quarter[n])
        thick = 0.6 + 2.6 * float(grown.probability[n])
        axes.plot(
            x, (heights[parent], heights[n], heights[n]), color="#aab2bb", lw=thick, zorder=1
        )
        if grown.news[n]:
            _answer(axes, grown, n, heights[n])
    for leaf_node in grown.leaves:
        chance = f"{grown.probability[leaf_node]:.1%}"
        at = (grown.quarter[leaf_node], heights[leaf_node])
        axes.annotate(chance, at, (6, 0), textcoords="offset points", va="center", fontsize=7.5)
    named = _marks(axes, result, heights, colours)
    spec = result.inputs.spec
    quarters = np.arange(0, spec.quarters, ceil(spec.quarters / _MOST_NAMES))
    axes.set_xticks(quarters, [quarter_name(spec.first + int(t)) for t in quarters], fontsize=7.5)
    axes.set_xlim(-0.11 * spec.quarters, spec.quarters - 0.55)
    axes.set_ylim(leaves - 0.4, -0.8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("quarter; at the right the probability of each future")
    if named:
        figure.legend(handles=named, loc="outside upper left", ncols=4, frameon=False, fontsize=8)
    return svg(figure)


def _heights(grown: Tree) -> _Floats:
    """Give the height of each node: the middle of its leaves; axis N."""
    low, high = np.full(len(grown), np.inf), np.full(len(grown), -np.inf)
    for place, path in enumerate(grown.path):
        low[path] = np.minimum(low[path], place)
        high[path] = np.maximum(high[path], place)
    middle: _Floats = (low + high) / 2
    return middle


def _answer(axes: Axes, grown: Tree, n: int, height: float) -> None:
    """Write what became known above the edge that leads to a node."""
    text = ", ".join(outcome.id for _, outcome in grown.news[n])
    axes.annotate(
        text,
        (grown.quarter[grown.parent[n]] + 0.37, height),
        (0, 1.5),
        textcoords="offset points",
        fontsize=6.8,
        color="#3c464f",
        parse_math=False,
    )


def _marks(axes: Axes, result: Result, heights: _Floats, colours: dict[str, str]) -> list[Line2D]:
    """Put a mark and a count where each accelerator is ordered first; give the legend.

    Marks of several accelerators on one node stand below one another.
    """
    grown, names = result.inputs.tree, result.inputs.axes["accelerator"]
    orders = result.array("buy").sum(axis=(0, 2))
    few = len(grown.leaves) <= _MOST_COUNTS
    handles: list[Line2D] = []
    taken = np.zeros(len(grown), np.int64)
    for c in np.flatnonzero((orders >= NONE).any(axis=1)).tolist():
        marker = MARKERS[len(handles) % len(MARKERS)]
        colour = colours[names[c]]
        handles.append(Line2D([], [], ls="", marker=marker, color=colour, label=names[c]))
        for n in first_orders(grown, orders[c]):
            text = f" {count(float(orders[c, n]))}" if few or n == 0 else ""
            axes.annotate(
                _SIGNS[marker] + text,
                (grown.quarter[n], heights[n]),
                (-4, -11 - 9 * int(taken[n])) if n else (-6, 4 - 9 * int(taken[n])),
                textcoords="offset points",
                ha="left" if n else "right",
                fontsize=7.5,
                color=colour,
                zorder=3,
            )
            taken[n] += 1
    return handles


def first_orders(grown: Tree, ordered: _Floats) -> Iterator[int]:
    """Give the nodes in which something is ordered for the first time on their way; axis N."""
    before = np.zeros(len(grown), np.bool_)
    for n in range(len(grown)):
        parent = grown.parent[n]
        before[n] = n > 0 and (before[parent] or ordered[parent] >= NONE)
        if ordered[n] >= NONE and not before[n]:
            yield n
