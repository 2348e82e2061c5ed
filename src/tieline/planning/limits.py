"""The rules of a plan about what stands and serves, one function each, with its inequality.

Axes and words as in `inputs`; the rules about orders are in `buying`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from tieline.planning import buying
from tieline.planning.inputs import Inputs
from tieline.planning.program import Program
from tieline.planning.variables import Units, Variables, parent_of, where_finite


def stock(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let accelerators be there that were, have arrived, and have not come to their end.

    stock[c,r,n] = stock[c,r,up(n,1)] + sum_k arrivals[k,c,r,n] - gone[c,r,n];
    at the root  stock = existing + orders of lead 0.
    """
    tree = inputs.tree
    change = -inputs.retiring
    change[:, :, 0] += inputs.existing
    rows = program.add_limits(
        "stock",
        ("accelerator", "region", "node"),
        v.stock >= 0,
        unit=units.accelerators,
        lower=change,
        upper=change,
    )
    program.add(rows, v.stock, 1.0)
    program.add(rows, parent_of(v.stock, inputs), -1.0)
    program.add(rows, v.arrivals(inputs.source, inputs.refunded), -1.0)
    ages = (inputs.lead + inputs.life).tolist()
    last = np.array([tree.up(age) for age in ages])
    delivered = np.array([tree.up(age) for age in inputs.life.tolist()])
    refunded = np.take_along_axis(inputs.refunded, np.maximum(delivered, 0), axis=1)
    program.add(rows, v.arrivals(last, refunded), 1.0)


def capacity(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no more be busy than work.

    sum_w serve[w,c,r,n] <= utilisation x kept[c,n] x stock[c,r,n]
    """
    rows = program.add_limits(
        "capacity",
        ("accelerator", "region", "node"),
        np.asarray((v.serve >= 0).any(axis=0)),
        unit=units.accelerators,
        upper=0.0,
    )
    program.add(rows, v.serve, 1.0)
    program.add(rows, v.stock, -inputs.spec.utilisation * inputs.kept[:, None, :])


def demand(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let all demand be served somewhere, or count as unmet.

    sum over ways v from r  flow[w,v,n]  +  unmet[w,r,n] = amount[w,r,n]
    """
    rows = program.add_limits(
        "demand",
        ("demand", "region", "node"),
        np.repeat(inputs.wanted[..., None], len(inputs.tree), axis=2),
        unit=units.accelerators,
        lower=inputs.amount,
        upper=inputs.amount,
    )
    program.add(rows[:, inputs.ways.start], v.flow, 1.0)
    program.add(rows, v.unmet, 1.0)


def service(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let work be done by accelerators at their rates.

    sum_c rate[w,c] serve[w,c,r,n] = sum over ways v to r  flow[w,v,n]
    """
    rows = program.add_limits(
        "service",
        ("demand", "region", "node"),
        np.ones(inputs.amount.shape, np.bool_),
        unit=units.accelerators,
        lower=0.0,
        upper=0.0,
    )
    program.add(rows[:, None], v.serve, inputs.rate[:, :, None, None])
    program.add(rows[:, inputs.ways.end], v.flow, -1.0)


def link(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no link carry more than its bandwidth.

    sum over w and ways v over d of  bandwidth_w flow[w,v,n]  <=  bandwidth_d
    """
    loaded = np.flatnonzero(inputs.traffic > 0)
    used = np.zeros(len(inputs.bandwidth) + 1, np.bool_)
    used[inputs.ways.links[inputs.usable[loaded].any(axis=0)]] = True
    rows = program.add_limits(
        "link",
        ("link", "node"),
        np.repeat(used[:-1, None], len(inputs.tree), axis=1),
        unit=units.bytes_s,
        upper=inputs.bandwidth[:, None],
    )
    none = np.full((1, rows.shape[1]), -1, np.int32)
    on_way = np.concatenate([rows, none])[inputs.ways.links]  # axes V, 2, N
    for w in loaded:
        program.add(on_way, v.flow[w][:, None, :], inputs.traffic[w])


def power(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no region draw more power than it has.

    pue_r sum_c power_c (idle_c stock[c,r,n] + (1 - idle_c) sum_w serve[w,c,r,n]) <= power_r
    """
    rows = program.add_limits(
        "power",
        ("region", "node"),
        where_finite(inputs.power_limit, inputs),
        unit=units.watts,
        upper=inputs.power_limit[:, None],
    )
    idle = np.outer(inputs.power * inputs.idle, inputs.pue)[:, :, None]
    busy = np.outer(inputs.power * (1.0 - inputs.idle), inputs.pue)[:, :, None]
    program.add(rows, v.stock, idle)
    program.add(rows, v.serve, busy)


def space(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no region hold more accelerators than there is room for.

    sum_c stock[c,r,n] <= space_r
    """
    rows = program.add_limits(
        "space",
        ("region", "node"),
        where_finite(inputs.space, inputs),
        unit=units.accelerators,
        upper=inputs.space[:, None],
    )
    program.add(rows, v.stock, 1.0)


Limit = Callable[[Program, Inputs, Variables, Units], None]

#: Every rule, in the order of the page on planning.
LIMITS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        limit.__name__: limit
        for limit in (
            stock,
            capacity,
            demand,
            service,
            link,
            power,
            space,
            buying.supply,
            buying.spending,
            buying.budget,
            buying.quarterly,
            buying.cap,
            buying.import_ratio,
            buying.lots,
        )
    }
)
