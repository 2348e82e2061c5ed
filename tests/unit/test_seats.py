"""Packing: which nodes a gang sits on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.scheduling.room import SEAT
from tieline.scheduling.seats import best_node, largest_free, seat
from twins.packing import can_sit, seats

BEFORE, BEHIND = 2, 1
"""Nodes of other pools, in front of and behind the pool that is packed."""


def packed(free: list[int], size: int, count: int) -> tuple[dict[int, int], list[int]]:
    """Seat a gang with the kernel; give the seats by node and what is free then."""
    nodes = np.array([9] * BEFORE + free + [9] * BEHIND, np.int32)
    listed = np.zeros(len(free) + 3, SEAT)
    after = seat(nodes, BEFORE, BEFORE + len(free), size, count, listed, 1)
    assert nodes[:BEFORE].tolist() + nodes[BEFORE + len(free) :].tolist() == [9, 9, 9]
    given = listed[1:after]
    assert len(set(given["node"].tolist())) == len(given)
    taken = {int(row["node"]) - BEFORE: int(row["amount"]) for row in given}
    return taken, nodes[BEFORE : BEFORE + len(free)].tolist()


@st.composite
def fitting(draw: st.DrawFn) -> tuple[list[int], int, int]:
    """Draw free accelerators by node, the node size, and a gang that can be seated."""
    size = draw(st.integers(1, 8))
    whole_or_part = st.one_of(st.just(size), st.integers(0, size))
    free = draw(st.lists(whole_or_part, min_size=1, max_size=8).filter(lambda free: sum(free) > 0))
    counts = [n for n in range(1, sum(free) + 1) if can_sit(free, size, n)]
    return free, size, draw(st.sampled_from(counts))


@given(fitting())
def test_a_gang_sits_where_the_twin_seats_it(case: tuple[list[int], int, int]) -> None:
    """The kernel takes the nodes that the rule in plain Python takes, and counts them off."""
    free, size, count = case
    taken, left = packed(free, size, count)
    assert taken == seats(free, size, count)
    assert left == [free[node] - taken.get(node, 0) for node in range(len(free))]


@given(fitting())
def test_a_gang_gets_what_it_asked_for_and_no_node_gives_more_than_it_has(
    case: tuple[list[int], int, int],
) -> None:
    """Seats add up to the gang, and none is larger than what was free on its node."""
    free, size, count = case
    taken, _ = packed(free, size, count)
    assert sum(taken.values()) == count
    assert all(0 < amount <= free[node] for node, amount in taken.items())


@given(fitting())
def test_a_gang_no_larger_than_a_node_sits_on_one(case: tuple[list[int], int, int]) -> None:
    """It takes the node that leaves the fewest free: the fullest one that suffices."""
    free, size, count = case
    if count <= size:
        (node,) = packed(free, size, count)[0]
        assert free[node] == min(amount for amount in free if amount >= count)


@given(fitting())
def test_a_large_gang_takes_whole_nodes_where_there_are_enough(
    case: tuple[list[int], int, int],
) -> None:
    """With enough whole nodes free, all of it but a rest smaller than a node is on them."""
    free, size, count = case
    if count > size and free.count(size) >= count // size:
        taken, _ = packed(free, size, count)
        whole = [node for node, amount in taken.items() if amount == size]
        assert len(whole) == count // size
        assert all(free[node] == size for node in whole)


@pytest.mark.parametrize(
    ("free", "size", "count", "expected"),
    [
        ([8, 3, 5], 8, 3, {1: 3}),  # fits exactly
        ([8, 4, 5], 8, 3, {1: 3}),  # leaves the fewest
        ([4, 4], 8, 4, {0: 4}),  # equal: the first
        ([8, 2, 8, 3], 8, 11, {0: 8, 3: 3}),  # a whole node, the rest where it fits exactly
        ([8, 8, 8], 8, 16, {0: 8, 1: 8}),  # whole nodes alone
        ([8, 5, 6, 1], 8, 18, {0: 8, 2: 6, 1: 4}),  # too few whole ones: from the emptiest down
        ([4, 1, 1, 1], 4, 6, {0: 4, 1: 1, 2: 1}),  # no node has the rest
    ],
)
def test_seats_known_by_hand(
    free: list[int], size: int, count: int, expected: dict[int, int]
) -> None:
    """Examples worked out by hand."""
    assert packed(free, size, count)[0] == expected


@given(st.lists(st.integers(0, 8), min_size=1, max_size=12), st.integers(1, 9))
def test_looking_at_nodes_tells_what_is_there(free: list[int], count: int) -> None:
    """The best node and the largest free number are those a plain search finds."""
    nodes = np.array(free, np.int32)
    enough = [(amount, node) for node, amount in enumerate(free) if amount >= count]
    assert best_node(nodes, 0, len(free), count) == min(enough, default=(0, -1))[1]
    assert largest_free(nodes, 0, len(free)) == max(free)
