"""A comparison as one JSON document: what `tieline replay --json` prints."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, NamedTuple

from tieline.model.network import Network
from tieline.reports import words
from tieline.simulation.comparison import AtScale, Comparison

#: The fields of a policy that hold times measured on the machine: the only ones that differ
#: between two runs with the same input.
MEASURED: Final = ("wall_s", "cpu_s", "jobs_per_s")


class Measured(NamedTuple):
    """How long one replay took."""

    wall_s: float
    cpu_s: float


#: By policy name and accelerators of the network.
Clock = Mapping[tuple[str, int], Measured]


def document(comparison: Comparison, clock: Clock) -> dict[str, Any]:
    """Give the document: only JSON types, no number that is not finite.

    With one scale `policies` stands at the top; with several each stands under `scales`, by
    the scale as text (`{"scales": {"0.4": {"policies": ...}}}`).
    """
    trace = comparison.trace
    top = {
        "network": _network(comparison.network),
        "trace": {
            "name": trace.name,
            "jobs": len(trace),
            "tenants": len(trace.tenants),
            "recorded_on": comparison.recorded_on,
            "recorded_on_assumed": trace.throughputs is None and trace.accelerator is None,
            "skipped": dict(trace.skipped),
            "notes": list(trace.notes),
        },
        "seed": comparison.conditions.seed,
        "conditions": asdict(comparison.conditions),
        "assumptions": words.assumptions(comparison),
        "headline": words.headline(comparison),
    }
    scales = {label(at.scale): _at_scale(at, clock) for at in comparison.scales}
    return top | (next(iter(scales.values())) if len(scales) == 1 else {"scales": scales})


def label(scale: float) -> str:
    """Give a scale as it is written: `0.4`, `1`."""
    return f"{scale:.10g}"


def _network(network: Network) -> dict[str, Any]:
    return {
        "name": network.name,
        "sites": len(network.sites),
        "pools": len(network.pools),
        "accelerators": network.capacity,
    }


def _at_scale(at: AtScale, clock: Clock) -> dict[str, Any]:
    policies = {}
    for name, summary in at.summaries.items():
        measured = clock[name, at.network.capacity]
        policies[name] = asdict(summary) | {
            "wall_s": measured.wall_s,
            "cpu_s": measured.cpu_s,
            "jobs_per_s": summary.finished / measured.cpu_s if measured.cpu_s else None,
        }
    return {
        "scale": at.scale,
        "accelerators": at.network.capacity,
        "policies": policies,
        "same_jobs": asdict(at.same_jobs) if at.same_jobs else None,
        "equal_service": {joined: asdict(needs) for joined, needs in at.needs.items()},
    }
