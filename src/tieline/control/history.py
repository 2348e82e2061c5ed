"""How long jobs ran before: the estimates of jobs that bring none.

An estimate is found in this order, and says which step it took:

1. what the user gave, because only the user knows what is different about this job
2. history: ended jobs of the same tenant, name and gang size
3. history: those of the same tenant and name
4. history: those of the same tenant, workload and gang size
5. history: those of the same tenant
6. `DEFAULT_ESTIMATE_S`

What history says is the mean run time of the group: of the first `LATEST` jobs a plain mean,
after which each new one weighs 1 / `LATEST`. The mean and not the median, because serving the
shortest mean first keeps the mean completion time lowest when only the distribution is known
(Rothkopf, "Scheduling with Random Service Times", Management Science 12(9), 1966, doi
10.1287/mnsc.12.9.707). That the latest jobs of a user tell more than all of them: Tsafrir,
Etsion, Feitelson, "Backfilling Using System-Generated Predictions Rather than User Runtime
Estimates", IEEE TPDS 18(6), 2007, doi 10.1109/TPDS.2007.70606. Measured: the page on replays.
"""

from collections.abc import Hashable
from math import inf
from typing import Final, Literal, NamedTuple

from tieline.model.job import DEFAULT_ESTIMATE_S

#: Where an estimate comes from.
Basis = Literal["user", "history", "default"]

#: Ended jobs of a group that count alike; from then on it forgets the first.
LATEST: Final = 10

#: Groups kept; beyond that the one that has heard of no end for the longest time goes.
MOST_GROUPS: Final = 100_000


class Estimate(NamedTuple):
    """How long a job is taken to run."""

    work_s: float
    """Run time at rate 1 [s]."""
    basis: Basis


class Likeness(NamedTuple):
    """What a job has in common with others. Any values that can be compared will do."""

    tenant: Hashable
    name: Hashable | None
    """What the job is called, with the user's name where one is known; None when unnamed."""
    workload: Hashable
    size: int
    """Accelerators of the gang."""

    @property
    def groups(self) -> tuple[Hashable, ...]:
        """The groups that the job belongs to, the closest first."""
        wide = (("size", self.tenant, self.workload, self.size), ("tenant", self.tenant))
        if self.name is None:
            return wide
        close = ("name", self.tenant, self.name)
        return ((*close, self.size), close, *wide)


class _Group(NamedTuple):
    jobs: int
    """Ended jobs that count, at most `LATEST`."""
    mean_s: float


class History:
    """Run times of ended jobs. The same calls give the same estimates."""

    def __init__(self) -> None:
        """Start without any."""
        self._groups: dict[Hashable, _Group] = {}

    def note(self, job: Likeness, work_s: float) -> None:
        """Learn how long a job ran, however it ended [s at rate 1]."""
        for name in job.groups:
            jobs, mean_s = self._groups.pop(name, _Group(0, 0.0))
            jobs = min(jobs + 1, LATEST)
            self._groups[name] = _Group(jobs, mean_s + (work_s - mean_s) / jobs)
        while len(self._groups) > MOST_GROUPS:
            del self._groups[next(iter(self._groups))]

    def estimate(self, job: Likeness, given_s: float | None = None) -> Estimate:
        """Give how long a job will run, as far as is known.

        Parameters
        ----------
        given_s
            What its user says [s at rate 1]; None, nan, inf and less than 0 mean nothing.
        """
        if given_s is not None and 0 <= given_s < inf:
            return Estimate(given_s, "user")
        for name in job.groups:
            group = self._groups.get(name)
            if group is not None:
                return Estimate(group.mean_s, "history")
        return Estimate(DEFAULT_ESTIMATE_S, "default")


def work_left(estimate_s: float, done_s: float) -> float:
    """Give the work left of a job of which `done_s` is done; all in seconds at rate 1, > 0.

    An estimate that a job has outlived is doubled until it is longer than what is done.
    """
    whole_s = max(1.0, estimate_s)
    while whole_s <= done_s:
        whole_s *= 2.0
    return whole_s - done_s
