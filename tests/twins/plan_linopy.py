"""The planner's model once more, in labelled algebra: docs/explanation/planning.md, line by line.

No scaling, no sharing of code with `planning.limits` or `planning.costs`; HiGHS solves it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import linopy
import numpy as np
from xarray import DataArray

from tieline.planning.inputs import Inputs


def twin(inputs: Inputs) -> linopy.Model:
    """Give the model of a plan, with every variable and rule of the page."""
    with _exact_semantics():
        model = _Twin(inputs)
        model.fleet()
        model.serving()
        model.money()
        model.counting()
        model.objective()
        return model.m


def optimum(model: linopy.Model) -> float:
    """Give the least cost [USD]."""
    with _exact_semantics():
        status = model.solve("highs", io_api="direct", output_flag=False, mip_rel_gap=0.0)
    assert status == ("ok", "optimal"), status
    return float(model.objective.value)


@contextmanager
def _exact_semantics() -> Iterator[None]:
    """Let what is absent be refused, not taken for 0 with a warning."""
    with linopy.options as options:
        options.set_value(semantics="v1")
        yield


class _Twin:
    """Axes: k tenants, c accelerators, r regions, to regions, w demands, n nodes, q caps."""

    def __init__(self, inputs: Inputs) -> None:
        self.i, self.m = inputs, linopy.Model()
        nodes = inputs.tree.quarter
        self.f = self.of(inputs.discount[nodes], "n")
        self.back = [np.arange(len(nodes))]  # nodes so many quarters earlier, -1 for none
        for _ in range(int((inputs.lead + inputs.life).max())):
            self.back.append(np.where(self.back[-1] < 0, -1, inputs.tree.parent[self.back[-1]]))
        ordered = inputs.orderable[..., None] & inputs.allowed[:, :, None, :]
        self.buy = self.variable("buy", ordered, "kcrn")
        usable = inputs.usable & (inputs.joined | (inputs.ways.start == inputs.ways.end))
        flow = np.repeat(usable[..., None], len(nodes), axis=2)
        self.flow = self.variable("flow", flow, "wvn")
        there = (inputs.existing > 0) | inputs.orderable.any(axis=0)
        there = np.repeat(there[..., None], len(nodes), axis=2)
        self.stock = self.variable("stock", there, "crn")
        self.serve = self.variable("serve", (inputs.rate > 0)[..., None, None] & there, "wcrn")
        unmet = np.isfinite(inputs.unmet_usd)[:, None, None] & (inputs.amount >= 0)
        self.unmet = self.variable("unmet", unmet, "wrn")

    def of(self, values: object, axes: tuple[str, ...] | str) -> DataArray:
        """Give an array with labels."""
        array = np.asarray(values)
        return DataArray(array, {a: np.arange(s) for a, s in zip(axes, array.shape, strict=True)})

    def variable(
        self, name: str, exists: object, axes: tuple[str, ...] | str, **other: object
    ) -> linopy.LinearExpression:
        """Give a new variable >= 0, which is 0 where it does not exist."""
        mask = self.of(exists, axes)
        options = {"lower": 0.0} | other
        made = self.m.add_variables(coords=mask.coords, mask=mask, name=name, **options)
        return made.to_linexpr() if mask.all() else made.fillna(0.0)

    def limit(self, amount: linopy.LinearExpression, most: np.ndarray, axes: str) -> None:
        """Let amounts be at most so much, where that is not inf."""
        finite = self.of(np.isfinite(most), axes)
        top = self.of(np.where(np.isfinite(most), most, 0.0), axes)
        self.m.add_constraints(amount <= top, mask=finite.broadcast_like(amount.const))

    def at(
        self, x: linopy.LinearExpression, nodes: object, where: object = True
    ) -> linopy.LinearExpression:
        """Give what x was in another node, by node or by accelerator and node; 0 for none."""
        axes = ("n",) if np.ndim(nodes) == 1 else ("c", "n")
        place = DataArray(np.maximum(nodes, 0), dims=[*axes[:-1], "now"])
        moved = x.isel(n=place).drop_vars("n").rename(now="n").assign_coords(x.coords)
        return moved.where(self.of((np.asarray(nodes) >= 0) & where, axes)).fillna(0.0)

    def earlier(self, quarters: np.ndarray) -> np.ndarray:
        """Give the node so many quarters earlier; axes C, N."""
        return np.array([self.back[q] for q in quarters])

    def fleet(self) -> None:
        """Stock, capacity, power, space, supply, whole lots."""
        i, busy = self.i, self.serve.sum("w")
        source, born = self.earlier(i.lead), self.earlier(i.life)
        self.arrivals = self.at(self.buy, source, ~i.refunded)
        self.refunds = self.at(self.buy, source, i.refunded)
        lost = np.take_along_axis(i.refunded, np.maximum(born, 0), axis=1)
        gone = self.at(self.buy, self.earlier(i.lead + i.life), ~lost)
        begins = i.existing[..., None] * (i.tree.parent < 0) - i.retiring
        change = self.arrivals.sum("k") - gone.sum("k")
        before = self.at(self.stock, i.tree.parent)
        self.m.add_constraints(self.stock - before - change == self.of(begins, "crn"))
        works = self.of(i.spec.utilisation * i.kept, "cn")
        self.m.add_constraints(busy <= works * self.stock)
        idle, full = self.of(i.power * i.idle, "c"), self.of(i.power * (1 - i.idle), "c")
        self.watts = (idle * self.stock + full * busy).sum("c") * self.of(i.pue, "r")
        self.limit(self.watts, i.power_limit, "r")
        self.limit(self.stock.sum("c"), i.space, "r")
        self.limit(self.buy.sum(["k", "r"]), i.supply, "cn")
        if i.spec.whole_lots:
            lot = self.of([c.offer.lot if c.offer else 1 for c in i.spec.chips], "c")
            shape = np.ones((*i.orderable.shape, len(i.tree)), bool)
            self.m.add_constraints(
                self.buy == lot * self.variable("lots", shape, "kcrn", integer=True)
            )

    def serving(self) -> None:
        """Demand, service, links."""
        i = self.i
        regions = np.arange(len(i.spec.regions))
        out = self.of(i.ways.start == regions[:, None], "rv")
        into = self.of(i.ways.end == regions[:, None], "rv")
        met = (self.flow * out).sum("v") + self.unmet
        self.m.add_constraints(met == self.of(i.amount, "wrn"))
        work = (self.of(i.rate, "wc") * self.serve).sum("c")
        self.m.add_constraints(work == (self.flow * into).sum("v"))
        for d, width in enumerate(i.bandwidth):
            over = (i.ways.links == d).any(axis=1)
            if i.usable[i.traffic > 0][:, over].any():
                load = (self.flow * self.of(np.outer(i.traffic, over), "wv")).sum(["w", "v"])
                self.m.add_constraints(load <= width)

    def money(self) -> None:
        """Budgets, of each tenant and of all."""
        i, k = self.i, np.arange(len(self.i.spec.buyers))
        source = np.maximum(self.earlier(i.lead), 0)
        orders = (self.buy * self.of(i.outlay, "cn")).sum(["c", "r"])
        paid = self.of(np.take_along_axis(i.outlay, source, axis=1), "cn")
        back = (self.refunds * paid).sum(["c", "r"])
        self.net = orders - back
        shape = np.ones((len(k), len(i.tree)), bool)
        spent = self.variable("spent", shape, "kn", lower=-np.inf)
        self.m.add_constraints(spent == self.at(spent, i.tree.parent) + self.net)
        payers = [(b.budget, [j]) for j, b in enumerate(i.spec.buyers)]
        quarters = self.of(i.tree.quarter + 1.0, "n")
        for budget, who in [*payers, (i.spec.budget, k)]:
            each = budget.per_quarter_usd
            if np.isfinite(budget.total_usd):
                self.m.add_constraints(spent.sel(k=who).sum("k") <= budget.total_usd)
            if np.isfinite(each) and budget.carry_over:
                self.m.add_constraints(spent.sel(k=who).sum("k") <= each * quarters)
            if np.isfinite(each) and not budget.carry_over:
                self.m.add_constraints(orders.sel(k=who).sum("k") <= each)

    def count(
        self, name: str, ordered: linopy.LinearExpression, begins: np.ndarray
    ) -> linopy.LinearExpression:
        """Give a running sum by tenant and node, from 0 on where it begins anew."""
        exists = np.ones((len(self.i.spec.buyers), len(self.i.tree)), bool)
        so_far = self.variable(name, exists, "kn")
        self.m.add_constraints(so_far == self.at(so_far, self.i.tree.parent, ~begins) + ordered)
        return so_far

    def counting(self) -> None:
        """Caps and the import ratio."""
        i, rule = self.i, self.i.spec.import_ratio
        members = self.of([float(b.members) for b in i.spec.buyers], "k")
        for q, cap in enumerate(i.spec.caps):
            under = (self.buy * self.of(i.counted[q] * 1.0, "c")).sum(["c", "r"])
            capped = self.count(f"capped {q}", under, i.cap_begins[q])
            most = self.of(i.cap[q], "n")
            self.m.add_constraints(
                capped <= members * most if cap.each else capped.sum("k") <= most
            )
        if rule is None:
            return
        since = np.zeros(len(i.tree), int)  # the node of the last change
        for n in range(1, len(i.tree)):
            since[n] = n if i.ratio_begins[n] else since[i.tree.parent[n]]
        source = self.earlier(i.lead)
        fresh = since[np.maximum(source, 0)] == since
        deployed = self.at(self.buy, source, ~i.refunded & fresh)
        counted = self.buy if rule.counts == "ordered" else deployed
        imports, others = (self.of(x * 1.0, "c") for x in (i.imported, ~i.imported))
        imported = self.count("imported", (counted * imports).sum(["c", "r"]), i.ratio_begins)
        domestic = self.count("domestic", (counted * others).sum(["c", "r"]), i.ratio_begins)
        room = imported - self.of(i.ratio, "n") * domestic
        base = rule.base * members
        self.m.add_constraints(room <= base if rule.per_tenant else room.sum("k") <= base.sum())

    def objective(self) -> None:
        """Discounted costs of each node; their mean, and that of the worst futures."""
        i, tree = self.i, self.i.tree
        source = np.maximum(self.earlier(i.lead), 0)
        worth = np.take_along_axis(i.outlay, source, axis=1) * i.left * i.discount[-1]
        unmet = self.of(np.nan_to_num(i.unmet_usd), "w")
        paid = self.net.sum("k") + (self.watts * self.of(i.energy_usd, "r")).sum("r")
        paid += (self.flow * self.of(i.way_usd, "wv")).sum(["w", "v"])
        paid += (self.unmet * unmet).sum(["w", "r"])
        left = (self.arrivals * self.of(worth, "cn")).sum(["k", "c", "r"])
        cost = self.f * paid - left
        risk = i.spec.risk
        goal = ((1.0 - risk.weight) * self.of(tree.probability, "n") * cost).sum()
        if risk.weight > 0:
            all_nodes, chances = np.ones(len(tree), bool), tree.probability[tree.leaves]
            total = self.variable("total", all_nodes, "n", lower=-np.inf)
            self.m.add_constraints(total == self.at(total, tree.parent) + cost)
            over = self.variable("over", chances > 0, "s")
            eta = self.m.add_variables(name="eta")
            leaves = total.isel(n=tree.leaves).rename(n="s").assign_coords(over.coords)
            self.m.add_constraints(over - leaves + eta >= 0.0)
            tail = (over * self.of(chances / risk.tail, "s")).sum()
            goal = goal + risk.weight * (eta + tail)
        self.m.add_objective(goal)
