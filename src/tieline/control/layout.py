"""A network as arrays: pools, nodes and markets of an empty snapshot."""

import numpy as np
from numpy.typing import NDArray

from tieline.model.errors import InputError
from tieline.model.network import Network, Pool
from tieline.model.snapshot import BLOCK, JOB, KIND, MARKET, POOL, Snapshot


def empty_snapshot(network: Network) -> tuple[list[str], Snapshot]:
    """Give the accelerator models (axis A, sorted) and a snapshot with everything free.

    Raises
    ------
    InputError
        The network has no pool.
    """
    if not network.pools:
        raise InputError(f"network {network.name} has no pool")
    models = sorted({pool.accelerator for pool in network.pools})
    pools = _pools(network, models)
    markets, market_pools = _markets(network, pools)
    capacity, columns = network.capacity, len(models) + 1
    blocks = np.zeros(capacity + 1, BLOCK)
    blocks["next"] = np.arange(1, capacity + 2)
    blocks["next"][-1] = -1
    by_kind = (0, len(markets))
    return models, Snapshot(
        jobs=np.zeros(0, JOB),
        kinds=np.zeros(0, KIND),
        rate=np.zeros(by_kind),
        barred=np.zeros(by_kind, np.uint32),
        stage=np.zeros(by_kind),
        charge=np.zeros(by_kind),
        pace=np.zeros(by_kind),
        absent=np.zeros(by_kind, np.bool_),
        warm=np.zeros(by_kind, np.int32),
        markets=markets,
        market_pools=market_pools,
        pools=pools,
        node_free=np.repeat(pools["size"], pools["last"] - pools["first"]),
        used=np.zeros((0, columns), np.int64),
        limit=np.zeros((0, columns), np.int64),
        queue=np.zeros(0, np.int32),
        running=np.zeros(capacity, np.int32),
        n_running=np.zeros(1, np.int64),
        blocks=blocks,
        prices=np.zeros(len(pools)),
    )


def _pools(network: Network, models: list[str]) -> NDArray[np.void]:
    pools = np.zeros(len(network.pools), POOL)
    site_row = {site.id: row for row, site in enumerate(network.sites)}
    model_row = {model: row for row, model in enumerate(models)}
    pools["capacity"] = pools["free"] = [pool.capacity for pool in network.pools]
    pools["last"] = np.cumsum([pool.nodes for pool in network.pools])
    pools["first"] = pools["last"] - [pool.nodes for pool in network.pools]
    pools["size"] = [pool.accelerators_per_node for pool in network.pools]
    pools["accelerator"] = [model_row[pool.accelerator] for pool in network.pools]
    pools["site"] = [site_row[pool.site] for pool in network.pools]
    pools["open"] = True
    return pools


def _markets(
    network: Network, pools: NDArray[np.void]
) -> tuple[NDArray[np.void], NDArray[np.int32]]:
    """Group pools between which no job has a preference; write `POOL.market`."""
    region_row = {region.id: row for row, region in enumerate(network.regions)}

    def nature(pool: Pool) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
        region = network.site_region[pool.site]
        return region, pool.accelerator, tuple(sorted(pool.trust)), tuple(sorted(pool.stacks))

    row_of = {key: row for row, key in enumerate(dict.fromkeys(map(nature, network.pools)))}
    pools["market"] = [row_of[nature(pool)] for pool in network.pools]
    market_pools = np.argsort(pools["market"], kind="stable").astype(np.int32)
    markets = np.zeros(len(row_of), MARKET)
    sizes = np.bincount(pools["market"])
    markets["last"] = np.cumsum(sizes)
    markets["first"] = markets["last"] - sizes
    one = market_pools[markets["first"]]
    markets["accelerator"] = pools["accelerator"][one]
    markets["region"] = [region_row[network.site_region[network.pools[p].site]] for p in one]
    return markets, market_pools
