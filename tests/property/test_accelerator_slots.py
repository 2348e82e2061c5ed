"""How a wrapper chooses accelerators among the free ones of its pool."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tieline.engines.wrapper.slots import choose_slots

FREE = st.sets(st.integers(0, 23), max_size=24).map(sorted)
COUNT = st.integers(1, 24)
PER_NODE = st.integers(1, 8)


def fewest_nodes(free: list[int], count: int, per_node: int) -> int:
    """Give the smallest number of nodes that have so many free slots, by trying them all."""
    nodes = [slot // per_node for slot in free]
    for size in range(1, len(set(nodes)) + 1):
        for chosen in combinations(set(nodes), size):
            if sum(node in chosen for node in nodes) >= count:
                return size
    return 0


@given(FREE, COUNT, PER_NODE)
def test_chosen_slots_are_free_and_enough(free: list[int], count: int, per_node: int) -> None:
    """Exactly as many slots as asked for, all different, all free; none when too few are."""
    chosen = choose_slots(free, count, per_node)
    assert len(set(chosen)) == len(chosen) == (count if count <= len(free) else 0)
    assert set(chosen) <= set(free)
    assert chosen == sorted(chosen)


@given(FREE, COUNT, PER_NODE)
def test_a_gang_lies_on_as_few_nodes_as_can_be(free: list[int], count: int, per_node: int) -> None:
    """No choice of free slots would spread the gang over fewer nodes."""
    chosen = choose_slots(free, count, per_node)
    if chosen:
        used = {slot // per_node for slot in chosen}
        assert len(used) == fewest_nodes(free, count, per_node)


@given(FREE.flatmap(st.permutations), COUNT, PER_NODE)
def test_the_order_of_the_free_slots_does_not_matter(
    free: list[int], count: int, per_node: int
) -> None:
    """The choice depends on which slots are free, not on how they are listed."""
    assert choose_slots(free, count, per_node) == choose_slots(sorted(free), count, per_node)


def test_a_small_gang_goes_where_least_is_left_over() -> None:
    """What fits into one node takes the fullest that it fits into, the lowest among equals."""
    assert choose_slots([0, 1, 2, 9, 10, 14, 15, 17, 18], count=2, per_node=8) == [17, 18]
    assert choose_slots([0, 1, 2, 8, 9, 16, 17], count=2, per_node=8) == [8, 9]
