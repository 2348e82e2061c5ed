"""The pools that a site says it has, as they would stand in a network file."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tieline.model.errors import InputError

#: A pool as `tieline.service.discovery` gives it.
Found = dict[str, Any]


def block(found: Sequence[Found], partition: str | None) -> str:
    """Give the `pools:` of a site, to be put under its entry.

    Parameters
    ----------
    partition
        Whose pools; None: of the default one, and of others what it does not have.

    Raises
    ------
    InputError
        There are none.
    """
    chosen = _chosen(found, partition)
    if not chosen:
        raise InputError(_nothing(found, partition))
    models = Counter(_accelerator(pool) for pool in chosen)
    lines = ["    pools:"]
    for pool in chosen:
        lines += _lines(pool, named=models[_accelerator(pool)] > 1)
    others = sorted({pool["partition"] for pool in found} - {pool["partition"] for pool in chosen})
    if others:
        lines.append(f"    # the same nodes are in other partitions too: {', '.join(others)}")
    return "\n".join(lines)


def _chosen(found: Sequence[Found], partition: str | None) -> list[Found]:
    if partition is not None:
        return [pool for pool in found if pool["partition"] == partition]
    chosen: list[Found] = []
    for pool in sorted(found, key=lambda pool: not pool["default"]):
        others = [one for one in chosen if one["partition"] != pool["partition"]]
        if all(one["gres"] != pool["gres"] for one in others):
            chosen.append(pool)
    return chosen


def _nothing(found: Sequence[Found], partition: str | None) -> str:
    if partition is None:
        return "none of its nodes has accelerators as generic resources (`Gres` in slurm.conf)"
    known = ", ".join(sorted({pool["partition"] for pool in found})) or "none"
    return f"--partition {partition}: it has no accelerators; those that have: {known}"


def _lines(pool: Found, *, named: bool) -> Iterator[str]:
    accelerator, *others = pool["accelerators"] or [_accelerator(pool)]
    if not pool["accelerators"]:
        doubt = f"  # which is {pool['gres']}? `tieline accelerators` lists all"
    else:
        doubt = f"  # or {', '.join(others)}" if others else ""
    yield f"      - accelerator: {accelerator}{doubt}"
    if named:
        gres, size = pool["gres"].replace(":", "-"), pool["accelerators_per_node"]
        yield f"        name: {pool['partition']}-{gres}-x{size}"
    for field in ("partition", "gres", "nodes", "accelerators_per_node"):
        yield f"        {field}: {pool[field]}"


def _accelerator(pool: Found) -> str:
    """Give the id that is written; one that nobody guessed is told by `tieline check`."""
    return str((pool["accelerators"] or ["UNKNOWN"])[0])
