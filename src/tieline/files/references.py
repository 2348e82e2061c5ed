"""What a network file names: that it is there, there once, and makes sense together.

Works on data as read, so that these mistakes are found beside those of other kinds.
"""

from collections.abc import Collection, Iterator, Mapping
from math import prod
from typing import Final

from tieline.files.document import each, line_of, texts
from tieline.files.network_fields import MAX_POOL
from tieline.files.problems import Fault, Loc, field_name, listed, unknown_name
from tieline.model.catalogue import catalogue

#: The quota over all accelerators.
_TOTAL: Final = "total"
#: The account of every tenant that has none of its own.
_ALL_OTHERS: Final = "*"

#: Where ids are given, and what they are the ids of.
_IDS: Final = {
    "accelerators.*.id": "accelerator",
    "regions.*.id": "region",
    "sites.*.id": "site",
    "tenants.*.id": "tenant",
    "datasets.*.id": "dataset",
}
#: Where ids are used, and what they must be the ids of.
_USES: Final = {
    "sites.*.region": "region",
    "sites.*.pools.*.accelerator": "accelerator",
    "links.*.between.*": "region",
    "tenants.*.home": "site",
    "datasets.*.replicas.*": "site",
    "datasets.*.residency.*": "region",
    "datasets.*.sensitivity": "sensitivity",
}


def network_faults(data: object) -> Iterator[Fault]:
    """Give what is unknown, doubled or contradictory in the data of a network file."""
    known: dict[str, Collection[str]] = {
        kind: {name for _, name in texts(data, pattern)} for pattern, kind in _IDS.items()
    }
    known["accelerator"] = {*known["accelerator"], *catalogue()}
    known["sensitivity"] = {"open", *(name for _, name in texts(data, "sites.*.pools.*.trust.*"))}
    yield from doubled_ids(data, _IDS)
    yield from _of_catalogue(data)
    yield from unknown_names(data, _USES, known)
    yield from _quotas(data, known["accelerator"])
    yield from _accounts(data, known["tenant"])
    yield from link_faults(data)
    yield from _pools(data)
    yield from _replicas(data, known["region"])


def doubled_ids(data: object, ids: Mapping[str, str]) -> Iterator[Fault]:
    """Give the ids that are given twice in one list; `ids` says what each pattern's are of."""
    for pattern, kind in ids.items():
        first: dict[tuple[Loc, str], Loc] = {}
        for loc, name in texts(data, pattern):
            key = loc[:-2], name
            if key in first:
                yield doubled(data, loc, f"{kind} id {name!r}", first[key])
            first.setdefault(key, loc)


def unknown_names(
    data: object, uses: Mapping[str, str], known: Mapping[str, Collection[str]]
) -> Iterator[Fault]:
    """Give the names that are not known; `uses` says what each pattern's must be."""
    for pattern, kind in uses.items():
        for loc, name in texts(data, pattern):
            if name not in known[kind]:
                yield unknown_name(loc, kind, name, known[kind])


def _of_catalogue(data: object) -> Iterator[Fault]:
    for loc, name in texts(data, "accelerators.*.id"):
        if name in catalogue():
            yield Fault(loc, f"{name!r} is in the catalogue", "choose another id, or leave it out")


def doubled(data: object, loc: Loc, what: str, first: Loc) -> Fault:
    """Give the fault of something that is there a second time."""
    line = line_of(data, first)
    where = field_name(first) if line is None else f"line {line}"
    return Fault(loc, f"second {what}, first on {where}", "allowed: once")


def _quotas(data: object, accelerators: Collection[str]) -> Iterator[Fault]:
    for loc, _ in each(data, "tenants.*.quotas.*"):
        name = str(loc[-1])
        if name != _TOTAL and name not in accelerators:
            yield unknown_name(loc, "accelerator", name, [*accelerators, _TOTAL])


def _accounts(data: object, tenants: Collection[str]) -> Iterator[Fault]:
    for loc, _ in each(data, "sites.*.accounts.*"):
        name = str(loc[-1])
        if tenants and name != _ALL_OTHERS and name not in tenants:
            yield unknown_name(loc, "tenant", name, [*tenants, _ALL_OTHERS])


def link_faults(data: object) -> Iterator[Fault]:
    """Give the links from a region to itself, and the second ones between two regions."""
    first: dict[tuple[str, ...], Loc] = {}
    for loc, ends in each(data, "links.*.between"):
        pair = tuple(sorted(end for _, end in texts(ends, "*")))
        if len(pair) != 2:  # noqa: PLR2004 - the schema says so
            continue
        if pair[0] == pair[1]:
            yield Fault(loc, f"a link from {pair[0]!r} to itself", "allowed: two regions")
        elif pair in first:
            yield doubled(data, loc, f"link between {' and '.join(pair)}", first[pair])
        first.setdefault(pair, loc)


def _pools(data: object) -> Iterator[Fault]:
    for site, pools in each(data, "sites.*.pools"):
        first: dict[str, Loc] = {}
        for loc, pool in each(pools, "*", site):
            name = text_of(pool, "name") or text_of(pool, "accelerator")
            if name in first:
                fault = doubled(data, loc, f"pool {name!r} at this site", first[name])
                yield fault._replace(allowed="give each pool a `name` of its own")
            elif name:
                first[name] = loc
            size = _product(pool, "nodes", "accelerators_per_node")
            if size > MAX_POOL:
                allowed = f"allowed: at most {MAX_POOL:,} accelerators"
                yield Fault((*loc, "nodes"), f"{size:,} accelerators in the pool", allowed)


def _replicas(data: object, regions: Collection[str]) -> Iterator[Fault]:
    """Give replicas that lie where the dataset may not be."""
    region = {text_of(site, "id"): text_of(site, "region") for _, site in each(data, "sites.*")}
    for dataset, value in each(data, "datasets.*"):
        allowed = {name for _, name in texts(value, "residency.*")}
        for loc, site in texts(value, "replicas.*"):
            place = region.get(site)
            if allowed and place in regions and place not in allowed:
                found = f"a replica at {site!r} in region {place!r}"
                yield Fault((*dataset, *loc), found, f"residency allows {listed(allowed)}")


def text_of(group: object, name: str) -> str:
    """Give a field that is text; empty when it is not."""
    value = group.get(name) if isinstance(group, dict) else None
    return value if isinstance(value, str) else ""


def _product(group: object, *names: str) -> int:
    """Give the product of fields that are whole numbers; 0 when one is not."""
    values = [group.get(name) for name in names] if isinstance(group, dict) else []
    return prod(v if isinstance(v, int) and v > 0 else 0 for v in values) if values else 0
