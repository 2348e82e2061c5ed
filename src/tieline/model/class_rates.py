"""How fast each class of work runs on each accelerator, whatever the model.

A rate is found in this order, and says which step it took:

1. the accelerator's own rate for the class (catalogue or network file)
2. its rate for the class closest in kind: training and fine-tuning, decode and batch inference
3. completed from the catalogue: what its rates for other classes and its figures say, beside
   those of other accelerators
4. the roofline: the ratio of the specification that limits the class
5. the lowest rate the accelerator has for any other class
6. 1, for an accelerator of which nothing is known

Why in this order: `python benchmarks/rates.py` holds each measured rate out in turn.
"""

from collections.abc import Mapping
from functools import cache
from math import exp, isnan, log, nan
from typing import Final

import numpy as np

from tieline.model.accelerator import BASES, FIGURES, REFERENCE, Accelerator, Basis, Rate
from tieline.model.catalogue import catalogue
from tieline.model.completion import complete
from tieline.model.errors import InputError
from tieline.model.workload import WORKLOAD_CLASSES

#: More than four in five known rates of the catalogue lie within these multiples of their
#: roofline.
ROOFLINE_RANGE: Final = (0.6, 1.35)

#: The class whose rate stands in for one that has none.
CLOSEST: Final = {
    "training": "fine-tuning",
    "fine-tuning": "training",
    "decode": "batch-inference",
    "batch-inference": "decode",
}

#: What limits a class, in order of preference: (figure of the accelerator, of the reference).
_Limits = tuple[tuple[str, str], ...]
_BANDWIDTH: Final[_Limits] = (("memory_bw_tbs", "memory_bw_tbs"),)
_COMPUTE: Final[_Limits] = (
    ("bf16_tflops", "bf16_tflops"),
    ("fp8_tflops", "fp8_tflops"),
    ("int8_tops", "int8_tops"),
)
_COMPUTE_8_BIT: Final[_Limits] = (
    ("fp8_tflops", "fp8_tflops"),
    ("int8_tops", "int8_tops"),
    ("bf16_tflops", "fp8_tflops"),  # no 8-bit figure: 8-bit work runs no faster than BF16
)
_LIMITS: Final[Mapping[str, _Limits]] = {
    "training": _COMPUTE + _BANDWIDTH,
    "fine-tuning": _COMPUTE + _BANDWIDTH,
    "prefill": _COMPUTE_8_BIT + _BANDWIDTH,
    "decode": _BANDWIDTH + _COMPUTE,
    "batch-inference": _BANDWIDTH + _COMPUTE,
    "hpc": _BANDWIDTH + _COMPUTE,
}
_CAVEATS: Final = {
    "hpc": "; taken as bound by memory bandwidth: the catalogue has no FP64 figures, so work "
    "bound by FP64 arithmetic can be far slower on a chip made for AI",
}

#: Known rates that a class needs before others are completed from them.
_ENOUGH: Final = 5


def absolute_rate(accelerator: Accelerator, kind: str) -> Rate:
    """Give the rate of an accelerator for a workload class, with the reference = 1.

    Raises
    ------
    InputError
        No such workload class (code `input`).
    """
    if kind not in WORKLOAD_CLASSES:
        raise InputError(f"no workload class {kind}; allowed: {', '.join(WORKLOAD_CLASSES)}")
    if accelerator.id == REFERENCE:
        return Rate(1.0, "measured", "the reference, by definition", 1.0, 1.0)
    if kind in accelerator.rates:
        return accelerator.rates[kind]
    closest = accelerator.rates.get(CLOSEST.get(kind, ""))
    if closest is not None:
        return Rate(
            closest.value,
            weakest("inferred", closest.basis),
            f"no result of its own: as {CLOSEST[kind]}: {closest.source}",
            closest.low,
            closest.high,
        )
    return (
        _completed(accelerator, kind) or roofline(accelerator, kind) or _last_resort(accelerator)
    )


def _completed(accelerator: Accelerator, kind: str) -> Rate | None:
    """Give the rate that the accelerator's other rates and figures suggest.

    None without any rate of its own: figures alone are what the roofline is for.
    """
    known = ", ".join(name for name in WORKLOAD_CLASSES if _said(accelerator, name))
    if not known:
        return None
    figures = {name: figure.value for name, figure in accelerator.figures.items()}
    rates = {name: rate.value for name, rate in accelerator.rates.items()}
    found = _completed_value(accelerator.id, kind, _logs(rates, figures))
    if found is None:
        return None
    value, spread, alike = found
    basis = weakest("inferred", *(rate.basis for rate in accelerator.rates.values()))
    source = (
        f"completed from its rates for {known}, its figures, and the {alike} accelerators of the"
        f" catalogue with a rate for {kind}"
    )
    return Rate(value, basis, source, value * exp(-spread), value * exp(spread))


def _said(accelerator: Accelerator, kind: str) -> bool:
    return kind in accelerator.rates and accelerator.rates[kind].value > 0


def _logs(rates: Mapping[str, float], figures: Mapping[str, float]) -> tuple[float, ...]:
    """Give the logarithms of rates by class, and of the figures that limit them; else nan."""
    eight_bit = figures.get("fp8_tflops", figures.get("int8_tops", 0.0))
    compute = figures.get("bf16_tflops", 0.0)
    values = [rates.get(kind, 0.0) for kind in WORKLOAD_CLASSES]
    values += [compute, eight_bit, figures.get("memory_bw_tbs", 0.0)]
    return tuple(log(value) if value > 0 else nan for value in values)


@cache
def _completed_value(
    accelerator: str, kind: str, known: tuple[float, ...]
) -> tuple[float, float, int] | None:
    """Give value, spread [log] and the number of like accelerators; None if there are too few.

    Of other accelerators only what is measured or inferred counts. Figures are columns like
    the rates, so that a chip with much bandwidth and little compute is not taken for one that
    has both.
    """
    others = [one for one in catalogue().values() if one.id != accelerator]
    rows = [
        _logs(
            {name: rate.value for name, rate in one.rates.items() if rate.basis != "assumed"},
            {name: figure.value for name, figure in one.figures.items()},
        )
        for one in others
    ]
    column = WORKLOAD_CLASSES.index(kind)
    alike = sum(not isnan(row[column]) for row in rows)
    if alike < _ENOUGH:
        return None
    values, spread = complete(np.array([known, *rows]))
    value = values[0, column]
    return None if np.isnan(value) else (exp(value), spread, alike)


def roofline(accelerator: Accelerator, kind: str) -> Rate | None:
    """Give the ratio of the specification that limits a class to that of the reference.

    The limit is compute for training and fine-tuning (BF16) and for prefill (FP8, else INT8),
    memory bandwidth for decode, batch inference and HPC. Where that figure is not known the
    next best stands in, and the source says so.

    Parameters
    ----------
    accelerator
        Figures must be above 0; raising one never lowers the rate.
    kind
        One of `WORKLOAD_CLASSES`.

    Returns
    -------
    Rate or None
        Basis `assumed`, with the formula as its source; None without any figure to go by.
        `low` and `high` are the value times `ROOFLINE_RANGE`.
    """
    reference = catalogue()[REFERENCE].figures
    limits = _LIMITS[kind]
    for name, reference_name in limits:
        figure = accelerator.figures.get(name)
        if figure is None:
            continue
        against = reference[reference_name]
        value = figure.value / against.value
        unit, meaning = FIGURES[name]
        missing = "" if name == limits[0][0] else f" ({FIGURES[limits[0][0]][1]} is not known)"
        over = "" if name == reference_name else f"{FIGURES[reference_name][1]} "
        return Rate(
            value,
            "assumed",
            f"roofline: {meaning} {figure.value:g} / {over}{against.value:g} {unit}"
            f" of {REFERENCE}{missing}{_CAVEATS.get(kind, '')}",
            value * ROOFLINE_RANGE[0],
            value * ROOFLINE_RANGE[1],
        )
    return None


def _last_resort(accelerator: Accelerator) -> Rate:
    """Give the lowest rate known for other work, or 1 when nothing is known at all."""
    if not accelerator.rates:
        return Rate(
            1.0, "assumed", f"no rate and no figure is known: taken as fast as {REFERENCE}"
        )
    kind, rate = min(accelerator.rates.items(), key=lambda item: item[1].value)
    return Rate(
        rate.value,
        "assumed",
        f"no rate and no figure is known: as {kind}, its lowest for other work: {rate.source}",
        rate.low,
        rate.high,
    )


def weakest(*bases: Basis) -> Basis:
    """Give the basis of what is worked out from figures of several bases: the least of them."""
    return max(bases, key=BASES.index)
