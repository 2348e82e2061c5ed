"""Arrays, ranges and following, on a real control plane in a process of its own."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import pytest

from terminal import Terminal
from tieline.client import Client, find_url

Eventually = Callable[[Callable[[], object]], None]
JobFile = Callable[..., str]

TIELINE = str(Path(sys.executable).with_name("tieline"))


def ids(ran_out: str) -> tuple[str, str]:
    """Give the first and the last job of a receipt."""
    match = re.match(r"\d+ jobs: (job-\d{6}) to (job-\d{6})\n", ran_out)
    assert match
    return match[1], match[2]


# ---------------------------------------------------------------------------- arrays


def test_an_array_is_a_job_for_each_index(tieline: Terminal, job_file: JobFile) -> None:
    """Each job of an array has its index in its name and, with the size, in its environment."""
    file = job_file("echo $TIELINE_ARRAY_INDEX of $TIELINE_ARRAY_SIZE")
    sent = tieline.good("submit", file, "--array", "2,7-11:2", "--wait")
    assert "4 succeeded" in sent.out
    first, last = ids(sent.out)
    found = tieline.good("jobs", f"{first}..{last}", "--json").document["jobs"]
    assert [one["name"] for one in found] == ["greet[11]", "greet[9]", "greet[7]", "greet[2]"]
    written = [tieline.good("logs", one["id"]).out for one in found]
    assert written == [f"{index} of 4\n" for index in (11, 9, 7, 2)]


def test_a_file_may_say_that_it_is_an_array(tieline: Terminal, job_file: JobFile) -> None:
    """`array` in the file counts, unless the command line says otherwise."""
    file = Path(job_file())
    file.write_text(f"{file.read_text()}array: 0-2\n")
    assert "array of 3, each lab: hpc" in tieline.good("check", str(file)).out
    assert tieline.good("submit", str(file)).out.startswith("3 jobs: ")
    named = tieline.good("jobs", "--limit", "1", "--json").document["jobs"][0]["name"]
    assert named == "greet[2]"
    tieline.good("submit", str(file), "--array", "5")
    named = tieline.good("jobs", "--limit", "1", "--json").document["jobs"][0]["name"]
    assert named == "greet[5]"


def test_an_array_under_a_key_is_submitted_once(tieline: Terminal, job_file: JobFile) -> None:
    """An array is one submission: a second one under its key gives the same jobs."""
    arguments = ("submit", job_file(), "--array", "0-4", "--key", "an-array")
    assert tieline.good(*arguments).out == tieline.good(*arguments).out


def test_jobs_of_an_array_tell_each_other_how_long_they_run(
    tieline: Terminal, job_file: JobFile, eventually: Eventually
) -> None:
    """A job of an array without an estimate is taken to run as long as those before it."""
    file = Path(job_file("sleep 0.3", name="alike"))
    file.write_text(file.read_text().replace("estimate: 1s", ""))
    tieline.good("submit", str(file), "--array", "0-3", "--wait")
    other = Path(job_file("sleep 3", name="other"))
    other.write_text(other.read_text().replace("estimate: 1s", ""))
    tieline.good("submit", str(other), "--wait")
    tieline.good("submit", job_file("sleep 100", count=4, name="full"))
    eventually(lambda: "running" in tieline.good("jobs", "--limit", "1").out)
    waits = tieline.good("submit", str(file), "--array", "9").job
    eventually(lambda: tieline.good("job", waits, "--json").document["estimate"])
    estimate = tieline.good("job", waits, "--json").document["estimate"]
    assert estimate["basis"] == "history"
    assert estimate["run_s"] < 1.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--array", "5-"], "--array: '5-'; allowed: indices such as 0-99, 0-99:3 or 1,5,9"),
        (["--array", "9-2"], "--array: 9-2, which runs backwards; allowed: such as 2-9"),
        (["--array", "1,0-3"], "--array: index 1 given twice; allowed: once"),
        (["--array", "0-99999999"], "--array: more than 10,000 indices; allowed: 10,000 in one"),
        (["--array", "0-9:0"], "--array: 0-9:0, with steps of 0; allowed: steps of at least 1"),
        (["--array", "0-9", "--count", "2"], "--count 2: an array has a job for each index;"),
        (["--follow", "--json"], "--follow prints line by line, --json one document"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_submitted_is_told(
    tieline: Terminal, job_file: JobFile, options: list[str], words: str
) -> None:
    """Indices that are none, and options that exclude each other, are wrong input."""
    ran = tieline("submit", job_file(), *options)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


def test_mistakes_of_an_array_are_told_once(tieline: Terminal, job_file: JobFile) -> None:
    """What is wrong with each job of an array is told once, with its line in the file."""
    file = Path(job_file())
    file.write_text(file.read_text().replace("tenant: lab", "tenant: lb"))
    ran = tieline("submit", str(file), "--array", "0-99")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"tieline: {file}:2: tenant: unknown tenant 'lb'; allowed: clinic, lab\n"
    wrong = indent(file.read_text().strip(), "    ").strip()
    right = wrong.replace("tenant: lb", "tenant: lab")
    file.write_text(f"jobs:\n  - {right}\n    array: 0-2\n  - {wrong}\n")
    ran = tieline("submit", str(file))
    assert re.fullmatch(r"tieline: \S+:\d+: jobs\[1\]\.tenant: unknown tenant 'lb'.*\n", ran.err)


# ---------------------------------------------------------------------------- ranges


def test_ranges_name_jobs(tieline: Terminal, job_file: JobFile, eventually: Eventually) -> None:
    """`jobs` and `cancel` take ids and ranges, each job once; `jobs` filters what they name."""
    sent = tieline.good("submit", job_file("sleep 100"), "--array", "0-5")
    first, last = ids(sent.out)
    names = f"{first}..{last}"
    eventually(
        lambda: (
            len(tieline.good("jobs", names, "--status", "running", "--json").document["jobs"]) == 4
        )
    )
    waiting = tieline.good("jobs", names, first, "--status", "queued", "--json").document["jobs"]
    assert len(waiting) == 2
    assert len(tieline.good("jobs", names, first, "--json").document["jobs"]) == 6
    assert len(tieline.good("jobs", names, "--limit", "3", "--json").document["jobs"]) == 3
    assert tieline.good("jobs", names, "--tenant", "clinic").out == "no jobs\n"
    said = tieline.good("cancel", first, names).out
    assert said.splitlines()[0] == f"{first} is being cancelled"
    assert said.count("is being cancelled") == 6
    eventually(
        lambda: (
            len(tieline.good("jobs", names, "--status", "cancelled", "--json").document["jobs"])
            == 6
        )
    )


@pytest.mark.parametrize(
    ("command", "text", "words"),
    [
        ("jobs", "job-000009..job-000001", "runs backwards"),
        ("cancel", "job-1..", "is no range of jobs; such as job-000010..job-000109"),
        ("cancel", "job-900000..job-900009", "there is no job in job-900000..job-900009"),
        ("jobs", "job-900000", "there is no job 'job-900000'"),
    ],
)
def test_a_wrong_range_is_told(tieline: Terminal, command: str, text: str, words: str) -> None:
    """What is no range, and a range without a job to cancel, is wrong input."""
    ran = tieline(command, text)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


# -------------------------------------------------------------------------- following


def test_following_a_submission(tieline: Terminal, job_file: JobFile) -> None:
    """What the job writes goes to standard output and what happens to it to standard error."""
    ran = tieline("submit", job_file("echo one; sleep 0.5; echo two"), "--follow")
    assert (ran.code, ran.out) == (0, "one\ntwo\n")
    steps = [line.split(" ", 2) for line in ran.err.splitlines()[1:]]
    assert [step[2] for step in steps] == [
        "submitted",
        "placed on one/nvidia-h200-sxm",
        "started",
        "succeeded with exit code 0",
    ]
    assert {step[0] for step in steps} == {ran.err.split(" ", 1)[0]}


def test_a_failure_while_followed_is_the_exit_code(tieline: Terminal, job_file: JobFile) -> None:
    """Who follows a job that fails gets its output and exit code 1."""
    ran = tieline("submit", job_file("echo oh no >&2; exit 7"), "-f")
    assert (ran.code, ran.out) == (1, "oh no\n")
    assert ran.err.endswith("failed with exit code 7\n")
    job = ran.err.split(" ", 1)[0]
    shown = tieline("job", job, "--follow")
    assert (shown.code, shown.err) == (1, "")
    assert shown.out.splitlines() == ran.err.splitlines()[1:]


def test_lines_of_several_jobs_carry_their_ids(tieline: Terminal, job_file: JobFile) -> None:
    """Output of several jobs comes by whole lines, each after the id of its job."""
    command = "printf 'a line'; sleep 0.4; echo ' of $TIELINE_ARRAY_INDEX'; printf end"
    file = job_file(command.replace("'", '"'))
    ran = tieline("submit", file, "--array", "0-3", "--follow")
    assert ran.code == 0
    jobs = sorted({line.split(" ", 1)[0] for line in ran.err.splitlines()[1:]})
    assert len(jobs) == 4
    expected = [f"{job}: a line of {index}" for index, job in enumerate(jobs)]
    assert sorted(ran.out.splitlines()) == sorted([*expected, *(f"{job}: end" for job in jobs)])


def test_ctrl_c_stops_following_alone(
    tieline: Terminal, home: Path, job_file: JobFile, eventually: Eventually
) -> None:
    """Ctrl-C ends what follows a job and says that the job goes on, which it does."""
    for command in (["submit", job_file("echo up; sleep 100"), "--follow"], ["logs", "-f"]):
        if command[0] == "logs":
            command.append(
                tieline.good("jobs", "--limit", "1", "--json").document["jobs"][0]["id"]
            )
        process = subprocess.Popen(
            [TIELINE, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"XDG_STATE_HOME": str(home)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130
        last = said.splitlines()[-1]
        assert re.match(r"stopped following; (job-\d{6}) goes on: see `tieline jobs \1`", last)
        job = last.split()[2]
        eventually(lambda job=job: "running" in tieline.good("job", job).out)  # type: ignore[misc] # bound


def test_following_goes_on_over_a_new_attempt(
    tieline: Terminal, tmp_path: Path, job_file: JobFile
) -> None:
    """The output of the attempt that follows a stop is given as well, from its start."""
    long = Path(job_file(f"echo attempt $TIELINE_ATTEMPT; test -e {tmp_path}/go || exec sleep 60"))
    long.write_text(
        f"{long.read_text()}preemptible: true\nrestart: 0s\n".replace(
            "count: 1", "count: 4"
        ).replace("estimate: 1s", "estimate: 10h")
    )
    job = tieline.good("submit", str(long)).job
    with Client(find_url()) as client:
        output, urgent = b"", ""
        for sighting in client.follow([client.job(job)]):
            output += sighting.output
            if b"attempt 1\n" in output and not urgent:
                (tmp_path / "go").touch()
                urgent = tieline.good("submit", job_file("sleep 0.2", count=4, name="urgent")).job
    assert output == b"attempt 1\nattempt 2\n"
    assert "stopped" in tieline.good("job", job, "--follow").out
