"""What a job of the demo runs: a fixed amount of real work, at the pace of its accelerator.

Started as `python -I -S work.py STACK`. The same work gives the same result wherever it runs;
an accelerator of half the rate takes twice as long. There is no accelerator behind a slot, so
the pace is kept by sleeping, and the work itself is light. Nothing but Python is needed.
"""

import hashlib
import os
import sys
import time

# ruff: noqa: T201 - a job speaks to its log

#: Steps of work that the reference accelerator does in a second.
STEPS_PER_S = 10.0
_SIZE = 16


def step(state: bytes) -> bytes:
    """Give the next state: draw two matrices, multiply them, sort and hash the product."""
    drawn = hashlib.shake_256(state).digest(2 * _SIZE * _SIZE)
    left, right = drawn[: _SIZE * _SIZE], drawn[_SIZE * _SIZE :]
    product = [
        sum(left[i * _SIZE + k] * right[k * _SIZE + j] for k in range(_SIZE))
        for i in range(_SIZE)
        for j in range(_SIZE)
    ]
    return hashlib.sha256(repr(sorted(product)).encode()).digest()


def main(stack: str) -> None:
    """Do the steps that the environment asks for, then print the result."""
    began = time.monotonic()
    accelerator = os.environ["TIELINE_ACCELERATOR"]
    rates = dict(pair.split("=") for pair in os.environ["RATES"].split())
    pace_s = 1.0 / (STEPS_PER_S * float(rates[accelerator]))
    steps = int(os.environ["STEPS"])
    slots = os.environ["TIELINE_ACCELERATORS"]
    print(f"{stack} on {accelerator}, accelerators {slots}: {steps} steps", flush=True)
    state = os.environ["INPUT"].encode()
    for number in range(steps):
        state = step(state)
        time.sleep(max(0.0, began + (number + 1) * pace_s - time.monotonic()))
    print(f"result {state.hex()[:16]} after {time.monotonic() - began:.2f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
