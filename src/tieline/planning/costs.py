"""What each node of a plan costs, one function per kind of cost; and how futures are weighed.

Money is in USD of the first quarter: f(t) = (1 + discount)^(-t/4).
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.model.plan import Risk
from tieline.planning.buying import outlay_when_ordered
from tieline.planning.inputs import Inputs
from tieline.planning.program import Program
from tieline.planning.variables import Units, Variables, parent_of

_Ints = NDArray[np.int32]
_Floats = NDArray[np.float64]


def orders(program: Program, inputs: Inputs, v: Variables) -> None:
    """Pay for orders, and get back what a ban stops.

    f(t) (sum_k,c,r outlay[c,n] buy[k,c,r,n]  -  outlay[c,source] refunded orders)
    """
    nodes, f = _nodes(inputs)
    program.add_costs(nodes, v.buy, (inputs.outlay * f)[:, None, :])
    refunds = v.arrivals(inputs.source, ~inputs.refunded)
    program.add_costs(nodes, refunds, (-outlay_when_ordered(inputs) * f)[:, None, :])


def remainder(program: Program, inputs: Inputs, v: Variables) -> None:
    """Count what arrivals are worth when the plan ends.

    - f(T) residual_c outlay[c,source] x part of its life left at T
    """
    worth = outlay_when_ordered(inputs) * inputs.left * inputs.discount[-1]
    there = v.arrivals(inputs.source, inputs.refunded | (worth == 0))
    program.add_costs(_nodes(inputs)[0], there, -worth[:, None, :])


def energy(program: Program, inputs: Inputs, v: Variables) -> None:
    """Pay for electricity.

    f(t) electricity_r H pue_r power_c (idle_c stock[c,r,n] + (1 - idle_c) sum_w serve[w,c,r,n])
    """
    if not inputs.energy_usd.any():
        return
    nodes, f = _nodes(inputs)
    per_watt = inputs.energy_usd * inputs.pue
    idle = np.outer(inputs.power * inputs.idle, per_watt)[:, :, None] * f
    busy = np.outer(inputs.power * (1.0 - inputs.idle), per_watt)[:, :, None] * f
    program.add_costs(nodes, v.stock, idle)
    program.add_costs(nodes, v.serve, busy)


def traffic(program: Program, inputs: Inputs, v: Variables) -> None:
    """Pay for what is sent to other regions.

    f(t) usd_per_byte bandwidth_w seconds flow[w,v,n]
    """
    nodes, f = _nodes(inputs)
    for w, usd in enumerate(inputs.way_usd):
        if usd.any():
            program.add_costs(nodes, v.flow[w], usd[:, None] * f)


def unmet(program: Program, inputs: Inputs, v: Variables) -> None:
    """Charge what is not served.

    f(t) H unmet_usd_per_hour_w unmet[w,r,n]
    """
    nodes, f = _nodes(inputs)
    usd = np.nan_to_num(inputs.unmet_usd)  # where all must be served there is no such variable
    program.add_costs(nodes, v.unmet, usd[:, None, None] * f)


COSTS: Final[tuple[Callable[[Program, Inputs, Variables], None], ...]] = (
    orders,
    remainder,
    energy,
    traffic,
    unmet,
)


def add_tail(program: Program, inputs: Inputs, units: Units, risk: Risk) -> None:
    """Weigh the worst futures: weight x CVaR in the objective.

    eta + 1/tail sum_s p_s over[s],  over[s] >= total[leaf of s] - eta,  over >= 0
    """
    total = add_totals(program, inputs, units)
    chances = inputs.tree.probability[inputs.tree.leaves]
    there = np.ones(len(chances), np.bool_)
    over = program.add_variables("over", ("future",), there, unit=units.usd)
    eta = program.add_variables("eta", (), np.array(True), unit=units.usd, lower=-np.inf)
    rows = program.add_limits("tail", ("future",), there, unit=units.usd, lower=0.0)
    program.add(rows, over, 1.0)
    program.add(rows, eta, 1.0)
    program.add(rows, total[inputs.tree.leaves], -1.0)
    program.add_objective(over, risk.weight * chances / risk.tail)
    program.add_objective(eta, risk.weight)


def add_totals(program: Program, inputs: Inputs, units: Units) -> _Ints:
    """Give the columns of what each node and all before it cost; axis N.

    total[n] = total[up(n,1)] + cost[n]
    """
    there = np.ones(len(inputs.tree), np.bool_)
    total = program.add_variables("total", ("node",), there, unit=units.usd, lower=-np.inf)
    rows = program.add_limits("total", ("node",), there, unit=units.usd, lower=0.0, upper=0.0)
    nodes, columns, usd = program.node_costs()
    program.add(rows, total, 1.0)
    program.add(rows, parent_of(total, inputs), -1.0)
    program.add(rows[nodes], columns, -usd)
    return total


def _nodes(inputs: Inputs) -> tuple[NDArray[np.int64], _Floats]:
    """Give the nodes, and what a dollar is worth in each; axis N."""
    return np.arange(len(inputs.tree)), inputs.discount[inputs.tree.quarter]
