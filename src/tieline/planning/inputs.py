"""The numbers of a plan as arrays with named axes.

K tenants that buy, C accelerators, R regions, W demands, V ways, N nodes, D directed links,
Q caps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tieline.model.plan import (
    HOURS_PER_QUARTER,
    OPEN,
    QUARTERS_PER_YEAR,
    Chip,
    Demand,
    Offer,
    PlanSpec,
    covers,
)
from tieline.model.units import SECONDS_PER_HOUR
from tieline.planning.outcomes import (
    Flags,
    Floats,
    Ints,
    amounts_at,
    banned_at,
    caps_at,
    kept_at,
    matching,
    offer_terms,
    ratio_at,
    refunded_at,
)
from tieline.planning.tree import Tree, tree_of
from tieline.planning.ways import Ways, ways_of

#: An accelerator that is not on offer.
_NO_OFFER = Offer("", 0.0, lead=0)


@dataclass(frozen=True)
class Inputs:
    """Everything that the rules and costs of a plan are made of. Read only."""

    spec: PlanSpec
    tree: Tree
    orderable: Flags
    """Axes K, C, R: the accelerator is on offer, and the tenant may buy it and put it there."""
    allowed: Flags
    """Axes K, C, N: not banned, and delivered before the end."""
    price: Floats
    """Axes C, N [USD]."""
    duty: Floats
    """Axes C, N: as a part of the price."""
    outlay: Floats
    """Axes C, N: price, duty and installation of an order [USD]."""
    supply: Floats
    """Axes C, N; inf without limit."""
    lead: Ints
    """Axis C [quarters]."""
    life: Ints
    """Axis C [quarters]."""
    source: Ints
    """Axes C, N: the node in which was ordered what arrives; -1 for none."""
    refunded: Flags
    """Axes C, N: what would arrive is refunded instead."""
    left: Floats
    """Axes C, N: what an arrival is worth at the end, as a part of what was paid for it."""
    existing: Floats
    """Axes C, R."""
    retiring: Floats
    """Axes C, R, N: existing ones that are gone from the node on."""
    kept: Floats
    """Axes C, N: the part that still works."""
    rate: Floats
    """Axes W, C; 0 where it cannot or may not serve."""
    amount: Floats
    """Axes W, R, N [reference accelerators]."""
    unmet_usd: Floats
    """Axis W [USD per quarter]; nan where all must be served."""
    ways: Ways
    """How work gets to where it is served."""
    usable: Flags
    """Axes W, V: the round trip is short enough; always at home."""
    joined: bool
    """Whether anything may be served in another region."""
    bandwidth: Floats
    """Axis D [bytes/s]."""
    traffic: Floats
    """Axis W [bytes/s per reference accelerator]."""
    way_usd: Floats
    """Axes W, V [USD per quarter and reference accelerator]."""
    power: Floats
    """Axis C [W]."""
    idle: Floats
    """Axis C: part of the power."""
    pue: Floats
    """Axis R."""
    energy_usd: Floats
    """Axis R [USD per quarter and W, before cooling]."""
    power_limit: Floats
    """Axis R [W]."""
    space: Floats
    """Axis R."""
    cap: Floats
    """Axes Q, N."""
    cap_begins: Flags
    """Axes Q, N: the count begins anew."""
    counted: Flags
    """Axes Q, C: the accelerator counts under the cap."""
    imported: Flags
    """Axis C."""
    ratio: Floats
    """Axis N; nan without a rule."""
    ratio_begins: Flags
    """Axis N."""
    discount: Floats
    """Axis T + 1: what a dollar of a quarter is worth in the first one."""

    @property
    def wanted(self) -> Flags:
        """Axes W, R: whether there is ever any of a demand in a region."""
        return np.asarray((self.amount > 0).any(axis=2))

    @property
    def weight(self) -> Floats:
        """Axis N: probability times discount."""
        return self.tree.probability * self.discount[self.tree.quarter]

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """Give the labels of each axis, by the name of the axis."""
        spec = self.spec
        regions = tuple(one.region.id for one in spec.regions)
        ends = [link.ends for link in spec.links]
        return {
            "tenant": tuple(buyer.id for buyer in spec.buyers),
            "accelerator": tuple(chip.accelerator.id for chip in spec.chips),
            "region": regions,
            "way": self.ways.names,
            "demand": tuple(demand.id for demand in spec.demand),
            "cap": tuple(cap.id for cap in spec.caps),
            "link": tuple(f"{a}>{b}" for pair in ends for a, b in (pair, pair[::-1])),
            "node": self.tree.names,
            "future": self.tree.futures(),
        }


def inputs_of(spec: PlanSpec) -> Inputs:
    """Give the arrays of a plan.

    Raises
    ------
    InputError
        The branches contradict themselves.
    """
    tree = tree_of(spec)
    chips = spec.chips
    offers = [chip.offer or _NO_OFFER for chip in chips]
    lead = np.array([offer.lead for offer in offers])
    banned = banned_at(spec, tree)
    price, duty, supply = offer_terms(spec, tree, offers)
    source = np.array([tree.up(offer.lead) for offer in offers])
    regions = [one.region for one in spec.regions]
    discount = (1.0 + spec.discount) ** (-np.arange(spec.quarters + 1) / QUARTERS_PER_YEAR)
    ratio, ratio_begins = ratio_at(spec, tree)
    cap, cap_begins = caps_at(spec, tree)
    ways = ways_of(spec)
    traffic = np.array([demand.bandwidth_bytes_s for demand in spec.demand])
    in_time = lead[:, None] + tree.quarter < spec.quarters
    return Inputs(
        spec=spec,
        tree=tree,
        orderable=_orderable(spec),
        allowed=np.repeat((in_time & ~banned)[None], len(spec.buyers), axis=0),
        price=price,
        duty=duty,
        outlay=price * (1.0 + duty) + np.array([[offer.install_usd] for offer in offers]),
        supply=supply,
        lead=lead,
        life=np.array([offer.life for offer in offers]),
        source=source,
        refunded=refunded_at(spec, tree, source, banned),
        left=np.array([_left(offer, spec.quarters)[tree.quarter] for offer in offers]),
        existing=_existing(spec, lambda _: True),
        retiring=_retiring(spec, tree),
        kept=kept_at(spec, tree, banned),
        rate=np.array([[_rate(spec, demand, chip) for chip in chips] for demand in spec.demand]),
        amount=amounts_at(spec, tree),
        unmet_usd=np.array(
            [
                np.nan if one.unmet_usd_per_hour is None else one.unmet_usd_per_hour
                for one in spec.demand
            ]
        )
        * HOURS_PER_QUARTER,
        ways=ways,
        usable=np.array(
            [ways.usable(one.max_rtt_s, one.bandwidth_bytes_s) for one in spec.demand]
        ),
        joined=True,
        bandwidth=np.repeat([link.bandwidth_bytes_s for link in spec.links], 2),
        traffic=traffic,
        way_usd=np.outer(traffic * HOURS_PER_QUARTER * SECONDS_PER_HOUR, ways.usd_per_byte),
        power=np.array([chip.power_w for chip in chips]),
        idle=np.array([chip.idle for chip in chips]),
        pue=np.array([region.pue or 1.0 for region in regions]),
        energy_usd=np.array([region.electricity_usd_per_kwh or 0.0 for region in regions])
        * (HOURS_PER_QUARTER / 1000.0),
        power_limit=np.array([one.power_w for one in spec.regions]),
        space=np.array([one.space for one in spec.regions]),
        cap=cap,
        cap_begins=cap_begins,
        counted=np.array(
            [[covers(cap.accelerators, chip.accelerator) for chip in chips] for cap in spec.caps]
        ).reshape(len(spec.caps), len(chips)),
        imported=np.array([chip.accelerator.origin not in spec.domestic for chip in chips]),
        ratio=ratio,
        ratio_begins=ratio_begins,
        discount=discount,
    )


def _orderable(spec: PlanSpec) -> Flags:
    chips = np.array([chip.offer is not None for chip in spec.chips])
    regions = [one.region.id for one in spec.regions]
    return np.array(
        [
            np.outer(
                chips & (matching(spec, buyer.buys) | (not buyer.buys)),
                [not buyer.regions or region in buyer.regions for region in regions],
            )
            for buyer in spec.buyers
        ]
    )


def _left(offer: Offer, quarters: int) -> Floats:
    """Give the part of its price that an arrival in each quarter is worth at the end."""
    age = quarters - np.arange(quarters)
    return offer.residual * np.maximum(0.0, (offer.life - age) / offer.life)


def _existing(spec: PlanSpec, which: Callable[[int | None], bool]) -> Floats:
    """Give what is there at the beginning, of the stocks that retire as wanted; axes C, R."""
    row = {chip.accelerator.id: c for c, chip in enumerate(spec.chips)}
    column = {one.region.id: r for r, one in enumerate(spec.regions)}
    counts = np.zeros((len(row), len(column)))
    for stock in spec.stock:
        if which(stock.retires):
            counts[row[stock.accelerator], column[stock.region]] += stock.count
    return counts


def _retiring(spec: PlanSpec, tree: Tree) -> Floats:
    by_quarter = [_existing(spec, lambda at, t=t: at == t) for t in range(spec.quarters)]  # type: ignore[misc] # t is bound
    return np.moveaxis(np.array(by_quarter)[tree.quarter], 0, -1)


def _rate(spec: PlanSpec, demand: Demand, chip: Chip) -> float:
    """Give the rate of an accelerator for a demand; 0 where it is not trusted with it."""
    trusted = spec.trust.get(demand.sensitivity, frozenset())
    if demand.sensitivity != OPEN and not covers(trusted, chip.accelerator):
        return 0.0
    return chip.rates.get(demand.workload, 0.0)
