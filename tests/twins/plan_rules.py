"""Every rule and cost of docs/explanation/planning.md, one future after the other, in Python.

Reads the plan's own words and the decisions; shares nothing with the planner.
"""

from collections import defaultdict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any

from tieline.model.network import Link
from tieline.model.plan import (
    HOURS_PER_QUARTER,
    Branch,
    Budget,
    Offer,
    Outcome,
    PlanSpec,
    covers,
    quarter_name,
)
from tieline.planning.plan import Result

#: Of a plan's amounts, which are below a few hundred; the solver's own tolerance is 1e-7.
CLOSE = 1e-5
SECONDS_PER_QUARTER = HOURS_PER_QUARTER * 3600.0

#: A link and the region that it leads to.
Hop = tuple[Link, str]
Values = dict[str, dict[tuple[Any, ...], float]]


@dataclass
class Order:
    """Accelerators that were ordered together."""

    tenant: str
    chip: str
    region: str
    count: float
    comes: int
    outlay: float
    stopped: bool = False


@dataclass
class Past:
    """What has come of the decisions and outcomes on the way to a node."""

    price: dict[str, float]
    duty: dict[str, float]
    supply: dict[str, float]
    demand: dict[str, float]
    caps: dict[str, float]
    ratio: float
    banned: set[str] = field(default_factory=set)
    kept: dict[str, float] = field(default_factory=lambda: defaultdict(lambda: 1.0))
    orders: list[Order] = field(default_factory=list)
    ratio_since: int = 0
    """Orders from this place of `orders` on count under the import ratio."""
    capped: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    spent: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    words: tuple[str, ...] = ()
    answers: frozenset[str] = frozenset()


def walk(result: Result) -> "Rules":
    """Give the futures of a plan as its own words and the decisions make them."""
    names = ("buy", "stock", "serve", "flow", "unmet")
    return Rules(result.inputs.spec, {name: result.values(name).to_dict() for name in names})


class Rules:
    """Follows every future; then has their chances and costs, the nodes, and what is broken."""

    def __init__(self, spec: PlanSpec, values: Values) -> None:
        self.spec, self.values = spec, values
        self.chips = {chip.accelerator.id: chip for chip in spec.chips}
        self.wrong: list[str] = []
        self.futures: list[tuple[float, float]] = []
        self.nodes: set[str] = set()
        ids = list(self.chips)
        start = Past(
            price=dict.fromkeys(ids, 1.0),
            duty={c: self.offer(c).duty for c in ids},
            supply=dict.fromkeys(ids, 1.0),
            demand={demand.id: 1.0 for demand in spec.demand},
            caps={cap.id: cap.at_most for cap in spec.caps},
            ratio=spec.import_ratio.ratio if spec.import_ratio else inf,
        )
        self.follow(0, start, 1.0, 0.0)

    def offer(self, chip: str) -> Offer:
        return self.chips[chip].offer or Offer(chip, 0.0)

    def meant(self, names: Iterable[str]) -> set[str]:
        """Give the accelerators that ids or origins mean."""
        wanted = frozenset(names)
        return {c for c, chip in self.chips.items() if covers(wanted, chip.accelerator)}

    def follow(self, t: int, past: Past, chance: float, cost: float) -> None:
        """Go through a node and all that come after it."""
        node = f"{quarter_name(self.spec.first + t)} {' '.join(past.words)}".strip()
        self.nodes.add(node)
        cost += self.node(t, node, past)
        if t + 1 == self.spec.quarters:
            self.futures.append((chance, cost))
            return
        ways: list[tuple[float, list[tuple[Branch, Outcome]]]] = [(1.0, [])]
        for branch in self.spec.branches:
            if branch.at == t + 1 and (branch.after is None or branch.after in past.answers):
                ways = [
                    (p * outcome.probability, [*steps, (branch, outcome)])
                    for p, steps in ways
                    for outcome in branch.outcomes
                ]
        for p, steps in ways:
            after = deepcopy(past)
            for c in past.banned:
                after.kept[c] *= 1.0 - self.chips[c].decay
            for branch, outcome in steps:
                self.learn(t + 1, branch, outcome, after)
            if p > 0:
                self.follow(t + 1, after, chance * p, cost)

    def learn(self, t: int, branch: Branch, outcome: Outcome, past: Past) -> None:
        """Let an outcome act."""
        past.words += (outcome.id,)
        past.answers |= {f"{branch.id}.{outcome.id}"}
        past.banned = (past.banned - self.meant(outcome.lift)) | self.meant(outcome.ban)
        stopped = self.meant(outcome.ban) if outcome.undelivered == "refunded" else set()
        for order in past.orders:
            order.stopped |= order.chip in stopped and order.comes >= t
        for name, factor in outcome.price.items():
            past.price |= {c: past.price[c] * factor for c in self.meant([name])}
        for name, factor in outcome.supply.items():
            past.supply |= {c: past.supply[c] * factor for c in self.meant([name])}
        for name, duty in outcome.duty.items():
            past.duty |= dict.fromkeys(self.meant([name]), duty)
        for demand in self.spec.demand:
            by_class = outcome.demand.get(demand.workload, 1.0)
            past.demand[demand.id] *= outcome.demand.get(demand.id, by_class)
        for cap, most in outcome.caps.items():
            past.caps[cap] = most
            for buyer in self.spec.buyers:
                past.capped[cap, buyer.id] = 0.0
        if outcome.import_ratio is not None:
            past.ratio, past.ratio_since = outcome.import_ratio, len(past.orders)

    def most(self, what: str, amount: float, limit: float) -> None:
        """Demand that an amount is within its limit."""
        if amount > limit + CLOSE * (1.0 + abs(limit)):
            self.wrong.append(f"{what}: {amount} > {limit}")

    def same(self, what: str, amount: float, other: float) -> None:
        """Demand that two amounts are equal."""
        self.most(what, amount, other)
        self.most(what, other, amount)

    def now(self, name: str, node: str) -> dict[tuple[Any, ...], float]:
        """Give the values of a variable in a node, by its other axes."""
        found = {at[:-1]: x for at, x in self.values[name].items() if at[-1] == node}
        for at, value in found.items():
            self.most(f"{name} {at} {node}", 0.0, value)
        return defaultdict(float, found)

    def node(self, t: int, node: str, past: Past) -> float:
        """Check the rules in a node, and give what it costs [USD of the first quarter]."""
        spec, now = self.spec, (1.0 + self.spec.discount) ** (-t / 4)
        paid = self.ordering(t, node, past)
        delivered = [order for order in past.orders if order.comes == t]
        for order in delivered:
            if order.stopped:
                paid -= order.count * order.outlay
                past.spent[order.tenant] -= order.count * order.outlay
        self.budgets(t, node, past)
        self.ratios(t, node, past)
        end = (1.0 + spec.discount) ** (-spec.quarters / 4)
        left = 0.0
        for order in delivered:
            offer = self.offer(order.chip)
            book = max(0.0, (offer.life - (spec.quarters - t)) / offer.life)
            left += 0.0 if order.stopped else order.count * order.outlay * offer.residual * book
        return now * (paid + self.running(t, node, past)) - end * left

    def ordering(self, t: int, node: str, past: Past) -> float:
        """Note what is ordered, and check that it may be; give what it costs."""
        spec, orders = self.spec, []
        buyers = {buyer.id: buyer for buyer in spec.buyers}
        for (k, c, r), count in self.now("buy", node).items():
            buyer, chip, offer = buyers[k], self.chips[c], self.offer(c)
            known = chip.offer and (not buyer.buys or covers(buyer.buys, chip.accelerator))
            where = not buyer.regions or r in buyer.regions
            if c in past.banned or t + offer.lead >= spec.quarters or not (known and where):
                self.most(f"forbidden order of {c} in {node}", count, 0.0)
            if spec.whole_lots:
                self.same(f"lots of {c} {node}", count, offer.lot * round(count / offer.lot))
            price = offer.price_usd * (1.0 + offer.price_growth) ** t * past.price[c]
            outlay = price * (1.0 + past.duty[c]) + offer.install_usd
            orders.append(Order(k, c, r, count, t + offer.lead, outlay))
        for c in self.chips:
            supply, factor = self.offer(c).supply, past.supply[c]
            enough = inf if factor > 0 else 0.0
            count = sum(order.count for order in orders if order.chip == c)
            self.most(f"supply {c} {node}", count, supply[t] * factor if supply else enough)
        for order in orders:
            past.spent[order.tenant] += order.count * order.outlay
        for who, budget in self.payers():
            paid = sum(order.count * order.outlay for order in orders if order.tenant in who)
            self.most(f"budget {node}", paid, inf if budget.carry_over else budget.per_quarter_usd)
        self.caps(node, past, orders)
        past.orders += orders
        return sum(order.count * order.outlay for order in orders)

    def caps(self, node: str, past: Past, orders: list[Order]) -> None:
        """Count what is ordered under caps."""
        for cap in self.spec.caps:
            for order in orders:
                if covers(cap.accelerators, self.chips[order.chip].accelerator):
                    past.capped[cap.id, order.tenant] += order.count
            counts = {buyer: past.capped[cap.id, buyer.id] for buyer in self.spec.buyers}
            for buyer, count in counts.items() if cap.each else ():
                self.most(f"cap {buyer.id} {node}", count, buyer.members * past.caps[cap.id])
            if not cap.each:
                self.most(f"cap {node}", sum(counts.values()), past.caps[cap.id])

    def payers(self) -> list[tuple[set[str], Budget]]:
        """Give each tenant, and all together, with what they may spend."""
        each = [({buyer.id}, buyer.budget) for buyer in self.spec.buyers]
        return [*each, ({buyer.id for buyer in self.spec.buyers}, self.spec.budget)]

    def budgets(self, t: int, node: str, past: Past) -> None:
        """Check what has been spent so far."""
        for who, budget in self.payers():
            spent = sum(past.spent[k] for k in who)
            self.most(f"total budget {node}", spent, budget.total_usd)
            if budget.carry_over:
                self.most(f"budget {node}", spent, budget.per_quarter_usd * (t + 1))

    def ratios(self, t: int, node: str, past: Past) -> None:
        """Check imports against domestic ones since the last change."""
        rule = self.spec.import_ratio
        if rule is None:
            return
        room = defaultdict[str, float](float)
        for order in past.orders[past.ratio_since :]:
            there = order.comes <= t and not order.stopped
            count = order.count if there or rule.counts == "ordered" else 0.0
            at_home = self.chips[order.chip].accelerator.origin in self.spec.domestic
            room[order.tenant] += -past.ratio * count if at_home else count
        for buyer in self.spec.buyers if rule.per_tenant else ():
            self.most(f"ratio {node}", room[buyer.id], rule.base * buyer.members)
        base = rule.base * sum(buyer.members for buyer in self.spec.buyers)
        self.most(f"ratio {node}", sum(room.values()), base)

    def running(self, t: int, node: str, past: Past) -> float:
        """Check what serves what; give what energy, traffic and unmet demand cost."""
        spec = self.spec
        stock = self.now("stock", node)
        here = defaultdict[tuple[Any, ...], float](float)
        for one in spec.stock:
            if one.retires is None or t < one.retires:
                here[one.accelerator, one.region] += one.count
        for order in past.orders:
            if order.comes <= t < order.comes + self.offer(order.chip).life:
                here[order.chip, order.region] += 0.0 if order.stopped else order.count
        for at in {*stock, *here}:
            self.same(f"stock {at} {node}", stock[at], here[at])
        serve = self.now("serve", node)
        busy = defaultdict[tuple[Any, ...], float](float)
        for (_, c, r), count in serve.items():
            busy[c, r] += count
        for (c, r), count in busy.items():
            works = spec.utilisation * past.kept[c] * stock[c, r]
            self.most(f"capacity {c} {r} {node}", count, works)
        cost = self.demands(t, node, past, serve)
        for one in spec.regions:
            r, pue = one.region.id, one.region.pue or 1.0
            watts = pue * sum(
                chip.power_w * (chip.idle * stock[c, r] + (1.0 - chip.idle) * busy[c, r])
                for c, chip in self.chips.items()
            )
            self.most(f"power {r} {node}", watts, one.power_w)
            self.most(f"space {r} {node}", sum(stock[c, r] for c in self.chips), one.space)
            price = (one.region.electricity_usd_per_kwh or 0.0) * HOURS_PER_QUARTER / 1000.0
            cost += price * watts
        return cost

    def demands(self, t: int, node: str, past: Past, serve: dict[tuple[Any, ...], float]) -> float:
        """Check that work comes from where it may; give what traffic and unmet demand cost."""
        spec, cost = self.spec, 0.0
        flow, unmet = self.now("flow", node), self.now("unmet", node)
        regions = [one.region.id for one in spec.regions]
        loads = defaultdict[Hop, float](float)
        for demand in spec.demand:
            w, trusted = demand.id, spec.trust.get(demand.sensitivity, frozenset())
            if demand.unmet_usd_per_hour is None:
                self.most(f"unmet {w}", sum(unmet[w, r] for r in regions), 0.0)
            sent = {key: units for key, units in flow.items() if key[0] == w}
            for r in regions:
                amount = demand.amounts.get(r, (0.0,) * spec.quarters)[t] * past.demand[w]
                gone = sum(units for (_, way), units in sent.items() if way.split(">")[0] == r)
                self.same(f"demand {w} {r}", gone + unmet[w, r], amount)
                done = sum(
                    chip.rates.get(demand.workload, 0.0) * serve[w, c, r]
                    for c, chip in self.chips.items()
                    if demand.sensitivity == "open" or covers(trusted, chip.accelerator)
                )
                come = sum(units for (_, way), units in sent.items() if way.split(">")[-1] == r)
                self.same(f"service {w} {r} {node}", come, done)
                hours = HOURS_PER_QUARTER * (demand.unmet_usd_per_hour or 0.0)
                cost += hours * unmet[w, r]
            for (_, way), units in sent.items():
                hops = self.hops(way.split(">"))
                if sum(link.rtt_s for link, _ in hops) > demand.max_rtt_s:
                    self.most(f"flow {w} {way} {node}", units, 0.0)
                for link, end in hops:
                    traffic = demand.bandwidth_bytes_s * units
                    loads[link, end] += traffic
                    cost += traffic * SECONDS_PER_QUARTER * link.usd_per_byte
        for (link, end), load in loads.items():
            self.most(f"link {link.ends} {end} {node}", load, link.bandwidth_bytes_s)
        return cost

    def hops(self, stops: list[str]) -> list[Hop]:
        """Give the links from stop to stop, each with where it leads; there are two at most."""
        pairs = list(pairwise(stops))
        self.most("links of a way", len(pairs), 2)
        return [
            (next(link for link in self.spec.links if set(link.ends) == set(pair)), pair[1])
            for pair in pairs
        ]


def objective(futures: list[tuple[float, float]], weight: float, tail: float) -> float:
    """Give the mean of costs, mixed with that of the dearest part of the futures."""
    mean = sum(chance * cost for chance, cost in futures)
    rest, worst = tail, 0.0
    for chance, cost in sorted(futures, key=lambda one: -one[1]):
        worst += min(rest, chance) * cost
        rest -= min(rest, chance)
    return (1.0 - weight) * mean + weight * worst / tail
