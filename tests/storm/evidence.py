"""What jobs wrote while they ran, by the one clock of this machine, and what follows from it.

Every job appends lines `TOKEN WHAT SECONDS` to the file of its id, in a folder that no fault
reaches: `start`, a `beat` every while, and `end` or `stopped`. Neither the store nor a site is
asked: this is what happened.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord

#: A job of so many beats; the last number is its exit code.
COMMAND = """
f={folder}/$TIELINE_JOB
trap 'date "+$TIELINE_TOKEN stopped %s.%N" >> $f; exit 143' TERM
date "+$TIELINE_TOKEN start %s.%N" >> $f
for i in $(seq {beats}); do
  sleep 0.25 & wait $!
  date "+$TIELINE_TOKEN beat %s.%N" >> $f
done
date "+$TIELINE_TOKEN end %s.%N" >> $f
exit {code}
"""


@dataclass(frozen=True)
class Span:
    """One attempt as it left its traces."""

    token: str
    start: float
    last: float
    """The last sign of life."""
    ending: str
    """`end`, `stopped`, or empty where it was killed."""

    @property
    def attempt(self) -> int:
        """Number of the attempt."""
        return int(self.token.rpartition(".")[2])


def spans_of(file: Path) -> list[Span]:
    """Give the attempts of one job in the order of their starts; none when it never ran.

    A token that started twice gives two spans.
    """
    spans: list[Span] = []
    for line in file.read_text().splitlines() if file.exists() else ():
        token, what, moment = line.split()
        if what == "start":
            spans.append(Span(token, float(moment), float(moment), ""))
            continue
        at = max(n for n, span in enumerate(spans) if span.token == token)
        ending = "" if what == "beat" else what
        spans[at] = Span(token, spans[at].start, float(moment), ending)
    return spans


def faults_of(job: JobRecord, spans: list[Span]) -> Iterable[str]:
    """Give what is wrong between the record of an ended job and its traces, in words."""
    tokens = [span.token for span in spans]
    for token in {one for one in tokens if tokens.count(one) > 1}:
        yield f"{token} started {tokens.count(token)} times"
    if len(spans) > 1 and not (job.spec.idempotent or job.spec.preemptible):
        yield f"{job.id} ran {len(spans)} times: {', '.join(tokens)}"
    for one, other in pairwise(sorted(spans, key=lambda span: span.start)):
        if other.start < one.last and not job.spec.idempotent:
            yield f"{other.token} started before {one.token} had ended"
    last = spans[-1] if spans else None
    came_to_its_end = last is not None and last.ending == "end"
    if job.status is Status.SUCCEEDED and not came_to_its_end:
        yield f"{job.id} succeeded, but its last run did not come to its end"
    if job.status is Status.SUCCEEDED and last is not None and last.token != job.token:
        yield f"{job.id} succeeded as {job.token}, but {last.token} ran last"
    if job.status is Status.FAILED and job.exit_code not in (None, 143) and not came_to_its_end:
        yield f"{job.id} failed with {job.exit_code}, but did not come to its end"


def most_at_once(jobs: Mapping[str, JobRecord], spans: Mapping[str, list[Span]]) -> dict[str, int]:
    """Give the most accelerators in use at one moment, by pool.

    Counted are the last attempts of jobs that ended where their record says.
    """
    steps: dict[str, list[tuple[float, int]]] = {}
    for name, job in jobs.items():
        for span in spans[name]:
            if job.pool is not None and span.token == job.token:
                steps.setdefault(job.pool, []).append((span.start, job.size))
                steps[job.pool].append((span.last, -job.size))
    most = {}
    for pool, changes in steps.items():
        held = highest = 0
        for _, change in sorted(changes, key=lambda step: (step[0], step[1])):
            held += change
            highest = max(highest, held)
        most[pool] = highest
    return most
