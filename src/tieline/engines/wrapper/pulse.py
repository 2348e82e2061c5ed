"""The sign of life of a run that nobody can look at directly, and what its loss means.

The keeper touches a file on the file system that the site shares, every quarter of the lease.
The guard, which touches no file and so cannot hang with the file system, kills the whole run
when the keeper has not succeeded for the lease. So who has seen the file unchanged for the
lease and a margin, by a clock of its own, knows that nothing of the run is alive.
"""
# Part of what is sent to sites (`bundle`).

import mmap
import os
import struct
import time
from contextlib import suppress


class Pulse:
    """The sign of life of one run; keeper and guard share it."""

    def __init__(self, path: str, lease_s: float) -> None:
        """Start the lease; the file is not touched yet."""
        self.path = path
        self.lease_s = lease_s
        self._memory = mmap.mmap(-1, 8)  # shared with forked processes
        self.renew()

    def renew(self, at: "float | None" = None) -> None:
        """Begin the lease anew from that moment on."""
        self._memory[:] = struct.pack("d", _now() if at is None else at)

    def left_s(self) -> float:
        """Give the time until the lease ends [s]."""
        since: float = struct.unpack("d", self._memory[:])[0]
        return since + self.lease_s - _now()

    def begin(self) -> None:
        """Make the file."""
        at = _now()
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600))
        os.utime(self.path)
        self.renew(at)

    def beat(self) -> bool:
        """Touch the file when it is time to; tell whether that was so."""
        left_s = self.left_s()
        if left_s > 0.75 * self.lease_s or left_s <= 0:  # too late: the guard ends the run
            return False
        at = _now()  # from before the file is touched: who sees that counts from later on
        with suppress(OSError):  # tried again soon
            os.utime(self.path)
            self.renew(at)
        return True


def _now() -> float:
    # Unlike the monotonic clock this one goes on while a virtual machine is suspended.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
