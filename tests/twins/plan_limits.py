"""Small plans that cannot be, and the change of a plan for each line of the error about it."""

import re
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

from tieline.model.accelerator import Accelerator
from tieline.model.network import Link, Region
from tieline.model.plan import (
    Branch,
    Budget,
    Chip,
    Demand,
    Offer,
    Outcome,
    PlanRegion,
    PlanSpec,
)
from tieline.model.units import BYTES_PER_GBIT

GBIT = BYTES_PER_GBIT
MUST = "demand records must be served in east (it has no unmet_per_hour)"
LESS = "accelerators less would do"


def chip(name: str, origin: str, rate: float = 1.0, **offer: Any) -> Chip:  # noqa: ANN401 - fields
    """Give an accelerator of 1 kW that costs 10,000 USD and comes at once."""
    terms = Offer(name, 10_000.0, lead=0)
    return Chip(
        Accelerator(name, name, origin, origin, "cuda"),
        power_w=1000.0,
        rates={"training": rate},
        offer=replace(terms, **offer) if offer.pop("sold", True) else None,
    )


def work(amount: float, region: str = "east", **more: Any) -> Demand:  # noqa: ANN401 - fields
    """Give work that must be served: as much in every quarter."""
    return replace(
        Demand("records", "training", {region: (amount,) * 4}, unmet_usd_per_hour=None), **more
    )


def place(name: str, **limits: float) -> PlanRegion:
    """Give a region without cooling."""
    return PlanRegion(Region(name), **limits)


def plan(**fields: Any) -> PlanSpec:  # noqa: ANN401 - fields
    """Give a year of 100 accelerators of work in east, for which h200 and 910c are on offer."""
    spec = PlanSpec(
        name="test",
        first=4 * 2027,
        quarters=4,
        regions=(place("east"), place("west")),
        chips=(chip("h200", "US"), chip("910c", "CN", 0.5)),
        demand=(work(100.0),),
        domestic=frozenset({"CN"}),
    )
    return replace(spec, **fields)


def chips(**offers: dict[str, Any]) -> tuple[Chip, ...]:
    """Give both accelerators with other terms."""
    return (
        chip("h200", "US", **offers.get("h200", {})),
        chip("910c", "CN", 0.5, **offers.get("c910", {})),
    )


ONE_LINK = (Link(("east", "west"), 10 * GBIT, rtt_s=0.01),)
FULL = (place("east", space=0.0), place("west"))
REBAN = Branch("ban", 2, (Outcome("banned", 0.5, ban=frozenset({"US"})), Outcome("open", 0.5)))


def without(spec: PlanSpec, line: str) -> PlanSpec:
    """Give a plan without the limit that a line of an error names."""
    for pattern, change in WITHOUT.items():
        if found := re.match(pattern, line.strip()):
            return change(spec, *found.groups())
    raise AssertionError(line)


def higher(spec: PlanSpec, line: str, amount: float) -> PlanSpec:
    """Give a plan in which the limit that a line names is higher by an amount."""
    for pattern, change in HIGHER.items():
        if found := re.match(pattern, line.strip()):
            return change(spec, amount, *found.groups())
    raise AssertionError(line)


def each(spec: PlanSpec, field: str, change: Callable[[Any], Any]) -> PlanSpec:
    """Give a plan with every element of a field changed."""
    return replace(spec, **{field: tuple(change(one) for one in getattr(spec, field))})


def region(spec: PlanSpec, name: str, **by: float) -> PlanSpec:
    """Give a plan in which a region has more."""
    more = lambda one: {key: getattr(one, key) + value for key, value in by.items()}  # noqa: E731
    return each(
        spec, "regions", lambda one: replace(one, **more(one)) if one.region.id == name else one
    )


def offer(spec: PlanSpec, name: str, change: Callable[[Offer], Offer]) -> PlanSpec:
    """Give a plan in which an accelerator has other terms."""
    return each(
        spec,
        "chips",
        lambda one: replace(one, offer=change(one.offer)) if one.accelerator.id == name else one,
    )


def more_supply(by: float) -> Callable[[Offer], Offer]:
    """Give the change of an offer that raises its supply."""
    return lambda one: replace(one, supply=tuple(many + by for many in one.supply or ()))


def tenant(spec: PlanSpec, name: str, **fields: Any) -> PlanSpec:  # noqa: ANN401 - fields
    """Give a plan in which a tenant is other."""
    return each(spec, "buyers", lambda one: replace(one, **fields) if one.id == name else one)


def richer(budget: Budget, usd: float) -> Budget:
    """Give a budget with so much more in the first quarter and in total."""
    return replace(
        budget,
        per_quarter_usd=budget.per_quarter_usd + usd,
        total_usd=budget.total_usd + usd,
    )


def demand(spec: PlanSpec, name: str, **fields: Any) -> PlanSpec:  # noqa: ANN401 - fields
    """Give a plan in which a demand is other."""
    return each(spec, "demand", lambda one: replace(one, **fields) if one.id == name else one)


def unbanned(spec: PlanSpec, outcome: str, branch: str) -> PlanSpec:
    """Give a plan in which an outcome bans nothing."""

    def change(one: Branch) -> Branch:
        if one.id != branch:
            return one
        free = [replace(o, ban=frozenset()) if o.id == outcome else o for o in one.outcomes]
        return replace(one, outcomes=tuple(free))

    return each(spec, "branches", change)


def wider(spec: PlanSpec, ends: tuple[str, str], by: float) -> PlanSpec:
    """Give a plan with a wider link."""
    return each(
        spec,
        "links",
        lambda one: (
            replace(one, bandwidth_bytes_s=one.bandwidth_bytes_s + by) if one.ends == ends else one
        ),
    )


WITHOUT: dict[str, Callable[..., PlanSpec]] = {
    r"demand (\S+) must": lambda s, d: demand(s, d, unmet_usd_per_hour=0.0),
    r"power of region (\S+) is": lambda s, r: region(s, r, power_w=inf),
    r"space of region (\S+) is": lambda s, r: region(s, r, space=inf),
    r"supply of (\S+) is": lambda s, c: offer(s, c, lambda one: replace(one, supply=None)),
    r"the budget is": lambda s: replace(s, budget=Budget()),
    r"budget of tenant (\S+) is": lambda s, k: tenant(s, k, budget=Budget()),
    r"cap (\S+) is": lambda s, q: replace(s, caps=tuple(one for one in s.caps if one.id != q)),
    r"import_ratio is": lambda s: replace(s, import_ratio=None),
    r"link between (\S+) and (\S+) carries": lambda s, a, b: wider(s, (a, b), 1e15),
    r"only .* may serve (\S+) work": lambda s, w: replace(
        s, trust={**s.trust, w: frozenset({"US", "CN"})}
    ),
    r"max_rtt_ms of demand (\S+) is": lambda s, d: demand(s, d, max_rtt_s=inf),
    r"tenant (\S+) buys only for": lambda s, k: tenant(s, k, regions=frozenset()),
    r"tenant (\S+) buys only": lambda s, k: tenant(s, k, buys=frozenset()),
    r"lead_quarters of (\S+) is": lambda s, c: offer(s, c, lambda one: replace(one, lead=0)),
    r"outcome (\S+) of branch (\S+) bans": unbanned,
    r"orders are whole lots": lambda s: replace(s, whole_lots=False),
}
HIGHER: dict[str, Callable[..., PlanSpec]] = {
    r"power of region (\S+) is": lambda s, by, r: region(s, r, power_w=by * 1e6),
    r"space of region (\S+) is": lambda s, by, r: region(s, r, space=by),
    r"supply of (\S+) is": lambda s, by, c: offer(s, c, more_supply(by)),
    r"the budget is": lambda s, by: replace(s, budget=richer(s.budget, by)),
    r"budget of tenant (\S+) is": lambda s, by, k: each(
        s,
        "buyers",
        lambda one: replace(one, budget=richer(one.budget, by)) if one.id == k else one,
    ),
    r"cap (\S+) is": lambda s, by, q: each(
        s, "caps", lambda one: replace(one, at_most=one.at_most + by) if one.id == q else one
    ),
    r"import_ratio is": lambda s, by: replace(
        s, import_ratio=replace(s.import_ratio, base=s.import_ratio.base + by)
    ),
    r"link between (\S+) and (\S+) carries": lambda s, by, a, b: wider(s, (a, b), by * GBIT),
}
