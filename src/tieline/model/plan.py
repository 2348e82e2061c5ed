"""What a plan is about: demand, accelerators on offer, rules, and the futures that may come.

All frozen. Built by `tieline.files` from YAML, or in Python by tests. Money is in USD of the
first quarter, quarters are counted from the first quarter of the plan (0).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal

from tieline.model.accelerator import Accelerator
from tieline.model.network import Link, Region

#: 8,766 hours a year (365.25 days), in four quarters.
HOURS_PER_QUARTER: Final = 8766.0 / 4
QUARTERS_PER_YEAR: Final = 4

#: How a rule counts accelerators: when they are ordered, or when they are delivered.
Counts = Literal["ordered", "deployed"]

#: The sensitivity that every accelerator may serve.
OPEN: Final = "open"


@dataclass(frozen=True, slots=True)
class PlanRegion:
    """A region with what it can take."""

    region: Region
    power_w: float = inf
    """Electrical power for accelerators, cooling included [W]."""
    space: float = inf
    """Accelerators that there is room for."""


@dataclass(frozen=True, slots=True)
class Stock:
    """Accelerators that are there at the beginning."""

    region: str
    accelerator: str
    count: float
    retires: int | None = None
    """The quarter from which on they are gone; None: they stay."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What an accelerator costs and when it comes. Per-quarter values have axis T."""

    accelerator: str
    price_usd: float
    install_usd: float = 0.0
    """Server, network and building, per accelerator."""
    duty: float = 0.0
    """Duty or share of revenue, as a part of the price."""
    price_growth: float = 0.0
    """Change of the price per quarter: -0.02 is 2 % less each quarter."""
    lead: int = 1
    """Quarters from order to use; 0: in use in the quarter of the order."""
    supply: tuple[float, ...] | None = None
    """Most that can be ordered in each quarter by all; None: any number."""
    life: int = 20
    """Quarters of use."""
    residual: float = 1.0
    """What is left of it at the end of the plan, as a part of its straight-line book value: of
    price, duty and installation."""
    lot: int = 1
    """Accelerators that are ordered together; counts only where lots are whole."""


@dataclass(frozen=True, slots=True)
class Chip:
    """An accelerator as the plan sees it."""

    accelerator: Accelerator
    power_w: float
    """Power of one in use, with its part of server and network, without cooling [W]."""
    idle: float = 0.3
    """Part of that power which an idle one draws."""
    decay: float = 0.0
    """Part that fails per quarter once it is banned: no spares, no new software."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Progress relative to the reference by workload class; others are of the catalogue."""
    offer: Offer | None = None
    """None: what is there stays, and no more can be bought."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Work of one class that comes up in some regions. Amounts have axes region and T."""

    id: str
    workload: str
    """One of `WORKLOAD_CLASSES`: decides the rates."""
    amounts: Mapping[str, tuple[float, ...]]
    """Reference accelerators kept busy on average, by region, in each quarter."""
    unmet_usd_per_hour: float | None
    """What an hour of one reference accelerator is worth that is not served; None: all of it
    must be served."""
    sensitivity: str = OPEN
    max_rtt_s: float = inf
    """Longest round trip to where it is served."""
    bandwidth_bytes_s: float = 0.0
    """Traffic per reference accelerator that is served in another region."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent on orders: price, duty and installation."""

    per_quarter_usd: float = inf
    total_usd: float = inf
    carry_over: bool = True
    """Whether what is not spent in a quarter may be spent later."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """A tenant that buys; its accelerators serve everybody's work."""

    id: str
    members: int = 1
    """Equal organisations that it stands for; what holds for each holds so many times."""
    budget: Budget = field(default_factory=Budget)
    """For all its members together."""
    buys: frozenset[str] = frozenset()
    """Accelerators or origins it may buy; empty: any."""
    regions: frozenset[str] = frozenset()
    """Regions it may put them in; empty: any."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A licence or quota: at most so many accelerators, counted from its last change on."""

    id: str
    accelerators: frozenset[str]
    """Accelerators or origins that count together."""
    at_most: float
    each: bool = False
    """Whether it holds for each member of each tenant, rather than for all together."""


@dataclass(frozen=True, slots=True)
class ImportRatio:
    """Imported accelerators <= base + ratio x domestic ones, counted from its last change on."""

    ratio: float
    base: float = 0.0
    """For each member of a tenant, and so many times in total."""
    counts: Counts = "deployed"
    per_tenant: bool = True
    """Whether it holds for each tenant as well as in total."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What may come of a question, and what it changes from then on."""

    id: str
    probability: float
    ban: frozenset[str] = frozenset()
    """Accelerators or origins that cannot be ordered any more."""
    lift: frozenset[str] = frozenset()
    """Accelerators or origins that can be ordered again."""
    undelivered: Literal["arrive", "refunded"] = "arrive"
    """What becomes of orders under way when the ban comes."""
    supply: Mapping[str, float] = field(default_factory=dict)
    """Factors on the supply, by accelerator or origin."""
    price: Mapping[str, float] = field(default_factory=dict)
    """Factors on the price, by accelerator or origin."""
    duty: Mapping[str, float] = field(default_factory=dict)
    """New duties, by accelerator or origin."""
    demand: Mapping[str, float] = field(default_factory=dict)
    """Factors on the demand, by id of the demand or workload class."""
    caps: Mapping[str, float] = field(default_factory=dict)
    """New limits, by id of the cap."""
    import_ratio: float | None = None
    """A new ratio; None: as before."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A question whose answer becomes known at the beginning of a quarter."""

    id: str
    at: int
    """The quarter, > 0: the first quarter is decided before anything is known."""
    outcomes: tuple[Outcome, ...]
    after: str | None = None
    """The outcome after which it is asked, as `BRANCH.OUTCOME`; None: in any future."""


@dataclass(frozen=True, slots=True)
class Risk:
    """How much bad futures weigh: (1 - weight) x mean + weight x mean of the worst part."""

    weight: float = 0.0
    tail: float = 0.1
    """The worst part: 0.1 is the dearest 10 % by probability."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A value of the file that is varied, to see where the verdict changes."""

    path: str
    values: tuple[float, ...]
    """Ascending."""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Assumption:
    """Where a number of the plan comes from."""

    of: str
    """Its path in the file, such as `accelerators.nvidia-h200-sxm.price`."""
    value: str
    """As it stands in the file."""
    source: str
    confidence: str
    """One of `CONFIDENCES` of the catalogue, or `assumed`."""


@dataclass(frozen=True)
class PlanSpec:
    """Everything a plan is about."""

    name: str
    first: int
    """The first quarter, as 4 x year + quarter of the year - 1."""
    quarters: int
    regions: tuple[PlanRegion, ...]
    chips: tuple[Chip, ...]
    demand: tuple[Demand, ...]
    links: tuple[Link, ...] = ()
    stock: tuple[Stock, ...] = ()
    buyers: tuple[Buyer, ...] = (Buyer("all"),)
    discount: float = 0.0
    """Per year."""
    utilisation: float = 1.0
    """Part of the accelerators that can be busy on average."""
    budget: Budget = field(default_factory=Budget)
    """For all buyers together."""
    domestic: frozenset[str] = frozenset()
    """Origins that are not imports."""
    trust: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Accelerators or origins that may serve a sensitivity, by sensitivity."""
    caps: tuple[Cap, ...] = ()
    import_ratio: ImportRatio | None = None
    branches: tuple[Branch, ...] = ()
    risk: Risk = field(default_factory=Risk)
    whole_lots: bool = False
    """Whether orders are whole lots: an integer program."""
    sweeps: tuple[Sweep, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    """To print with the result."""


def quarter_name(quarter: int) -> str:
    """Give the name of a quarter that is counted as `PlanSpec.first` is.

    Examples
    --------
    >>> quarter_name(4 * 2027)
    '2027Q1'
    """
    year, number = divmod(quarter, QUARTERS_PER_YEAR)
    return f"{year}Q{number + 1}"


def covers(names: frozenset[str], accelerator: Accelerator) -> bool:
    """Say whether accelerators or origins include an accelerator."""
    return accelerator.id in names or accelerator.origin in names
