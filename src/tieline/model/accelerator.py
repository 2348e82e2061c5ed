"""An accelerator model: specifications and rates, each figure with its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

#: The accelerator all rates are relative to: its rate is 1 for every workload class.
REFERENCE: Final = "nvidia-h200-sxm"

#: How a rate is known. `measured`: like was compared with like. `inferred`: reasoned from
#: measurements of a relative, of another class, or of a part. `assumed`: worked out from
#: specifications, or taken for want of anything better.
Basis = Literal["measured", "inferred", "assumed"]

#: The bases from the best known to the least.
BASES: Final[tuple[Basis, ...]] = get_args(Basis)

#: Confidence in a figure, from the best to the worst.
CONFIDENCES: Final = ("high", "medium-high", "medium", "medium-low", "low")

#: Figures of an accelerator -> (unit, meaning). Compute is dense, without sparsity; scale-up
#: bandwidth is the sum of both directions.
FIGURES: Final = {
    "memory_gb": ("GB", "memory"),
    "memory_bw_tbs": ("TB/s", "memory bandwidth"),
    "bf16_tflops": ("TFLOPS", "compute BF16"),
    "fp8_tflops": ("TFLOPS", "compute FP8"),
    "int8_tops": ("TOPS", "compute INT8"),
    "scaleup_gbs": ("GB/s", "scale-up bandwidth"),
    "scaleup_size": ("accelerators", "scale-up domain"),
    "tdp_w": ("W", "power"),
    "price_usd": ("USD", "price"),
    "tpp": ("TFLOPS x bit", "total processing performance"),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with unit, source, date and confidence."""

    value: float
    unit: str
    source: str
    date: str
    """When the source states it, or was read; `YYYY`, `YYYY-MM` or `YYYYQn`."""
    confidence: str
    """One of `CONFIDENCES`."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Progress per accelerator-second relative to the reference accelerator."""

    value: float
    """1 = as fast as the reference; 0 = cannot run."""
    basis: Basis
    source: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A chip model."""

    id: str
    name: str
    vendor: str
    origin: str
    """ISO country code of the vendor."""
    stack: str
    """Software stack id: `cuda`, `cann`, `neuware`, `rocm`, ..."""
    figures: Mapping[str, Figure] = field(default_factory=dict)
    """By a name of `FIGURES`; what is not known is absent."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """By workload class, as stored; `rates.RateBook` works out the classes that are absent."""
    note: str = ""
    """What else a user must know: announced only, variants, contradictions."""

    @property
    def memory_bytes(self) -> float:
        """Memory of one accelerator [bytes]; 0 when unknown."""
        figure = self.figures.get("memory_gb")
        return figure.value * 1e9 if figure else 0.0
