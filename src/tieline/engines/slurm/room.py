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


def _room(pool: Pool, queue: Partition | None, nodes: Sequence[Node], held: int) -> int:
    own = [node for node in nodes if queue is not None and queue.name in node.partitions]
    gres = str(pool.gres)
    used = sum(amount(node.used, gres) for node in own)
    free = 0
    if queue is not None and queue.up:
        free = sum(amount(node.gres, gres) - amount(node.used, gres) for node in own if node.works)
    return min(pool.capacity, max(free, 0) + min(held, used))
