"""Which nodes a gang sits on, in words turned into Python."""


def can_sit(free: list[int], size: int, count: int) -> bool:
    """Whether a gang can be seated: on one node if it is no larger than one, else on any."""
    return max(free) >= count if count <= size else sum(free) >= count


def seats(free: list[int], size: int, count: int) -> dict[int, int]:
    """Give the accelerators taken from each node.

    A gang no larger than a node: the node with the fewest free that suffice. A larger one:
    as many whole nodes as it fills, the rest on the node with the fewest free that suffice.
    Where whole nodes are too few, or no node has the rest: from the emptiest node down.
    Equal nodes: the first.
    """
    left, taken = count, {}
    nodes = range(len(free))
    if count > size:
        for node in [node for node in nodes if free[node] == size][: count // size]:
            taken[node] = size
            left -= size
    rest = [node for node in nodes if node not in taken and free[node] >= left]
    if 0 < left <= size and rest and (count <= size or left < size):
        taken[min(rest, key=lambda node: (free[node], node))] = left
        return taken
    for node in sorted(nodes, key=lambda node: (-free[node], node)):
        if node not in taken and left > 0 and free[node] > 0:
            taken[node] = min(free[node], left)
            left -= taken[node]
    return taken
