"""How fast each kind of work runs on each accelerator.

A rate is found in this order, and says which step it took:

1. the throughput table of a trace, for the models in it
2. the accelerator's own rate for the class (catalogue or network file)
3. its rate for the class closest in kind: training and fine-tuning, decode and batch inference
4. the roofline: the ratio of the specification that limits the class
5. the lowest rate the accelerator has for any other class
6. 1, for an accelerator of which nothing is known
"""

from collections.abc import Mapping
from typing import Final

from tieline.model.accelerator import BASES, FIGURES, REFERENCE, Accelerator, Basis, Rate
from tieline.model.catalogue import catalogue, nearest
from tieline.model.errors import InputError, NotFoundError
from tieline.model.trace import ThroughputTable
from tieline.model.workload import WORKLOAD_CLASSES, Workload

#: More than four in five known rates of the catalogue lie within these multiples of their
#: roofline.
ROOFLINE_RANGE: Final = (0.6, 1.35)

#: The class whose rate stands in for one that has none.
_CLOSEST: Final = {
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


class RateBook:
    """Rates of all workloads on a set of accelerators, relative to one of them.

    Parameters
    ----------
    accelerators
        By id: the catalogue, with those that a network file defines. May be kept.
    relative_to
        Id of the accelerator whose rate is 1; the one on which run times are given.
    throughputs
        Measured speeds, which decide for the models in them. Their reference must be
        `relative_to`.

    Raises
    ------
    NotFoundError
        `relative_to` is not among the accelerators (code `not-found`).
    InputError
        `throughputs` hold for another accelerator than `relative_to` (code `input`).
    """

    def __init__(
        self,
        accelerators: Mapping[str, Accelerator],
        *,
        relative_to: str = REFERENCE,
        throughputs: ThroughputTable | None = None,
    ) -> None:
        """Keep what the rates are worked out from; the work is done on demand."""
        if throughputs is not None and throughputs.reference != relative_to:
            raise InputError(
                f"the throughput table is relative to {throughputs.reference},"
                f" but rates are wanted relative to {relative_to}"
            )
        self._accelerators = accelerators
        self._base = self._find(relative_to)
        self._steps = {} if throughputs is None else throughputs.steps_per_s
        self._measured_models = frozenset(model for model, _, _ in self._steps)
        self._rates: dict[tuple[Workload, str, int], Rate] = {}

    def rate(self, workload: Workload, accelerator: str, count: int) -> Rate:
        """Give the progress per accelerator-second, with `relative_to` = 1.

        Parameters
        ----------
        workload
            Its model decides where the throughput table has it, else its class.
        accelerator
            Id of an accelerator given at construction.
        count
            Accelerators of the gang; matters only in the throughput table, which is
            measured per size.

        Returns
        -------
        Rate
            Finite and >= 0; 0 means it cannot run there. Exactly 1 on `relative_to`, unless
            the throughput table has no speed for it there. The basis is that of the weaker
            of the two rates compared. Same arguments give the same rate.

        Raises
        ------
        NotFoundError
            No such accelerator (code `not-found`).
        InputError
            No such workload class, or the rate of `relative_to` is 0 (code `input`).
        """
        in_table = workload.model in self._measured_models
        key = (workload, accelerator, count if in_table else 0)
        known = self._rates.get(key)
        if known is None:
            known = self._rates[key] = (
                self._measured(workload.model or "", accelerator, count)
                if in_table
                else self._relative(workload.kind, self._find(accelerator))
            )
        return known

    def _find(self, accelerator: str) -> Accelerator:
        found = self._accelerators.get(accelerator)
        if found is None:
            names = nearest(accelerator, self._accelerators)
            hint = f"; did you mean {' or '.join(names)}?" if names else ""
            raise NotFoundError(f"no accelerator {accelerator}{hint}")
        return found

    def _measured(self, model: str, accelerator: str, count: int) -> Rate:
        base = self._steps.get((model, self._base.id, count), 0.0)
        steps = self._steps.get((model, accelerator, count), 0.0)
        if base == 0 or steps == 0:
            missing = accelerator if steps == 0 else self._base.id
            source = f"throughput table: no speed for {model} on {count} x {missing}"
            return Rate(0.0, "measured", source)
        value = 1.0 if accelerator == self._base.id else steps / base
        source = (
            f"throughput table: {model} on {count} x {accelerator} {steps:.4g} steps/s"
            f" / {self._base.id} {base:.4g}"
        )
        return Rate(value, "measured", source)

    def _relative(self, kind: str, accelerator: Accelerator) -> Rate:
        if accelerator.id == self._base.id:
            return Rate(1.0, "measured", "rates are relative to this accelerator", 1.0, 1.0)
        rate = absolute_rate(accelerator, kind)
        if self._base.id == REFERENCE:
            return rate
        base = absolute_rate(self._base, kind)
        if base.value == 0:
            raise InputError(
                f"accelerator {self._base.id}: its rate for {kind} is 0, so no run time can"
                " hold on it; give a rate above 0"
            )
        return _quotient(rate, base, self._base.id)


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
    closest = accelerator.rates.get(_CLOSEST.get(kind, ""))
    if closest is not None:
        return Rate(
            closest.value,
            _weaker("inferred", closest.basis),
            f"no result of its own: as {_CLOSEST[kind]}: {closest.source}",
            closest.low,
            closest.high,
        )
    return roofline(accelerator, kind) or _last_resort(accelerator)


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


def _weaker(one: Basis, other: Basis) -> Basis:
    return max(one, other, key=BASES.index)


def _quotient(rate: Rate, base: Rate, base_id: str) -> Rate:
    return Rate(
        rate.value / base.value,
        _weaker(rate.basis, base.basis),
        f"{rate.value:.3g} / {base.value:.3g} of {base_id}, both relative to {REFERENCE}:"
        f" {rate.source} / {base.source}",
        _bound(rate.low, rate.value, base.high, base.value),
        _bound(rate.high, rate.value, base.low, base.value),
    )


def _bound(over: float | None, value: float, under: float | None, base: float) -> float | None:
    """Give one end of the range of a quotient; None when neither side has a range."""
    if (over is None and under is None) or under == 0:
        return None
    return (value if over is None else over) / (base if under is None else under)
