"""What a plan file names and counts: that it is there, there once, and makes sense together.

Works on data as read, so that these mistakes are found beside those of other kinds.
"""

from collections.abc import Collection, Iterator, Mapping
from math import inf
from typing import Final

from tieline.files.document import each, texts
from tieline.files.plan_chips import Listed, accelerator_faults, accelerators_of
from tieline.files.plan_futures import Span, future_faults, span_of
from tieline.files.plan_paths import PathError, located, part_at, refused, value_place
from tieline.files.plan_values import USD, Money, money_of, quarter_of
from tieline.files.problems import Fault, Loc, listed, unknown_name
from tieline.files.references import (
    doubled,
    doubled_ids,
    link_faults,
    text_of,
    unknown_names,
)
from tieline.model.catalogue import catalogue
from tieline.model.network import Network
from tieline.model.plan import OPEN, quarter_name
from tieline.model.workload import WORKLOAD_CLASSES

#: What stands for one accelerator or for all of a country.
_EITHER: Final = "accelerator or origin"

#: Where ids are given, and what they are the ids of.
_IDS: Final = {
    "accelerators.*.id": "accelerator",
    "regions.*.id": "region",
    "demand.*.id": "demand",
    "tenants.*.id": "tenant",
    "rules.caps.*.id": "cap",
    "branches.*.id": "branch",
    "branches.*.outcomes.*.id": "outcome",
}
#: Where ids are used, and what they must be the ids of.
_USES: Final = {
    "existing.*.region": "region",
    "links.*.between.*": "region",
    "tenants.*.regions.*": "region",
    "tenants.*.buys.*": _EITHER,
    "demand.*.sensitivity": "sensitivity",
    "domestic.*": "origin",
    "rules.trust.*.*": _EITHER,
    "rules.caps.*.accelerators.*": _EITHER,
    "branches.*.outcomes.*.ban.*": _EITHER,
    "branches.*.outcomes.*.lift.*": _EITHER,
}
#: The same, where they are names of fields.
_KEYS: Final = {
    "demand.*.amounts.*": "region",
    "supply_factor.*": _EITHER,
    "branches.*.outcomes.*.supply.*": _EITHER,
    "branches.*.outcomes.*.price.*": _EITHER,
    "branches.*.outcomes.*.duty.*": _EITHER,
    "branches.*.outcomes.*.demand.*": "demand",
    "branches.*.outcomes.*.caps.*": "cap",
}
_MONEY: Final = (
    "accelerators.*.price",
    "accelerators.*.install",
    "demand.*.unmet_per_hour",
    "budget.*",
    "tenants.*.budget.*",
)
_SERIES: Final = ("demand.*.amounts.*", "accelerators.*.supply")


def plan_faults(data: object, network: Network | None) -> Iterator[Fault]:
    """Give what is unknown, doubled or contradictory in the data of a plan file.

    `network` is the one that the plan takes over.
    """
    chips = accelerators_of(data, network)
    known = _known(data, chips, network)
    yield from doubled_ids(data, _IDS)
    yield from _unknown(data, known)
    yield from link_faults(data)
    yield from _existing(data, {chip.id for chip in chips}, network)
    yield from _beside_network(data, network, known["region"])
    yield from _currencies(data)
    span = span_of(data)
    if span:
        yield from _time(data, span)
    yield from _outcomes(data)
    yield from future_faults(data)
    yield from accelerator_faults(data, chips)
    yield from _sweeps(data)
    yield from _sources(data)


def _known(
    data: object, chips: list[Listed], network: Network | None
) -> Mapping[str, Collection[str]]:
    """Give the names that may be used, by what they are of."""
    origins = {chip.origin for chip in chips} | {one.origin for one in catalogue().values()}
    regions = (
        {name for _, name in texts(data, "regions.*.id")}
        if network is None
        else {region.id for region in network.regions}
    )
    return {
        "region": regions,
        "origin": origins - {""},
        _EITHER: {chip.id for chip in chips} | origins - {""},
        "sensitivity": {OPEN, *(str(loc[-1]) for loc, _ in each(data, "rules.trust.*"))},
        "demand": {*WORKLOAD_CLASSES, *(name for _, name in texts(data, "demand.*.id"))},
        "cap": {name for _, name in texts(data, "rules.caps.*.id")},
    }


def _unknown(data: object, known: Mapping[str, Collection[str]]) -> Iterator[Fault]:
    """Give the names that are not known; of regions only where there are any."""
    told = {"region"} if not known["region"] else set()
    yield from unknown_names(data, {at: of for at, of in _USES.items() if of not in told}, known)
    for pattern, kind in _KEYS.items():
        for loc, _ in each(data, pattern):
            if kind not in told and loc[-1] not in known[kind]:
                yield unknown_name(loc, kind, str(loc[-1]), known[kind])


def _existing(data: object, ids: Collection[str], network: Network | None) -> Iterator[Fault]:
    """Give stocks that are there twice, and those of accelerators that the plan does not list."""
    pools = network.pools if network else ()
    place = network.site_region if network else {}
    in_network = {(place[pool.site], pool.accelerator) for pool in pools}
    first: dict[tuple[str, ...], Loc] = {}
    for loc, stock in each(data, "existing.*"):
        region, name = text_of(stock, "region"), text_of(stock, "accelerator")
        if name and name not in ids:
            found = f"{name!r} is not listed under `accelerators`"
            yield Fault((*loc, "accelerator"), found, "list it there; it needs no price")
        elif (region, name) in in_network:
            found = f"the network file has the {name} in {region!r} already"
            yield Fault(loc, found, "leave them out here, or `network`")
        key = region, name, text_of(stock, "retires")
        if region and name and key in first:
            what = f"stock of {name} in {region!r} that retires then"
            if not key[-1]:
                what = f"stock of {name} in {region!r}"
            yield doubled(data, loc, what, first[key])
        first.setdefault(key, loc)


def _beside_network(
    data: object, network: Network | None, regions: Collection[str]
) -> Iterator[Fault]:
    """Give what contradicts the network that a plan takes over, or is missing without one."""
    if network is None:
        if isinstance(data, dict) and not data.get("regions") and not data.get("network"):
            needed = "needed: where accelerators stand, here or in a network file under `network`"
            yield Fault(("regions",), "missing", needed)
        return
    for loc, name in texts(data, "regions.*.id"):
        if name not in regions:
            yield unknown_name(loc, "region", name, regions)
    if next(each(data, "links.*"), None):
        found = "links beside `network`, which brings its own"
        yield Fault(("links",), found, "put them into the network file, or leave `network` out")


def _currencies(data: object) -> Iterator[Fault]:
    known = {USD, *(str(loc[-1]) for loc, _ in each(data, "currencies.*"))}
    for loc, _ in each(data, f"currencies.{USD}"):
        yield Fault(loc, f"a worth of {USD}, which is 1 by definition", "leave it out")
    for pattern in _MONEY:
        for loc, value in texts(data, pattern):
            money = money_of(value)
            if money and money.currency not in known:
                allowed = f"say under `currencies` what one is worth in {USD}"
                yield Fault(loc, f"unknown currency {money.currency!r}", allowed)


def _time(data: object, span: Span) -> Iterator[Fault]:
    """Give what lies in the past of a plan, comes after its end, or goes on beyond it."""
    quarters = span.end - span.first
    for loc, value in each(data, "existing.*.retires"):
        retires = quarter_of(value)
        if retires is not None and retires < span.first:
            found = f"{value} is before the plan begins"
            yield Fault(loc, found, f"allowed: {quarter_name(span.first)} or later")
    for pattern in _SERIES:
        for loc, series in each(data, pattern):
            if isinstance(series, list) and len(series) > quarters:
                found = f"{len(series)} numbers for {_quarters(quarters)}"
                yield Fault(loc, found, "allowed: at most one for each")
    for loc, chip in each(data, "accelerators.*"):
        if not isinstance(chip, dict) or chip.get("price") is None:
            continue
        lead = chip.get("lead_quarters", 1)
        if isinstance(lead, int) and lead >= quarters:
            found = f"on offer, but comes after {_quarters(lead)}, in a plan of {quarters}"
            allowed = f"allowed: at most {quarters - 1}, or no `price`"
            yield Fault((*loc, "lead_quarters"), found, allowed)


def _quarters(count: int) -> str:
    return f"{count} quarter{'s' * (count != 1)}"


def _outcomes(data: object) -> Iterator[Fault]:
    """Give outcomes that change a rule which is not there, or contradict themselves."""
    has_none = part_at(data, ("rules", "import_ratio")) is None
    for loc, ratio in each(data, "branches.*.outcomes.*.import_ratio"):
        if has_none and ratio is not None:
            found = "a new ratio, but there is none before it"
            yield Fault(loc, found, "put the first one under `rules`, as `import_ratio`")
    for loc, outcome in each(data, "branches.*.outcomes.*"):
        banned = {name for _, name in texts(outcome, "ban.*")}
        both = banned & {name for _, name in texts(outcome, "lift.*")}
        if both:
            found = f"{listed(both)} under `ban`, too"
            yield Fault((*loc, "lift"), found, "allowed: under one of the two")
    for loc, _ in each(data, f"rules.trust.{OPEN}"):
        yield Fault(loc, f"a list for {OPEN!r}, which all may serve", "choose another name")


def _sweeps(data: object) -> Iterator[Fault]:
    """Give the sweeps that lead nowhere, and their values that cannot stand where they lead."""
    for loc, sweep in each(data, "sweeps.*"):
        path = text_of(sweep, "set")
        if not path:
            continue
        try:
            at, here = value_place(data, path)
        except PathError as error:
            yield Fault((*loc, "set"), error.found, error.allowed)
            continue
        if here.type is Money and not (part_at(data, at) or (here.field and here.field.default)):
            found = "no money stands there whose currency the values could have"
            yield Fault((*loc, "set"), found, "give it an amount")
        previous = -inf
        for value_loc, value in each(sweep, "values.*", loc):
            if not isinstance(value, int | float):
                continue  # a fault of its own
            allowed = refused(at, value)
            if allowed:
                yield Fault(value_loc, f"{value} for {path}", allowed)
            elif value <= previous:
                yield Fault(value_loc, f"{value} after {previous}", "allowed: ascending values")
            previous = value


def _sources(data: object) -> Iterator[Fault]:
    for loc, path in texts(data, "sources.*.of"):
        try:
            here = part_at(data, located(data, path)) if path else path
        except PathError as error:
            yield Fault(loc, error.found, error.allowed)
        else:
            if here is None:
                yield Fault(loc, "nothing stands there", "name a place that is in this file")
