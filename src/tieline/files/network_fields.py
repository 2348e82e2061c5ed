"""The fields of a network file: type, unit, default and meaning of each."""

import re
from typing import Annotated, Final

from annotated_types import Ge, Gt, Le, Len, MinLen
from pydantic import BeforeValidator, ConfigDict, Field

from tieline.files.problems import shown
from tieline.files.schema import (
    Class,
    Id,
    Ids,
    Kind,
    Model,
    Number,
    Size,
    Text,
    Unit,
    Whole,
    matching,
    one_of,
    refusal,
)

#: What can run jobs at a site.
ENGINES: Final = ("local", "slurm", "ray", "kubernetes")
#: Largest pool, and the largest quota [accelerators]; more is a slip of the finger.
MAX_POOL: Final = 10_000_000


def _option(value: object) -> object:
    """Give an option of an engine as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise refusal(shown(value), "allowed: text, a number, true or false")


Option = Annotated[str, BeforeValidator(_option), Kind("text, a number, true or false")]
Spec = Annotated[Number, Gt(0), Le(1_000_000_000)]


_GRES: Final = re.compile(r"[A-Za-z0-9_]{1,64}(:[A-Za-z0-9_.-]{1,64})?")
_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
Gres = Annotated[str, matching(_GRES.fullmatch), Kind("a name such as gpu:h200")]
User = Annotated[str, matching(_USER.fullmatch), Kind("the name of a user")]


class AcceleratorFields(Model):
    """An accelerator that is not in the catalogue."""

    id: Id = Field(description="its name in this file, none of the catalogue")
    stack: Id = Field(description="its software stack, such as cuda")
    name: Text = Field("", description="name to show; the id when absent")
    vendor: Text = Field("", description="who makes it")
    origin: Text = Field("", description="country of the vendor, as ISO code")
    memory_gb: Annotated[Spec, Unit("GB")] | None = Field(None, description="memory")
    memory_bw_tbs: Annotated[Spec, Unit("TB/s")] | None = Field(
        None, description="memory bandwidth"
    )
    bf16_tflops: Annotated[Spec, Unit("TFLOPS")] | None = Field(
        None, description="dense compute BF16"
    )
    fp8_tflops: Annotated[Spec, Unit("TFLOPS")] | None = Field(
        None, description="dense compute FP8"
    )
    int8_tops: Annotated[Spec, Unit("TOPS")] | None = Field(None, description="dense compute INT8")
    tdp_w: Annotated[Spec, Unit("W")] | None = Field(None, description="power")
    price_usd: Annotated[Spec, Unit("USD")] | None = Field(None, description="price")
    rates: Annotated[
        dict[Class, Annotated[Number, Ge(0), Le(1000)]],
        Kind("workload classes with numbers from 0 to 1,000"),
    ] = Field(
        default={},
        description="progress relative to nvidia-h200-sxm (1), by workload class; 0 cannot run; "
        "absent classes are worked out from these and the figures",
    )


class RegionFields(Model):
    """A place with an electricity price; the end of links."""

    id: Id = Field(description="its name in this file")
    name: Text = Field("", description="name to show")
    electricity_usd_per_kwh: Annotated[Number, Ge(0), Le(10), Unit("USD/kWh")] | None = Field(
        None, description="price of electricity"
    )
    pue: Annotated[Number, Ge(1), Le(5)] | None = Field(
        None, description="power usage effectiveness: all power over that of the machines"
    )
    carbon_g_per_kwh: Annotated[Number, Ge(0), Le(5000), Unit("g/kWh")] | None = Field(
        None, description="carbon dioxide per electricity"
    )


class LinkFields(Model):
    """A two-way connection between two regions."""

    between: Annotated[list[Id], Len(2, 2), Kind("two region ids, such as [a, b]")] = Field(
        description="the two regions"
    )
    bandwidth_gbit_s: Annotated[Number, Gt(0), Le(1_000_000), Unit("Gbit/s")] = Field(
        description="bandwidth in each direction"
    )
    rtt_ms: Annotated[Number, Ge(0), Le(10_000), Unit("ms")] = Field(
        0.0, description="round trip time"
    )
    usd_per_gb: Annotated[Number, Ge(0), Le(1000), Unit("USD/GB")] = Field(
        0.0, description="cost of moving data"
    )


class PoolFields(Model):
    """The accelerators of one model at one site."""

    accelerator: Id = Field(
        description="id of the model, in the catalogue or under `accelerators`"
    )
    nodes: Annotated[Whole, Ge(1), Le(1_000_000)] = Field(description="number of machines")
    accelerators_per_node: Annotated[Whole, Ge(1), Le(100_000)] = Field(
        description="number of accelerators in each machine"
    )
    name: Id | None = Field(
        None, description="name at the site, where two pools have the same accelerator"
    )
    trust: Annotated[Ids, MinLen(1)] = Field(
        default=["open"], description="sensitivities it may serve, such as open and sensitive"
    )
    stacks: Ids = Field(
        default=[], description="software stacks installed; empty: the accelerator's own"
    )
    partition: Text | None = Field(None, description="queue at the site's own scheduler")
    gres: Annotated[str, matching(_GRES.fullmatch), Kind("a name such as gpu:h200")] | None = (
        Field(None, description="what the site's own scheduler calls one of its accelerators")
    )


class EngineFields(Model):
    """What runs the jobs at a site; further fields are options of that engine, as text."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Option]

    kind: Annotated[str, one_of("engine", ENGINES), Kind(f"one of {', '.join(ENGINES)}")] = Field(
        description="which engine"
    )


class SiteFields(Model):
    """One compute centre, behind one engine, in one region."""

    id: Id = Field(description="its name in this file")
    region: Id = Field(description="id of the region it stands in")
    pools: Annotated[list[PoolFields], MinLen(1), Kind("a list of at least one pool")] = Field(
        description="its accelerators"
    )
    engine: Annotated[EngineFields, Kind("fields, such as `kind: local`")] = Field(
        default=EngineFields.model_validate({"kind": "local"}), description="what runs its jobs"
    )
    cache: Annotated[Size, Ge(0), Le(10**21)] | None = Field(
        None, description="room for copies of datasets from elsewhere; absent: enough"
    )
    accounts: Annotated[
        dict[str, User],
        Kind("tenant ids or `*`, with the names of users"),
    ] = Field(
        default={},
        description="user of the site as whom the commands of each tenant run; `*`: all others. "
        "The local engine runs them as its own user",
    )


class TenantFields(Model):
    """An organisation that submits jobs."""

    id: Id = Field(description="its name here, in jobs and in traces")
    share: Annotated[Number, Gt(0), Le(1_000_000)] = Field(
        1.0, description="weight in fair sharing"
    )
    home: Id | None = Field(
        None, description="id of the site it would have to itself without the network"
    )
    quotas: Annotated[
        dict[Id, Annotated[Whole, Ge(0), Le(MAX_POOL)]],
        Kind("accelerator ids or `total`, with whole numbers"),
    ] = Field(
        default={},
        description="accelerators it may use at once, by accelerator; `total` limits the sum",
    )


class DatasetFields(Model):
    """Data that jobs need."""

    id: Id = Field(description="its name here and in jobs")
    size: Annotated[Size, Ge(0), Le(10**18)] = Field(description="how large it is")
    replicas: Ids = Field(default=[], description="ids of the sites that hold a copy")
    residency: Ids = Field(
        default=[], description="ids of the regions it may be in; empty: anywhere"
    )
    sensitivity: Id = Field("open", description="what a pool must be trusted with to read it")


class NetworkFields(Model):
    """A network file."""

    name: Text | None = Field(None, description="name to show; the file's name when absent")
    regions: Annotated[list[RegionFields], MinLen(1), Kind("a list of at least one region")] = (
        Field(description="the regions that sites stand in")
    )
    sites: Annotated[list[SiteFields], MinLen(1), Kind("a list of at least one site")] = Field(
        description="the compute centres"
    )
    links: Annotated[list[LinkFields], Kind("a list of links")] = Field(
        default=[], description="connections between regions"
    )
    tenants: Annotated[list[TenantFields], Kind("a list of tenants")] = Field(
        default=[], description="who may submit jobs; without any, everybody"
    )
    datasets: Annotated[list[DatasetFields], Kind("a list of datasets")] = Field(
        default=[], description="data that jobs may name"
    )
    accelerators: Annotated[list[AcceleratorFields], Kind("a list of accelerators")] = Field(
        default=[], description="accelerators that are not in the catalogue"
    )
    usd_per_accelerator_hour: Annotated[Number, Gt(0), Le(1_000_000), Unit("USD/hour")] | None = (
        Field(
            None,
            description="what an hour of an accelerator is worth against the cost of moving data; "
            "absent: that cost does not count",
        )
    )
    throughputs: Annotated[Text, MinLen(1)] | None = Field(
        None, description="path of a table of measured speeds, from the folder of this file on"
    )
