"""Networks with more or fewer nodes: how capacity is varied in comparisons."""

from dataclasses import replace

from tieline.model.network import Network


def scaled(network: Network, factor: float) -> Network:
    """Give the network with the nodes of every pool times `factor`, rounded, at least one.

    Nodes keep their size, so what fits on a node still does. Quotas stay as they are. Ties
    round to even.
    """
    sites = tuple(
        replace(
            site,
            pools=tuple(
                replace(pool, nodes=max(1, round(pool.nodes * factor))) for pool in site.pools
            ),
        )
        for site in network.sites
    )
    return replace(network, sites=sites)
