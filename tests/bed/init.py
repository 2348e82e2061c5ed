"""The first process of a machine: takes in orphans, and ends all when the tests let go of it."""

import os
import shutil
import signal
import sys
from contextlib import suppress


def reap(*_: object) -> None:
    """Take in every process that has ended; as a zombie it would seem to live."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Wait for a line, or for the end of who would send it; then leave nothing."""
    signal.signal(signal.SIGCHLD, reap)
    reap()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    shutil.rmtree(sys.argv[1], ignore_errors=True)


if __name__ == "__main__":
    main()
