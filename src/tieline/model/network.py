"""Everything joined: regions, links, sites, pools, tenants, datasets.

All frozen. Built by `tieline.files` from YAML, or in Python by tests and traces.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

from tieline.model.accelerator import Accelerator
from tieline.model.throughputs import ThroughputTable


@dataclass(frozen=True, slots=True)
class Region:
    """A place with an electricity price; the end of links."""

    id: str
    name: str = ""
    electricity_usd_per_kwh: float | None = None
    pue: float | None = None
    """Power usage effectiveness, >= 1."""
    carbon_g_per_kwh: float | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A two-way connection between two different regions."""

    ends: tuple[str, str]
    bandwidth_bytes_s: float
    rtt_s: float = 0.0
    usd_per_byte: float = 0.0


@dataclass(frozen=True, slots=True)
class Pool:
    """The accelerators of one model at one site: nodes x accelerators per node."""

    id: str
    """Unique in the network: `SITE/ACCELERATOR`, or `SITE/NAME` where the file names it."""
    site: str
    accelerator: str
    """Catalogue id, or the id of an accelerator the network file defines itself."""
    nodes: int
    accelerators_per_node: int
    trust: frozenset[str] = frozenset({"open"})
    """Sensitivities it may serve. Sensitive work goes only where `sensitive` is listed."""
    stacks: frozenset[str] = frozenset()
    """Software stacks installed; empty means the accelerator's own stack alone."""
    partition: str | None = None
    """Queue name at the site's own scheduler."""
    gres: str | None = None
    """What the site's own scheduler calls one of these accelerators, such as `gpu:h200`."""

    @property
    def capacity(self) -> int:
        """Accelerators in the pool."""
        return self.nodes * self.accelerators_per_node


@dataclass(frozen=True, slots=True)
class Site:
    """One compute centre, behind one engine, in one region."""

    id: str
    region: str
    pools: tuple[Pool, ...]
    engine: str = "local"
    engine_options: Mapping[str, str] = field(default_factory=dict)
    cache_bytes: float = inf
    """Room for copies of datasets whose originals are elsewhere."""
    accounts: Mapping[str, str] = field(default_factory=dict)
    """By tenant, the user of the site as whom its commands run; `*` stands for all others."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organisation that submits jobs."""

    id: str
    share: float = 1.0
    """Weight in fair sharing, > 0."""
    home: str | None = None
    """The site it would have to itself without the network."""
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Accelerators it may use at once, by accelerator id; `total` limits the sum."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Bytes with replicas at sites and a rule on where they may go."""

    id: str
    size_bytes: float
    replicas: frozenset[str] = frozenset()
    """Sites that hold a copy."""
    residency: frozenset[str] = frozenset()
    """Regions it may be in; empty means anywhere."""
    sensitivity: str = "open"


@dataclass(frozen=True)
class Network:
    """Regions, sites with their pools, links, tenants, datasets and own accelerators."""

    name: str
    regions: tuple[Region, ...]
    sites: tuple[Site, ...]
    links: tuple[Link, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    """Accelerators that the network file defines beside the catalogue."""
    usd_per_accelerator_hour: float | None = None
    """What an hour of an accelerator is worth: turns the cost of moving data into time. None:
    money does not count."""
    throughputs: ThroughputTable | None = None
    """Speeds that its operator measured."""

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        """All pools, sites in file order, pools in file order: the P axis everywhere."""
        return tuple(pool for site in self.sites for pool in site.pools)

    @cached_property
    def capacity(self) -> int:
        """Accelerators in the whole network."""
        return sum(pool.capacity for pool in self.pools)

    @cached_property
    def site_region(self) -> Mapping[str, str]:
        """Region id of each site id."""
        return {site.id: site.region for site in self.sites}
