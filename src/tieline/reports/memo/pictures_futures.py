"""Pictures by future: what simple strategies cost more, and which demand is not served."""

from collections.abc import Sequence
from textwrap import fill
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tieline.planning.plan import Result
from tieline.planning.regret import Regret
from tieline.reports.drawing import new_axes, svg
from tieline.reports.memo.scales import money_unit

_Floats = NDArray[np.float64]

#: Futures with a column of their own; of more the likeliest are shown.
MOST_COLUMNS: Final = 6
#: Letters in a line above a column.
_HEAD: Final = 12
#: From here on, numbers are whole.
_TEN: Final = 9.95
#: Darker than this part of the scale, numbers are written in white.
_DARK: Final = 0.55


def regret(found: Regret) -> bytes:
    """Draw what each strategy costs more than the best in each future, with the numbers."""
    shown = likeliest(found.probability)
    strategies = list(found.costs_usd)
    table = np.array([found.regret(name) for name in strategies])
    unit, length = money_unit(float(table.max()))
    worst = table.max(axis=1, keepdims=True)
    mean = (table @ found.probability)[:, None]
    values = np.hstack([mean, worst, table[:, shown]]) / length
    heads = ["mean", "largest", *_with_chance(found.futures, found.probability, shown)]
    return _heat(values, strategies, heads, f"[{unit}]", split=2)


def unmet(result: Result) -> bytes:
    """Draw the part of each demand that is not served in each future, with the numbers."""
    inputs, tree = result.inputs, result.inputs.tree
    missing = result.array("unmet").sum(axis=1)[:, tree.path].sum(axis=2)
    wanted = inputs.amount.sum(axis=1)[:, tree.path].sum(axis=2)
    part = 100 * np.divide(missing, wanted, out=np.zeros_like(wanted), where=wanted > 0)
    chance = tree.probability[tree.leaves]
    shown = likeliest(chance)
    values = np.hstack([(part @ chance)[:, None], part[:, shown]])
    names = [f"{demand.id} ({demand.workload})" for demand in inputs.spec.demand]
    heads = ["mean", *_with_chance(tree.futures(), chance, shown)]
    return _heat(values, names, heads, "[% of demand]", split=1)


def likeliest(probability: _Floats) -> list[int]:
    """Give the futures that have a column, in order."""
    order = np.argsort(-probability, kind="stable")[:MOST_COLUMNS]
    return sorted(int(s) for s in order)


def _with_chance(names: Sequence[str], probability: _Floats, shown: Sequence[int]) -> list[str]:
    return [f"{fill(names[s], _HEAD)}\n({probability[s]:.0%})" for s in shown]


def _heat(
    values: _Floats, rows: Sequence[str], heads: Sequence[str], label: str, *, split: int
) -> bytes:
    """Draw numbers on colours; a line after the first `split` columns, which sum up."""
    lines = max(head.count("\n") for head in heads) + 1
    figure, axes = new_axes(height=max(1.2, 0.15 + 0.13 * lines + 0.23 * len(rows)))
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    highest = float(values.max(initial=0.0)) or 1.0
    mesh = axes.pcolormesh(
        values, cmap="Blues", vmin=0.0, vmax=highest, edgecolors="#ffffff", linewidth=1.0
    )
    for (row, column), value in np.ndenumerate(values):
        axes.text(
            column + 0.5,
            row + 0.5,
            _short(value, highest),
            ha="center",
            va="center",
            fontsize=8,
            color="#ffffff" if value > _DARK * highest else "#1b232b",
        )
    axes.axvline(split, color="#1b232b", lw=1.0)
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows, parse_math=False)
    axes.xaxis.tick_top()
    axes.set_xticks(np.arange(len(heads)) + 0.5, heads, fontsize=7.5, parse_math=False)
    axes.tick_params(length=0)
    axes.set_ylim(len(rows), 0)
    _scale(figure, axes, mesh, label)
    return svg(figure)


def _scale(figure: Figure, axes: Axes, mesh: object, label: str) -> None:
    bar = figure.colorbar(mesh, ax=axes, label=label, aspect=12, pad=0.01)  # type: ignore[arg-type] # what pcolormesh gave
    bar.outline.set_visible(False)


def _short(value: float, highest: float) -> str:
    """Give a number with as many digits as its neighbours need; zero as a plain 0."""
    if value < 1e-3 * highest:
        return "0"
    return f"{value:,.0f}" if value >= _TEN else f"{value:.2g}"
