"""The load that the jobs of a store make: demand for a plan, from a network that is in use."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from tieline.control.history import History, Likeness
from tieline.control.ports import JobRecord, Store
from tieline.files.array import shared_name
from tieline.model.accelerator import REFERENCE
from tieline.model.catalogue import catalogue
from tieline.model.class_rates import absolute_rate
from tieline.model.errors import InputError
from tieline.planning.load import Load
from tieline.store import open_store, without_secret

_SQLITE: Final = "sqlite:///"
#: Jobs read at a time.
_PAGE: Final = 5_000


def load_of_store(url: str, now: float) -> Load:
    """Give the load of all jobs of a store, from the first submission to `now`.

    Ended jobs count by their run times, open ones by their estimates; work is turned into that of
    the reference by the rate of the accelerator that a pool is named after.

    Raises
    ------
    InputError
        There is no such store, it has no jobs, or they span no time.
    """
    file, shown = url.removeprefix(_SQLITE), without_secret(url)
    if file != url and not Path(file).exists():
        raise InputError(f"store {shown}: there is no such file; check the path")
    with closing(open_store(url)) as store:
        records = list(_records(store))
    if not records:
        raise InputError(
            f"store {shown}: has no jobs yet; name a trace, or leave --demand-from out"
        )
    span_s = now - min(record.submitted_at for record in records)
    if span_s <= 0:
        raise InputError(f"store {shown}: its jobs were submitted after now; check the clock")
    by_class: dict[str, float] = defaultdict(float)
    history = History()
    ended = [record for record in records if record.status.ended]
    for record in reversed(ended):
        work_s = _ran_s(record)
        by_class[record.spec.workload.kind] += work_s * record.size / span_s
        if work_s > 0:
            history.note(_likeness(record), work_s)
    open_jobs = [record for record in records if not record.status.ended]
    for record in open_jobs:
        estimate = history.estimate(_likeness(record), record.spec.estimate_s)
        by_class[record.spec.workload.kind] += estimate.work_s * record.spec.count / span_s
    note = f"{len(open_jobs):,} of them have not ended and count by their estimates"
    return Load(shown, len(records), span_s, dict(by_class), note if open_jobs else "")


def _records(store: Store) -> Iterator[JobRecord]:
    """Give all jobs, the newest first."""
    before: int | None = None
    while page := store.jobs(limit=_PAGE, before=before):
        yield from page
        before = page[-1].seq


def _ran_s(record: JobRecord) -> float:
    """Give how long an ended job ran [s on the reference]; 0 when it never did."""
    if record.started_at is None or record.ended_at is None:
        return 0.0
    name = (record.pool or "").rpartition("/")[2]
    on = catalogue().get(name, catalogue()[REFERENCE])
    rate = absolute_rate(on, record.spec.workload.kind).value
    return max(0.0, record.ended_at - record.started_at) * rate


def _likeness(record: JobRecord) -> Likeness:
    spec = record.spec
    return Likeness(spec.tenant, shared_name(spec.name) or None, spec.workload, spec.count)
