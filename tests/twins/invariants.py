"""What holds of every state after every cycle, checked the slow and obvious way."""

from collections import Counter

import numpy as np

from tieline.control.state import State
from tieline.model.snapshot import Snapshot


def blocks_from(s: Snapshot, block: int) -> list[int]:
    """Follow a list of blocks to its end."""
    found: list[int] = []
    while block >= 0:
        assert block not in found, "blocks form a ring"
        found.append(block)
        block = int(s.blocks[block]["next"])
    return found


def seats_of(s: Snapshot, row: int) -> dict[int, int]:
    """Give the accelerators that a job holds, by node."""
    seats = Counter[int]()
    for block in blocks_from(s, int(s.jobs[row]["block"])):
        seats[int(s.blocks[block]["node"])] += int(s.blocks[block]["amount"])
    return dict(seats)


def check_state(state: State, *, oversubscribed: bool = False) -> None:
    """Demand every invariant of a state.

    Parameters
    ----------
    oversubscribed
        Whether jobs were restored that may hold more than there is now.
    """
    s = state.snapshot
    holding = [row for row in range(state.n_jobs) if s.jobs[row]["pool"] >= 0]
    _check_running(s, holding)
    _check_blocks(state, holding, oversubscribed=oversubscribed)
    _check_counts(state, holding, oversubscribed=oversubscribed)
    _check_queue(state)


def _check_running(s: Snapshot, holding: list[int]) -> None:
    running = s.running[: int(s.n_running[0])].tolist()
    assert sorted(running) == holding
    assert [int(s.jobs[row]["running"]) for row in running] == list(range(len(running)))


def _check_blocks(state: State, holding: list[int], *, oversubscribed: bool) -> None:
    """No block is in two lists or in none; every block of a job is on its pool."""
    s = state.snapshot
    used = blocks_from(s, 0)
    node_used = Counter[int]()
    for row in holding:
        job, own = s.jobs[row], blocks_from(s, int(s.jobs[row]["block"]))
        used += own
        pool, held = s.pools[job["pool"]], 0
        for block in own:
            node, amount = int(s.blocks[block]["node"]), int(s.blocks[block]["amount"])
            assert pool["first"] <= node < pool["last"]
            assert amount >= 1
            node_used[node] += amount
            held += amount
        count = s.kinds[job["kind"]]["count"]
        assert held <= count if oversubscribed else held == count
    assert sorted(used) == list(range(len(s.blocks)))
    for p, pool in enumerate(s.pools):
        out = 0
        for node in range(pool["first"], pool["last"]):
            assert s.node_free[node] >= 0
            out += pool["size"] - s.node_free[node] - node_used[node]
            assert s.node_free[node] + node_used[node] <= pool["size"]
        withheld = state.withheld.get(p, 0)
        assert out == withheld or (out < withheld and pool["free"] < 0)


def _check_counts(state: State, holding: list[int], *, oversubscribed: bool) -> None:
    """Free and used add up, for each pool and each tenant, and stay within their limits."""
    s = state.snapshot
    by_pool, used = Counter[int](), np.zeros_like(s.used)
    for row in holding:
        job, kind = s.jobs[row], s.kinds[s.jobs[row]["kind"]]
        by_pool[int(job["pool"])] += int(kind["count"])
        used[kind["tenant"], s.pools[job["pool"]]["accelerator"]] += kind["count"]
        used[kind["tenant"], -1] += kind["count"]
    for p, pool in enumerate(s.pools):
        withheld = state.withheld.get(p, 0)
        assert pool["free"] + by_pool[p] + withheld == pool["capacity"]
        assert oversubscribed or pool["free"] + withheld >= 0
    assert (s.used == used).all()
    assert oversubscribed or (s.used <= s.limit).all()


def _check_queue(state: State) -> None:
    """Each waiting job stands once, in its kind's part of the queue, in order."""
    s, found = state.snapshot, []
    free_from = 0
    for k in np.argsort(s.kinds["region_first"], kind="stable"):
        kind = s.kinds[k]
        rows = s.queue[kind["start"] : kind["end"]].tolist()
        found += rows
        assert kind["region_first"] <= kind["start"] <= kind["end"] <= kind["region_last"]
        if kind["region_first"] < kind["region_last"]:
            assert kind["region_first"] >= free_from, "two kinds share places in the queue"
            free_from = kind["region_last"]
        assert all(s.jobs[row]["kind"] == k for row in rows)
        keys = [(float(s.jobs[row]["work"]) if state.by_work else 0.0, row) for row in rows]
        assert keys == sorted(set(keys))
    assert free_from <= len(s.queue)
    waiting = [row for row in range(state.n_jobs) if s.jobs[row]["waiting"]]
    assert sorted(found) == waiting
    assert all(s.jobs[row]["pool"] < 0 for row in waiting)
    assert not s.jobs["waiting"][state.n_jobs :].any()
