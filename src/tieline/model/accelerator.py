"""An accelerator model: specifications and rates, each figure with its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

#: The accelerator all rates are relative to: its rate is 1 for every workload class.
REFERENCE: Final = "nvidia-h200-sxm"

Basis = Literal["measured", "inferred", "assumed"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with unit, source, date and confidence."""

    value: float
    unit: str
    source: str
    date: str
    """When the source states it, or was read; `YYYY`, `YYYY-MM` or `YYYYQn`."""
    confidence: str
    """`high`, `medium` or `low`."""


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
    """By name: `memory_gb`, `memory_bw_tbs`, `bf16_tflops`, `tdp_w`, `price_usd`, ..."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """By workload class; classes that are absent have no basis at all."""

    @property
    def memory_bytes(self) -> float:
        """Memory of one accelerator [bytes]; 0 when unknown."""
        figure = self.figures.get("memory_gb")
        return figure.value * 1e9 if figure else 0.0
