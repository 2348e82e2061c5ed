"""Accelerators of a local site: each is a byte of a file, locked by the run that holds it."""
# Part of what is sent to sites (`bundle`).

import fcntl
import os
import struct
from collections.abc import Sequence

_MUTEX = 1 << 40  # byte of a slot file that is locked while slots are chosen
_FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux: type, whence, start, length, pid


# Locks are open-file-description locks on single bytes: shared with forked processes, freed
# by the kernel and, unlike those of flock(2), looked at without being taken.


def _lock_call(fd: int, command: int, kind: int, byte: int, length: int = 1) -> int:
    request = struct.pack(_FLOCK, kind, os.SEEK_SET, byte, length, 0)
    answer: int = struct.unpack(_FLOCK, fcntl.fcntl(fd, command, request))[0]
    return answer


def try_lock(fd: int, byte: int = 0) -> bool:
    """Lock one byte of an open file without waiting; tell whether that succeeded."""
    try:
        _lock_call(fd, fcntl.F_OFD_SETLK, fcntl.F_WRLCK, byte)
    except BlockingIOError:
        return False
    return True


def is_locked(fd: int, byte: int = 0) -> bool:
    """Tell whether somebody else holds the lock of that byte, without touching it."""
    return _lock_call(fd, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, byte) != fcntl.F_UNLCK


def _unlock(fd: int, byte: int = 0, length: int = 1) -> None:
    """Free bytes that this open file holds; length 0 means all from `byte` on."""
    _lock_call(fd, fcntl.F_OFD_SETLK, fcntl.F_UNLCK, byte, length)


def choose_slots(free: Sequence[int], count: int, per_node: int) -> list[int]:
    """Choose `count` of the free slots, on as few nodes as can be; none when too few are free.

    Slot n lies on node n // per_node. What fits into one node goes where the least is left
    over, else the emptiest node is filled first; the lower node among equals.
    """
    if len(free) < count:
        return []
    nodes: dict[int, list[int]] = {}
    for slot in sorted(free):
        nodes.setdefault(slot // per_node, []).append(slot)
    chosen: list[int] = []
    while need := count - len(chosen):
        sizes = {node: len(slots) for node, slots in nodes.items()}
        best = min(sizes, key=lambda node: (sizes[node] < need, abs(sizes[node] - need)))
        chosen += nodes.pop(best)[:need]
    return sorted(chosen)


class Slots:
    """The accelerators of one pool: number n is byte n of its slot file."""

    def __init__(self, path: str, capacity: int, per_node: int) -> None:
        """Open the slot file of a pool of that many accelerators."""
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.capacity = capacity
        self.per_node = per_node
        self.available = 0
        """How many were free at the last try."""

    def take(self, count: int) -> list[int]:
        """Take accelerators; none when too few are free, or others choose at the moment."""
        if not try_lock(self.fd, _MUTEX):
            return []
        free = [slot for slot in range(self.capacity) if try_lock(self.fd, slot)]
        chosen = choose_slots(free, count, self.per_node)
        for slot in set(free).difference(chosen):
            _unlock(self.fd, slot)
        _unlock(self.fd, _MUTEX)
        self.available = len(free)
        return chosen

    def free(self) -> None:
        """Free all that were taken."""
        _unlock(self.fd, length=0)
