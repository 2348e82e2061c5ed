"""A plan's findings in sentences: what each question of a memo got for an answer."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Final

from tieline.model.plan import Assumption, PlanSpec, quarter_name
from tieline.planning.findings import Findings
from tieline.planning.frontier import Frontier
from tieline.planning.information import Delay, Information
from tieline.planning.near_optimal import Choice
from tieline.planning.plan import Result
from tieline.planning.pooling import Pooling, Service
from tieline.planning.regret import LEAST_REGRET, PLAN, Regret
from tieline.planning.sweep import Curve
from tieline.reports.memo.numbers import between, count, percent, plain, usd
from tieline.reports.memo.verdict_words import NONE

#: Less than this part of the mean cost is next to nothing.
NEAR_ZERO: Final = 1e-3
#: Less than this part of the mean cost is what rounding leaves.
_NOTHING: Final = 1e-6
#: Units that the names of fields end with.
_ENDINGS: Final = {
    "_mw": "MW",
    "_w": "W",
    "_gbit_s": "Gbit/s",
    "_ms": "ms",
    "_quarters": "quarters",
    "_usd_per_kwh": "USD/kWh",
    "_usd_per_gb": "USD/GB",
    "at_most": "accelerators",
}


def cost(result: Result) -> str:
    """Give what the plan costs, in one sentence."""
    spec, costs = result.inputs.spec, result.future_costs
    last = quarter_name(spec.first + spec.quarters - 1)
    line = f"From {quarter_name(spec.first)} to {last} the plan costs {usd(result.mean_usd)}"
    if len(costs) == 1:
        return f"{line}."
    low, high = usd(costs.min()), usd(costs.max())
    if low == high:
        return f"{line} in each of the {len(costs)} futures."
    return f"{line} on average ({low} to {high})."


def pooling(found: Pooling) -> list[str]:
    """Say what joining the regions saves, with purchases and without any."""
    joined, apart = found.joined, found.apart
    lines = [
        (
            f"Without buying anything, the joined network {_served(found.nothing_joined)}"
            f"{' of the demand' if found.nothing_joined else ''};"
            f" each region for itself {_served(found.nothing_apart)}."
        )
    ]
    plan = f"With links the plan buys {count(joined.ordered)} accelerators and {_served(joined)}."
    if apart is None:
        return [*lines, f"{plan} Without them no purchase serves what must be served."]
    lines.append(
        f"{plan} Without them the best plan buys {count(apart.ordered)}, {_served(apart)} and"
        f" costs {_dearer(apart.cost_usd - joined.cost_usd)}."
    )
    if found.alike is None:
        return [*lines, "No purchase reaches the service of the joined network without links."]
    saved = found.alike.ordered - joined.ordered
    alike = f"The same service without links takes {count(found.alike.ordered)} accelerators"
    if saved < NONE:
        return [*lines, f"{alike}: pooling saves none of them."]
    return [*lines, f"{alike}: pooling saves {count(saved)} of them."]


def _served(one: Service | None) -> str:
    if one is None:
        return "cannot serve what must be served"
    return f"serves {percent(1.0 - one.unmet_share)}"


def _dearer(difference: float) -> str:
    return f"{usd(difference)} more" if difference >= 0 else f"{usd(-difference)} less"


def delay(found: Delay, result: Result) -> list[str]:
    """Say what it costs to order nothing in the first quarter, or none of one accelerator."""
    first = quarter_name(result.inputs.spec.first)
    if not found.by_accelerator:
        return [f"The plan orders nothing in {first}: to wait costs nothing."]
    if found.all_usd is None:
        line = f"To order nothing in {first} leaves undone what must be served."
    else:
        part = found.all_usd / abs(result.mean_usd) if result.mean_usd else 0.0
        line = f"To order nothing in {first} costs {usd(found.all_usd)} more ({percent(part)})."
    if len(found.by_accelerator) == 1:
        return [line]
    least = _NOTHING * abs(result.mean_usd)
    each = [
        f"{name} {'more than can be' if n is None else usd(n) if n > least else 'nothing'}"
        for name, n in found.by_accelerator.items()
    ]
    return [line, f"To leave out only one then costs: {', '.join(each)}."]


def choice(found: Sequence[Choice]) -> list[str]:
    """Say what every good plan has in common: the fewest and the most of each accelerator."""
    slack = max((max(one.ranges) for one in found), default=0.0)
    needed = {one.accelerator: one.ranges[slack][0] for one in found}
    least = [f"{count(low)} {name}" for name, low in needed.items() if low >= NONE]
    never = [one.accelerator for one in found if one.ranges[slack][1] < NONE]
    within = f"within {percent(slack)} of the least cost"
    lines = []
    if least:
        lines.append(f"Every plan {within} orders in its first year at least {', '.join(least)}.")
    if never:
        lines.append(f"None {within} orders {' or '.join(never)} then.")
    return lines or [
        f"No single accelerator is needed in the first year: there are plans {within} without it."
    ]


def information(found: Information, mean_usd: float) -> list[str]:
    """Say what knowing the future is worth, and what it is worth to plan for all of them."""
    if len(found.known_usd) == 1:
        return ["The plan has one future only; nothing is uncertain."]
    known, planned = found.perfect_usd, found.stochastic_usd
    size = NEAR_ZERO * abs(mean_usd)
    if known < size and planned is not None and planned < size:
        return [
            (
                "Uncertainty does not change the decision here: to know the future, or to ignore"
                " that it is uncertain, would change the mean cost by less than"
                f" {percent(NEAR_ZERO)}."
            )
        ]
    lines = [f"To know the future would save {_worth(known, mean_usd)} (EVPI)."]
    if planned is None:
        lines.append("A plan for the mean of all numbers leaves no way out in some future.")
    elif planned < size:
        lines.append(
            "To plan for the mean of all numbers would do as well: it costs less than"
            f" {percent(NEAR_ZERO)} more (VSS)."
        )
    else:
        lines.append(
            "To order now what is best for the mean of all numbers would cost"
            f" {_worth(planned, mean_usd)} more (VSS)."
        )
    return lines


def _worth(amount: float, mean_usd: float) -> str:
    if amount < _NOTHING * abs(mean_usd):
        return "nothing"
    if amount < NEAR_ZERO * abs(mean_usd):
        return f"less than {percent(NEAR_ZERO)} of the mean cost"
    return f"{usd(amount)}, {percent(amount / abs(mean_usd))} of the mean cost"


def regret(found: Regret) -> list[str]:
    """Say how simple strategies compare, and what the least regret would take."""
    names = [name for name in found.costs_usd if name not in {PLAN, LEAST_REGRET}]
    own = found.mean_usd(PLAN)
    lines = []
    if names:
        best = min(names, key=found.mean_usd)
        extra = found.mean_usd(best) - own
        costs = f"costs {usd(extra)} more" if extra > NEAR_ZERO * abs(own) else "costs as little"
        lines.append(
            f'Of the simple strategies "{best}" does best: it {costs} on average, and its largest'
            f" regret is {_worth(found.regret(best).max(), own)}."
        )
    here, least = (float(found.regret(name).max()) for name in (PLAN, LEAST_REGRET))
    if here - least <= NEAR_ZERO * abs(own):
        own_regret = f"This plan's own largest regret is {_worth(here, own)}"
        return [*lines, f"{own_regret}: no other plan's is smaller to speak of."]
    now = {name: n for name, n in found.ordered_now[LEAST_REGRET].items() if n >= NONE}
    named = ", ".join(f"{count(many)} {name}" for name, many in now.items()) or "nothing"
    return [
        *lines,
        (
            f"This plan's largest regret is {usd(here)}; the least possible is {usd(least)}, with"
            f" {named} ordered now."
        ),
    ]


def sweep(curve: Curve, most: int | None = None) -> list[str]:
    """Say where verdicts change as one value does.

    Parameters
    ----------
    most
        Tell only so many changes: those of what to buy now, the nearest to the value in the file.
    """
    here = curve.sweep.values[0] if isnan(curve.present) else curve.present
    nearest = sorted(
        curve.thresholds,
        key=lambda one: ("buy" not in (one.below, one.above), abs(one.value - here)),
    )[:most]
    lines = [
        (
            f"Above {between(one.value, one.within)} the verdict on {one.accelerator} turns from"
            f' "{one.below}" to "{one.above}".'
        )
        for one in sorted(nearest, key=lambda one: one.value)
    ]
    more = len(curve.thresholds) - len(lines)
    if more:
        what = "one more change" if more == 1 else f"{more} more changes"
        lines.append(f"The appendix has {what}.")
    if not lines and curve.points:
        low, high = (plain(curve.points[at].value) for at in (0, -1))
        lines.append(f"No verdict changes from {low} to {high}.")
    if curve.left_out:
        lines.append(f"The plan has no solution at {', '.join(map(plain, curve.left_out))}.")
    return lines


def sweep_title(curve: Curve) -> str:
    """Give what is varied: the title in the file, or the path."""
    return curve.sweep.title or curve.sweep.path


def at_present(curve: Curve) -> str:
    """Give the value in the file."""
    return "none" if isnan(curve.present) else plain(curve.present)


def unit_of(path: str, units: Mapping[str, str]) -> str:
    """Give the unit of what stands at a path: as told, or as the name of its field ends."""
    if path in units:
        return units[path]
    name = path.rpartition(".")[2]
    return next((unit for ending, unit in _ENDINGS.items() if name.endswith(ending)), "")


def ratio(ratio_usd: float | None) -> list[str]:
    """Say what a looser import ratio saves; nothing without that rule."""
    if ratio_usd is None:
        return []
    if ratio_usd < 1:
        return ["The import ratio does not bind: to loosen it saves nothing."]
    return [f"To raise the import ratio by 0.1 saves about {usd(0.1 * ratio_usd)}."]


def risk(found: Frontier | None) -> list[str]:
    """Say that being careful changes nothing, or what it costs at most."""
    if found is None:
        return []
    if found.flat:
        return [
            (
                "To weigh bad futures more changes next to nothing: there is no trade between mean"
                " cost and risk here."
            )
        ]
    first, last = found.points[0], found.points[-1]
    return [
        (
            f"To be as careful as can be costs {usd(last.mean_usd - first.mean_usd)} more on"
            f" average and saves {usd(first.tail_usd - last.tail_usd)} in the dearest"
            f" {percent(found.tail)} of the futures."
        )
    ]


def assumed(assumptions: Sequence[Assumption]) -> str:
    """Say how much of the plan's numbers is known how well."""
    if not assumptions:
        return "The file names no sources: every number is as its author wrote it."
    by_confidence: dict[str, int] = {}
    for one in assumptions:
        by_confidence[one.confidence] = by_confidence.get(one.confidence, 0) + 1
    parts = [f"{many} {name}" for name, many in sorted(by_confidence.items())]
    return f"{len(assumptions)} numbers have a source or a reason: {', '.join(parts)}."


def about(spec: PlanSpec, futures: int) -> str:
    """Give what the plan is about in one line."""
    last = quarter_name(spec.first + spec.quarters - 1)
    parts = [
        f"{quarter_name(spec.first)} to {last}",
        _many(len(spec.regions), "region"),
        _many(len(spec.chips), "accelerator model"),
        _many(len(spec.demand), "kind", "kinds") + " of demand",
        _many(futures, "future"),
    ]
    return ", ".join(parts)


def _many(number: int, what: str, several: str = "") -> str:
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"


def answers(found: Findings) -> list[tuple[str, list[str]]]:
    """Give the questions of a memo with their answers, in order."""
    mean = found.result.mean_usd
    return [
        ("What does pooling alone serve?", pooling(found.pooling)),
        ("What does waiting cost?", delay(found.delay, found.result)),
        ("How free is the choice?", choice(found.choices)),
        ("What if a simple rule were followed?", regret(found.regret)),
        (
            "Does uncertainty matter?",
            [*information(found.information, mean), *risk(found.frontier)],
        ),
    ]
