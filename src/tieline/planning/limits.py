"""The rules of a plan, one function each, with its inequality. Axes and words as in `inputs`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tieline.planning.inputs import Inputs
from tieline.planning.program import Program

_Ints = NDArray[np.int32]
_Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """What 1 of the scaled program means: powers of two near the plan's own sizes."""

    accelerators: float
    usd: float
    watts: float
    bytes_s: float


@dataclass(frozen=True)
class Variables:
    """Columns of the variables, -1 where there is none."""

    buy: _Ints
    """Axes K, C, R, N."""
    stock: _Ints
    """Axes C, R, N."""
    serve: _Ints
    """Axes W, C, R, N."""
    flow: _Ints
    """Axes W, R, R, N."""
    unmet: _Ints
    """Axes W, R, N."""
    spent: _Ints
    """Axes K, N."""
    capped: _Ints
    """Axes Q, K, N."""
    imported: _Ints
    """Axes K, N."""
    domestic: _Ints
    """Axes K, N."""

    def arrivals(self, source: _Rows, stopped: NDArray[np.bool_]) -> _Ints:
        """Give the orders that arrive in each node; axes K, C, R, N.

        Parameters
        ----------
        source
            Axes C, N: the node of the order; -1 for none.
        stopped
            Axes C, N: what does not arrive.
        """
        none = (source < 0) | stopped
        at = np.where(none, 0, source)[None, :, None, :]
        found = np.take_along_axis(self.buy, at, axis=3)
        return np.where(none[None, :, None, :], np.int32(-1), found)


def parent_of(columns: _Ints, inputs: Inputs) -> _Ints:
    """Give, for each node, the columns of the node before it; axis N last, -1 at the root."""
    before = columns[..., inputs.tree.parent]
    before[..., 0] = -1
    return before


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

    sum_r' flow[w,r,r',n] + unmet[w,r,n] = amount[w,r,n]
    """
    rows = program.add_limits(
        "demand",
        ("demand", "region", "node"),
        np.ones(inputs.amount.shape, np.bool_),
        unit=units.accelerators,
        lower=inputs.amount,
        upper=inputs.amount,
    )
    program.add(rows[:, :, None, :], v.flow, 1.0)
    program.add(rows, v.unmet, 1.0)


def service(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let work be done by accelerators at their rates.

    sum_c rate[w,c] serve[w,c,r',n] >= sum_r flow[w,r,r',n]
    """
    rows = program.add_limits(
        "service",
        ("demand", "region", "node"),
        np.asarray((v.flow >= 0).any(axis=1)),
        unit=units.accelerators,
        lower=0.0,
    )
    program.add(rows[:, None], v.serve, inputs.rate[:, :, None, None])
    program.add(rows[:, None], v.flow, -1.0)


def link(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no link carry more than its bandwidth.

    sum over w and ways over d of  bandwidth_w flow[w,r,r',n]  <=  bandwidth_d
    """
    loaded = inputs.traffic > 0
    used = np.zeros(len(inputs.bandwidth) + 1, np.bool_)
    used[inputs.hops[inputs.reach[loaded].any(axis=0)]] = True
    used = np.repeat(used[:-1, None], len(inputs.tree), axis=1)
    rows = program.add_limits(
        "link",
        ("link", "node"),
        used,
        unit=units.bytes_s,
        upper=inputs.bandwidth[:, None],
    )
    none = np.full((1, rows.shape[1]), -1, np.int32)
    on_way = np.concatenate([rows, none])[inputs.hops]  # axes R, R, H, N
    for w in np.flatnonzero(loaded):
        program.add(on_way, v.flow[w][:, :, None, :], inputs.traffic[w])


def power(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no region draw more power than it has.

    pue_r sum_c power_c (idle_c stock[c,r,n] + (1 - idle_c) sum_w serve[w,c,r,n]) <= power_r
    """
    rows = program.add_limits(
        "power",
        ("region", "node"),
        _where_finite(inputs.power_limit, inputs),
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
        _where_finite(inputs.space, inputs),
        unit=units.accelerators,
        upper=inputs.space[:, None],
    )
    program.add(rows, v.stock, 1.0)


def supply(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no more be ordered than makers supply.

    sum_k,r buy[k,c,r,n] <= supply[c,n]
    """
    rows = program.add_limits(
        "supply",
        ("accelerator", "node"),
        np.isfinite(inputs.supply) & (v.buy >= 0).any(axis=(0, 2)),
        unit=units.accelerators,
        upper=inputs.supply,
    )
    program.add(rows[:, None, :], v.buy, 1.0)


def spending(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Keep the account of each tenant.

    spent[k,n] = spent[k,up(n,1)] + orders[k,n] - refunds[k,n]
    """
    rows = program.add_limits(
        "spending", ("tenant", "node"), v.spent >= 0, unit=units.usd, lower=0.0, upper=0.0
    )
    program.add(rows, v.spent, 1.0)
    program.add(rows, parent_of(v.spent, inputs), -1.0)
    each = rows[:, None, None, :]
    program.add(each, v.buy, -inputs.outlay[:, None, :])
    refunds = v.arrivals(inputs.source, ~inputs.refunded)
    program.add(each, refunds, outlay_when_ordered(inputs)[:, None, :])


def budget(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no tenant, nor all together, spend more than they may.

    with carry-over  spent[k,n] <= per_quarter_k (t(n) + 1);  in total  spent[k,n] <= total_k
    """
    spec, quarters = inputs.spec, inputs.tree.quarter + 1.0
    budgets = [*(buyer.budget for buyer in spec.buyers), spec.budget]
    most = np.array(
        [
            np.minimum(b.per_quarter_usd * quarters if b.carry_over else np.inf, b.total_usd)
            + 0.0 * quarters
            for b in budgets
        ]
    )
    rows = program.add_limits(
        "budget",
        ("payer", "node"),
        np.isfinite(most) & (v.spent >= 0).any(),
        unit=units.usd,
        upper=most,
    )
    program.add(rows[:-1], v.spent, 1.0)
    program.add(rows[-1:], v.spent, 1.0)


def quarterly(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let nothing be carried over where it may not.

    without carry-over  orders[k,n] <= per_quarter_k
    """
    spec = inputs.spec
    budgets = [*(buyer.budget for buyer in spec.buyers), spec.budget]
    most = np.array([np.inf if b.carry_over else b.per_quarter_usd for b in budgets])
    rows = program.add_limits(
        "quarterly budget",
        ("payer", "node"),
        _where_finite(most, inputs),
        unit=units.usd,
        upper=most[:, None],
    )
    program.add(rows[:-1, None, None, :], v.buy, inputs.outlay[:, None, :])
    program.add(rows[-1:, None, None, :], v.buy, inputs.outlay[:, None, :])


def cap(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let no more be ordered under a licence or quota than it allows.

    capped[q,k,n] = capped[q,k,up(n,1)] + sum_(c in q),r buy[k,c,r,n],  from 0 on where it changes;
    each  capped[q,k,n] <= members_k at_most[q,n];  together  sum_k capped[q,k,n] <= at_most[q,n]
    """
    spec = inputs.spec
    count = program.add_limits(
        "counted under cap",
        ("cap", "tenant", "node"),
        v.capped >= 0,
        unit=units.accelerators,
        lower=0.0,
        upper=0.0,
    )
    program.add(count, v.capped, 1.0)
    goes_on = np.where(inputs.cap_begins[:, None, :], np.int32(-1), parent_of(v.capped, inputs))
    program.add(count, goes_on, -1.0)
    for q, counted in enumerate(inputs.counted):
        program.add(count[q][:, None, None, :], v.buy[:, counted], -1.0)
    each = np.array([one.each for one in spec.caps], np.bool_)
    members = np.array([buyer.members for buyer in spec.buyers])
    most = members[:, None] * inputs.cap[:, None, :]
    rows = program.add_limits(
        "cap for each",
        ("cap", "tenant", "node"),
        (v.capped >= 0) & each[:, None, None],
        unit=units.accelerators,
        upper=most,
    )
    program.add(rows, v.capped, 1.0)
    together = program.add_limits(
        "cap",
        ("cap", "node"),
        (v.capped >= 0).any(axis=1) & ~each[:, None],
        unit=units.accelerators,
        upper=inputs.cap,
    )
    program.add(together[:, None, :], v.capped, 1.0)


def import_ratio(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Tie imports to domestic accelerators.

    imported[k,n] <= base members_k + ratio[n] domestic[k,n], per tenant or summed over k;
    both are counts as in `cap`, of orders or of deliveries ordered since the ratio changed.
    """
    rule = inputs.spec.import_ratio
    if rule is None:
        return
    begins, tree = inputs.ratio_begins, inputs.tree
    if rule.counts == "ordered":
        counted = v.buy
    else:
        regime = np.zeros(len(tree), np.int64)
        for n in range(1, len(tree)):
            regime[n] = n if begins[n] else regime[tree.parent[n]]
        earlier = regime[np.maximum(inputs.source, 0)] != regime
        counted = v.arrivals(inputs.source, inputs.refunded | earlier)
    for name, which, columns in (
        ("imported", inputs.imported, v.imported),
        ("domestic", ~inputs.imported, v.domestic),
    ):
        count = program.add_limits(
            f"{name} so far",
            ("tenant", "node"),
            columns >= 0,
            unit=units.accelerators,
            lower=0.0,
            upper=0.0,
        )
        program.add(count, columns, 1.0)
        program.add(count, np.where(begins, np.int32(-1), parent_of(columns, inputs)), -1.0)
        program.add(count[:, None, None, :], counted[:, which], -1.0)
    base = np.array([rule.base * buyer.members for buyer in inputs.spec.buyers])
    if not rule.per_tenant:
        base = base.sum(keepdims=True)
    rows = program.add_limits(
        "import ratio",
        ("tenant" if rule.per_tenant else "all tenants", "node"),
        np.ones((len(base), len(tree)), np.bool_),
        unit=units.accelerators,
        upper=base[:, None],
    )
    program.add(rows, v.imported, 1.0)
    program.add(rows, v.domestic, -inputs.ratio)


def lots(program: Program, inputs: Inputs, v: Variables, units: Units) -> None:
    """Let orders be whole lots.

    buy[k,c,r,n] = lot_c x a whole number
    """
    if not inputs.spec.whole_lots:
        return
    axes = ("tenant", "accelerator", "region", "node")
    whole = program.add_variables("lots", axes, v.buy >= 0, unit=1.0, integer=True)
    rows = program.add_limits(
        "lots", axes, v.buy >= 0, unit=units.accelerators, lower=0.0, upper=0.0
    )
    sizes = np.array([chip.offer.lot if chip.offer else 1 for chip in inputs.spec.chips], float)
    program.add(rows, v.buy, 1.0)
    program.add(rows, whole, -sizes[:, None, None])


def outlay_when_ordered(inputs: Inputs) -> NDArray[np.float64]:
    """Give what was paid for one of those that arrive in each node; axes C, N [USD]."""
    return np.take_along_axis(inputs.outlay, np.maximum(inputs.source, 0), axis=1)


def _where_finite(limits: NDArray[np.float64], inputs: Inputs) -> NDArray[np.bool_]:
    return np.repeat(np.isfinite(limits)[:, None], len(inputs.tree), axis=1)


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
            supply,
            spending,
            budget,
            quarterly,
            cap,
            import_ratio,
            lots,
        )
    }
)
