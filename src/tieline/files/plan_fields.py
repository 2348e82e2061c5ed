"""The fields of a plan file: type, unit, default and meaning of each."""

from typing import Annotated, Final

from annotated_types import Ge, Gt, Le, Len, MinLen
from pydantic import BeforeValidator, Field, PlainSerializer

from tieline.files.network_fields import LinkFields, RegionFields
from tieline.files.plan_values import USD, Amount, Money, Quarter
from tieline.files.schema import (
    Class,
    Flag,
    Id,
    Ids,
    Kind,
    Model,
    Number,
    Text,
    Unit,
    Whole,
    one_of,
)
from tieline.model.accelerator import CONFIDENCES

#: Most accelerators anywhere in a plan; more is a slip of the finger.
_MOST: Final = 1_000_000_000
_MOST_QUARTERS: Final = 80


def _series(value: object) -> object:
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


def _plain(values: list[float]) -> list[float] | float:
    return values[0] if len(values) == 1 else values


_Count = Annotated[Number, Ge(0), Le(_MOST)]
Series = Annotated[
    list[_Count],
    MinLen(1),
    BeforeValidator(_series),
    PlainSerializer(_plain),
    Kind("a number, or a list with one for each quarter, of which the last goes on"),
]
Share = Annotated[Number, Ge(0), Le(1)]
Growth = Annotated[Number, Gt(-1), Le(10), Unit("per quarter")]
Quarters = Annotated[Whole, Ge(0), Le(_MOST_QUARTERS), Unit("quarters")]
_Factor = Annotated[Number, Ge(0), Le(1000)]
Factors = Annotated[dict[Id, _Factor], Kind("ids with numbers from 0 to 1,000")]
_CONFIDENCES: Final = (*CONFIDENCES, "assumed")


class PlanRegionFields(RegionFields):
    """A region, and what it can take."""

    power_mw: Annotated[Number, Ge(0), Le(1_000_000), Unit("MW")] | None = Field(
        None, description="electrical power for accelerators, cooling included; absent: enough"
    )
    space: Annotated[Number, Ge(0), Le(_MOST), Unit("accelerators")] | None = Field(
        None, description="accelerators that there is room for; absent: enough"
    )


class StockFields(Model):
    """Accelerators that are there at the beginning."""

    region: Id = Field(description="id of the region they stand in")
    accelerator: Id = Field(description="id of the accelerator, listed under `accelerators`")
    count: _Count = Field(description="how many")
    retires: Quarter | None = Field(None, description="the quarter from which on they are gone")


class PlanAcceleratorFields(Model):
    """An accelerator that is there, on offer, or both."""

    id: Id = Field(description="its id in the catalogue, or a new one")
    price: Amount | None = Field(
        None, description="price of one in the first quarter; absent: not on offer"
    )
    duty: Annotated[Number, Ge(0), Le(10)] = Field(
        0.0, description="duty or share of revenue, as a part of the price"
    )
    install: Amount = Field(
        default=Money(0.0, USD), description="server, network and building, per accelerator"
    )
    price_growth: Growth = Field(0.0, description="change of the price; -0.02 is 2 % less")
    lead_quarters: Quarters = Field(
        1, description="from order to use; 0: in use in the quarter of the order"
    )
    supply: Series | None = Field(
        None, description="most that all can order in a quarter; absent: any number"
    )
    supply_growth: Growth = Field(0.0, description="growth of the last number of `supply`")
    life_quarters: Annotated[Whole, Ge(1), Le(_MOST_QUARTERS), Unit("quarters")] = Field(
        20, description="how long it is used"
    )
    residual: Annotated[Number, Ge(0), Le(5)] = Field(
        1.0,
        description="what it is worth when the plan ends, as a part of what was paid for it "
        "(price, duty, installation) times the part of its life that is left",
    )
    lot: Annotated[Whole, Ge(1), Le(1_000_000), Unit("accelerators")] = Field(
        1, description="how many are ordered together; only with `whole_lots`"
    )
    power_w: Annotated[Number, Gt(0), Le(1_000_000), Unit("W")] | None = Field(
        None,
        description="power of one in use with its part of server and network; absent: 1.8 times "
        "that of the chip in the catalogue",
    )
    idle_power: Share = Field(0.3, description="part of that power which an idle one draws")
    decay_when_banned: Share = Field(
        0.0, description="part that fails in each quarter after a ban: no spares, no new software"
    )
    origin: Text | None = Field(
        None, description="country of the vendor, as ISO code; absent: that of the catalogue"
    )
    rates: Annotated[
        dict[Class, _Factor], Kind("workload classes with numbers from 0 to 1,000")
    ] = Field(
        default={},
        description="progress relative to nvidia-h200-sxm (1), by workload class; absent "
        "classes: as in the catalogue",
    )


class PlanDemandFields(Model):
    """Work of one class that comes up in some regions."""

    id: Id = Field(description="its name in this file")
    kind: Class = Field(alias="class", description="what kind of work, such as training")
    amounts: Annotated[dict[Id, Series], MinLen(1), Kind("region ids, each with a number")] = (
        Field(
            description="nvidia-h200-sxm, or as many others as do the same, that it keeps busy on "
            "average: by region, one number or one for each quarter"
        )
    )
    growth: Growth = Field(0.0, description="growth of the last number of each amount")
    unmet_per_hour: Amount | None = Field(
        None,
        description="what an hour of one such accelerator is worth that is not served; absent: "
        "all of it must be served",
    )
    sensitivity: Id = Field(
        "open", description="what an accelerator must be trusted with, listed under `trust`"
    )
    max_rtt_ms: Annotated[Number, Ge(0), Le(10_000), Unit("ms")] | None = Field(
        None, description="longest round trip to where it is served; absent: any"
    )
    gbit_s: Annotated[Number, Ge(0), Le(100_000), Unit("Gbit/s")] = Field(
        0.0, description="traffic per accelerator that is served in another region"
    )


class BudgetFields(Model):
    """What may be spent on orders: price, duty and installation."""

    per_quarter: Amount | None = Field(None, description="in each quarter; absent: any amount")
    total: Amount | None = Field(None, description="over the whole plan; absent: any amount")
    carry_over: Flag = Field(
        default=True, description="whether what is left of a quarter may be spent later"
    )


class PlanTenantFields(Model):
    """A tenant that buys; its accelerators serve everybody's work."""

    id: Id = Field(description="its name in this file")
    members: Annotated[Whole, Ge(1), Le(1_000_000)] = Field(
        1, description="equal organisations that it stands for"
    )
    budget: Annotated[BudgetFields, Kind("fields, such as `per_quarter: 1bn USD`")] = Field(
        default=BudgetFields(), description="what all its members together may spend"
    )
    buys: Ids = Field(
        default=[], description="accelerators or origins that it may buy; empty: any"
    )
    regions: Ids = Field(
        default=[], description="ids of the regions that it may put them in; empty: any"
    )


class CapFields(Model):
    """A licence or quota."""

    id: Id = Field(description="its name in this file")
    accelerators: Annotated[Ids, MinLen(1)] = Field(
        description="accelerators or origins that count together"
    )
    at_most: _Count = Field(description="most that can be ordered, from its last change on")
    each: Flag = Field(
        default=False, description="whether it holds for each member of each tenant"
    )


class RatioFields(Model):
    """Imported accelerators tied to domestic ones."""

    ratio: Annotated[Number, Ge(0), Le(1000)] = Field(
        description="imported ones for each domestic one, from its last change on"
    )
    base: _Count = Field(
        0.0, description="imported ones without any domestic one, for each member of a tenant"
    )
    counts: Annotated[
        str, one_of("way of counting", ("ordered", "deployed")), Kind("ordered or deployed")
    ] = Field("deployed", description="whether orders count or deliveries")
    per_tenant: Flag = Field(
        default=True, description="whether it holds for each tenant as well as in total"
    )


class RuleFields(Model):
    """Who may buy and use what."""

    trust: Annotated[
        dict[Id, Ids], Kind("sensitivities with lists of accelerators or origins")
    ] = Field(
        default={},
        description="accelerators or origins that may serve a sensitivity; all may serve `open`",
    )
    caps: Annotated[list[CapFields], Kind("a list of caps")] = Field(
        default=[], description="licences and quotas"
    )
    import_ratio: Annotated[RatioFields, Kind("fields, such as `ratio: 1`")] | None = Field(
        None, description="imports tied to domestic purchases"
    )


class OutcomeFields(Model):
    """What may come of a question, and what it changes from then on."""

    id: Id = Field(description="its name in this branch")
    probability: Share = Field(description="how likely it is; those of a branch sum to 1")
    ban: Ids = Field(
        default=[], description="accelerators or origins that can no longer be ordered"
    )
    lift: Ids = Field(default=[], description="accelerators or origins that can be ordered again")
    undelivered: Annotated[
        str, one_of("fate", ("arrive", "refunded")), Kind("arrive or refunded")
    ] = Field("arrive", description="what becomes of banned orders that are under way")
    supply: Factors = Field(
        default={}, description="factors on `supply`, by accelerator or origin"
    )
    price: Factors = Field(default={}, description="factors on `price`, by accelerator or origin")
    duty: Annotated[dict[Id, Annotated[Number, Ge(0), Le(10)]], Kind("ids with numbers")] = Field(
        default={}, description="new duties, by accelerator or origin"
    )
    demand: Factors = Field(
        default={}, description="factors on `amounts`, by id of a demand or workload class"
    )
    caps: Annotated[dict[Id, _Count], Kind("ids of caps with numbers")] = Field(
        default={}, description="new limits; what was ordered before does not count any more"
    )
    import_ratio: Annotated[Number, Ge(0), Le(1000)] | None = Field(
        None, description="a new ratio; what was ordered before does not count any more"
    )


class BranchFields(Model):
    """A question whose answer becomes known at the beginning of a quarter."""

    id: Id = Field(description="its name in this file")
    at: Quarter = Field(alias="from", description="when it becomes known, after the first quarter")
    after: Text | None = Field(
        None, description="the outcome after which it is asked, as BRANCH.OUTCOME; absent: always"
    )
    outcomes: Annotated[list[OutcomeFields], MinLen(1), Kind("a list of outcomes")] = Field(
        description="what may come of it"
    )


class RiskFields(Model):
    """How much bad futures weigh."""

    weight: Share = Field(
        0.0, description="weight of the mean of the worst part; the rest is that of the mean"
    )
    tail: Annotated[Number, Gt(0), Le(1)] = Field(
        0.1, description="the worst part: 0.1 is the dearest 10 % by probability"
    )


class SweepFields(Model):
    """A value that is varied, to see where the verdict changes."""

    path: Annotated[Text, MinLen(1)] = Field(
        alias="set", description="where it stands, such as rules.import_ratio.ratio"
    )
    values: Annotated[list[Number], Len(2, 100), Kind("a list of 2 to 100 numbers")] = Field(
        description="the values to try, ascending"
    )
    title: Text = Field("", description="what it is, in words; the path when absent")


class SourceFields(Model):
    """Where a number comes from."""

    of: Annotated[Text, MinLen(1)] = Field(description="where it stands in this file")
    source: Annotated[Text, MinLen(1)] = Field(description="who says so, and when")
    confidence: Annotated[
        str, one_of("confidence", _CONFIDENCES), Kind(f"one of {', '.join(_CONFIDENCES)}")
    ] = Field("assumed", description="how sure it is")


class PlanFields(Model):
    """A plan file."""

    first: Quarter = Field(alias="from", description="the first quarter, in which to decide now")
    quarters: Annotated[Whole, Ge(1), Le(_MOST_QUARTERS), Unit("quarters")] = Field(
        description="how far it looks"
    )
    accelerators: Annotated[
        list[PlanAcceleratorFields], MinLen(1), Kind("a list of at least one accelerator")
    ] = Field(description="what is there or on offer")
    demand: Annotated[list[PlanDemandFields], MinLen(1), Kind("a list of at least one demand")] = (
        Field(description="the work to be served")
    )
    name: Text = Field("", description="name to show; that of the file when absent")
    network: Annotated[Text, MinLen(1)] | None = Field(
        None,
        description="path of a network file, from the folder of this file on, whose regions, "
        "links and pools are taken over",
    )
    regions: Annotated[list[PlanRegionFields], Kind("a list of regions")] = Field(
        default=[],
        description="where accelerators stand; with `network`, what its regions have besides",
    )
    links: Annotated[list[LinkFields], Kind("a list of links")] = Field(
        default=[], description="connections between regions"
    )
    existing: Annotated[list[StockFields], Kind("a list of stocks")] = Field(
        default=[], description="accelerators that are there at the beginning"
    )
    tenants: Annotated[list[PlanTenantFields], Kind("a list of tenants")] = Field(
        default=[], description="who buys; absent: one buyer without limits of its own"
    )
    currencies: Annotated[
        dict[Id, Annotated[Number, Gt(0), Le(1_000_000), Unit("USD")]],
        Kind("currency codes, each with its worth in USD"),
    ] = Field(default={}, description="what one unit of another currency is worth")
    discount: Annotated[Number, Gt(-1), Le(10), Unit("per year")] = Field(
        0.0, description="how much less money is worth a year later"
    )
    utilisation: Annotated[Number, Gt(0), Le(1)] = Field(
        1.0, description="part of the accelerators that can be busy on average"
    )
    budget: Annotated[BudgetFields, Kind("fields, such as `per_quarter: 1bn USD`")] = Field(
        default=BudgetFields(), description="what all tenants together may spend on orders"
    )
    domestic: Ids = Field(default=[], description="origins that are not imports, as ISO codes")
    supply_factor: Factors = Field(
        default={}, description="factors on `supply`, by accelerator or origin"
    )
    rules: Annotated[RuleFields, Kind("fields, such as `import_ratio: {ratio: 1}`")] = Field(
        default=RuleFields(), description="who may buy and use what"
    )
    branches: Annotated[list[BranchFields], Kind("a list of branches")] = Field(
        default=[], description="what may come; branches without `after` are independent"
    )
    risk: Annotated[RiskFields, Kind("fields, such as `weight: 0.3`")] = Field(
        default=RiskFields(), description="how much bad futures weigh"
    )
    whole_lots: Flag = Field(default=False, description="whether only whole lots are ordered")
    sweeps: Annotated[list[SweepFields], Kind("a list of sweeps")] = Field(
        default=[], description="values to vary in the memo"
    )
    sources: Annotated[list[SourceFields], Kind("a list of sources")] = Field(
        default=[], description="where numbers come from"
    )
