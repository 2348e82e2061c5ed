"""Packing: which nodes of a pool a gang sits on.

A gang that fits on one node sits on one node, the one with the fewest free accelerators that
suffice (best fit). A larger gang takes whole nodes where it can, and otherwise the emptiest
nodes, so that it is spread over as few as possible.
"""

from tieline.scheduling.compiled import Array, compiled


@compiled
def best_node(node_free: Array, first: int, last: int, n: int) -> int:
    """Give the node with the fewest free accelerators that are at least `n`, or -1."""
    best = -1
    for i in range(first, last):
        free = node_free[i]
        if free == n:
            return i
        if free > n and (best < 0 or free < node_free[best]):
            best = i
    return best


@compiled
def largest_free(node_free: Array, first: int, last: int) -> int:
    """Give the most free accelerators on any one node of the range."""
    most = 0
    for i in range(first, last):
        most = max(most, node_free[i])
    return most


@compiled
def seat(node_free: Array, first: int, last: int, size: int, n: int, seats: Array, at: int) -> int:
    """Take `n` accelerators off nodes first..last-1 and list the seats taken.

    Parameters
    ----------
    node_free
        Shape (N,); written.
    size
        Accelerators per node.
    seats
        Dtype `SEAT`: written from index `at` on.

    Returns
    -------
    int
        The index after the last seat. The caller has made sure that there is room: at
        least `n` free in the pool, and on one node where `n` is at most the node size.
    """
    if n <= size:
        node = best_node(node_free, first, last, n)
        node_free[node] -= n
        seats[at].node = node
        seats[at].amount = n
        return at + 1
    whole = n // size
    left = n
    for i in range(first, last):
        if whole > 0 and node_free[i] == size:
            node_free[i] = 0
            seats[at].node = i
            seats[at].amount = size
            at += 1
            whole -= 1
            left -= size
    if 0 < left < size:
        node = best_node(node_free, first, last, left)
        if node >= 0:
            node_free[node] -= left
            seats[at].node = node
            seats[at].amount = left
            return at + 1
    # Too few whole nodes: gather from the emptiest down.
    for level in range(size, 0, -1):
        for i in range(first, last):
            if left == 0:
                return at
            if node_free[i] == level:
                taken = min(level, left)
                node_free[i] -= taken
                seats[at].node = i
                seats[at].amount = taken
                at += 1
                left -= taken
    return at
