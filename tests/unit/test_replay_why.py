"""`tieline replay --why`: what it says of a recorded job, and that it comes true."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tieline.cli.main import cli
from tieline.model.errors import InputError, NotFoundError

NETWORK = """\
name: one
accelerators:
  - {id: chip, name: chip, stack: cuda, rates: {training: 1}}
regions:
  - {id: r}
sites:
  - id: a
    region: r
    pools:
      - {accelerator: chip, nodes: 1, accelerators_per_node: 4}
"""
JOBS = """\
job_id,submit_s,duration_s,count,tenant
first,0,1000,4,x
second,10,500,4,x
third,20,50,2,x
giant,30,50,9,x
last,5000,10,1,x
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Give a network of four accelerators and a trace of five jobs, one of them too large."""
    network, trace = tmp_path / "net.yaml", tmp_path / "jobs.csv"
    network.write_text(NETWORK)
    trace.write_text(JOBS)
    return str(network), str(trace)


def call(files: tuple[str, str], *args: str) -> Result:
    """Call `tieline replay` in this process."""
    return CliRunner().invoke(cli, ["replay", *files, *args], catch_exceptions=False)


def document(files: tuple[str, str], *args: str) -> dict[str, Any]:
    """Give the JSON document that `tieline replay --json` prints."""
    found: dict[str, Any] = json.loads(call(files, *args, "--json").stdout)
    return found


@pytest.mark.parametrize("policy", ["fifo", "price", "backfill"])
@pytest.mark.parametrize("job", ["second", "third", "3", "third@500"])
def test_what_is_foretold_comes_true(files: tuple[str, str], policy: str, job: str) -> None:
    """With exact estimates, and nobody later in the way, the start is the one foretold."""
    found = document(files, "--policy", policy, "--why", job)
    told, came = found["why"]["forecast"], found["happened"]
    assert found["policy"] == policy
    assert found["moment_s"] == {"second": 10, "third": 20, "3": 20, "third@500": 500}[job]
    assert told["at"] == found["moment_s"]
    assert (told["pool"], came["pool"]) == ("a/chip", "a/chip")
    (pool,) = found["why"]["pools"]
    assert "first" in [rival["job"] for rival in pool["rivals"]]
    assert told["low_at"] <= told["start_at"] <= told["high_at"]
    # Too few have ended for a history: the end of the first job is drawn around its estimate.
    assert told["low_at"] <= came["start_s"] <= told["high_at"]


def test_the_screen_says_all_of_it(files: tuple[str, str]) -> None:
    """The table of pools, the rivals, the forecast, its grounds and what came are printed."""
    said = " ".join(call(files, "--policy", "price", "--why", "second").stdout.split())
    assert "second queued It waits. It needs 4 accelerators together" in said
    assert "It starts in about " in said
    assert "from now in 8 of 10 cases." in said
    assert "first (0.9, x4) runs for 16m30s more" in said
    assert "No single change that was tried would start it sooner." in said
    assert "(assumed: only 0 ended so far)" in said
    assert "In the replay it started 17m20s after this moment, at 1,050 s, on a/chip" in said


def test_a_job_that_never_ran_is_told_never(files: tuple[str, str]) -> None:
    """A rejected job is explained as never, and nothing is foretold of its start."""
    found = document(files, "--policy", "price", "--why", "giant")
    assert found["why"]["never"] is True
    assert found["why"]["forecast"]["never"] is True
    assert found["why"]["forecast"]["start_at"] is None
    assert found["happened"] == {"start_s": None, "end_s": None, "pool": None}
    assert "it was rejected" in call(files, "--policy", "price", "--why", "giant").stdout


def test_a_job_that_does_not_wait_is_told_where_it_is(files: tuple[str, str]) -> None:
    """A job that runs or has ended by then is said to, without a forecast."""
    runs = document(files, "--policy", "fifo", "--why", "first")["why"]
    assert (runs["job"]["status"], runs["job"]["pool"]) == ("running", "a/chip")
    assert runs["forecast"] is None
    ran = document(files, "--policy", "fifo", "--why", "first@1000")["why"]
    assert ran["job"]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("--why", "nobody"), NotFoundError, "no job 'nobody'"),
        (("--why", "6"), NotFoundError, "a number from 1 to 5"),
        (("--why", "third@19"), InputError, "from the job's submission on, which is at 20"),
        (("--why", "third@soon"), InputError, "found the moment 'soon'"),
        (("--why", "third", "--rounds", "60"), InputError, "not with --rounds"),
    ],
)
def test_a_wrong_question_gets_one_clear_line(
    files: tuple[str, str], arguments: tuple[str, ...], error: type[Exception], words: str
) -> None:
    """An unknown job, and a moment at which it was not there, are refused by name."""
    with pytest.raises(error, match="--why: ") as caught:
        call(files, *arguments)
    assert words in str(caught.value)
