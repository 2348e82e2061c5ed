"""`tieline trace` as people call it: what it prints, what it leaves, how it ends."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tieline.cli.main import main
from tieline.traces.registry import FORMATS

JOBS = (
    "submit_s,duration_s,count,tenant,class,model\n"
    "0,3600,8,ann,training,\n"
    "60,7200,1,an institute with a rather long name in several words,training,llama-3-8b\n"
)


@dataclass(frozen=True)
class Run:
    """How a command ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def tieline(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Run]:
    """Give a function that runs `tieline trace` as the console script does."""

    def run(*arguments: str, columns: int = 80) -> Run:
        monkeypatch.setattr(sys, "argv", ["tieline", "trace", *arguments])
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return Run(int(end.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """Give a small native trace."""
    path = tmp_path / "jobs.csv"
    path.write_text(JOBS)
    return path


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_describe_fits_the_terminal(columns: int, jobs: Path, tieline: Callable[..., Run]) -> None:
    """The table shows the facts and no line is wider than the terminal."""
    run = tieline("describe", str(jobs), columns=columns)
    assert (run.returncode, run.stderr) == (0, "")
    assert max(map(len, run.stdout.splitlines())) <= columns
    assert re.search(r"jobs +2 of 2 rows", run.stdout)
    assert len([line for line in run.stdout.splitlines() if set(line) & set("▁▂▃▄▅▆▇█")]) == 1
    assert "ann" in run.stdout


def test_describe_as_json(jobs: Path, tieline: Callable[..., Run]) -> None:
    """Standard output holds one JSON document and nothing else."""
    run = tieline("describe", str(jobs), "--json")
    found = json.loads(run.stdout)
    assert (run.returncode, run.stderr) == (0, "")
    assert (found["jobs"], found["accelerator_hours"], found["load"]["peak"]) == (2, 10.0, 9.0)


def test_convert_and_read_back(jobs: Path, tmp_path: Path, tieline: Callable[..., Run]) -> None:
    """A converted file describes the same, and nothing else is left beside it."""
    expected = json.loads(tieline("describe", str(jobs), "--json").stdout)
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("jobs.csv", "jobs.parquet"):
        out = folder / name
        assert tieline("convert", str(jobs), str(out)).stdout == f"{out}: 2 jobs\n"
        assert json.loads(tieline("describe", str(out), "--json").stdout) == expected
    assert {path.name for path in folder.iterdir()} == {"jobs.csv", "jobs.parquet"}


def test_a_failed_conversion_leaves_nothing(
    jobs: Path, tmp_path: Path, tieline: Callable[..., Run]
) -> None:
    """Where the result cannot be put in place, no temporary file stays."""
    folder = tmp_path / "out"
    (folder / "taken.csv").mkdir(parents=True)
    run = tieline("convert", str(jobs), str(folder / "taken.csv"))
    assert (run.returncode, run.stdout) == (2, "")
    assert "cannot be written: is a directory" in run.stderr
    assert [path.name for path in folder.iterdir()] == ["taken.csv"]


def test_convert_says_what_is_lost(
    jobs: Path, tmp_path: Path, tieline: Callable[..., Run]
) -> None:
    """Measured speeds have no place in a native file: the user is told."""
    (tmp_path / "throughputs.csv").write_text(
        "worker_type,model,scale_factor,steps_per_s\nv100,LM,1,10\nk80,LM,1,2\n"
    )
    jobs.write_text("arrival_s,model,scale_factor,total_steps\n0,LM,1,100\n5,LM,2,100\n")
    run = tieline("convert", str(jobs), str(tmp_path / "o.csv"), "--json")
    found = json.loads(run.stdout)
    assert found["jobs"] == 1
    assert found["skipped"] == {"has no measured speed on v100 for its model and gang size": 1}
    assert found["lost"] == [
        "the measured speeds on k80, v100; the run times are those on v100",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["describe", "nothing.csv"], "tieline: nothing.csv: no such file or directory"),
        (["convert", "JOBS", "out.txt"], "tieline: out.txt: a trace is written as .csv or .parq"),
        (["convert", "JOBS", "no/x.csv"], "tieline: no/x.csv: cannot be written: no such file"),
        (["describe", "JOBS", "-o", "tenant"], "--option: found 'tenant', expected NAME=VALUE"),
        (["describe", "JOBS", "-o", "gres=npu"], "option gres: format native knows only accel"),
        (["describe", "JOBS", "--format", "csv"], "'csv' is not one of 'native', 'helios'"),
        (["download", "venus"], "unknown public trace 'venus'; known are helios-venus, philly"),
    ],
)
def test_wrong_input_ends_with_2(
    arguments: list[str], message: str, jobs: Path, tieline: Callable[..., Run]
) -> None:
    """Wrong input gets one clear line on standard error, nothing on standard output, code 2."""
    run = tieline(*(str(jobs) if text == "JOBS" else text for text in arguments))
    assert (run.returncode, run.stdout) == (2, "")
    assert message in run.stderr
    assert "Traceback" not in run.stderr


def test_help_names_every_option_of_every_format(tieline: Callable[..., Run]) -> None:
    """What a format can be told is in the help."""
    text = " ".join(tieline("describe", "--help").stdout.split())
    for name, kind in FORMATS.items():
        assert name in text
        assert all(f"{name}: {option} =" in text for option in kind.options)
