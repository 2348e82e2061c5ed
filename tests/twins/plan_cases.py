"""Made-up plans: a few words to write one by hand, and tiny ones drawn by hypothesis."""

from math import inf

from hypothesis import strategies as st

from tieline.model.accelerator import Accelerator
from tieline.model.network import Link, Region
from tieline.model.plan import (
    Branch,
    Budget,
    Buyer,
    Cap,
    Chip,
    Demand,
    ImportRatio,
    Offer,
    Outcome,
    PlanRegion,
    PlanSpec,
    Risk,
    Stock,
)

TRAINING, DECODE = "training", "decode"


def place(name: str, *, usd_per_kwh: float = 0.0, pue: float = 1.0, **limits: float) -> PlanRegion:
    """Give a region; `limits` are power_w and space."""
    return PlanRegion(Region(name, electricity_usd_per_kwh=usd_per_kwh, pue=pue), **limits)


def chip(name: str, origin: str = "US", *, rate: float = 1.0, **other: object) -> Chip:
    """Give an accelerator; what is no field of a chip is one of its offer."""
    own = {key: other.pop(key) for key in ("power_w", "idle", "decay", "rates") if key in other}
    own = {"power_w": 1000.0, "rates": {TRAINING: rate, DECODE: rate}} | own
    offer = Offer(name, **other) if other else None
    return Chip(Accelerator(name, name, "", origin, "cuda"), offer=offer, **own)


def work(
    name: str, amounts: dict[str, tuple[float, ...]], unmet: float | None = 1.0, **other: object
) -> Demand:
    """Give a demand of the class training, unless another is named."""
    return Demand(name, other.pop("workload", TRAINING), amounts, unmet, **other)


def plan(quarters: int, **parts: object) -> PlanSpec:
    """Give a plan of one region `a`, unless others are named."""
    return PlanSpec("case", 4 * 2027, quarters, **({"regions": (place("a"),)} | parts))


# ------------------------------------------------------------------------------- drawn ones
# Numbers are few and round: what is equal, 0 or just enough is where mistakes are.

_amounts = st.sampled_from([0.0, 7.0, 20.0, 33.0, 60.0])
_factors = st.sampled_from([0.0, 0.5, 1.0, 1.4])
_names = st.sampled_from(["c0", "c1", "c2", "US", "CN"])
_groups = st.frozensets(_names, min_size=1, max_size=2)


def _by_name(values: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, float]]:
    return st.dictionaries(_names, values, max_size=2)


def _outcomes(name: str, chance: float, draw: st.DrawFn) -> Outcome:
    return Outcome(
        name,
        chance,
        ban=draw(st.just(frozenset()) | _groups),
        lift=draw(st.just(frozenset()) | _groups),
        undelivered=draw(st.sampled_from(["arrive", "refunded"])),
        supply=draw(_by_name(_factors)),
        price=draw(_by_name(st.sampled_from([0.6, 1.5]))),
        duty=draw(_by_name(st.sampled_from([0.0, 0.4]))),
        demand=draw(st.dictionaries(st.sampled_from(["w0", "w1", DECODE]), _factors, max_size=2)),
        caps=draw(st.dictionaries(st.sampled_from(["q0", "q1"]), _amounts, max_size=1)),
        import_ratio=draw(st.sampled_from([None, None, 0.3, 2.0])),
    )


def _branches(draw: st.DrawFn) -> tuple[Branch, ...]:
    """Give at most two questions; the second may come after an answer to the first."""
    found: list[Branch] = []
    for i, at in enumerate(draw(st.sampled_from([(), (1,), (2,), (1, 2), (1, 3), (2, 3)]))):
        chance = draw(st.sampled_from([0.25, 0.5, 0.9]))
        outcomes = tuple(
            _outcomes(f"o{i}{j}", p, draw) for j, p in enumerate([chance, 1.0 - chance])
        )
        after = draw(st.sampled_from([None, "b0.o00"])) if found else None
        found.append(Branch(f"b{i}", at, outcomes, after))
    return tuple(found)


def _chips(draw: st.DrawFn, quarters: int) -> tuple[Chip, ...]:
    supplies = st.tuples(*[_amounts] * quarters)
    return tuple(
        chip(
            f"c{i}",
            draw(st.sampled_from(["US", "CN"])),
            rates={TRAINING: draw(st.sampled_from([0.4, 1.0])), DECODE: draw(_factors)},
            decay=draw(st.sampled_from([0.0, 0.2])),
            price_usd=draw(st.sampled_from([1500.0, 4100.0, 9300.0])) + 10.0 * i,
            install_usd=draw(st.sampled_from([0.0, 350.0])),
            duty=draw(st.sampled_from([0.0, 0.25])),
            price_growth=draw(st.sampled_from([0.0, -0.06, 0.04])),
            lead=draw(st.integers(0, 2)),
            supply=draw(st.none() | supplies),
            life=draw(st.sampled_from([1, 2, 9])),
            residual=draw(st.sampled_from([0.0, 0.6, 1.0])),
            lot=draw(st.sampled_from([1, 8])),
        )
        for i in range(draw(st.integers(1, 3)))
    )


def _budget(draw: st.DrawFn) -> Budget:
    return Budget(
        per_quarter_usd=draw(st.sampled_from([inf, 4.0e4, 1.7e5])),
        total_usd=draw(st.sampled_from([inf, 1.1e5])),
        carry_over=draw(st.booleans()),
    )


def _places(draw: st.DrawFn, regions: list[str], stock: tuple[Stock, ...]) -> list[PlanRegion]:
    """Give regions that have room for what is there: 1.25 kW each, cooling included."""
    found = []
    for name in regions:
        there = sum(one.count for one in stock if one.region == name)
        more = draw(st.sampled_from([inf, 0.0, 25.0]))
        found.append(
            place(
                name,
                usd_per_kwh=draw(st.sampled_from([0.0, 0.12])),
                pue=1.25,
                power_w=1250.0 * (there + more),
                space=there + draw(st.sampled_from([inf, 0.0, 31.0])),
            )
        )
    return found


@st.composite
def tiny_plans(draw: st.DrawFn, *, must: bool = False) -> PlanSpec:
    """Draw a plan with every kind of rule, some of them on.

    Parameters
    ----------
    must
        Whether there may be demand that must be served, so that there may be no solution.
    """
    quarters = draw(st.integers(2, 4))
    regions = [f"r{i}" for i in range(draw(st.integers(1, 2)))]
    chips = _chips(draw, quarters)
    ids = [one.accelerator.id for one in chips]
    stock = tuple(
        Stock(name, one, draw(_amounts), draw(st.sampled_from([None, 1, 2])))
        for name in regions
        for one in draw(st.lists(st.sampled_from(ids), max_size=2))
    )
    demand = tuple(
        work(
            f"w{i}",
            {name: tuple(draw(_amounts) for _ in range(quarters)) for name in regions},
            draw(st.sampled_from([0.3, 1.1, 2.9, *([None] if must else [])])),
            workload=(TRAINING, DECODE)[i],
            sensitivity=draw(st.sampled_from(["open", "secret"])),
            max_rtt_s=draw(st.sampled_from([inf, 0.01])),
            bandwidth_bytes_s=draw(st.sampled_from([0.0, 3.0e6])),
        )
        for i in range(draw(st.integers(1, 2)))
    )
    buyers = tuple(
        Buyer(
            f"k{i}",
            members=draw(st.integers(1, 2)),
            budget=_budget(draw),
            buys=draw(st.just(frozenset()) | _groups),
            regions=draw(st.sampled_from([frozenset(), frozenset({"r0"})])),
        )
        for i in range(draw(st.integers(1, 2)))
    )
    ratio = ImportRatio(
        ratio=draw(st.sampled_from([0.0, 0.5, 1.5])),
        base=draw(st.sampled_from([0.0, 6.0])),
        counts=draw(st.sampled_from(["ordered", "deployed"])),
        per_tenant=draw(st.booleans()),
    )
    return PlanSpec(
        name="drawn",
        first=4 * 2027,
        quarters=quarters,
        regions=tuple(_places(draw, regions, stock)),
        chips=chips,
        demand=demand,
        links=tuple(
            Link(("r0", "r1"), draw(st.sampled_from([4.0e7, 9.0e8])), rtt, 1.0e-13)
            for rtt in draw(st.sampled_from([[], [0.005], [0.02]]))
            if len(regions) > 1
        ),
        stock=stock,
        buyers=buyers,
        discount=draw(st.sampled_from([0.0, 0.1])),
        utilisation=draw(st.sampled_from([1.0, 0.7])),
        budget=_budget(draw),
        domestic=frozenset({"CN"}),
        trust={"secret": draw(_groups)},
        caps=tuple(
            Cap(f"q{i}", draw(_groups), draw(_amounts), draw(st.booleans()))
            for i in range(draw(st.integers(0, 2)))
        ),
        import_ratio=draw(st.sampled_from([None, ratio])),
        branches=_branches(draw),
        risk=Risk(draw(st.sampled_from([0.0, 0.5, 1.0])), draw(st.sampled_from([0.1, 0.6]))),
    )
