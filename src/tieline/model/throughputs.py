"""Measured speeds of models on accelerators, and what follows from them for the gaps.

A combination in the table is known: its speed, or that it does not run (speed 0). One that is
not in the table was not measured, which says nothing about whether it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, inf, log

import numpy as np

from tieline.model.accelerator import Rate
from tieline.model.completion import Completion, complete
from tieline.model.errors import InputError


@dataclass(frozen=True)
class ThroughputTable:
    """Measured speeds: (model, accelerator, gang size) -> steps per second of the whole gang.

    0 means measured as not running there; what was not measured is absent.

    Raises
    ------
    InputError
        A speed that is negative or not finite, or a gang smaller than 1.
    """

    steps_per_s: Mapping[tuple[str, str, int], float]
    reference: str = ""
    """The accelerator on which `Trace.duration_s` holds; empty for a table of a network."""
    name: str = "throughput table"
    """What sources of rates call it."""

    def __post_init__(self) -> None:
        """Check the speeds."""
        for (model, accelerator, count), speed in self.steps_per_s.items():
            if not 0 <= speed < inf or count < 1:
                raise InputError(
                    f"{self.name}: {model} on {count} x {accelerator} has speed {speed:g};"
                    " allowed: a finite number, 0 or more, on 1 accelerator or more"
                )

    @cached_property
    def accelerators(self) -> tuple[str, ...]:
        """Accelerators in the table, in alphabetical order."""
        return tuple(sorted({accelerator for _, accelerator, _ in self.steps_per_s}))

    def __contains__(self, model: str | None) -> bool:
        """Whether the table has a speed of the model."""
        return model in self._sizes

    def over(self, other: "ThroughputTable | None") -> "ThroughputTable":
        """Give this table with what it lacks taken from another."""
        if other is None:
            return self
        return replace(self, steps_per_s={**other.steps_per_s, **self.steps_per_s})

    def measured(self, model: str | None, count: int) -> Mapping[str, Rate]:
        """Give what was measured of a model, by accelerator, in steps per second of the gang.

        Where this size of gang was never measured, the nearest of the model's sizes stands in
        (by ratio; the smaller where two are as near), and is only `inferred`.

        Empty for a model that the table does not have.
        """
        if model is None or model not in self:
            return {}
        size = self._nearest(model, count)
        return {
            accelerator: self._entry(model, accelerator, size, count)
            for accelerator in self.accelerators
            if (model, accelerator, size) in self.steps_per_s
        }

    def completed(self, model: str | None, count: int) -> Mapping[str, Rate]:
        """Give `measured`, with the gaps filled in from other models, basis `inferred`.

        Accelerators are still absent where no chain of measurements connects them with the
        model.
        """
        if model is None or model not in self:
            return {}
        found = dict(self.measured(model, count))
        size = self._nearest(model, count)
        for accelerator in self.accelerators:
            guess = None if accelerator in found else self._filled(model, accelerator, size)
            if guess is not None:
                found[accelerator] = guess
        return found

    def _nearest(self, model: str, count: int) -> int:
        return min(self._sizes[model], key=lambda one: (abs(log(one / count)), one))

    def _entry(self, model: str, accelerator: str, size: int, count: int) -> Rate:
        speed = self.steps_per_s[model, accelerator, size]
        what = f"{self.name}: {model} on {size} x {accelerator}"
        told = f"{what} {speed:.4g} steps/s" if speed else f"{what} does not run"
        if size == count:
            return Rate(speed, "measured", told)
        return Rate(speed, "inferred", f"{told}, the size nearest to {count}")

    def _filled(self, model: str, accelerator: str, size: int) -> Rate | None:
        column = self._columns.get((accelerator, size))
        if column is None:
            return None
        row = list(self._sizes).index(model)
        guess, spread = self._completion.values[row, column], self._completion.spread
        if np.isnan(guess):
            return None
        alike = int((~np.isnan(self._logs[:, column])).sum())
        workloads = "1 similar workload" if alike == 1 else f"{alike} similar workloads"
        return Rate(
            exp(guess),
            "inferred",
            f"{self.name}: {model} on {size} x {accelerator} about {exp(guess):.3g} steps/s,"
            f" completed from {workloads}",
            exp(guess - spread),
            exp(guess + spread),
        )

    @cached_property
    def _sizes(self) -> Mapping[str, tuple[int, ...]]:
        """Gang sizes at which each model was measured, models in alphabetical order."""
        sizes: dict[str, set[int]] = {}
        for model, _, count in sorted(self.steps_per_s):
            sizes.setdefault(model, set()).add(count)
        return {model: tuple(sorted(counts)) for model, counts in sizes.items()}

    @cached_property
    def _columns(self) -> Mapping[tuple[str, int], int]:
        """The column of each accelerator with each gang size, axis (accelerator, size)."""
        pairs = sorted({(accelerator, count) for _, accelerator, count in self.steps_per_s})
        return {pair: column for column, pair in enumerate(pairs)}

    @cached_property
    def _logs(self) -> np.ndarray:
        """Logarithms of the speeds above 0, axes model, (accelerator, size); nan elsewhere."""
        row = {model: i for i, model in enumerate(self._sizes)}
        logs = np.full((len(row), len(self._columns)), np.nan)
        for (model, accelerator, count), speed in self.steps_per_s.items():
            if speed > 0:
                logs[row[model], self._columns[accelerator, count]] = log(speed)
        return logs

    @cached_property
    def _completion(self) -> Completion:
        names = self.accelerators
        groups = np.array([names.index(accelerator) for accelerator, _ in self._columns])
        return complete(self._logs, groups)
