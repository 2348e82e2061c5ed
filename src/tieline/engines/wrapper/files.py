"""The files of a run directory: their names, and how they are written and read.

The user's command runs under the same account and can reach these files too, so they are read
with distrust: nothing in them makes a reader fail, wait or follow a link.
"""
# Part of what is sent to sites (`bundle`): neither pathlib nor typing is imported here.
# ruff: noqa: PTH104, PTH108, PTH116, PTH120, PTH123

import errno
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress

ORDER = "order.json"  # what to run; written by the engine
LOCK = "lock"  # locked from before the wrapper starts until nothing is left of it; local runs
CLAIM = "claim.json"  # appears once: from here on the command may have run
STARTED = "started.json"
ENDED = "ended.json"  # the result
CANCEL = "cancel"  # empty; the run must end, or never start
LOG = "log"  # output and errors of the command
PULSE = "pulse"  # touched by the wrapper as long as it is well; runs with a lease
EVICTING = "evicting.json"  # the site has asked for the end; runs with a lease

#: Exit code of a wrapper that has run nothing and claimed nothing: it may be tried again.
TRY_AGAIN = 75

_MAX_RECORD_BYTES = 1 << 16


def write_json(
    path: str, data: Mapping[str, object], *, durable: bool = False, exclusive: bool = False
) -> bool:
    """Write a file whole or not at all; tell whether it is ours.

    Parameters
    ----------
    durable
        It survives a loss of power.
    exclusive
        A file that is there stays as it is, and the answer is False.
    """
    # Machines that share a file system may have equal names and process ids.
    temporary = f"{path}.{os.urandom(8).hex()}.tmp"
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            json.dump(data, file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if exclusive:
            if not _linked(temporary, path):
                return False
        else:
            os.rename(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
    if durable:
        _sync_directory(os.path.dirname(path))
    return True


def _linked(temporary: str, path: str) -> bool:
    """Give the file its name unless that is taken; it is never seen half written."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        # NFS may say so of a call that has succeeded, when its answer was lost on the way.
        return os.stat(temporary).st_nlink > 1
    return True


def _sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read_record(path: str) -> "dict[str, object] | None":
    """Give the object in a JSON file; None when it is absent, empty when it is something else."""
    content = read_file(path, _MAX_RECORD_BYTES)
    if content is None:
        return None
    with suppress(ValueError, RecursionError):
        record = json.loads(content)
        if isinstance(record, dict):
            return record
    return {}


def read_file(path: str, limit: int, offset: int = 0) -> "bytes | None":
    """Read a regular file; None when it is absent, empty when it is something else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return None
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            return b""
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return b""
        return os.pread(fd, limit, offset)
    finally:
        os.close(fd)
