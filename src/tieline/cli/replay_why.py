"""`tieline replay --why`: why a recorded job waits at a moment of the replay, and what came."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import click
import numpy as np

from tieline.cli.screen import console, print_json, span
from tieline.cli.why import show
from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord
from tieline.control.state import State
from tieline.model.accelerator import Accelerator
from tieline.model.errors import InputError, NotFoundError
from tieline.model.job import JobSpec
from tieline.model.network import Network
from tieline.model.trace import Trace
from tieline.scheduling.explain import explain
from tieline.scheduling.policy import Policy
from tieline.service import answers
from tieline.service.views import Why
from tieline.simulation.conditions import Conditions
from tieline.simulation.driver import Visits
from tieline.simulation.futures import past_of_replay
from tieline.simulation.outlook import outlook
from tieline.simulation.remedies import Case
from tieline.simulation.replay import Replay, replay
from tieline.simulation.schedule import Schedule

#: Time for trying changes [s].
_CHANGES_S: Final = 20.0

#: The option, for `tieline replay`.
WHY: Final = click.option(
    "--why",
    "asked",
    metavar="JOB[@SECONDS]",
    help="Instead of comparing: why a job waits under the first policy at a moment, in seconds"
    " of the trace (at its submission), when it would have been foretold to start, and what"
    " came. JOB is an id of the trace, or a number in order of submission from 1.",
)


@dataclass(frozen=True)
class Subject:
    """The replay that is looked into."""

    network: Network
    trace: Trace
    policy: Policy
    accelerators: Mapping[str, Accelerator]
    base: str
    """Accelerator on which the run times hold."""
    under: Conditions


@dataclass(frozen=True)
class Question:
    """Which job is asked about, and when."""

    row: int
    moment_s: float


def question(text: str, trace: Trace) -> Question:
    """Read `JOB[@SECONDS]`.

    Raises
    ------
    InputError
        The moment is no time, or lies before the job's submission.
    NotFoundError
        The trace has no such job.
    """
    job, at, moment = text.rpartition("@")
    if not at or text in trace.job_ids:
        row = _row(text, trace)
        return Question(row, float(trace.submit_s[row]))
    row = _row(job, trace)
    submit_s = float(trace.submit_s[row])
    try:
        moment_s = float(moment)
    except ValueError:
        moment_s = float("nan")
    if not submit_s <= moment_s < float("inf"):
        raise InputError(
            f"--why: found the moment {moment!r}, allowed are seconds of the trace from the job's "
            f"submission on, which is at {submit_s:g}"
        )
    return Question(row, moment_s)


def _row(job: str, trace: Trace) -> int:
    if job in trace.job_ids:
        return trace.job_ids.index(job)
    if job.isascii() and job.isdigit() and 1 <= int(job) <= len(trace):
        return int(job) - 1
    raise NotFoundError(
        f"--why: {trace.name} has no job {job!r}; name an id of the trace, or a number from 1 to "
        f"{len(trace)}"
    )


def answer(subject: Subject, text: str, *, as_json: bool) -> None:
    """Replay the trace, look at the job at the moment asked about, and print what is seen."""
    network, trace, policy, under = subject.network, subject.trace, subject.policy, subject.under
    if under.round_s is not None:
        raise InputError("--why: not with --rounds, in which nothing happens between two rounds")
    asked = question(text, trace)
    look = _Look(subject, asked.row)
    done = replay(
        network,
        trace,
        policy,
        subject.accelerators,
        relative_to=subject.base,
        conditions=under,
        visits=Visits([asked.moment_s], look),
    )
    found = answers.why(look.found)
    came = _came(done, asked)
    if as_json:
        happened = {name: came[name] for name in ("start_s", "end_s", "pool")}
        whole = {"policy": policy.name, "moment_s": asked.moment_s, "happened": happened}
        print_json({**whole, "why": found.model_dump(mode="json")})
        return
    screen = console()
    screen.print(f"{trace.name} on {network.name} under {policy.name}, at {asked.moment_s:g} s\n")
    show(screen, found)
    screen.print(f"\n{came['sentence']}", style="bold")


class _Look:
    """Looks into the replay at the moment; `found` is what it saw."""

    found: Why

    def __init__(self, subject: Subject, row: int) -> None:
        self._network, self._trace = subject.network, subject.trace
        self._accelerators, self._seed = subject.accelerators, subject.under.seed
        self._row = row
        numbers = range(1, len(self._trace) + 1)
        self._names = self._trace.job_ids or tuple(map(str, numbers))

    def __call__(self, now: float, state: State, schedule: Schedule) -> None:
        """Explain the job as the scheduler sees it now."""
        row = self._row
        if schedule.pool[row] >= 0 and not state.snapshot.jobs["waiting"][row]:
            self.found = self._started(now, schedule)
            return
        # The job stands in the replay's own state, also one that can never run.
        told = explain(state.snapshot, state.policy, self._network.pools, row)
        past = past_of_replay(state, schedule, self._trace.duration_s, now)
        fork, rows = state.fork()
        if row in rows:
            at = int(np.searchsorted(rows, row))
        else:
            job = state.snapshot.jobs[row : row + 1]
            at = fork.add(job["kind"], job["work"], job["submitted"])
            fork.lay_queue_anew([at])
        begin = time.monotonic()
        found = outlook(
            Case(fork, at, now, self._accelerators, int(self._trace.count[row])),
            past,
            np.random.default_rng([self._seed, row]),
            try_on=lambda: time.monotonic() < begin + _CHANGES_S,
        )
        self.found = Why(
            self._record(Status.QUEUED),
            told.sentence,
            explanation=told,
            outlook=found,
            names=self._names,
            pools=[pool.id for pool in self._network.pools],
        )

    def _started(self, now: float, schedule: Schedule) -> Why:
        row = self._row
        pool = self._network.pools[schedule.pool[row]].id
        ended = schedule.end_s[row] <= now
        waited = span(schedule.start_s[row] - self._trace.submit_s[row])
        sentence = f"It {'ran' if ended else 'runs'} on {pool}, after a wait of {waited}."
        record = self._record(Status.SUCCEEDED if ended else Status.RUNNING)
        return Why(replace(record, pool=pool, started_at=float(schedule.start_s[row])), sentence)

    def _record(self, status: Status) -> JobRecord:
        trace, row = self._trace, self._row
        spec = JobSpec(
            tenant=trace.tenants[trace.tenant[row]],
            workload=trace.workloads[trace.workload[row]],
            count=int(trace.count[row]),
            commands={},
        )
        submitted_s = float(trace.submit_s[row])
        return JobRecord(self._names[row], row, spec, status, submitted_s, version=0)


def _came(done: Replay, asked: Question) -> dict[str, object]:
    """Give what became of the job in the replay."""
    row, schedule = asked.row, done.schedule
    if not done.ran[row]:
        nothing = {"start_s": None, "end_s": None, "pool": None}
        return {**nothing, "sentence": "In the replay it was rejected: it never ran."}
    start_s, end_s = float(schedule.start_s[row]), float(schedule.end_s[row])
    pool = done.network.pools[schedule.pool[row]].id
    after = start_s - asked.moment_s
    when = f"{span(after)} after this moment" if after > 0 else f"{span(-after)} before"
    sentence = (
        f"In the replay it started {when if after else 'at this moment'}, at {start_s:,.0f} s, on "
        f"{pool}, and ended at {end_s:,.0f} s."
    )
    return {"start_s": start_s, "end_s": end_s, "pool": pool, "sentence": sentence}
