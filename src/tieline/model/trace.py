"""Recorded jobs as arrays: what every reader gives and the replay takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tieline.model.errors import InputError
from tieline.model.throughputs import ThroughputTable
from tieline.model.workload import Workload


@dataclass(frozen=True)
class Trace:
    """Jobs in order of submission. Arrays have axis J and are read only.

    Raises
    ------
    InputError
        Arrays of different length, submissions out of order, a count below 1, or a
        negative or non-finite time.
    """

    name: str
    submit_s: NDArray[np.float64]
    """Submission, seconds since the first job; ascending, ties in file order."""
    duration_s: NDArray[np.float64]
    """Run time on the recorded accelerator [s], >= 0."""
    count: NDArray[np.int32]
    """Accelerators of the gang, >= 1."""
    tenant: NDArray[np.int32]
    """Index into `tenants`."""
    workload: NDArray[np.int32]
    """Index into `workloads`."""
    tenants: tuple[str, ...]
    workloads: tuple[Workload, ...]
    job_ids: tuple[str, ...] = ()
    """Names in the file; empty when it has none."""
    accelerator: str | None = None
    """Catalogue id on which the run times were recorded; None when nobody says."""
    types: tuple[str, ...] = ()
    """Accelerator types in the file's own words, such as `a100` or `T4`: not catalogue ids."""
    job_type: NDArray[np.int32] | None = None
    """Index into `types` of what each job ran on, -1 where the file does not say; None when
    the file has no types."""
    estimate_s: NDArray[np.float64] | None = None
    """Run time the user asked for [s], nan where unknown; None when the file has none."""
    deadline_s: NDArray[np.float64] | None = None
    """When each job should be done, on the clock of `submit_s`; inf for one without; None when
    none has one."""
    label: NDArray[np.int32] | None = None
    """A number that jobs have in common which do the same work, such as those of one user and
    name, in order of appearance; -1 where the file does not say; None when it never does."""
    datasets: tuple[str, ...] = ()
    """Ids of datasets that jobs read."""
    dataset: NDArray[np.int32] | None = None
    """Index into `datasets` of what each job reads, -1 for nothing; None when none reads any."""
    throughputs: ThroughputTable | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Rows left out, counted by reason, in plain words."""
    notes: tuple[str, ...] = ()
    """What a user must know about this trace, one sentence each."""

    def __post_init__(self) -> None:
        """Check shapes and ranges, then make the arrays read only."""
        arrays = (self.submit_s, self.duration_s, self.count, self.tenant, self.workload)
        if len({len(array) for array in arrays}) != 1:
            raise InputError(f"trace {self.name}: columns differ in length")
        times = np.concatenate([self.submit_s, self.duration_s])
        if not np.isfinite(times).all() or (times < 0).any():
            raise InputError(f"trace {self.name}: a time is negative, missing or not finite")
        if (np.diff(self.submit_s) < 0).any():
            raise InputError(f"trace {self.name}: jobs are not sorted by submission")
        if (self.count < 1).any():
            raise InputError(f"trace {self.name}: a job asks for fewer than 1 accelerator")
        columns = (self.job_type, self.estimate_s, self.deadline_s, self.label, self.dataset)
        optional = [column for column in columns if column is not None]
        if any(len(array) != len(self) for array in optional):
            raise InputError(f"trace {self.name}: columns differ in length")
        for array in (*arrays, *optional):
            array.flags.writeable = False

    def __len__(self) -> int:
        """Jobs in the trace."""
        return len(self.submit_s)
