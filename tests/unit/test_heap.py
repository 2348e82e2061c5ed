"""The heap under the walks through the queue."""

import heapq

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tieline.scheduling.heap import drop_top, push, sift

pairs = st.lists(
    st.tuples(st.sampled_from([-1.5, 0.0, 1.0, 2.0, np.inf]), st.integers(0, 40)),
    min_size=1,
    max_size=40,
    unique_by=lambda pair: pair[1],
)


def filled(given: list[tuple[float, int]]) -> tuple[np.ndarray, np.ndarray, int]:
    """Give keys, items and size of a heap of the pairs."""
    keys, items, size = np.empty(len(given)), np.empty(len(given), np.int64), 0
    for key, item in given:
        size = push(keys, items, size, key, item)
    return keys, items, size


@given(pairs)
def test_pairs_come_out_in_order(given: list[tuple[float, int]]) -> None:
    """The smallest key comes first; among equal keys the smallest item."""
    keys, items, size = filled(given)
    found = []
    while size > 0:
        found.append((float(keys[0]), int(items[0])))
        size = drop_top(keys, items, size)
    assert found == sorted(given)


@given(pairs, st.lists(st.floats(0, 3), max_size=30))
def test_a_raised_top_sinks_to_its_place(
    given: list[tuple[float, int]], raises: list[float]
) -> None:
    """After the top's key was raised, the top is what a sorted list has first."""
    keys, items, size = filled(given)
    model = list(given)
    heapq.heapify(model)
    for more in raises:
        key, item = heapq.heappop(model)
        heapq.heappush(model, (key + more, item))
        keys[0] += more
        sift(keys, items, size)
        assert (float(keys[0]), int(items[0])) == model[0]
