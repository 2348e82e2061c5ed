"""Lets the wall clock of one Python process be off by what a file says, as if it had jumped.

Python imports this module at its start where the folder is on PYTHONPATH. libfaketime would do
the same one layer deeper, but makes `time.sleep` fail while its offset changes.
"""

import os
import time

_true_time = time.time
_file = os.environ["STORM_CLOCK"]


def _time() -> float:
    try:
        with open(_file, encoding="ascii") as file:  # noqa: PTH123 - before all else is imported
            return _true_time() + float(file.read() or 0)
    except FileNotFoundError:
        return _true_time()


time.time = _time
