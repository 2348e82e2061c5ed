"""How long jobs are taken to run: what users say, and what ended jobs tell.

Everything is turned into seconds on the reference accelerator, in which the scheduler
reckons, whatever a user's estimate holds for and wherever a job ran. What ended jobs tell of the
rates themselves is noted in `Offer.observed`.
"""

from typing import Final

from tieline.control.history import Estimate, History, Likeness
from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord, Store
from tieline.files.array import shared_name
from tieline.files.fit import Offer
from tieline.model.accelerator import REFERENCE
from tieline.model.job import JobSpec

#: Ended jobs of which it is kept how far off their estimates were.
_ENDED_KEPT: Final = 500
#: Ended jobs that are read from the store at the start.
_PAST: Final = 5_000
_ENDED: Final = [status for status in Status if status.ended]


class RunTimes:
    """Estimates for new jobs, and the run times they come from."""

    def __init__(self, offer: Offer) -> None:
        """Start without any history."""
        self._rates: Final = offer.rates
        self._accelerators: Final = offer.accelerators
        self._model: Final = {pool.id: pool.accelerator for pool in offer.network.pools}
        self._history: Final = History()
        self._observed: Final = offer.observed
        self._observed.clear()
        self.ended: tuple[tuple[float, float], ...] = ()
        """Of the newest ended jobs the estimate, as it was at their ends [s at rate 1], and the
        real run time over it."""

    @classmethod
    def of(cls, offer: Offer, store: Store) -> "RunTimes":
        """Give what the newest ended jobs of a store tell."""
        found = cls(offer)
        for record in reversed(store.jobs(status=_ENDED, limit=_PAST)):
            found.note(record)
        return found

    def note(self, record: JobRecord) -> None:
        """Learn from an ended job, if its site told when it began and how it ended.

        Data was moved before it began, so that staging is no part of its run time.
        """
        model = self._model.get(record.pool or "")
        if model is None or record.exit_code is None:
            return
        if record.started_at is None or record.ended_at is None:
            return
        if record.stops:  # it ran in several parts, of which only the last is known
            return
        spec = record.spec
        ran_s = max(0.0, record.ended_at - record.started_at)
        rate = self._rates.rate(spec.workload, model, record.size).value
        rate *= (record.size / spec.count) ** spec.scaling
        expected_s = self.estimate(spec).work_s
        if expected_s > 0 and ran_s * rate > 0:
            self.ended = (*self.ended, (expected_s, ran_s * rate / expected_s))[-_ENDED_KEPT:]
        self._history.note(_likeness(spec), ran_s * rate)
        if record.status is Status.SUCCEEDED and spec.name and record.size == spec.count:
            self._observed.note(
                spec.workload,
                model,
                like=(spec.tenant, shared_name(spec.name), spec.estimate_on),
                count=spec.count,
                run_s=ran_s,
                estimate_s=spec.estimate_s,
            )

    def estimate(self, spec: JobSpec) -> Estimate:
        """Give how long a job is taken to run on the reference accelerator."""
        given_s = spec.estimate_s
        known_on = spec.estimate_on or REFERENCE
        if given_s is not None and known_on in self._accelerators:
            given_s *= self._rates.rate(spec.workload, known_on, spec.count).value
        return self._history.estimate(_likeness(spec), given_s)


def _likeness(spec: JobSpec) -> Likeness:
    return Likeness(spec.tenant, shared_name(spec.name) or None, spec.workload, spec.count)
