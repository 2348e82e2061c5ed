"""The rules of a plan about orders, one function each, with its inequality.

Axes and words as in `inputs`.
"""

import numpy as np
from numpy.typing import NDArray

from tieline.planning.inputs import Inputs
from tieline.planning.program import Program
from tieline.planning.variables import Units, Variables, parent_of, where_finite


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
        where_finite(most, inputs),
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
