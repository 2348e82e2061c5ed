"""What pools a site has, as it says itself: for a network file in which they are still missing."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tieline.files.document import each
from tieline.files.network import network_from
from tieline.files.syntax import read_document
from tieline.model.accelerator import REFERENCE
from tieline.model.errors import InputError
from tieline.model.network import Site

#: What stands in for the pools that a site does not have yet.
_ANY: Final = {"accelerator": REFERENCE, "nodes": 1, "accelerators_per_node": 1}


def discovered(file: str, site_id: str) -> list[dict[str, Any]]:
    """Give the pools of a site of a network file, in which it may be without any.

    Each with `partition`, `default` (whether jobs that name no partition go there), `gres`,
    `nodes`, `accelerators_per_node` and `accelerators`, the ids of the catalogue that it may
    be. The same nodes are there once for each partition that they are in.

    Raises
    ------
    FileErrors
        The file cannot be read or has mistakes.
    InputError
        It has no such site, or one whose engine tells nothing about pools.
    EngineUnavailable
        The site does not answer.
    """
    site = _site(file, site_id)
    if site.engine != "slurm":
        raise InputError(
            f"site {site_id}: engine {site.engine} knows no pools but those of the network file; "
            "allowed: a site with engine slurm"
        )
    from tieline.engines.slurm import discover  # noqa: PLC0415 - other sites do without it

    return [asdict(pool) for pool in discover(site)]


def _site(file: str, site_id: str) -> Site:
    document = read_document(Path(file))
    for _, entry in each(document.data, "sites.*"):
        if isinstance(entry, dict) and entry.get("id") == site_id and not entry.get("pools"):
            entry["pools"] = [dict(_ANY)]
    network = network_from(document, name=Path(file).stem)
    for site in network.sites:
        if site.id == site_id:
            return site
    known = ", ".join(site.id for site in network.sites)
    raise InputError(f"{file}: there is no site {site_id!r}; there are {known}")
