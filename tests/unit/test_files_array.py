"""Arrays in job files: their indices, their jobs, and what of them is too much."""

import pytest

from tieline.files.array import MAX_ARRAY, ArrayError, JobArray, indices_of, shared_name
from tieline.files.document import Document
from tieline.files.job import (
    entries_from,
    entry_to_dict,
    job_from_dict,
    job_to_dict,
    jobs_from,
)
from tieline.files.problems import FileErrors

JOB = {
    "tenant": "lab",
    "name": "sweep",
    "workload": {"class": "hpc"},
    "accelerators": {"count": 1},
    "stacks": {"cuda": {"command": "run"}},
    "env": {"SEED": "1"},
}


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("7", (7,)),
        ("0-3", (0, 1, 2, 3)),
        ("0-10:4", (0, 4, 8)),
        ("9, 1,5-6", (9, 1, 5, 6)),
        ("999999999", (999_999_999,)),
        ("3-3:9", (3,)),
    ],
)
def test_indices(text: str, indices: tuple[int, ...]) -> None:
    """Indices are single ones, ranges and ranges with steps, in the order written."""
    assert indices_of(text) == indices


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "1-", "1:2", "1,", "1.5", "1000000000", "\u0663", "3-1", "1-2:0", "1,1"],
)
def test_what_is_no_index(text: str) -> None:
    """Any other text is refused."""
    with pytest.raises(ArrayError):
        indices_of(text)


def test_jobs_of_an_array() -> None:
    """Each job has its index in its name and environment, and is a job like any other."""
    (array,) = entries_from(Document("job", {**JOB, "array": "0-8:4"}))
    assert isinstance(array, JobArray)
    jobs = array.jobs()
    assert jobs == jobs_from(Document("job", {**JOB, "array": "0-8:4"}))
    assert [job.name for job in jobs] == ["sweep[0]", "sweep[4]", "sweep[8]"]
    assert {shared_name(job.name) for job in jobs} == {"sweep"}
    assert dict(jobs[1].env) == {
        "SEED": "1",
        "TIELINE_ARRAY_INDEX": "4",
        "TIELINE_ARRAY_SIZE": "3",
    }
    assert [job_from_dict(job_to_dict(job)) for job in jobs] == list(jobs)
    assert entries_from(Document("job", entry_to_dict(array))) == (array,)


def test_an_array_without_a_name_is_called_as_its_work() -> None:
    """Where a job has no name, those of its array are called by the class of the work."""
    (job,) = jobs_from(Document("job", {**JOB, "name": "", "array": "3"}))
    assert job.name == "hpc[3]"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"array": "0-10000"}, "array: more than 10,000 indices; allowed: 10,000 in one array"),
        ({"array": 5}, 'array: the number 5; write "5", with quotes, if it is text'),
        ({"array": "1", "name": "n" * 190}, "name: 190 characters; allowed in an array: 189"),
        ({"env": {"TIELINE_ARRAY": "1"}}, "env.TIELINE_ARRAY: 'TIELINE_ARRAY'; allowed: a variab"),
    ],
)
def test_mistakes(change: dict[str, object], words: str) -> None:
    """What is wrong about an array is told with its field."""
    with pytest.raises(FileErrors) as raised:
        jobs_from(Document("job", JOB | change))
    assert str(raised.value).startswith(f"job: {words}")


def test_all_arrays_of_a_file_together_have_a_limit() -> None:
    """Arrays that are too many together are told before any job of them is made."""
    half = {**JOB, "array": f"1-{MAX_ARRAY // 2}"}
    assert len(jobs_from(Document("job", {"jobs": [half, half]}))) == MAX_ARRAY
    with pytest.raises(FileErrors, match=r"jobs\[2\]\.array: 15,000 jobs; allowed: 10,000 in all"):
        jobs_from(Document("job", {"jobs": [half, half, half]}))


def test_one_job_is_no_array() -> None:
    """Where one job is wanted, an array is refused."""
    with pytest.raises(FileErrors, match="array: an array of jobs; allowed here: one job"):
        job_from_dict({**JOB, "array": "1-2"})
