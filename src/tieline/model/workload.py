"""What kind of work a job is: decides how fast it runs on each accelerator."""

from dataclasses import dataclass
from typing import Final

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
    """A class of work and, where known, the model it runs."""

    kind: str
    """One of `WORKLOAD_CLASSES`."""
    model: str | None = None
    """A model name such as `llama-3-8b`; None when unknown."""

    def __str__(self) -> str:
        """Give `class` or `class/model`."""
        return self.kind if self.model is None else f"{self.kind}/{self.model}"
