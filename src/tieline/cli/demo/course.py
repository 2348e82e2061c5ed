"""The live part of the demo: submits the jobs at their moments and follows them to their ends."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tieline.cli.demo.compare import Course, Outcome, mean_prices
from tieline.cli.demo.placement import Placed, placed
from tieline.cli.demo.workload import Planned
from tieline.client import Client
from tieline.control.lifecycle import Status
from tieline.files.fit import Offer
from tieline.model.errors import TielineError
from tieline.model.job import JobSpec
from tieline.wire.schemas import MAX_PAGE, Job, Pool, Why, named

#: Between two looks [s].
_STEP_S: Final = 0.25
#: A demo that takes longer has gone wrong [s].
_LONGEST_S: Final = 150.0


@dataclass
class Scene:
    """All that is known at one moment."""

    planned: int
    elapsed_s: float = 0.0
    jobs: list[Job] = field(default_factory=list)
    """In order of submission."""
    specs: dict[str, JobSpec] = field(default_factory=dict)
    """By job id."""
    pools: list[Pool] = field(default_factory=list)
    placed: dict[str, Placed] = field(default_factory=dict)
    """By job id, in the order in which the placements were seen."""
    never: dict[str, Why] = field(default_factory=dict)
    """Why no pool will ever run a job, by its id."""

    @property
    def done(self) -> bool:
        """Whether every job has ended, or never will."""
        waits = (job for job in self.jobs if not job.status.ended and job.id not in self.never)
        return len(self.jobs) == self.planned and not any(waits)

    def count(self, *statuses: Status) -> int:
        """Give the number of jobs with one of the statuses."""
        return sum(job.status in statuses for job in self.jobs)


Watcher = Callable[[Scene], None]


def follow(client: Client, offer: Offer, plan: Sequence[Planned], watch: Watcher) -> Scene:
    """Submit the jobs as planned, show `watch` every look, and give the scene when all is done.

    Jobs that no pool will ever run are cancelled in the end.

    Raises
    ------
    TielineError
        A job failed, or it all takes too long.
    """
    began = time.time()
    scene = Scene(planned=len(plan))
    while True:
        scene.elapsed_s = time.time() - began
        _submit_due(client, scene, plan)
        _look(client, scene, offer)
        watch(scene)
        if scene.done:
            break
        if scene.elapsed_s > _LONGEST_S:
            raise TielineError(f"not all jobs have ended after {_LONGEST_S:.0f} s")
        time.sleep(_STEP_S)
    client.wait([client.cancel(job_id) for job_id in scene.never])
    _look(client, scene, offer)
    _check(client, scene)
    return scene


def _check(client: Client, scene: Scene) -> None:
    for job in scene.jobs:
        if job.status is not Status.SUCCEEDED and job.id not in scene.never:
            said = b"".join(client.output(job.id)).decode(errors="replace").strip()
            raise TielineError(
                f"{job.id}, {job.tenant}/{job.name}, {named(job.status)}: "
                f"{job.detail or f'exit code {job.exit_code}'}; it said: {said or 'nothing'}"
            )


def _submit_due(client: Client, scene: Scene, plan: Sequence[Planned]) -> None:
    due = [one.spec for one in plan[len(scene.specs) :] if one.at_s <= scene.elapsed_s]
    if due:
        sent = client.submit(due)
        scene.specs |= {job.id: spec for job, spec in zip(sent, due, strict=True)}


def _look(client: Client, scene: Scene, offer: Offer) -> None:
    scene.jobs = client.jobs(limit=MAX_PAGE)[::-1]
    scene.pools = client.pools().pools
    for job in sorted(scene.jobs, key=lambda job: job.placed_at or 0.0):
        if job.pool is not None and job.id not in scene.placed:
            scene.placed[job.id] = placed(job, scene.specs[job.id], scene.jobs, offer)
        elif job.status is Status.QUEUED and job.id not in scene.never:
            why = client.why(job.id)
            if why.never:
                scene.never[job.id] = why


def outcome(client: Client, scene: Scene) -> Outcome:
    """Give what became of all jobs; times count from the first submission."""
    began = scene.jobs[0].submitted_at
    courses = tuple(_course(job, scene.specs[job.id], began) for job in scene.jobs)
    last = max(course.ended_s or 0.0 for course in courses)
    readings: list[tuple[float, Mapping[str, float]]] = [
        (reading.at - began, reading.prices_per_h)
        for reading in client.prices(history=True).history
        if reading.at >= began and reading.gap is not None
    ]
    return Outcome("live", courses, mean_prices(readings, last))


def _course(job: Job, spec: JobSpec, began: float) -> Course:
    submitted = job.submitted_at - began
    if job.status is not Status.SUCCEEDED or job.started_at is None or job.ended_at is None:
        return Course(spec, submitted, None, None, None)
    return Course(spec, submitted, job.started_at - began, job.ended_at - began, job.pool)
