"""Network files: from YAML to a `Network`, and from a `Network` to what a file holds."""

from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import Any, Final

from tieline.files.document import Document
from tieline.files.network_fields import (
    AcceleratorFields,
    DatasetFields,
    LinkFields,
    NetworkFields,
    PoolFields,
    SiteFields,
)
from tieline.files.problems import Fault, unknown_name
from tieline.files.references import network_faults
from tieline.files.schema import validated
from tieline.files.syntax import read_document
from tieline.model.accelerator import FIGURES, Accelerator, Figure, Rate
from tieline.model.catalogue import catalogue
from tieline.model.errors import InputError
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site, Tenant
from tieline.model.throughputs import ThroughputTable
from tieline.model.units import BYTES_PER_GB, BYTES_PER_GBIT, SECONDS_PER_MS

_SOURCE: Final = "network file"


def read_network(path: str | Path) -> Network:
    """Give the network that a file describes.

    Raises
    ------
    FileErrors
        The file cannot be read or has mistakes; it names them all, with their lines.
    """
    return network_from(read_document(Path(path)), name=Path(path).stem)


def network_from(document: Document, *, name: str) -> Network:
    """Give the network that data describes; `name` is for one that does not name itself.

    Raises
    ------
    FileErrors
        The data has mistakes; it names them all.
    """
    fields = validated(NetworkFields, document, network_faults)
    return Network(
        name=fields.name or name,
        regions=tuple(Region(**dict(region)) for region in fields.regions),
        sites=tuple(_site(site) for site in fields.sites),
        links=tuple(link_from(link) for link in fields.links),
        tenants=tuple(Tenant(**dict(tenant)) for tenant in fields.tenants),
        datasets=tuple(_dataset(dataset) for dataset in fields.datasets),
        accelerators=tuple(_accelerator(one) for one in fields.accelerators),
        usd_per_accelerator_hour=fields.usd_per_accelerator_hour,
        throughputs=_throughputs(document, fields),
    )


def network_to_dict(network: Network) -> dict[str, Any]:
    """Give what a file for this network holds: only JSON types, defaults left out.

    Reading it gives an equal network, to 15 digits of the numbers that change their unit and
    without the sources of figures and rates; the table of speeds is a file of its own.
    """
    fields = {
        "name": network.name,
        "regions": [asdict(region) for region in network.regions],
        "sites": [_site_fields(site) for site in network.sites],
        "links": [_link_fields(link) for link in network.links],
        "tenants": [asdict(tenant) for tenant in network.tenants],
        "datasets": [_dataset_fields(dataset) for dataset in network.datasets],
        "accelerators": [_accelerator_fields(one) for one in network.accelerators],
        "usd_per_accelerator_hour": network.usd_per_accelerator_hour,
        "throughputs": None if network.throughputs is None else network.throughputs.name,
    }
    return NetworkFields.model_validate(fields).model_dump(exclude_defaults=True)


def _throughputs(document: Document, fields: NetworkFields) -> ThroughputTable | None:
    """Give the table of speeds that a file names, from its folder on."""
    if fields.throughputs is None:
        return None
    from tieline.traces.throughputs import read_throughputs  # noqa: PLC0415 - loads polars

    loc = ("throughputs",)
    try:
        table = read_throughputs(Path(document.file).parent / fields.throughputs)
    except InputError as error:
        document.demand([Fault(loc, str(error), "mend it, or leave `throughputs` out")])
        raise
    known = {*catalogue(), *(one.id for one in fields.accelerators)}
    document.demand(
        unknown_name(loc, "accelerator", name, known)
        for name in table.accelerators
        if name not in known
    )
    return replace(table, name=fields.throughputs)


def _site(fields: SiteFields) -> Site:
    return Site(
        id=fields.id,
        region=fields.region,
        pools=tuple(_pool(fields.id, pool) for pool in fields.pools),
        engine=fields.engine.kind,
        engine_options=fields.engine.__pydantic_extra__,
        cache_bytes=inf if fields.cache is None else fields.cache,
        accounts=fields.accounts,
    )


def _site_fields(site: Site) -> dict[str, object]:
    return {
        "id": site.id,
        "region": site.region,
        "pools": [_pool_fields(pool) for pool in site.pools],
        "engine": {"kind": site.engine, **site.engine_options},
        "cache": None if site.cache_bytes == inf else site.cache_bytes,
        "accounts": dict(site.accounts),
    }


def _pool(site: str, fields: PoolFields) -> Pool:
    return Pool(
        id=f"{site}/{fields.name or fields.accelerator}",
        site=site,
        accelerator=fields.accelerator,
        nodes=fields.nodes,
        accelerators_per_node=fields.accelerators_per_node,
        trust=frozenset(fields.trust),
        stacks=frozenset(fields.stacks),
        partition=fields.partition,
        gres=fields.gres,
    )


def _pool_fields(pool: Pool) -> dict[str, object]:
    name = pool.id.removeprefix(f"{pool.site}/")
    return {
        "accelerator": pool.accelerator,
        "nodes": pool.nodes,
        "accelerators_per_node": pool.accelerators_per_node,
        "name": None if name == pool.accelerator else name,
        "trust": sorted(pool.trust),
        "stacks": sorted(pool.stacks),
        "partition": pool.partition,
        "gres": pool.gres,
    }


def link_from(fields: LinkFields) -> Link:
    """Give the link that fields describe."""
    one, other = fields.between
    return Link(
        ends=(one, other),
        bandwidth_bytes_s=fields.bandwidth_gbit_s * BYTES_PER_GBIT,
        rtt_s=fields.rtt_ms * SECONDS_PER_MS,
        usd_per_byte=fields.usd_per_gb / BYTES_PER_GB,
    )


def _link_fields(link: Link) -> dict[str, object]:
    return {
        "between": list(link.ends),
        "bandwidth_gbit_s": _rounded(link.bandwidth_bytes_s / BYTES_PER_GBIT),
        "rtt_ms": _rounded(link.rtt_s / SECONDS_PER_MS),
        "usd_per_gb": _rounded(link.usd_per_byte * BYTES_PER_GB),
    }


def _dataset(fields: DatasetFields) -> Dataset:
    return Dataset(
        id=fields.id,
        size_bytes=fields.size,
        replicas=frozenset(fields.replicas),
        residency=frozenset(fields.residency),
        sensitivity=fields.sensitivity,
    )


def _dataset_fields(dataset: Dataset) -> dict[str, object]:
    return {
        "id": dataset.id,
        "size": dataset.size_bytes,
        "replicas": sorted(dataset.replicas),
        "residency": sorted(dataset.residency),
        "sensitivity": dataset.sensitivity,
    }


def _accelerator(fields: AcceleratorFields) -> Accelerator:
    figures = {name: getattr(fields, name, None) for name in FIGURES}
    return Accelerator(
        id=fields.id,
        name=fields.name or fields.id,
        vendor=fields.vendor,
        origin=fields.origin,
        stack=fields.stack,
        figures={
            name: Figure(value, FIGURES[name][0], source=_SOURCE, date="", confidence="high")
            for name, value in figures.items()
            if value is not None
        },
        rates={kind: Rate(value, "assumed", _SOURCE) for kind, value in fields.rates.items()},
    )


def _accelerator_fields(accelerator: Accelerator) -> dict[str, object]:
    figures = {name: figure.value for name, figure in accelerator.figures.items()}
    return {
        "id": accelerator.id,
        "name": accelerator.name,
        "vendor": accelerator.vendor,
        "origin": accelerator.origin,
        "stack": accelerator.stack,
        "rates": {kind: rate.value for kind, rate in accelerator.rates.items()},
        **{
            name: value
            for name, value in figures.items()
            if name in AcceleratorFields.model_fields
        },
    }


def _rounded(number: float) -> float:
    """Give 15 digits: what a unit conversion and its inverse leave of a number."""
    return float(f"{number:.15g}")
