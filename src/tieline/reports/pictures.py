"""Figures of a comparison, as SVG: equal comparisons give equal bytes."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from tieline.reports.drawing import COLOURS, DASHES, MARKERS, Picture, legend, new_axes, svg
from tieline.reports.words import mean_waits
from tieline.scheduling.registry import POLICIES
from tieline.simulation.comparison import AtScale, Comparison
from tieline.simulation.price_record import HOUR_S
from tieline.simulation.replay import Replay
from tieline.simulation.timeline import accelerators_in_use, jobs_waiting

#: Times that axes are marked at [s].
_MARKS: Final = {
    1.0: "1 s",
    10.0: "10 s",
    60.0: "1 min",
    600.0: "10 min",
    3600.0: "1 h",
    86400.0: "1 d",
    864000.0: "10 d",
    8640000.0: "100 d",
}
_POINTS: Final = 500
_INTERVALS: Final = 240
_MOST_ROWS: Final = 20
#: The lowest price with a colour of its own, as a part of the highest.
_DECADES: Final = 1e4

_Floats = NDArray[np.float64]


def of_scale(at: AtScale) -> Iterator[Picture]:
    """Give the figures about the policies at one scale; none where no job ran."""
    if not any(one.finished for one in at.summaries.values()):
        return
    yield Picture(
        "Completion time",
        "Share of jobs finished within a time after their submission. Further left is better.",
        _completion(at),
    )
    yield Picture(
        "Waiting by tenant",
        "Mean wait of each tenant's jobs under each policy; the tenants with most jobs.",
        _tenants(at),
    )
    spans = [one.makespan_s or 1.0 for one in at.summaries.values()]
    edges = np.linspace(0.0, max(spans), _INTERVALS + 1)
    yield Picture("Accelerators in use", "Mean share in use over each interval.", _use(at, edges))
    yield Picture(
        "Jobs waiting", "Mean number of jobs that wait, over each interval.", _queue(at, edges)
    )
    for name, replay in at.replays.items():
        if replay.clearing is not None and len(replay.clearing.hour):
            yield Picture(
                f"Prices under {name}",
                "What one more accelerator-hour would have been worth at each pool, in jobs"
                " finished; white where it was worth nothing because some were free.",
                _prices(replay, edges),
            )


def of_scales(comparison: Comparison) -> Picture:
    """Give the figure about how the mean wait falls as accelerators are added."""
    figure, axes = new_axes()
    capacities = [at.network.capacity for at in comparison.scales]
    for name in comparison.scales[0].replays:
        waits = [mean_waits(at)[name] for at in comparison.scales]
        axes.plot(
            capacities,
            [np.nan if wait is None else wait for wait in waits],
            **_style(name, marker=True),
        )
    _time_axis(axes, "y")
    axes.set_ylabel("mean wait")
    axes.set_xlabel("accelerators")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    legend(axes)
    return Picture(
        "Waiting and size",
        "Mean wait against the accelerators of the network, on the jobs that ran under every"
        " policy.",
        svg(figure),
    )


def _completion(at: AtScale) -> bytes:
    figure, axes = new_axes()
    shares = np.linspace(0.0, 1.0, _POINTS)
    longest = 10.0
    for name, replay in at.replays.items():
        jct = replay.jct_s[replay.ran]
        if len(jct):
            times = np.quantile(np.maximum(jct, 1.0), shares)
            longest = max(longest, float(times[-1]))
            axes.plot(times, 100 * shares, **_style(name))
    axes.set_xscale("log")
    axes.set_xlim(1.0, longest)
    axes.set_ylim(0, 100)
    marks = _marks(longest)
    axes.set_xticks(list(marks), list(marks.values()))
    axes.minorticks_off()
    axes.set_xlabel("completion time: from submission to end")
    axes.set_ylabel("jobs finished [%]")
    legend(axes)
    return svg(figure)


def _tenants(at: AtScale) -> bytes:
    jobs = Counter[str]()
    for summary in at.summaries.values():
        jobs |= Counter({name: one.jobs for name, one in summary.by_tenant.items()})
    most = [name for name, _ in jobs.most_common(_MOST_ROWS)]
    figure, axes = new_axes(height=1.2 + 0.24 * len(most))
    rows = np.arange(len(most))
    for name, summary in at.summaries.items():
        waits = [summary.by_tenant[tenant].mean_wait_s for tenant in most]
        values = np.array([np.nan if wait is None else wait for wait in waits])
        axes.plot(values, rows, **(_style(name, marker=True) | {"linestyle": "none"}))
    _time_axis(axes, "x")
    axes.set_yticks(rows, most, parse_math=False)
    axes.set_ylim(len(most) - 0.5, -0.5)
    axes.set_xlabel("mean wait")
    axes.set_ylabel("tenant")
    legend(axes)
    return svg(figure)


def _use(at: AtScale, edges: _Floats) -> bytes:
    figure, axes = new_axes()
    unit, length = _unit(edges[-1])
    for name, replay in at.replays.items():
        share = 100 * accelerators_in_use(replay, edges) / at.network.capacity
        axes.stairs(share, edges / length, **_style(name))
    axes.set_ylim(0, 102)
    axes.set_ylabel("accelerators in use [%]")
    _over_time(axes, edges, unit, length)
    return svg(figure)


def _queue(at: AtScale, edges: _Floats) -> bytes:
    figure, axes = new_axes()
    unit, length = _unit(edges[-1])
    most = 1.0
    for name, replay in at.replays.items():
        waiting = jobs_waiting(replay, edges).clip(min=0.0)
        axes.stairs(waiting, edges / length, **_style(name))
        most = max(most, float(waiting.max()))
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(0, 1.2 * most)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("jobs waiting")
    _over_time(axes, edges, unit, length)
    return svg(figure)


def _prices(replay: Replay, edges: _Floats) -> bytes:
    record = replay.clearing
    assert record is not None  # noqa: S101 - the caller has looked
    interval = np.searchsorted(edges, (record.hour + 0.5) * HOUR_S, side="right") - 1
    hours = np.diff(edges) / HOUR_S
    means = np.zeros((len(hours), record.price.shape[1]))
    np.add.at(means, np.clip(interval, 0, len(hours) - 1), record.price)
    means *= HOUR_S / hours[:, None]
    order = np.argsort(-means.sum(axis=0), kind="stable")[:_MOST_ROWS]
    means = means[:, order]
    names = [replay.network.pools[p].id for p in order]
    figure, axes = new_axes(height=1.3 + 0.24 * len(names))
    unit, length = _unit(edges[-1])
    shown = np.ma.masked_less_equal(means.T, 0.0)
    highest = float(means.max())
    mesh = axes.pcolormesh(
        edges / length,
        np.arange(len(names) + 1),
        shown,
        cmap="viridis_r",
        norm=LogNorm(highest / _DECADES, highest, clip=True),
        rasterized=True,
    )
    axes.set_yticks(np.arange(len(names)) + 0.5, names, parse_math=False)
    axes.set_ylim(len(names), 0)
    axes.set_xlim(0, edges[-1] / length)
    axes.set_xlabel(f"time since the first submission [{unit}]")
    axes.grid(visible=False)
    figure.colorbar(mesh, ax=axes, label="price [jobs / accelerator-hour]")
    return svg(figure)


def _over_time(axes: Axes, edges: _Floats, unit: str, length: float) -> None:
    axes.set_xlim(0, edges[-1] / length)
    axes.set_xlabel(f"time since the first submission [{unit}]")
    legend(axes)


def _style(policy: str, *, marker: bool = False) -> dict[str, Any]:
    """Give the look of a policy, the same in every figure."""
    place = list(POLICIES).index(policy)
    style = {
        "label": policy,
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place % len(DASHES)],
        "linewidth": 1.3,
    }
    return style | {"marker": MARKERS[place % len(MARKERS)]} if marker else style


def _unit(span_s: float) -> tuple[str, float]:
    """Give the unit for an axis of that length, and its seconds."""
    for unit, length, most in (("s", 1.0, 300.0), ("min", 60.0, 18000.0), ("h", 3600.0, 432000.0)):
        if span_s < most:
            return unit, length
    return "days", 86400.0


def _highest(axes: Axes, which: Literal["x", "y"]) -> float:
    """Give the largest value drawn, at least one second."""
    lines = [line.get_ydata() if which == "y" else line.get_xdata() for line in axes.lines]
    values = np.concatenate([np.asarray(line, np.float64) for line in lines])
    return float(np.nanmax(values, initial=1.0))


def _time_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """Make an axis of times: logarithmic above one second, with room for zero."""
    highest = 1.5 * _highest(axes, which)
    marks = {0.0: "0", **_marks(highest)}
    limits, ticks, labels = (-0.1, highest), list(marks), list(marks.values())
    if which == "x":
        axes.set_xscale("symlog", linthresh=1.0, linscale=0.5)
        axes.set_xticks(ticks, labels)
        axes.set_xlim(limits)
    else:
        axes.set_yscale("symlog", linthresh=1.0, linscale=0.5)
        axes.set_yticks(ticks, labels)
        axes.set_ylim(limits)
    axes.minorticks_off()


def _marks(highest: float) -> dict[float, str]:
    return {mark: text for mark, text in _MARKS.items() if mark <= highest}
