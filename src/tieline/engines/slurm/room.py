"""How much of a site is there for us: what works and no stranger holds."""

from collections.abc import Mapping, Sequence

from tieline.engines.slurm.jobs import Node, Partition, amount, queue_of
from tieline.model.errors import EngineUnavailable
from tieline.model.network import Pool


def room(
    pools: Sequence[Pool],
    partitions: Sequence[Partition],
    nodes: Sequence[Node],
    held: Mapping[str, int],
) -> dict[str, int]:
    """Give the accelerators of every pool that are free on working nodes or held by our runs.

    Parameters
    ----------
    held
        What our runs hold, by pool.

    Raises
    ------
    EngineUnavailable
        No partition of any pool takes jobs.
    """
    queues = {pool.id: queue_of(pool, partitions) for pool in pools}
    if not any(queue is not None and queue.up for queue in queues.values()):
        raise EngineUnavailable(f"site {pools[0].site}: no partition of its pools takes jobs")
    return {pool.id: _room(pool, queues[pool.id], nodes, held.get(pool.id, 0)) for pool in pools}


def agrees(
    pools: Sequence[Pool],
    partitions: Sequence[Partition],
    nodes: Sequence[Node],
    held: Mapping[str, int],
) -> bool:
    """Tell whether the nodes show all that our runs hold; they come a moment late."""
    return all(
        held.get(pool.id, 0) <= _used(pool, _nodes(queue_of(pool, partitions), nodes))
        for pool in pools
    )


def _nodes(queue: Partition | None, nodes: Sequence[Node]) -> list[Node]:
    return [node for node in nodes if queue is not None and queue.name in node.partitions]


def _used(pool: Pool, nodes: Sequence[Node]) -> int:
    return sum(amount(node.used, str(pool.gres)) for node in nodes)


def _room(pool: Pool, queue: Partition | None, nodes: Sequence[Node], held: int) -> int:
    own = _nodes(queue, nodes)
    working = [node for node in own if node.works and queue is not None and queue.up]
    there = sum(amount(node.gres, str(pool.gres)) for node in working)
    free = max(there - _used(pool, working), 0)
    return min(pool.capacity, free + min(held, _used(pool, own)))
