"""The picture of the regions: what each can serve, and what flows between them."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch
from numpy.typing import NDArray

from tieline.model.plan import quarter_name
from tieline.planning.plan import Result
from tieline.reports.drawing import COLOURS, new_axes, svg
from tieline.reports.memo.numbers import count

_Floats = NDArray[np.float64]

#: Fewer reference accelerators are no flow.
_LEAST: Final = 0.5
_HEIGHT: Final = 3.7
#: Flows with a number beside them.
_MOST_NUMBERS: Final = 8
#: Radii of circles, and widths of arrows [points].
_CIRCLE: Final = (0.06, 0.17)
_WIDTH: Final = (0.6, 6.0)
#: How far arrows bow, as a part of their length at the control point; to the left of their way.
_BEND: Final = 0.16
#: Names of regions nearer to the middle than this stand above or below.
_BESIDE: Final = 0.2
_ABOVE: Final = {1: "bottom", 0: "center", -1: "top"}
_PAPER: Final = {"boxstyle": "round,pad=0.15", "color": "#ffffff", "alpha": 0.85}


def busiest(result: Result) -> tuple[int, _Floats]:
    """Give the quarter in which most is served elsewhere, and the mean flows then; axes R, R."""
    tree = result.inputs.tree
    flow = result.flows().sum(axis=0)
    flow[np.diag_indices(len(flow))] = 0.0
    total = flow.sum(axis=(0, 1)) * tree.probability
    quarter = int(np.argmax(np.bincount(tree.quarter, total)))
    there = tree.quarter == quarter
    mean: _Floats = flow[:, :, there] @ tree.probability[there]
    return quarter, np.where(mean >= _LEAST, mean, 0.0)


def regions(result: Result) -> bytes | None:
    """Draw regions on a circle with arrows to where their demand is served; None without flows."""
    quarter, flow = busiest(result)
    if not flow.any():
        return None
    inputs, tree = result.inputs, result.inputs.tree
    names = inputs.axes["region"]
    there = tree.quarter == quarter
    wanted = inputs.amount.sum(axis=0)[:, there] @ tree.probability[there]
    turn = np.pi / 2 - 2 * np.pi * np.arange(len(names)) / len(names)
    places = np.column_stack([1.25 * np.cos(turn), np.sin(turn)])
    figure, axes = new_axes(height=_HEIGHT)
    axes.set_axis_off()
    _flows(axes, places, flow)
    _circles(axes, names, places, wanted)
    axes.set_xlim(-1.75, 1.75)
    axes.set_ylim(-1.4, 1.5)
    axes.set_aspect("equal")
    when = quarter_name(inputs.spec.first + quarter)
    axes.set_title(f"{when}, mean over the futures [reference accelerators]", fontsize=9)
    return svg(figure)


def _flows(axes: Axes, places: _Floats, flow: _Floats) -> None:
    """Draw an arrow per flow, the wider the more, with a number on the largest."""
    least = np.sort(flow, axis=None)[-_MOST_NUMBERS:][0]
    for start, end in np.argwhere(flow > 0).tolist():
        amount = float(flow[start, end])
        axes.add_patch(
            FancyArrowPatch(
                tuple(places[start]),
                tuple(places[end]),
                connectionstyle=f"arc3,rad={_BEND}",
                arrowstyle="-|>",
                mutation_scale=9,
                shrinkA=12,
                shrinkB=14,
                lw=_WIDTH[0] + (_WIDTH[1] - _WIDTH[0]) * amount / flow.max(),
                color=COLOURS[2],
                alpha=0.65,
            )
        )
        if amount >= least:
            along = places[end] - places[start]
            middle = (places[start] + places[end]) / 2 + _BEND / 2 * np.array(
                [along[1], -along[0]]
            )
            axes.text(
                middle[0],
                middle[1],
                count(amount),
                fontsize=7.5,
                ha="center",
                va="center",
                bbox=_PAPER,
            )


def _circles(axes: Axes, names: Sequence[str], places: _Floats, wanted: _Floats) -> None:
    """Draw a circle per region, its area by the demand, with name and number outside."""
    radii = _CIRCLE[0] + (_CIRCLE[1] - _CIRCLE[0]) * np.sqrt(wanted / (wanted.max() or 1.0))
    for name, place, radius, amount in zip(names, places, radii, wanted, strict=True):
        axes.add_patch(Circle(tuple(place), float(radius), color=COLOURS[1], zorder=3))
        outside = place * (1.0 + (0.08 + radius) / np.hypot(*place))
        side = "center" if abs(place[0]) < _BESIDE else "left" if place[0] > 0 else "right"
        axes.text(
            outside[0],
            outside[1],
            f"{name}\n{count(float(amount))}",
            ha=side,
            va=_ABOVE[int(np.sign(place[1]))] if side == "center" else "center",
            fontsize=8.5,
            zorder=4,
            parse_math=False,
        )
