"""One run through a storm: real clusters, PostgreSQL and control planes that break all the time.

Three Slurm clusters (by REST, by command line, over ssh in a network of its own), two control
planes on one PostgreSQL, a user who submits and cancels. `tests/storm/faults.py` lists what
breaks. What jobs wrote while they ran is held against what the store says of them, and the
store against its own audit.
"""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from bed.machine import Missing
from storm import evidence
from storm.faults import WEIGHTS, Storm
from storm.town import CAPACITY, TIELINE, Town, complaints, town
from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord

SEED: Final = 5
JOBS: Final = 320
BATCH: Final = 4
FAULTS: Final = 66


@pytest.fixture
def place() -> Iterator[Town]:
    """Give a town in which all works, or say what is missing for it.

    Its folder is not one of pytest's: jobs run as users who cannot reach into those.
    """
    try:
        with TemporaryDirectory(prefix="storm-") as folder, town(Path(folder)) as made:
            yield made
    except Missing as want:
        pytest.skip(str(want))


@pytest.mark.timeout(600)
def test_no_job_is_lost_or_run_twice_in_a_storm(place: Town) -> None:
    """Whatever breaks, every acknowledged job ends once, and as it is said to have ended."""
    storm = Storm(place, SEED)
    user = threading.Thread(target=place.submit_all, args=(JOBS, BATCH, SEED), daemon=True)
    user.start()
    try:
        storm.blow(FAULTS)
    finally:
        storm.calm()
        place.calm.set()
    user.join(120)
    assert not user.is_alive()
    jobs = place.wait_for_ends(timeout_s=180)
    story = "\n".join(storm.story)
    assert {kind for kind in WEIGHTS if storm.done[kind] < 2} == set(), story
    check_records(place, jobs, story)
    check_traces(place, jobs, story)
    check_audit(place, story)
    for name, plane in place.planes.items():
        assert plane.stop() == 0
        assert complaints(plane.folder / "log") == [], name


def check_records(place: Town, jobs: list[JobRecord], story: str) -> None:
    """Demand that every acknowledged job is there, once, and has ended."""
    assert len(place.acknowledged) >= JOBS
    assert sorted(job.id for job in jobs) == sorted(place.acknowledged)
    still_open = {
        job.id: (job.status.name, job.pool, job.detail, *job.spec.commands)
        for job in jobs
        if not job.status.ended
    }
    assert still_open == {}, f"{place.troubles()}\n{story}"


def check_traces(place: Town, jobs: list[JobRecord], story: str) -> None:
    """Demand that what jobs wrote while they ran agrees with their records."""
    spans = {job.id: evidence.spans_of(place.evidence / job.id) for job in jobs}
    wrong = [fault for job in jobs for fault in evidence.faults_of(job, spans[job.id])]
    assert wrong == [], story
    most = evidence.most_at_once({job.id: job for job in jobs}, spans)
    assert {pool: held for pool, held in most.items() if held > CAPACITY[pool]} == {}
    succeeded = sum(job.status is Status.SUCCEEDED for job in jobs)
    assert succeeded > len(jobs) / 3  # else the storm was too hard to show anything


def check_audit(place: Town, story: str) -> None:
    """Demand that the store passes its own audit, run as a program of its own."""
    for words in (["verify"], ["check", "--network", str(place.network)]):
        command = [TIELINE, "audit", *words, "--store", place.store_url]
        told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert told.returncode == 0, f"{told.stdout}{told.stderr}\n{story}"
