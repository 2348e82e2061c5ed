"""Plans that together have every feature of the page, and how to take each feature away."""

from collections.abc import Callable
from dataclasses import replace
from math import inf

from tieline.model.network import Link
from tieline.model.plan import (
    Branch,
    Budget,
    Buyer,
    Cap,
    ImportRatio,
    Outcome,
    PlanSpec,
    Risk,
    Stock,
)
from twins.plan_cases import DECODE, chip, place, plan, work

US, CN, NONE = frozenset({"US"}), frozenset({"CN"}), frozenset[str]()

Change = Callable[[PlanSpec], PlanSpec]


def fields(**changes: object) -> Change:
    """Give the change of fields of a plan."""
    return lambda spec: replace(spec, **changes)


def each(part: str, at: int | None = None, **changes: object) -> Change:
    """Give the change of fields of one part, or of all, such as of the regions of a plan."""

    def change(spec: PlanSpec) -> PlanSpec:
        parts = [
            replace(one, **changes) if at in {None, i} else one
            for i, one in enumerate(getattr(spec, part))
        ]
        return replace(spec, **{part: tuple(parts)})

    return change


def offer(at: int, **changes: object) -> Change:
    """Give the change of fields of the offer of an accelerator."""
    return lambda spec: each("chips", at, offer=replace(spec.chips[at].offer, **changes))(spec)


def outcomes(**changes: object) -> Change:
    """Give the change of fields of every outcome."""
    return lambda spec: replace(
        spec,
        branches=tuple(
            replace(one, outcomes=tuple(replace(outcome, **changes) for outcome in one.outcomes))
            for one in spec.branches
        ),
    )


def rising(first: float, step: float, quarters: int) -> tuple[float, ...]:
    """Give an amount for each quarter."""
    return tuple(first + step * t for t in range(quarters))


#: A plan, and how to take each feature away from it.
Case = tuple[PlanSpec, dict[str, Change]]

FLEET: Case = (
    plan(
        8,
        regions=(place("a", usd_per_kwh=0.1, pue=1.25, power_w=1.5e5, space=170.0),),
        chips=(
            chip("fast", decay=0.2, price_usd=5000.0, price_growth=-0.04, lead=2, life=4),
            chip("spot", "CN", rate=0.5, price_usd=2400.0, price_growth=-0.03, lead=0, life=3),
            chip("old", rate=0.4),
        ),
        stock=(Stock("a", "old", 60.0, retires=3),),
        demand=(work("w", {"a": rising(50.0, 12.0, 8)}, 1.6),),
        discount=0.1,
        utilisation=0.8,
        branches=(
            Branch(
                "ban",
                2,
                (Outcome("now", 0.4, ban=US, undelivered="refunded"), Outcome("free", 0.6)),
            ),
            Branch(
                "again",
                4,
                (Outcome("lifted", 0.7, lift=US), Outcome("for good", 0.3)),
                after="ban.now",
            ),
        ),
    ),
    {
        "refunds": outcomes(undelivered="arrive"),
        "decay": each("chips", decay=0.0),
        "retirement": each("stock", retires=None),
        "lead 0": offer(1, lead=1),
        "end of life": offer(1, life=20),
        "residual": offer(0, residual=0.0),
        "price growth": offer(1, price_growth=0.0),
        "discount": fields(discount=0.0),
        "power": each("regions", power_w=inf),
        "space": each("regions", space=inf),
        "bans": outcomes(ban=NONE),
        "lifting": outcomes(lift=NONE),
        "utilisation": fields(utilisation=1.0),
    },
)

_TWO_TENANTS = plan(
    6,
    regions=(place("a", pue=1.1), place("b", usd_per_kwh=0.05)),
    chips=(
        chip("fast", price_usd=6000.0, duty=0.25, lead=1, supply=rising(8.0, 9.0, 6)),
        chip("home", "CN", rate=0.3, price_usd=4000.0, lead=2, supply=rising(20.0, 4.0, 6)),
    ),
    demand=(work("w", {"a": rising(80.0, 15.0, 6), "b": rising(20.0, 5.0, 6)}, 2.0),),
    buyers=(
        Buyer("first", members=3, budget=Budget(1.1e5)),
        Buyer("state", budget=Budget(1.2e5), regions=frozenset({"b"})),
    ),
    domestic=CN,
    caps=(
        Cap("licence", frozenset({"fast"}), at_most=14.0, each=True),
        Cap("quota", US, at_most=24.0),
    ),
    import_ratio=ImportRatio(0.5, base=1.0),
    branches=(
        Branch(
            "rules",
            2,
            (
                Outcome("tight", 0.5, caps={"licence": 3.0}, import_ratio=0.2),
                Outcome("loose", 0.5, caps={"quota": 75.0}, import_ratio=1.5),
            ),
        ),
    ),
    risk=Risk(0.5, 0.3),
)
RULES: Case = (
    _TWO_TENANTS,
    {
        "cap for each": each("caps", 0, each=False),
        "cap together": each("caps", 1, at_most=inf),
        "change of a cap": outcomes(caps={}),
        "change of the ratio": outcomes(import_ratio=None),
        "ratio": fields(import_ratio=None),
        "deliveries count": fields(import_ratio=ImportRatio(0.5, 1.0, counts="ordered")),
        "ratio for each": fields(import_ratio=ImportRatio(0.5, 1.0, per_tenant=False)),
        "base": fields(import_ratio=ImportRatio(0.5)),
        "members": each("buyers", members=1),
        "carry-over": each("buyers", 0, budget=Budget(1.1e5, carry_over=False)),
        "where a tenant may": each("buyers", regions=NONE),
        "duty": offer(0, duty=0.0),
        "supply": offer(1, supply=None),
        "weight of bad futures": fields(risk=Risk(0.0)),
        "tail": fields(risk=Risk(0.5, 0.9)),
    },
)

ORDERED: Case = (
    replace(
        _TWO_TENANTS,
        buyers=(
            Buyer("first", budget=Budget(2.0e5, 7.0e5, carry_over=False)),
            Buyer("state", budget=Budget(8.0e4), buys=CN),
        ),
        budget=Budget(2.5e5, 1.2e6, carry_over=False),
        caps=(),
        import_ratio=ImportRatio(0.6, base=20.0, counts="ordered", per_tenant=False),
        branches=(
            Branch(
                "ratio",
                2,
                (Outcome("tight", 0.5, import_ratio=0.1), Outcome("same", 0.5)),
            ),
            Branch(
                "market",
                3,
                (
                    Outcome("dear", 0.3, price={"US": 1.3}, duty={"fast": 0.4}),
                    Outcome("short", 0.3, supply={"CN": 0.5}),
                    Outcome("boom", 0.4, demand={"training": 1.6}),
                ),
            ),
        ),
        risk=Risk(),
    ),
    {
        "orders count": fields(import_ratio=ImportRatio(0.6, 20.0, "deployed", per_tenant=False)),
        "ratio in total": fields(import_ratio=ImportRatio(0.6, 20.0, "ordered")),
        "change of the ratio": outcomes(import_ratio=None),
        "no carry-over": each("buyers", 0, budget=Budget(2.0e5, 7.0e5)),
        "total of a tenant": each("buyers", 0, budget=Budget(2.0e5, carry_over=False)),
        "what a tenant may": each("buyers", buys=NONE),
        "budget of all": fields(budget=Budget()),
        "prices that change": outcomes(price={}),
        "duty that changes": outcomes(duty={}),
        "supply that changes": outcomes(supply={}),
        "demand that changes": outcomes(demand={}),
    },
)

LINKS: Case = (
    plan(
        3,
        regions=(place("a", usd_per_kwh=0.12), place("b"), place("c", usd_per_kwh=0.02)),
        chips=(
            chip("fast", rates={"training": 1.0, DECODE: 0.9}, price_usd=7000.0, lead=1),
            chip("home", "CN", rates={"training": 0.3, DECODE: 0.5}, price_usd=3000.0, lead=1),
        ),
        stock=(
            Stock("b", "fast", 30.0),
            Stock("c", "fast", 60.0),
            Stock("a", "home", 40.0),
            Stock("c", "home", 40.0),
        ),
        demand=(
            work("open", {"a": (30.0, 60.0, 80.0)}, 2.5, bandwidth_bytes_s=1.0e6),
            work("must", {"a": (8.0, 9.0, 10.0)}, None, sensitivity="secret", workload=DECODE),
            work("near", {"b": (40.0, 50.0, 60.0)}, 1.9, max_rtt_s=0.02, workload=DECODE),
        ),
        links=(
            Link(("a", "b"), 2.0e7, 0.01, 1.0e-12),
            Link(("b", "c"), 4.0e7, 0.03, 2.0e-12),
        ),
        trust={"secret": CN},
        branches=(
            Branch("more", 1, (Outcome("yes", 0.5, demand={"open": 1.5}), Outcome("no", 0.5))),
        ),
        risk=Risk(1.0, 0.5),
    ),
    {
        "bandwidth": each("links", bandwidth_bytes_s=1.0e12),
        "traffic": each("demand", bandwidth_bytes_s=0.0),
        "price of traffic": each("links", usd_per_byte=0.0),
        "trust": fields(trust={"secret": US | CN}),
        "must be served": each("demand", 1, unmet_usd_per_hour=0.01),
        "round trip": each("demand", 2, max_rtt_s=inf),
        "only bad futures weigh": fields(risk=Risk(0.5, 0.5)),
    },
)

LOTS: Case = (
    plan(
        4,
        chips=(
            chip("fast", price_usd=6000.0, lead=1, lot=6),
            chip("home", "CN", rate=0.4, price_usd=1700.0, lead=0, lot=7),
        ),
        demand=(work("w", {"a": (13.0, 29.0, 50.0, 55.0)}, 1.7),),
        domestic=CN,
        import_ratio=ImportRatio(1.0, base=10.0, counts="ordered"),
        branches=(Branch("ban", 2, (Outcome("yes", 0.5, ban=US), Outcome("no", 0.5))),),
        whole_lots=True,
    ),
    {"whole lots": fields(whole_lots=False), "size of a lot": offer(1, lot=2)},
)

CASES = {"fleet": FLEET, "rules": RULES, "ordered": ORDERED, "links": LINKS, "lots": LOTS}
