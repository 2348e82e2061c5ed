"""Plan files: from YAML to a `PlanSpec`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf, prod
from pathlib import Path
from typing import Any, cast

from tieline.files.document import Document, texts
from tieline.files.network import link_from, read_network
from tieline.files.network_fields import RegionFields
from tieline.files.plan_chips import chip_from, known_accelerators, taken_for_granted
from tieline.files.plan_fields import (
    BranchFields,
    BudgetFields,
    OutcomeFields,
    PlanAcceleratorFields,
    PlanDemandFields,
    PlanFields,
    PlanRegionFields,
    PlanTenantFields,
)
from tieline.files.plan_paths import located, text_at
from tieline.files.plan_references import plan_faults
from tieline.files.plan_values import USD, Money
from tieline.files.problems import Fault, FileErrors
from tieline.files.schema import validated
from tieline.files.syntax import read_document
from tieline.model.network import Network, Region
from tieline.model.plan import (
    Assumption,
    Branch,
    Budget,
    Buyer,
    Cap,
    Chip,
    Counts,
    Demand,
    ImportRatio,
    Offer,
    Outcome,
    PlanRegion,
    PlanSpec,
    Risk,
    Stock,
    Sweep,
    covers,
)
from tieline.model.units import BYTES_PER_GBIT, SECONDS_PER_MS, WATTS_PER_MW
from tieline.model.workload import WORKLOAD_CLASSES


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the numbers of a plan file are counted in."""

    first: int
    quarters: int
    usd: Mapping[str, float]
    """Worth of a currency; that of USD is 1."""

    def money(self, money: Money) -> float:
        """Give an amount in USD."""
        return money.amount * self.usd[money.currency]

    def limit(self, money: Money | None) -> float:
        """Give an amount in USD, that of no limit where there is none."""
        return inf if money is None else self.money(money)

    def series(self, numbers: Sequence[float], growth: float) -> tuple[float, ...]:
        """Give a number for each quarter: after the list its last one, growing."""
        more = range(1, self.quarters - len(numbers) + 1)
        return (*numbers, *(numbers[-1] * (1 + growth) ** quarter for quarter in more))


def read_plan(path: str | Path) -> PlanSpec:
    """Give the plan that a file describes.

    Raises
    ------
    FileErrors
        The file, or the network file that it names, cannot be read or has mistakes; it names
        them all, with their lines.
    """
    return plan_from(read_document(Path(path)), name=Path(path).stem)


def plan_from(document: Document, *, name: str) -> PlanSpec:
    """Give the plan that data describes; `name` is for one that does not name itself.

    Raises
    ------
    FileErrors
        The data has mistakes; it names them all.
    """
    network = _network(document)
    fields = _fields(document, network)
    terms = _Terms(fields.first, fields.quarters, {USD: 1.0, **fields.currencies})
    kinds = _kinds(fields)
    known = known_accelerators(network)
    listed = _accelerators(fields, network)
    return PlanSpec(
        name=fields.name or name,
        first=fields.first,
        quarters=fields.quarters,
        regions=tuple(_regions(fields, network)),
        chips=tuple(
            _offered(chip_from(one, known.get(one.id), kinds), one, fields.supply_factor, terms)
            for one in listed
        ),
        demand=tuple(_demand(one, terms) for one in fields.demand),
        links=network.links if network else tuple(link_from(link) for link in fields.links),
        stock=tuple(_stock(fields, network)),
        buyers=tuple(_buyer(one, terms) for one in fields.tenants) or (Buyer("all"),),
        discount=fields.discount,
        utilisation=fields.utilisation,
        budget=_budget(fields.budget, terms),
        domestic=frozenset(fields.domestic),
        trust={name: frozenset(names) for name, names in fields.rules.trust.items()},
        caps=_caps(fields),
        import_ratio=_import_ratio(fields),
        branches=tuple(_branch(one, terms) for one in fields.branches),
        risk=Risk(fields.risk.weight, fields.risk.tail),
        whole_lots=fields.whole_lots,
        sweeps=tuple(Sweep(one.path, tuple(one.values), one.title) for one in fields.sweeps),
        assumptions=(
            *_sources(document, fields),
            *(
                assumption
                for one in listed
                for assumption in taken_for_granted(one, known.get(one.id), kinds)
            ),
        ),
    )


def plan_to_dict(document: Document) -> dict[str, Any]:
    """Give what a plan file says, as it was understood: only JSON types, defaults left out.

    Raises
    ------
    FileErrors
        The data has mistakes; it names them all.
    """
    fields = _fields(document, _network(document))
    return fields.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _fields(document: Document, network: Network | None) -> PlanFields:
    return validated(PlanFields, document, partial(plan_faults, network=network))


def _network(document: Document) -> Network | None:
    """Give the network that a plan file names, from its folder on."""
    for loc, path in texts(document.data, "network"):
        try:
            return read_network(Path(document.file).parent / path)
        except FileErrors as error:
            first = error.problems[0]
            if first.line is None:  # it could not be read at all
                found = f"{first.file}: {first.found}"
                document.demand([Fault(loc, found, first.allowed)])
            raise
    return None


def _kinds(fields: PlanFields) -> list[str]:
    """Give the workload classes of the demand."""
    wanted = {demand.kind for demand in fields.demand}
    return [kind for kind in WORKLOAD_CLASSES if kind in wanted]


def _accelerators(fields: PlanFields, network: Network | None) -> list[PlanAcceleratorFields]:
    """Give the accelerators that the file lists, then the others of its network."""
    pools = network.pools if network else ()
    listed = {one.id for one in fields.accelerators}
    more = dict.fromkeys(pool.accelerator for pool in pools if pool.accelerator not in listed)
    return [*fields.accelerators, *(PlanAcceleratorFields(id=name) for name in more)]


def _offered(
    chip: Chip, fields: PlanAcceleratorFields, factors: Mapping[str, float], terms: _Terms
) -> Chip:
    """Give the chip with what it costs and when it comes, if it is on offer."""
    if fields.price is None:
        return chip
    supply = None
    if fields.supply is not None:
        mine = (
            part for name, part in factors.items() if covers(frozenset({name}), chip.accelerator)
        )
        factor = prod(mine)
        numbers = terms.series(fields.supply, fields.supply_growth)
        supply = tuple(factor * number for number in numbers)
    offer = Offer(
        accelerator=fields.id,
        price_usd=terms.money(fields.price),
        install_usd=terms.money(fields.install),
        duty=fields.duty,
        price_growth=fields.price_growth,
        lead=fields.lead_quarters,
        supply=supply,
        life=fields.life_quarters,
        residual=fields.residual,
        lot=fields.lot,
    )
    return replace(chip, offer=offer)


def _regions(fields: PlanFields, network: Network | None) -> Iterator[PlanRegion]:
    given = {one.id: one for one in fields.regions}
    for region in network.regions if network else (Region(name) for name in given):
        one = given.get(region.id, PlanRegionFields(id=region.id))
        said = one.model_fields_set & RegionFields.model_fields.keys()
        yield PlanRegion(
            region=replace(region, **{name: getattr(one, name) for name in said}),
            power_w=inf if one.power_mw is None else one.power_mw * WATTS_PER_MW,
            space=inf if one.space is None else one.space,
        )


def _stock(fields: PlanFields, network: Network | None) -> Iterator[Stock]:
    """Give the pools of the network by region and accelerator, then what the file adds."""
    pools: Counter[tuple[str, str]] = Counter()
    if network:
        for pool in network.pools:
            pools[network.site_region[pool.site], pool.accelerator] += pool.capacity
    yield from (Stock(region, name, count) for (region, name), count in pools.items())
    for one in fields.existing:
        retires = None if one.retires is None else one.retires - fields.first
        yield Stock(one.region, one.accelerator, one.count, retires)


def _demand(fields: PlanDemandFields, terms: _Terms) -> Demand:
    unmet = fields.unmet_per_hour
    return Demand(
        id=fields.id,
        workload=fields.kind,
        amounts={
            region: terms.series(numbers, fields.growth)
            for region, numbers in fields.amounts.items()
        },
        unmet_usd_per_hour=None if unmet is None else terms.money(unmet),
        sensitivity=fields.sensitivity,
        max_rtt_s=inf if fields.max_rtt_ms is None else fields.max_rtt_ms * SECONDS_PER_MS,
        bandwidth_bytes_s=fields.gbit_s * BYTES_PER_GBIT,
    )


def _buyer(fields: PlanTenantFields, terms: _Terms) -> Buyer:
    return Buyer(
        id=fields.id,
        members=fields.members,
        budget=_budget(fields.budget, terms),
        buys=frozenset(fields.buys),
        regions=frozenset(fields.regions),
    )


def _budget(fields: BudgetFields, terms: _Terms) -> Budget:
    return Budget(terms.limit(fields.per_quarter), terms.limit(fields.total), fields.carry_over)


def _caps(fields: PlanFields) -> tuple[Cap, ...]:
    return tuple(
        Cap(one.id, frozenset(one.accelerators), one.at_most, one.each)
        for one in fields.rules.caps
    )


def _import_ratio(fields: PlanFields) -> ImportRatio | None:
    rule = fields.rules.import_ratio
    if rule is None:
        return None
    return ImportRatio(rule.ratio, rule.base, cast("Counts", rule.counts), rule.per_tenant)


def _branch(fields: BranchFields, terms: _Terms) -> Branch:
    outcomes = tuple(_outcome(one) for one in fields.outcomes)
    return Branch(fields.id, fields.at - terms.first, outcomes, fields.after)


def _outcome(fields: OutcomeFields) -> Outcome:
    return Outcome(
        **{
            **dict(fields),
            "ban": frozenset(fields.ban),
            "lift": frozenset(fields.lift),
        }
    )


def _sources(document: Document, fields: PlanFields) -> Iterator[Assumption]:
    for one in fields.sources:
        value = text_at(document.data, located(document.data, one.of))
        yield Assumption(one.of, value, one.source, one.confidence)
