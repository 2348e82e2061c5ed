"""A plan's findings as one JSON document: `plan.json`, and what `tieline plan --json` prints."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from math import isfinite
from typing import Any, Final

import numpy as np

from tieline.model.plan import quarter_name
from tieline.planning.capability import capability
from tieline.planning.findings import Findings
from tieline.planning.plan import Result
from tieline.planning.price_duration import price_duration
from tieline.planning.regret import Regret
from tieline.planning.sweep import Curve
from tieline.planning.verdict import verdicts
from tieline.reports.memo import words
from tieline.reports.memo.recorded import NOTHING, Recorded, recorded_document
from tieline.reports.memo.verdict_words import verdict_lines

#: Fewer accelerators, or a smaller part of a demand, are left out of lists.
_LEAST: Final = 0.5


def memo_document(
    found: Findings,
    units: Mapping[str, str] | None = None,
    recorded: Recorded = NOTHING,
) -> dict[str, Any]:
    """Give the document: only JSON types, and null for what has no finite value.

    Keys, in order: `name`, `quarters`, `futures`, `nodes`; `headline` (sentences), `verdicts`;
    `objective_usd`, `mean_cost_usd`; `pooling`, `delay`, `choices`, `information`, `regret`;
    `limit_prices`, `import_ratio_usd`, `pool_prices`, `price_duration`; `sweeps`; `frontier`
    (null with one future; `flat` says whether it says anything); `orders`, `stock`,
    `capability`, `demand`, `unmet`, `flows` (by node); `assumptions`; `demand_from` and
    `replay_prices` (null where nothing recorded is taken). Money is in USD of the
    first quarter unless a key says otherwise, ranges are [low, high], and accelerators are
    counted in full where sentences round.

    Parameters
    ----------
    units
        Of what sweeps vary, by path, where the path does not say.
    recorded
        What the plan takes from recorded jobs.
    """
    result, spec = found.result, found.result.inputs.spec
    document: dict[str, Any] = plain(
        {
            "name": spec.name,
            "quarters": [quarter_name(spec.first + t) for t in range(spec.quarters)],
            "futures": _futures(result),
            "nodes": _nodes(result),
            "headline": verdict_lines(result, found.verdicts),
            "verdicts": [asdict(one) for one in found.verdicts],
            "objective_usd": result.objective_usd,
            "mean_cost_usd": result.mean_usd,
            "pooling": asdict(found.pooling),
            "delay": asdict(found.delay),
            "choices": [
                {
                    "accelerator": one.accelerator,
                    "first_year": one.best,
                    "ranges": {f"{slack:g}": ends for slack, ends in one.ranges.items()},
                }
                for one in found.choices
            ],
            "information": {
                "perfect_usd": found.information.perfect_usd,
                "stochastic_usd": found.information.stochastic_usd,
                "known_usd": found.information.known_usd,
            },
            "regret": _regret(found.regret),
            "limit_prices": [asdict(one) for one in found.limit_prices],
            "import_ratio_usd": found.ratio_usd,
            "pool_prices": _pool_prices(found),
            "price_duration": _price_duration(result),
            "sweeps": [_sweep(curve, units or {}) for curve in found.curves],
            "frontier": asdict(found.frontier) | {"flat": found.frontier.flat}
            if found.frontier
            else None,
            **_by_node(result),
            "assumptions": [asdict(one) for one in spec.assumptions],
            **recorded_document(recorded, result),
        }
    )
    return document


def comparison_document(before: Result, after: Result, cpu_s: float) -> dict[str, Any]:
    """Give what a change of the plan changes: costs and verdicts before, and how long it took."""
    document: dict[str, Any] = plain(
        {
            "mean_cost_usd_before": before.mean_usd,
            "mean_cost_usd": after.mean_usd,
            "verdicts_before": [asdict(one) for one in verdicts(before)],
            "resolve_cpu_s": cpu_s,
        }
    )
    return document


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON type
    """Give a value in JSON types: arrays as lists, null for numbers that are not finite."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value


def _futures(result: Result) -> list[dict[str, Any]]:
    tree = result.inputs.tree
    chances = tree.probability[tree.leaves]
    return [
        {"name": name, "probability": chance, "cost_usd": usd}
        for name, chance, usd in zip(tree.futures(), chances, result.future_costs, strict=True)
    ]


def _nodes(result: Result) -> list[dict[str, Any]]:
    spec, tree = result.inputs.spec, result.inputs.tree
    return [
        {
            "name": tree.names[n],
            "quarter": quarter_name(spec.first + int(tree.quarter[n])),
            "probability": tree.probability[n],
            "parent": tree.names[tree.parent[n]] if n else None,
            "answers": {branch.id: outcome.id for branch, outcome in tree.news[n]},
        }
        for n in range(len(tree))
    ]


def _regret(found: Regret) -> dict[str, Any]:
    return {
        "futures": found.futures,
        "best_usd": found.best_usd,
        "strategies": {
            name: {
                "mean_cost_usd": found.mean_usd(name),
                "cost_usd": costs,
                "regret_usd": found.regret(name),
                "largest_regret_usd": found.regret(name).max(),
                "ordered_now": {c: n for c, n in found.ordered_now[name].items() if n >= _LEAST},
            }
            for name, costs in found.costs_usd.items()
        },
    }


def _pool_prices(found: Findings) -> dict[str, dict[str, list[float]]]:
    """Give prices per quarter by accelerator and region [USD per accelerator-hour]."""
    axes = found.result.inputs.axes
    return {
        chip: {region: found.pool_prices[c, r].tolist() for r, region in enumerate(axes["region"])}
        for c, chip in enumerate(axes["accelerator"])
    }


def _price_duration(result: Result) -> dict[str, Any]:
    """Give prices, highest first, with the shares of time at which they end, by accelerator."""
    prices, shares = price_duration(result)
    return {
        chip: {"usd_per_hour": prices[c], "share": shares[c]}
        for c, chip in enumerate(result.inputs.axes["accelerator"])
    }


def _sweep(curve: Curve, units: Mapping[str, str]) -> dict[str, Any]:
    return {
        "path": curve.sweep.path,
        "title": words.sweep_title(curve),
        "unit": words.unit_of(curve.sweep.path, units),
        "present": curve.present,
        "points": [asdict(point) for point in curve.points],
        "thresholds": [asdict(one) for one in curve.thresholds],
        "left_out": curve.left_out,
    }


def _by_node(result: Result) -> dict[str, list[dict[str, Any]]]:
    able = capability(result)
    tree, chips = result.inputs.tree, result.inputs.axes["accelerator"]
    totals = [
        {"node": tree.names[n], "accelerator": chips[c], "reference": able[c, n]}
        for n in range(len(tree))
        for c in np.flatnonzero(able[:, n] >= _LEAST)
    ]
    return {
        "orders": _rows(result, "buy", ("tenant", "accelerator", "region", "node")),
        "stock": _rows(result, "stock", ("accelerator", "region", "node")),
        "capability": totals,
        "demand": list(_demand(result)),
        "unmet": _rows(result, "unmet", ("demand", "region", "node")),
        "flows": list(_flows(result)),
    }


def _rows(result: Result, variable: str, axes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Give one row per value that is not next to nothing."""
    values, names = result.array(variable), result.inputs.axes
    return [
        {
            **{axis.replace(" ", "_"): names[axis][i] for axis, i in zip(axes, at, strict=True)},
            "count": values[tuple(at)],
        }
        for at in np.argwhere(values >= _LEAST).tolist()
    ]


def _flows(result: Result) -> Iterator[dict[str, Any]]:
    """Give what is served in another region than it comes up in, all ways together."""
    flows, names = result.flows(), result.inputs.axes
    for w, start, end, n in np.argwhere(flows >= _LEAST).tolist():
        if start != end:
            yield {
                "demand": names["demand"][w],
                "region": names["region"][start],
                "served_in": names["region"][end],
                "node": names["node"][n],
                "count": flows[w, start, end, n],
            }


def _demand(result: Result) -> Iterator[dict[str, Any]]:
    inputs, unmet = result.inputs, result.array("unmet")
    for w, n in np.ndindex(len(inputs.spec.demand), len(inputs.tree)):
        yield {
            "demand": inputs.spec.demand[w].id,
            "node": inputs.tree.names[n],
            "amount": inputs.amount[w, :, n].sum(),
            "unmet": unmet[w, :, n].sum(),
        }
