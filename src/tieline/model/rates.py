"""How fast each workload runs on each accelerator.

A rate is found in this order, and says which step it took:

1. what the job file says of this job
2. the throughput table of the trace or the network, for what was measured in it
3. the ended jobs of the same workload, once there are enough of them
4. the throughput table, for what is completed from similar workloads in it
5. the class of the workload: `tieline.model.class_rates`

What speaks of this very job comes before what speaks of its model, a measurement made on purpose
before one that came about, and the model before its class.
"""

from collections.abc import Callable, Mapping
from math import exp, log

from tieline.model.accelerator import REFERENCE, Accelerator, Rate
from tieline.model.catalogue import nearest
from tieline.model.class_rates import absolute_rate, weakest
from tieline.model.errors import InputError, NotFoundError
from tieline.model.observed_rates import ObservedRates
from tieline.model.throughputs import ThroughputTable
from tieline.model.workload import Workload

#: What one source knows of a workload: speeds by accelerator, in a unit of its own.
_Profile = Mapping[str, Rate]


class RateBook:
    """Rates of all workloads on a set of accelerators, relative to one of them.

    Parameters
    ----------
    accelerators
        By id: the catalogue, with those that a network file defines. May be kept.
    relative_to
        Id of the accelerator whose rate is 1; the one on which run times are given.
    throughputs
        Measured speeds.
    history
        What ended jobs show. May be kept; what it learns later counts from then on.

    Raises
    ------
    NotFoundError
        `relative_to` is not among the accelerators (code `not-found`).
    """

    def __init__(
        self,
        accelerators: Mapping[str, Accelerator],
        *,
        relative_to: str = REFERENCE,
        throughputs: ThroughputTable | None = None,
        history: ObservedRates | None = None,
    ) -> None:
        """Keep what the rates are worked out from; the work is done on demand."""
        self._accelerators = accelerators
        self._base = self._find(relative_to)
        self._table = ThroughputTable({}) if throughputs is None else throughputs
        self._history = ObservedRates() if history is None else history
        self._sources: tuple[Callable[[Workload, int], _Profile], ...] = (
            self._told,
            self._measured,
            self._observed,
            self._completed,
        )
        self._rates: dict[tuple[Workload, str, int], tuple[int, Rate]] = {}
        """By workload, accelerator and size: what the history knew then, and the rate."""

    def rate(self, workload: Workload, accelerator: str, count: int) -> Rate:
        """Give the progress per accelerator-second, with `relative_to` = 1.

        Parameters
        ----------
        workload
            Its own rates decide, then its model where a table or the history has it, else
            its class.
        accelerator
            Id of an accelerator given at construction.
        count
            Accelerators of the gang; matters only in throughput tables, which are measured
            per size.

        Returns
        -------
        Rate
            Finite and >= 0; 0 means it cannot run there. Exactly 1 on `relative_to`, unless
            it cannot run there. The basis is that of the weakest of what went into it. Same
            arguments give the same rate, until the history learns of the workload's model.

        Raises
        ------
        NotFoundError
            No such accelerator (code `not-found`).
        InputError
            No such workload class, or the rate of `relative_to` is 0 for the class (code
            `input`).
        """
        version = self._history.version(workload)
        key = (workload, accelerator, count if workload.model in self._table else 0)
        known = self._rates.get(key)
        if known is None or known[0] != version:
            self._find(accelerator)
            known = self._rates[key] = version, self._found(workload, accelerator, count, 0)
        return known[1]

    def _find(self, accelerator: str) -> Accelerator:
        found = self._accelerators.get(accelerator)
        if found is None:
            names = nearest(accelerator, self._accelerators)
            hint = f"; did you mean {' or '.join(names)}?" if names else ""
            raise NotFoundError(f"no accelerator {accelerator}{hint}")
        return found

    def _found(self, workload: Workload, accelerator: str, count: int, first: int) -> Rate:
        """Give the rate by the first source from `first` on that has the accelerator."""
        for step in range(first, len(self._sources)):
            profile = self._sources[step](workload, count)
            if accelerator in profile:

                def below(other: str, after: int = step + 1) -> Rate:
                    return self._found(workload, other, count, after)

                return self._scaled(profile, accelerator, below)
        return self._of_class(workload.kind, self._find(accelerator))

    def _scaled(self, profile: _Profile, accelerator: str, below: Callable[[str], Rate]) -> Rate:
        """Give one speed of a profile relative to the base.

        Where the profile does not have the base, or as unable to run, it is set against what
        the sources below say of all that it has: the geometric mean of the ratios.
        """
        mine, base = profile[accelerator], profile.get(self._base.id)
        if mine.value == 0:
            return Rate(0.0, mine.basis, mine.source)
        if base is not None and base.value > 0:
            return self._against(mine, base, accelerator)
        lower = {
            name: below(name)
            for name, rate in profile.items()
            if rate.value > 0 and name in self._accelerators
        }
        lower = {name: rate for name, rate in lower.items() if rate.value > 0}
        if list(lower) == [accelerator]:
            return lower[accelerator]  # a speed says nothing without another one
        logs = [log(rate.value / profile[name].value) for name, rate in lower.items()]
        factor = exp(sum(logs) / len(logs)) if logs else 1.0
        against = f", set against the known rates of {', '.join(lower)}" if logs else ""
        return Rate(
            factor * mine.value,
            weakest(mine.basis, *(rate.basis for rate in lower.values())),
            mine.source + against,
            None if mine.low is None else factor * mine.low,
            None if mine.high is None else factor * mine.high,
        )

    def _against(self, mine: Rate, base: Rate, accelerator: str) -> Rate:
        if accelerator == self._base.id:
            return Rate(1.0, "measured", f"rates are relative to it; {base.source}", 1.0, 1.0)
        source = mine.source if base.source == mine.source else f"{mine.source} / {base.source}"
        return _quotient(mine, base, source)

    def _told(self, workload: Workload, _count: int) -> _Profile:
        return {name: Rate(value, "assumed", "job file") for name, value in workload.rates}

    def _measured(self, workload: Workload, count: int) -> _Profile:
        return self._table.measured(workload.model, count)

    def _observed(self, workload: Workload, _count: int) -> _Profile:
        return self._history.profile(workload)

    def _completed(self, workload: Workload, count: int) -> _Profile:
        return self._table.completed(workload.model, count)

    def _of_class(self, kind: str, accelerator: Accelerator) -> Rate:
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
        source = (
            f"{rate.value:.3g} / {base.value:.3g} of {self._base.id}, both relative to"
            f" {REFERENCE}: {rate.source} / {base.source}"
        )
        return _quotient(rate, base, source)


def _quotient(rate: Rate, base: Rate, source: str) -> Rate:
    return Rate(
        rate.value / base.value,
        weakest(rate.basis, base.basis),
        source,
        _bound(rate.low, rate.value, base.high, base.value),
        _bound(rate.high, rate.value, base.low, base.value),
    )


def _bound(over: float | None, value: float, under: float | None, base: float) -> float | None:
    """Give one end of the range of a quotient; None when neither side has a range."""
    if (over is None and under is None) or under == 0:
        return None
    return (value if over is None else over) / (base if under is None else under)
