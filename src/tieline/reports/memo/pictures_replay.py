"""The picture of a replay's prices beside the plan's: from the dearest time down."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes

from tieline.reports.drawing import COLOURS, DASHES, new_figure, plain, svg
from tieline.reports.memo.replay_prices import PoolWorth, PriceCurve
from tieline.reports.memo.scales import AMOUNTS

#: Pools with a line of their own.
_MOST_LINES: Final = 6
#: A replay's dearest hours may be worth far more than the plan's; above so many times these the
#: axis goes on in powers of ten.
_FAR: Final = 20.0
#: Smaller parts of the highest price are not told apart there.
_LEAST_PART: Final = 1e-3


def price_curves(worth: Sequence[PoolWorth], colours: Mapping[str, str]) -> bytes:
    """Draw the price-duration curves of the dearest pools, and the plan's for the same chips.

    Parameters
    ----------
    worth
        The dearest first.
    colours
        Of the plan's accelerators; others get those that are left.
    """
    shown = worth[:_MOST_LINES]
    chips = list(dict.fromkeys(one.accelerator for one in shown))
    left = iter([one for one in COLOURS if one not in colours.values()] * len(chips))
    look = {chip: colours[chip] if chip in colours else next(left, COLOURS[-1]) for chip in chips}
    figure = new_figure(height=2.9)
    replayed, planned = figure.subplots(1, 2, sharey=True)
    seen = Counter[str]()
    for one in shown:
        dash = DASHES[2:][seen[one.accelerator] % 3]
        seen[one.accelerator] += 1
        _line(replayed, one.replay, color=look[one.accelerator], linestyle=dash, label=one.pool)
    plans = {one.accelerator: one.plan for one in shown if one.plan is not None}
    for chip, curve in plans.items():
        _line(planned, curve, color=look[chip], linestyle="-")
    for axes, title in ((replayed, "replay"), (planned, "plan, first year")):
        plain(axes)
        axes.set_title(title, fontsize=8.5)
        axes.set_xlabel("share of time [%]")
        axes.set_xlim(0, 100)
    _scale(replayed, [one.replay for one in shown], list(plans.values()))
    replayed.set_ylabel("worth of one more\n[USD per accelerator-hour]")
    handles, labels = replayed.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3, frameon=False)
    return svg(figure)


def _line(axes: Axes, curve: PriceCurve, **look: Any) -> None:  # noqa: ANN401 - matplotlib's
    edges = 100 * np.concatenate([[0.0], curve.share])
    axes.stairs(curve.usd_per_hour, edges, baseline=None, linewidth=1.5, **look)


def _scale(axes: Axes, replayed: Sequence[PriceCurve], planned: Sequence[PriceCurve]) -> None:
    """Let the axis show the prices of both sides, however far apart they are."""
    highest, usual = (
        max((float(one.usd_per_hour.max()) for one in curves), default=0.0)
        for curves in (replayed, planned)
    )
    if highest > _FAR * usual:
        least = max(usual, _LEAST_PART * highest)
        axes.set_yscale("symlog", linthresh=least, linscale=2)
        axes.yaxis.set_major_formatter(AMOUNTS)
    axes.set_ylim(0, 1.1 * max(highest, usual) or 1.0)
