"""The commands that talk to a control plane, against a real one in a process of its own."""

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent

import pytest

from terminal import JOB, Terminal

Eventually = Callable[[Callable[[], object]], None]
JobFile = Callable[..., str]


def test_submit_wait_and_look(tieline: Terminal, job_file: JobFile) -> None:
    """A job goes in, is waited for, and everything about it can be looked at."""
    sent = tieline.good("submit", job_file("echo hello from $TIELINE_POOL"), "--wait")
    job = sent.job
    assert re.search(rf"{job} +succeeded +0 +\d\.\ds +one/nvidia-h200-sxm", sent.out)
    assert tieline.good("logs", job).out == "hello from one/nvidia-h200-sxm\n"
    assert tieline.good("logs", job, "--follow").out == "hello from one/nvidia-h200-sxm\n"
    shown = tieline.good("job", job).out
    assert re.search(r"exit code +0\b", shown)
    assert re.search(r"\+\S+ +placed on one/nvidia-h200-sxm", shown)
    assert f"{job} greet succeeded" in tieline.good("why", job).out
    assert re.search(rf"{job} +succeeded +lab +1 +one/nvidia", tieline.good("jobs").out)


def test_many_jobs_are_waited_for(tieline: Terminal, job_file: JobFile) -> None:
    """With `--count` a file is submitted that often, and `--wait` waits for all."""
    sent = tieline.good("submit", job_file(), "--count", "5", "--wait")
    assert re.match(r"5 jobs: job-\d{6} to job-\d{6}\n5 succeeded; ", sent.out)


def test_a_failure_is_told(tieline: Terminal, job_file: JobFile) -> None:
    """`--wait` ends with exit code 1 when a job did not succeed, and says where to look."""
    sent = tieline("submit", job_file("echo oh no >&2; exit 7"), "--wait")
    assert (sent.code, sent.err) == (1, "")
    job = sent.job
    assert re.search(rf"{job} +failed +7 ", sent.out)
    assert sent.out.endswith(f"tieline logs {job}\n")
    assert tieline.good("logs", job).out == "oh no\n"


def test_a_key_submits_once(tieline: Terminal, job_file: JobFile) -> None:
    """The same submission under the same key adds nothing; another one is refused."""
    first = tieline.good("submit", job_file(), "--key", "k").job
    assert tieline.good("submit", job_file(), "--key", "k").job == first
    other = tieline("submit", job_file("true"), "--key", "k")
    assert (other.code, other.out) == (1, "")
    assert first in other.err


def test_cancel_ends_jobs(tieline: Terminal, job_file: JobFile, eventually: Eventually) -> None:
    """Cancelled jobs end, whether they run or wait; one that has ended is left as it is."""
    jobs = [tieline.good("submit", job_file("sleep 100", count=4)).job for _ in range(2)]
    eventually(lambda: "running" in tieline.good("job", jobs[0]).out)
    assert tieline("logs", jobs[0]).err == f"{jobs[0]} is running and has no output\n"
    said = tieline.good("cancel", *jobs).out
    assert said == "".join(f"{job} is being cancelled\n" for job in jobs)
    for job in jobs:
        eventually(lambda job=job: "cancelled" in tieline.good("job", job).out)  # type: ignore[misc] # bound
    assert tieline.good("cancel", jobs[0]).out == f"{jobs[0]} had cancelled\n"


def test_why_says_never(tieline: Terminal, job_file: JobFile, eventually: Eventually) -> None:
    """For a job that no pool can run `why` says never, pool by pool, and what would help."""
    job = tieline.good("submit", job_file(sensitivity="sensitive")).job
    eventually(lambda: tieline.good("why", job, "--json").document["pools"])
    said = tieline.good("why", job).out
    assert "No pool can ever run it as it is" in said
    assert len(re.findall(r"never: ", said)) == 2
    assert "two/huawei-910b2" in said
    found = tieline.good("why", job, "--json").document
    assert found["never"] is True
    assert [one["reasons"] for one in found["pools"]] == [["trust"], ["stack"]]
    quiet = tieline("logs", job)
    assert (quiet.code, quiet.out) == (0, "")
    assert f"tieline why {job}" in quiet.err


def test_pools_and_prices(tieline: Terminal, job_file: JobFile, eventually: Eventually) -> None:
    """While a pool is full and a job waits for it, it is shown as full, with a price."""
    jobs = [tieline.good("submit", job_file("sleep 100", count=4)).job for _ in range(2)]
    eventually(
        lambda: re.search(r"one/nvidia-h200-sxm +4/4 +0 +0 +1 +1", tieline.good("pools").out)
    )
    eventually(lambda: re.search(r"one/nvidia-h200-sxm +900\b", tieline.good("prices").out))
    assert "policy price, certified within" in tieline.good("prices").out
    assert "4 of 6 accelerators in use" in tieline.good("pools").out
    found = tieline.good("prices", "--json").document
    assert found["latest"]["prices_per_h"]["one/nvidia-h200-sxm"] == pytest.approx(900)
    assert [pool["free"] for pool in tieline.good("pools", "--json").document["pools"]] == [0, 2]
    said = tieline.good("why", jobs[1]).out
    assert "It waits." in said
    assert "too few accelerators are free" in said
    assert re.search(r"It starts in about \S+ at one/nvidia-h200-sxm; between ", said)
    assert f"{jobs[0]} (900, x4) runs" in said


def test_why_foretells_and_names_a_remedy(
    tieline: Terminal, job_file: JobFile, eventually: Eventually
) -> None:
    """For a waiting job `why --json` has its rivals, its forecast and the change that helps."""
    first = tieline.good("submit", job_file("sleep 100", count=4)).job
    eventually(lambda: tieline.good("job", first, "--json").document["status"] == "running")
    waits = tieline.good("submit", job_file(count=2)).job
    eventually(lambda: tieline.good("why", waits, "--json").document["forecast"])
    found = tieline.good("why", waits, "--json").document
    told = found["forecast"]
    assert told["at"] <= told["low_at"] <= told["start_at"] <= told["high_at"]
    assert (told["never"], told["pool"]) == (False, "one/nvidia-h200-sxm")
    (rival,) = found["pools"][0]["rivals"]
    assert (rival["job"], rival["running"], rival["count"]) == (first, True, 4)
    never = tieline.good("submit", job_file(sensitivity="sensitive")).job
    eventually(lambda: tieline.good("why", never, "--json").document["forecast"])
    found = tieline.good("why", never, "--json").document
    assert found["forecast"]["never"] is True
    (change,) = found["changes"]
    assert change["sentence"] == "built for cann as well: starts now at two/huawei-910b2"
    assert f"- {change['sentence']}" in tieline.good("why", never).out


def test_lists_are_filtered(tieline: Terminal, job_file: JobFile) -> None:
    """`jobs` shows only the status, the tenant and the number asked for."""
    tieline("submit", job_file("exit 1", name="wrong"), "--count", "3", "--wait")
    found = tieline.good("jobs", "--status", "failed", "--limit", "2", "--json").document["jobs"]
    assert [one["status"] for one in found] == ["failed", "failed"]
    assert tieline.good("jobs", "--tenant", "clinic").out == "no jobs\n"
    assert "the newest 2; see --limit" in tieline.good("jobs", "--limit", "2").out


@pytest.mark.parametrize("width", ["40", "60", "80", "132"])
def test_screens_fit_the_terminal(
    tieline: Terminal, job_file: JobFile, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    """No line is wider than the terminal, whatever its width."""
    name = "a-job-with-a-name-that-goes-on-and-on-until-it-is-too-long"
    job = tieline.good("submit", job_file(name=name, sensitivity="sensitive")).job
    monkeypatch.setenv("COLUMNS", width)
    for arguments in (["jobs"], ["job", job], ["why", job], ["pools"], ["prices"]):
        lines = tieline.good(*arguments).out.splitlines()
        assert max(map(len, lines)) <= int(width), arguments


def test_json_is_one_document(tieline: Terminal, job_file: JobFile) -> None:
    """With `--json` every command prints one JSON document and nothing else."""
    sent = tieline.good("submit", job_file(), "--count", "2", "--wait", "--json").document
    assert [one["status"] for one in sent["jobs"]] == ["succeeded"] * 2
    job = sent["jobs"][0]["id"]
    shown = tieline.good("job", job, "--json").document
    assert shown["spec"]["stacks"] == {"cuda": {"command": "echo hello"}}
    assert [one["event"] for one in shown["events"]][-1] == "succeeded"
    assert tieline.good("cancel", job, "--json").document["jobs"][0]["id"] == job
    assert tieline.good("jobs", "--json").document["jobs"][0]["id"] >= job
    assert tieline.good("why", job, "--json").document["job"]["id"] == job


@pytest.mark.parametrize(
    "arguments",
    [["job"], ["why"], ["logs"], ["logs", "--follow"], ["cancel"]],
    ids=" ".join,
)
@pytest.mark.parametrize("job", ["job-999999", "nonsense", "../../pools"])
def test_an_unknown_job_is_one_line(tieline: Terminal, arguments: list[str], job: str) -> None:
    """An unknown job is wrong input: one line that says what to do, exit code 2."""
    ran = tieline(*arguments, job)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(
        rf"tieline: there is no job '?{re.escape(job)}'?; `tieline jobs` lists the jobs\n", ran.err
    )


def test_mistakes_in_a_file_have_their_lines(tieline: Terminal, tmp_path: Path) -> None:
    """A wrong file is told line by line before anything is sent, with exit code 2."""
    file = tmp_path / "wrong.yaml"
    file.write_text("tenant: lab\nworkload: {class: trainig}\naccelerators: {count: 0}\n")
    before = tieline.good("jobs", "--json").out
    ran = tieline("submit", str(file))
    assert (ran.code, ran.out) == (2, "")
    assert f"{file}:2: workload.class: unknown workload class 'trainig'" in ran.err
    assert f"{file}:3: accelerators.count: 0;" in ran.err
    assert tieline.good("jobs", "--json").out == before
    missing = tieline("submit", str(tmp_path / "none.yaml"))
    assert (missing.code, missing.err.count("\n")) == (2, 1)


def test_what_the_network_does_not_have_is_told(tieline: Terminal, tmp_path: Path) -> None:
    """A tenant that the network does not have is told with its line in the file."""
    file = tmp_path / "stranger.yaml"
    text = JOB.format(command="x", name="x", count=1, sensitivity="open").strip()
    file.write_text(text.replace("lab", "lb"))
    ran = tieline("submit", str(file))
    assert (ran.code, ran.out) == (2, "")
    words = "unknown tenant 'lb'; allowed: clinic, lab"
    assert ran.err == f"tieline: {file}:1: tenant: {words}\n"
    first, second = (indent(job, "    ").strip() for job in (text, text.replace("lab", "lb")))
    file.write_text(f"jobs:\n  - {first}\n  - {second}\n")
    ran = tieline("submit", str(file), "--count", "3")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"tieline: {file}:{text.count(chr(10)) + 3}: jobs[1].tenant: {words}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["submit"],
        ["submit", "x.yaml", "--count", "0"],
        ["jobs", "--status", "done"],
        ["jobs", "--limit", "0"],
        ["cancel"],
        ["pools", "--url", "nothing"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_have_exit_code_2(tieline: Terminal, arguments: list[str]) -> None:
    """Wrong arguments are told on standard error with exit code 2."""
    ran = tieline(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err


def test_no_control_plane_is_one_line(
    tieline: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where none runs, every command says so in one line, with what to do, and exit code 1."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TIELINE_URL", "http://127.0.0.1:9")
    for arguments in (["jobs"], ["pools"], ["prices"], ["why", "job-000001"]):
        ran = tieline(*arguments)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == (
            "tieline: no control plane answers at http://127.0.0.1:9: "
            "start one with `tieline up NETWORK.yaml`\n"
        )
