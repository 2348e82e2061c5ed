"""The queue as kernels: ordered insertion and removal, in place.

Jobs of one kind are contiguous, in the policy's order, with slack at both ends: taking the
head or appending costs O(1), anything else a move inside the kind.
"""

import numpy as np

from tieline.model.snapshot import Snapshot
from tieline.scheduling.compiled import Array, compiled


@compiled
def _goes_before(jobs: Array, a: int, b: int, by_work: bool) -> bool:
    if by_work and jobs[a].work != jobs[b].work:
        return jobs[a].work < jobs[b].work
    return a < b


@compiled
def _position(s: Snapshot, row: int, by_work: bool) -> int:
    """Give the place of the row in its kind's part of the queue (binary search)."""
    k = s.jobs[row].kind
    low, high = s.kinds[k].start, s.kinds[k].end
    while low < high:
        middle = (low + high) // 2
        if _goes_before(s.jobs, s.queue[middle], row, by_work):
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def insert(s: Snapshot, row: int, by_work: bool) -> bool:
    """Put a job into the queue; False, with nothing changed, when its kind has no slack."""
    k = s.jobs[row].kind
    rows, kind = s.queue, s.kinds[k]
    at = _position(s, row, by_work)
    if kind.end < kind.region_last:
        for i in range(kind.end, at, -1):
            rows[i] = rows[i - 1]
        kind.end += 1
    elif kind.start > kind.region_first:
        kind.start -= 1
        at -= 1
        for i in range(kind.start, at):
            rows[i] = rows[i + 1]
    else:
        return False
    rows[at] = row
    s.jobs[row].waiting = True
    return True


@compiled
def remove(s: Snapshot, row: int, by_work: bool) -> None:
    """Take a waiting job out of the queue."""
    k = s.jobs[row].kind
    rows, kind = s.queue, s.kinds[k]
    at = _position(s, row, by_work)
    if at == kind.start:
        kind.start += 1
    else:
        for i in range(at, kind.end - 1):
            rows[i] = rows[i + 1]
        kind.end -= 1
    s.jobs[row].waiting = False


@compiled
def step_aside(s: Snapshot, rows: Array, by_work: bool) -> None:
    """Take waiting jobs out of the queue; `step_back` puts them in again."""
    for i in range(len(rows)):
        remove(s, rows[i], by_work)


@compiled
def step_back(s: Snapshot, rows: Array, by_work: bool) -> int:
    """Put jobs that stepped aside into the queue again, up to the first without slack.

    Give the number of those put back.
    """
    for i in range(len(rows)):
        if not insert(s, rows[i], by_work):
            return i
    return len(rows)


def lay_queue(jobs: Array, kinds: Array, waiting: Array, *, by_work: bool) -> Array:
    """Give a queue of the waiting rows with as much slack as each kind has jobs.

    Parameters
    ----------
    kinds
        Dtype `KIND`: where each kind stands in the queue is written.
    waiting
        Job rows in any order, each once.
    """
    kind = jobs["kind"][waiting]
    keys = jobs["work"][waiting] if by_work else np.zeros(len(waiting))
    order = np.lexsort((waiting, keys, kind))
    lengths = np.bincount(kind, minlength=len(kinds)).astype(np.int64)
    kinds["region_last"] = np.cumsum(2 * lengths + 4)
    kinds["region_first"] = kinds["region_last"] - (2 * lengths + 4)
    kinds["start"] = kinds["region_first"]
    kinds["end"] = kinds["start"] + lengths
    queue = np.full(kinds["region_last"][-1] if len(kinds) else 0, -1, np.int32)
    within = np.arange(len(waiting)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    queue[np.repeat(kinds["start"], lengths) + within] = waiting[order]
    return queue
