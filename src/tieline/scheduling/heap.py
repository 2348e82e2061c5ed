"""A binary heap of (key, item) pairs on two arrays; the smallest key on top, then item."""

from tieline.scheduling.compiled import Array, compiled


@compiled
def _before(keys: Array, items: Array, a: int, b: int) -> bool:
    return keys[a] < keys[b] or (keys[a] == keys[b] and items[a] < items[b])


@compiled
def _swap(keys: Array, items: Array, a: int, b: int) -> None:
    keys[a], keys[b] = keys[b], keys[a]
    items[a], items[b] = items[b], items[a]


@compiled
def push(keys: Array, items: Array, size: int, key: float, item: int) -> int:
    """Add a pair and give the new size."""
    keys[size] = key
    items[size] = item
    i = size
    while i > 0 and _before(keys, items, i, (i - 1) // 2):
        _swap(keys, items, i, (i - 1) // 2)
        i = (i - 1) // 2
    return size + 1


@compiled
def sift(keys: Array, items: Array, size: int) -> None:
    """Put the top in its place after its key was raised."""
    i = 0
    while True:
        least = i
        for child in (2 * i + 1, 2 * i + 2):
            if child < size and _before(keys, items, child, least):
                least = child
        if least == i:
            return
        _swap(keys, items, i, least)
        i = least


@compiled
def drop_top(keys: Array, items: Array, size: int) -> int:
    """Remove the top and give the new size."""
    keys[0] = keys[size - 1]
    items[0] = items[size - 1]
    sift(keys, items, size - 1)
    return size - 1
