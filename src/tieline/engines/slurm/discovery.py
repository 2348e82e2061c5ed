"""What pools a Slurm cluster has: from its nodes, partitions and generic resources."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tieline.engines.slurm.accounts import check_accounts
from tieline.engines.slurm.commands import Commands
from tieline.engines.slurm.jobs import Node, Partition
from tieline.engines.slurm.link import Link
from tieline.engines.slurm.options import parse_options
from tieline.engines.slurm.rest import Rest
from tieline.model.catalogue import catalogue
from tieline.model.network import Site

#: Generic resources that are no accelerators.
_OTHERS: Final = frozenset(
    {"bandwidth", "craynetwork", "license", "mps", "nic", "shard", "tmpdisk"}
)


@dataclass(frozen=True, slots=True)
class FoundPool:
    """Equal nodes with accelerators of one kind, as they would stand in a network file."""

    partition: str
    default: bool
    """Whether it is the partition of jobs that name none."""
    gres: str
    """Such as `gpu:h200`."""
    nodes: int
    accelerators_per_node: int
    accelerators: tuple[str, ...]
    """Ids of the catalogue that the name may mean; the user chooses when it is not one."""


def discover(site: Site) -> list[FoundPool]:
    """Give the pools of a site's cluster, those of each partition together.

    The same nodes appear once for each partition that they are in.

    Parameters
    ----------
    site
        Needs `engine_options` and one account at least; its pools are not looked at.

    Raises
    ------
    InputError
        An option or account of the site is wrong.
    EngineUnavailable
        It does not answer.
    """
    options = parse_options(site)
    user = check_accounts(site, options)[0]
    link = Link(site.id, user, options, 0)
    kind = Rest if options.url or options.socket else Commands
    slurm = kind(site.id, {user: link}, options)
    try:
        partitions = slurm.partitions(user, options.timeout)
        return found_pools(partitions, slurm.nodes(user, options.timeout))
    finally:
        slurm.close()
        link.close()


def found_pools(partitions: Sequence[Partition], nodes: Sequence[Node]) -> list[FoundPool]:
    """Give pools, by partition in the order given, then by what their nodes have."""
    found = []
    for partition in partitions:
        kinds = Counter(
            (gres, number)
            for node in nodes
            if partition.name in node.partitions
            for gres, number in node.gres.items()
            if number and gres.partition(":")[0] not in _OTHERS
        )
        found += [
            FoundPool(partition.name, partition.default, gres, count, number, guesses(gres))
            for (gres, number), count in sorted(kinds.items())
        ]
    return found


def guesses(gres: str) -> tuple[str, ...]:
    """Give the accelerators of the catalogue that a name such as `gpu:h200` may mean."""
    name = re.sub(r"[^a-z0-9]", "", gres.partition(":")[2].lower()) or gres.lower()
    known = {entry: re.sub(r"[^a-z0-9]", "", entry.lower()) for entry in catalogue()}
    exact = [entry for entry, text in known.items() if text == name or text.endswith(name)]
    if exact:
        return tuple(exact)
    digits = re.sub(r"^(nvidia|amd|intel|huawei|ascend|geforce|tesla|instinct)+", "", name)
    return tuple(entry for entry, text in known.items() if len(digits) > 1 and digits in text)
