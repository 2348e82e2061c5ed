"""Plans of any size, drawn from a seed: for measuring how fast plans are made and solved."""

from itertools import pairwise
from typing import Final

import numpy as np

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
from tieline.model.units import BYTES_PER_GB, BYTES_PER_GBIT
from tieline.model.workload import WORKLOAD_CLASSES

QUARTERS: Final = 12
#: Quarters at which a question of three outcomes is answered, by number of futures. As in the
#: measurements that the targets come from: 12, 52, 120 and 278 nodes.
BRANCHES: Final = {1: (), 3: (6,), 9: (4, 8), 27: (3, 6, 9), 81: (2, 4, 7, 10)}
_RTT_S: Final = (0.02, 0.03, 0.06)


def drawn_plan(regions: int, accelerators: int, futures: int, seed: int = 0) -> PlanSpec:
    """Give a plan with six demands, half of the accelerators imported, and all kinds of rules."""
    rng = np.random.default_rng(seed)
    names = [f"r{i}" for i in range(regions)]
    chips = tuple(_chip(rng, i, imported=i < (accelerators + 1) // 2) for i in range(accelerators))
    return PlanSpec(
        name=f"{regions} x {accelerators} x {futures}",
        first=4 * 2027,
        quarters=QUARTERS,
        regions=tuple(_region(rng, name) for name in names),
        chips=chips,
        demand=tuple(_demand(rng, i, names) for i in range(len(WORKLOAD_CLASSES))),
        links=tuple(_links(rng, names)),
        stock=tuple(
            Stock(name, chip.accelerator.id, float(rng.uniform(0, 6000 / accelerators)))
            for name in names
            for chip in chips
        ),
        buyers=(Buyer("all", budget=Budget(per_quarter_usd=regions * 3.0e6)),),
        discount=0.08,
        domestic=frozenset({"CN"}),
        trust={"sensitive": frozenset({"CN"})},
        caps=(Cap("licence", frozenset({"a0"}), at_most=regions * 80.0),),
        import_ratio=ImportRatio(0.8, base=regions * 5.0),
        branches=tuple(_branch(i, at) for i, at in enumerate(BRANCHES[futures])),
        risk=Risk(weight=0.3, tail=0.1),
    )


def _chip(rng: np.random.Generator, i: int, *, imported: bool) -> Chip:
    speed = rng.uniform(0.6, 1.0) if imported else rng.uniform(0.2, 0.6)
    usd = rng.uniform(24e3, 36e3) if imported else rng.uniform(36e3, 54e3)
    return Chip(
        accelerator=Accelerator(f"a{i}", f"a{i}", "", "US" if imported else "CN", "cuda"),
        power_w=float(rng.uniform(500, 1400)),
        rates={one: float(speed * rng.uniform(0.8, 1.2)) for one in WORKLOAD_CLASSES},
        offer=Offer(
            accelerator=f"a{i}",
            price_usd=float(speed * usd),
            install_usd=8000.0,
            duty=0.25 if imported else 0.0,
            lead=2 if imported else 1,
            supply=tuple(rng.uniform(150, 450) * (1.05**t) for t in range(QUARTERS)),
        ),
    )


def _region(rng: np.random.Generator, name: str) -> PlanRegion:
    price = float(rng.uniform(0.05, 0.11))
    return PlanRegion(
        Region(name, electricity_usd_per_kwh=price, pue=float(rng.uniform(1.1, 1.4))),
        power_w=float(rng.uniform(5e6, 9e6)),
    )


def _demand(rng: np.random.Generator, i: int, names: list[str]) -> Demand:
    amounts = {
        name: tuple(float(x) for x in rng.uniform(200, 600) * 1.06 ** np.arange(QUARTERS))
        for name in names
    }
    return Demand(
        id=f"d{i}",
        workload=WORKLOAD_CLASSES[i],
        amounts=amounts,
        unmet_usd_per_hour=float(rng.uniform(2.0, 6.0)),
        sensitivity="sensitive" if i == 0 else "open",
        max_rtt_s=_RTT_S[i % 3],
        bandwidth_bytes_s=float(rng.uniform(0.01, 0.1)) * BYTES_PER_GBIT,
    )


def _links(rng: np.random.Generator, names: list[str]) -> list[Link]:
    """Give a ring of regions."""
    neighbours = pairwise([*names, names[0]])
    pairs = dict.fromkeys(frozenset(pair) for pair in neighbours if len(set(pair)) > 1)
    return [
        Link(
            (ends[0], ends[1]),
            bandwidth_bytes_s=float(rng.uniform(4, 32)) * BYTES_PER_GBIT,
            rtt_s=float(rng.uniform(0.008, 0.02)),
            usd_per_byte=0.002 / BYTES_PER_GB,
        )
        for ends in map(sorted, pairs)
    ]


def _branch(i: int, at: int) -> Branch:
    """Give a question: demand, domestic supply, a ban, price, in turn."""
    low, high = (dict.fromkeys(WORKLOAD_CLASSES, factor) for factor in (0.85, 1.2))
    outcomes = (
        (Outcome("low", 0.3, demand=low), Outcome("mid", 0.4), Outcome("high", 0.3, demand=high)),
        (
            Outcome("slow", 0.3, supply={"CN": 0.6}),
            Outcome("mid", 0.4),
            Outcome("fast", 0.3, supply={"CN": 1.5}),
        ),
        (
            Outcome("ban", 0.3, ban=frozenset({"US"})),
            Outcome("stays", 0.5),
            Outcome("tight", 0.2, import_ratio=0.4),
        ),
        (
            Outcome("dear", 0.3, price={"US": 1.3}),
            Outcome("same", 0.4),
            Outcome("cheap", 0.3, price={"CN": 0.8}),
        ),
    )[i]
    return Branch(f"b{i}", at, outcomes)
