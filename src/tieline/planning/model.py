"""The linear program of a plan: its variables, every rule of `limits`, every cost of `costs`."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.planning.costs import COSTS, add_tail
from tieline.planning.inputs import Inputs
from tieline.planning.limits import LIMITS
from tieline.planning.program import LinearProgram, Program
from tieline.planning.variables import Units, Variables

#: Sizes that a scaled amount of the largest kind has: in the middle of what the solver's
#: absolute tolerances (1e-7) are made for.
_TYPICAL: Final = 1000.0

_Flags = NDArray[np.bool_]


def program_of(inputs: Inputs) -> LinearProgram:
    """Give the linear program of a plan, scaled.

    The mathematics is in docs/explanation/planning.md.

    Returns
    -------
    LinearProgram
        The same inputs give the same arrays. Inputs that differ in numbers only, not in what
        may be ordered or served where, give programs of the same form.
    """
    program, units = Program(), units_of(inputs)
    fill(program, inputs, units)
    risk = inputs.spec.risk
    if risk.weight > 0:
        add_tail(program, inputs, units, risk)
    return program.finished((1.0 - risk.weight) * inputs.tree.probability, units.usd)


def fill(program: Program, inputs: Inputs, units: Units) -> None:
    """Add the variables, rules and costs, without saying how futures are weighed."""
    v = _variables(program, inputs, units)
    for limit in LIMITS.values():
        limit(program, inputs, v, units)
    for cost in COSTS:
        cost(program, inputs, v)


def units_of(inputs: Inputs) -> Units:
    """Give the units of a plan: powers of two, so that scaling does not round."""
    amounts = [inputs.amount.sum(axis=(0, 1)).max(initial=0.0), inputs.existing.sum()]
    accelerators = _power_of_two(max(amounts) / _TYPICAL)
    outlays = inputs.outlay[inputs.orderable.any(axis=(0, 2))]
    unmet = inputs.unmet_usd[np.isfinite(inputs.unmet_usd)]
    prices = np.concatenate([outlays.ravel(), unmet])
    price = float(np.median(prices[prices > 0])) if (prices > 0).any() else 1.0
    traffic = float(inputs.traffic.max(initial=0.0)) or 1.0
    return Units(
        accelerators=accelerators,
        usd=accelerators * _power_of_two(price),
        watts=accelerators * _power_of_two(float(np.median(inputs.power))),
        bytes_s=accelerators * _power_of_two(traffic),
    )


def _variables(program: Program, inputs: Inputs, units: Units) -> Variables:
    nodes = len(inputs.tree)
    unit = units.accelerators
    wanted = inputs.wanted
    taken = inputs.usable & wanted[:, inputs.ways.start]
    served = np.repeat(taken[..., None], nodes, axis=2)
    ordered = np.repeat(inputs.orderable[..., None], nodes, axis=3)
    counts = np.full((len(inputs.spec.buyers), nodes), inputs.spec.import_ratio is not None)
    capped = np.ones((len(inputs.spec.caps), *counts.shape), np.bool_)
    may_wait = (np.isfinite(inputs.unmet_usd)[:, None] & wanted)[..., None]
    serving = np.repeat((inputs.rate > 0)[:, :, None], len(inputs.spec.regions), axis=2)
    return Variables(
        buy=program.add_variables(
            "buy",
            ("tenant", "accelerator", "region", "node"),
            ordered,
            unit=unit,
            upper=np.where(inputs.allowed[:, :, None, :], np.inf, 0.0),
        ),
        stock=program.add_variables(
            "stock", ("accelerator", "region", "node"), _here(inputs), unit=unit
        ),
        serve=program.add_variables(
            "serve",
            ("demand", "accelerator", "region", "node"),
            serving[..., None] & _here(inputs),
            unit=unit,
        ),
        flow=program.add_variables(
            "flow",
            ("demand", "way", "node"),
            served,
            unit=unit,
            upper=np.where(inputs.ways.away & (not inputs.joined), 0.0, np.inf)[:, None],
        ),
        unmet=program.add_variables(
            "unmet", ("demand", "region", "node"), _like(inputs.amount, may_wait), unit=unit
        ),
        spent=program.add_variables(
            "spent",
            ("tenant", "node"),
            _like(counts, np.array(_any_budget(inputs))),
            unit=units.usd,
            lower=-np.inf,
        ),
        capped=program.add_variables("capped", ("cap", "tenant", "node"), capped, unit=unit),
        imported=program.add_variables("imported", ("tenant", "node"), counts, unit=unit),
        domestic=program.add_variables("domestic", ("tenant", "node"), counts, unit=unit),
    )


def _here(inputs: Inputs) -> _Flags:
    """Give where accelerators may ever stand; axes C, R, N."""
    ever = (inputs.existing > 0) | inputs.orderable.any(axis=0)
    return np.repeat(ever[..., None], len(inputs.tree), axis=2)


def _like(shape: NDArray[np.generic], flags: _Flags) -> _Flags:
    return np.array(np.broadcast_to(flags, shape.shape))


def _any_budget(inputs: Inputs) -> bool:
    budgets = [inputs.spec.budget, *(buyer.budget for buyer in inputs.spec.buyers)]
    return any(
        np.isfinite(b.total_usd) or (b.carry_over and np.isfinite(b.per_quarter_usd))
        for b in budgets
    )


def _power_of_two(size: float) -> float:
    return float(2.0 ** np.round(np.log2(size))) if size > 0 else 1.0
