"""Demand taken from recorded jobs: the accelerators that they would keep busy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tieline.model.accelerator import REFERENCE
from tieline.model.catalogue import catalogue
from tieline.model.class_rates import absolute_rate
from tieline.model.errors import InputError
from tieline.model.plan import Demand, PlanSpec
from tieline.model.trace import Trace


@dataclass(frozen=True)
class Load:
    """What recorded jobs ask for, if each starts when it is submitted."""

    source: str
    jobs: int
    span_s: float
    """From the first submission to the last, or to now."""
    by_class: Mapping[str, float]
    """Reference accelerators kept busy on average over the span, by workload class."""
    note: str = ""
    """What a user must know about it."""


def load_of_trace(trace: Trace) -> Load:
    """Give the load of a trace; run times hold on its accelerator, or on the reference.

    Raises
    ------
    InputError
        It has no jobs, or all of them came at once.
    """
    span_s = float(trace.submit_s[-1] - trace.submit_s[0]) if len(trace) else 0.0
    if span_s <= 0:
        raise InputError(f"trace {trace.name}: its jobs span no time; a longer one is needed")
    on = trace.accelerator or REFERENCE
    kinds = [workload.kind for workload in trace.workloads]
    if on in catalogue():
        rates = {kind: absolute_rate(catalogue()[on], kind).value for kind in set(kinds)}
    else:
        rates = dict.fromkeys(kinds, 1.0)
    work = np.bincount(trace.workload, trace.duration_s * trace.count, len(kinds))
    by_class: dict[str, float] = {}
    for kind, seconds in zip(kinds, work.tolist(), strict=True):
        by_class[kind] = by_class.get(kind, 0.0) + seconds * rates[kind] / span_s
    note = "" if on == trace.accelerator in catalogue() else f"run times are taken to hold on {on}"
    return Load(trace.name, len(trace), span_s, by_class, note)


def with_load(spec: PlanSpec, load: Load) -> PlanSpec:
    """Give the plan with its demand scaled to a load.

    The demands of a class are scaled together, so that in the first quarter they sum to the load
    of the class: their split over regions and their growth stay. Classes that the load does not
    have stay as they are.

    Raises
    ------
    InputError
        The load has a class that no demand of the plan has, or only empty ones.
    """
    return replace(spec, demand=tuple(_scaled(one, _factors(spec, load)) for one in spec.demand))


def _factors(spec: PlanSpec, load: Load) -> dict[str, float]:
    factors = {}
    for kind, wanted in load.by_class.items():
        of_kind = [one for one in spec.demand if one.workload == kind]
        present = sum(amounts[0] for one in of_kind for amounts in one.amounts.values())
        if wanted > 0 and present <= 0:
            known = ", ".join(sorted({one.workload for one in spec.demand}))
            raise InputError(
                f"{load.source}: has {kind} jobs, and the plan no demand of that class to take"
                f" them; add one with amounts above 0 (the plan has: {known})"
            )
        factors[kind] = wanted / present if present > 0 else 1.0
    return factors


def _scaled(demand: Demand, factors: Mapping[str, float]) -> Demand:
    factor = factors.get(demand.workload, 1.0)
    amounts = {
        region: tuple(amount * factor for amount in series)
        for region, series in demand.amounts.items()
    }
    return replace(demand, amounts=amounts)
