"""What kind of work a job is: decides how fast it runs on each accelerator."""

from dataclasses import dataclass
from math import inf
from typing import Final

from tieline.model.errors import InputError

#: The classes of work, in the order they are shown.
WORKLOAD_CLASSES: Final = (
    "training",
    "fine-tuning",
    "prefill",
    "decode",
    "batch-inference",
    "hpc",
)


@dataclass(frozen=True, slots=True)
class Workload:
    """A class of work and, where known, the model it runs.

    Raises
    ------
    InputError
        A rate that is negative or not finite, or an accelerator with two rates.
    """

    kind: str
    """One of `WORKLOAD_CLASSES`."""
    model: str | None = None
    """A model name such as `llama-3-8b`; None when unknown."""
    rates: tuple[tuple[str, float], ...] = ()
    """What its owner says of its progress per accelerator-second, by accelerator, in any one
    unit; 0 cannot run. Accelerators that are absent go by model and class."""

    def __post_init__(self) -> None:
        """Check the rates."""
        for accelerator, value in self.rates:
            if not 0 <= value < inf:
                raise InputError(
                    f"workload {self}: its rate on {accelerator} is {value:g}; allowed: a finite"
                    " number, 0 or more"
                )
        if len(dict(self.rates)) < len(self.rates):
            raise InputError(f"workload {self}: an accelerator has two rates; give each one")

    def __str__(self) -> str:
        """Give `class` or `class/model`."""
        return self.kind if self.model is None else f"{self.kind}/{self.model}"
