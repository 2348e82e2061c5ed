"""The jobs of the demo: who submits what, and when.

The startup asks for more than its centre can do, the hospital for about as much, the
university for less. The hospital's records are sensitive.
"""

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from tieline.cli.demo import work
from tieline.files.fit import Offer
from tieline.model.job import JobSpec
from tieline.model.workload import Workload

#: Name of the job that no pool may run.
IMPOSSIBLE: Final = "cuda-on-records"
#: A job that hangs is ended after this [s].
_TIME_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs of one tenant that differ only in size and moment."""

    tenant: str
    name: str
    workload: Workload
    jobs: int
    count: int
    stacks: tuple[str, ...]
    work_s: tuple[float, float]
    """Least and most run time on the reference accelerator [s]."""
    submitted_s: tuple[float, float]
    """From when to when they are submitted, after the start [s]."""

    @property
    def sensitive(self) -> bool:
        """Whether it reads the patients' records."""
        return self.name.endswith("records")


@dataclass(frozen=True, slots=True)
class Planned:
    """A job, and when it is to be submitted [s after the start]."""

    at_s: float
    spec: JobSpec = field(compare=False)


_CANN_CUDA: Final = ("cann", "cuda")
_CANN_NEUWARE: Final = ("cann", "neuware")
_CUDA_NEUWARE: Final = ("cuda", "neuware")
_PRE_TRAINING: Final = Workload("training", "llama-3-70b")
_TRAINING: Final = Workload("training", "llama-3-8b")
_TUNING: Final = Workload("fine-tuning", "qwen3-8b")
_ANSWERING: Final = Workload("batch-inference", "qwen3-8b")
_SIMULATING: Final = Workload("hpc")

GROUPS: Final = (
    Group("startup", "train-8b", _TRAINING, 7, 8, _CANN_CUDA, (1.0, 2.0), (0.0, 6.0)),
    Group("startup", "evaluate", _ANSWERING, 10, 2, ("cuda",), (1.5, 3.0), (0.0, 8.0)),
    Group("startup", "fold", _SIMULATING, 6, 4, _CANN_CUDA, (1.5, 3.0), (1.0, 8.0)),
    Group("startup", "pre-train", _PRE_TRAINING, 1, 16, ("cuda",), (3.0, 3.0), (3.0, 3.0)),
    Group("hospital", "tune-on-records", _TUNING, 6, 4, _CANN_NEUWARE, (0.8, 1.6), (0.0, 7.0)),
    Group("hospital", "triage-records", _ANSWERING, 6, 1, _CANN_NEUWARE, (1.0, 2.0), (0.0, 9.0)),
    Group("hospital", "read-papers", _ANSWERING, 5, 2, _CUDA_NEUWARE, (1.5, 3.0), (2.0, 8.0)),
    Group("hospital", IMPOSSIBLE, _ANSWERING, 1, 2, ("cuda",), (1.0, 1.0), (0.5, 0.5)),
    Group("university", "sweep", _SIMULATING, 9, 1, _CUDA_NEUWARE, (1.0, 3.0), (0.0, 5.0)),
)


def plan(offer: Offer, seed: int) -> list[Planned]:
    """Give the jobs in order of submission; the same seed gives the same jobs."""
    chance = np.random.default_rng(seed)
    planned = [one for group in GROUPS for one in _jobs(group, offer, chance)]
    return sorted(planned, key=lambda one: one.at_s)


def _jobs(group: Group, offer: Offer, chance: np.random.Generator) -> Iterator[Planned]:
    for _ in range(group.jobs):
        work_s = float(chance.uniform(*group.work_s))
        at_s = float(chance.uniform(*group.submitted_s))
        yield Planned(round(at_s, 2), _spec(group, offer, work_s, f"{chance.integers(2**32):08x}"))


def _spec(group: Group, offer: Offer, work_s: float, start: str) -> JobSpec:
    steps = max(1, round(work_s * work.STEPS_PER_S))
    rates = {
        pool.accelerator: offer.rates.rate(group.workload, pool.accelerator, group.count).value
        for pool in offer.network.pools
    }
    return JobSpec(
        tenant=group.tenant,
        name=group.name,
        workload=group.workload,
        count=group.count,
        commands={stack: _command(stack) for stack in group.stacks},
        datasets=("patient-records",) if group.sensitive else (),
        sensitivity="sensitive" if group.sensitive else "open",
        residency=frozenset({"gui-an", "horinger"} if group.sensitive else ()),
        estimate_s=steps / work.STEPS_PER_S,
        time_limit_s=_TIME_LIMIT_S,
        env={
            "STEPS": f"{steps}",
            "INPUT": start,
            "RATES": " ".join(f"{name}={rate:g}" for name, rate in rates.items()),
        },
    )


def _command(stack: str) -> str:
    script = Path(work.__file__)
    return shlex.join([sys.executable, "-I", "-S", str(script), stack])
