"""`tieline replay` as people call it: documents, tables, reports, mistakes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from tieline.cli.main import cli, main
from tieline.reports.document import MEASURED
from tieline.reports.folder import fresh_folder

NETWORK = """\
name: two
accelerators:
  - {id: chip, name: chip, stack: cuda, rates: {training: 1}}
regions:
  - {id: r}
sites:
  - id: a
    region: r
    pools:
      - {accelerator: chip, nodes: 2, accelerators_per_node: 4}
  - id: b
    region: r
    pools:
      - {accelerator: chip, nodes: 1, accelerators_per_node: 4}
tenants:
  - {id: a, home: a}
  - {id: b, home: b}
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Give a network file and a trace file of sixty jobs, most of them of one tenant."""
    network, trace = tmp_path / "net.yaml", tmp_path / "jobs.csv"
    network.write_text(NETWORK)
    rows = [
        f"{i},{10 * i},{100 + 37 * i % 900},{1 + i % 3},{'z' if i % 20 == 5 else 'ab'[i % 4 == 0]}"
        for i in range(60)
    ]
    trace.write_text("\n".join(["job_id,submit_s,duration_s,count,tenant", *rows]) + "\n")
    return str(network), str(trace)


def call(*args: str) -> Result:
    """Call `tieline replay` in this process."""
    return CliRunner().invoke(cli, ["replay", *args], catch_exceptions=False)


def unmeasured(document: object) -> object:
    """Give a document without the fields that hold times measured on the machine."""
    if isinstance(document, dict):
        return {key: unmeasured(one) for key, one in document.items() if key not in MEASURED}
    return [unmeasured(one) for one in document] if isinstance(document, list) else document


def test_json_is_one_document(files: tuple[str, str]) -> None:
    """`--json` prints one document with the promised fields, and nothing else anywhere."""
    result = call(*files, "--json")
    document = json.loads(result.stdout)
    assert result.stderr == ""
    assert document["trace"]["jobs"] == 60
    assert list(document["policies"]) == ["isolated", "backfill", "price"]
    promised = "finished rejected mean_jct_s p50_jct_s p95_jct_s p99_jct_s mean_wait_s makespan_s"
    promised += " utilisation bound_ratio gap_mean wall_s jobs_per_s"
    for policy in document["policies"].values():
        assert set(promised.split()) < set(policy)
    assert document["policies"]["isolated"]["rejected_for"] == {"home": 3}
    assert document["policies"]["backfill"]["gap_mean"] is None
    assert document["policies"]["price"]["gap_mean"] >= 0
    assert document["same_jobs"]["jobs"] == 57
    assert document["policies"]["price"]["bound_ratio"] >= 1


def test_several_scales_stand_side_by_side(files: tuple[str, str]) -> None:
    """With several scales each has its policies, under the scale as it is written."""
    result = call(*files, "--json", "--scale", "1,0.5", "--scale", "2", "--policy", "fifo")
    document = json.loads(result.stdout)
    assert "policies" not in document
    assert [(name, at["accelerators"]) for name, at in document["scales"].items()] == [
        ("1", 12),
        ("0.5", 8),
        ("2", 24),
    ]
    waits = [at["policies"]["fifo"]["mean_wait_s"] for at in document["scales"].values()]
    assert waits[1] > waits[0] > waits[2]


def test_equal_service_answers_in_accelerators(files: tuple[str, str]) -> None:
    """`--equal-service` says how many accelerators separate centres need, in words too."""
    args = (*files, "--equal-service", "--policy", "price")
    needs = json.loads(call(*args, "--json").stdout)["equal_service"]["price"]
    separate = needs["separate"]["accelerators"]
    assert separate > 12 >= needs["joined"]["accelerators"]
    assert needs["separate_near"]["accelerators"] <= separate
    text = " ".join(call(*args).stdout.split())
    assert f"separate centres need {separate}" in text


def test_the_same_input_gives_the_same_bytes(files: tuple[str, str], tmp_path: Path) -> None:
    """Two runs of the program differ in nothing but the times measured on the machine."""
    documents: list[object] = []
    folders: list[Path] = []
    for seed in ("1", "2"):
        folder = tmp_path / f"out{seed}"
        run = subprocess.run(
            [
                *(sys.executable, "-c", "from tieline.cli.main import main; main()"),
                *("replay", *files, "--json", "--seed", "7"),
                *("--policy", "isolated,price", "--scale", "1,0.5", "--out", str(folder)),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
            env=os.environ | {"PYTHONHASHSEED": seed},
        )
        documents.append(unmeasured(json.loads(run.stdout)))
        folders.append(folder)
    assert json.dumps(documents[0]) == json.dumps(documents[1])
    assert '"seed": 7' in json.dumps(documents[0])
    held = sorted(path.name for path in folders[0].iterdir())
    assert held == sorted(path.name for path in folders[1].iterdir())
    for name in held:
        if name != "summary.json":
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_a_report_holds_everything(files: tuple[str, str], tmp_path: Path) -> None:
    """The directory has the document, every job, the prices, and a page that stands alone."""
    out = tmp_path / "deep" / "out"
    result = call(*files, "--out", str(out))
    assert str(out / "report.html") in result.stdout.replace("\n", "")
    policy = json.loads((out / "summary.json").read_text())["policies"]["price"]
    jobs = pl.read_parquet(out / "jobs_price.parquet")
    ran = jobs.drop_nulls("end_s")
    assert (len(jobs), len(ran)) == (60, policy["finished"])
    assert (ran["end_s"] - ran["submit_s"]).mean() == pytest.approx(policy["mean_jct_s"])
    homeless = pl.read_parquet(out / "jobs_isolated.parquet").filter(pl.col("tenant") == "z")
    assert homeless["rejected_for"].to_list() == ["home"] * 3
    assert homeless["pool"].null_count() == 3
    prices = pl.read_parquet(out / "prices_price.parquet")
    assert (prices["price"] >= 0).all()
    assert prices["price"].max() > 0  # type: ignore[operator]  # the column is not empty
    assert not (out / "prices_isolated.parquet").exists()
    page = (out / "report.html").read_text()
    assert page.count("<img") == page.count('src="data:image/svg+xml;base64,') == 5
    assert 'src="http' not in page
    assert "<link" not in page
    assert "<script" not in page


def test_text_of_a_trace_is_not_taken_for_markup(tmp_path: Path, files: tuple[str, str]) -> None:
    """A tenant called `<b>` or `[bold]` is shown as it is, on the page and the screen."""
    trace = tmp_path / "[red]<b>.csv"
    trace.write_text("submit_s,duration_s,count,tenant\n0,1,1,<script>\n1,1,1,$x_^$\n2,1,1,贵州\n")
    result = call(files[0], str(trace), "--out", str(tmp_path / "o"), "--policy", "fifo")
    assert "[red]<b>" in result.stdout
    assert "<script>" not in (tmp_path / "o" / "report.html").read_text()


def test_tables_fit_the_terminal(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """On 80 columns no line is longer, and none of the policies' numbers is cut."""
    monkeypatch.setenv("COLUMNS", "80")
    text = call(*files, "--scale", "1,0.5", "--equal-service", "--policy", "price").stdout
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert "Estimates are exact" in text
    assert "assumed: the trace does not say" in text


def test_what_the_scheduler_was_told_is_told(files: tuple[str, str]) -> None:
    """Words and document say which estimates were used, how wrong, and of how many jobs."""
    args = (*files, "--policy", "price,fifo", "--error", "3", "--seed", "5")
    text = " ".join(call(*args, "--missing", "0.25").stdout.split())
    assert "Estimates are exact: the scheduler is told the run times of the trace. Of" in text
    assert "Of 25% of the jobs, drawn at random, nothing is said" in text
    assert "off by a factor drawn at random, up to 3 either way (seed 5)" in text
    document = json.loads(call(*args, "--estimates", "history", "--json").stdout)
    told = {"estimates": "history", "error": 3.0, "missing": 0.0, "seed": 5}
    assert told.items() <= document["conditions"].items()
    for policy in document["policies"].values():
        counts = policy["estimates"]
        assert set(counts) == {"history", "default"}
        assert sum(counts.values()) == policy["finished"] == 60
        assert counts["history"] > 30
    assert any(line.startswith("Nobody says how long") for line in document["assumptions"])


def test_luck_comes_from_the_seed(files: tuple[str, str]) -> None:
    """Another seed gives another outcome; the same seed, or nothing to draw, the same."""

    def waits(*args: str) -> object:
        document = json.loads(call(*files, "--json", "--policy", "price", *args).stdout)
        return document["policies"]["price"]["mean_wait_s"]

    wrong = ("--error", "1000")
    assert waits(*wrong, "--seed", "1") == waits(*wrong, "--seed", "1")
    assert len({waits(*wrong, "--seed", seed) for seed in "1234"}) > 1
    assert waits("--seed", "1") == waits("--seed", "2")


def test_an_earlier_report_is_replaced_whole(tmp_path: Path) -> None:
    """A second report takes the place of the first; nothing of the first is left."""
    out = tmp_path / "out"
    for name in ("jobs_fifo.parquet", "jobs_price.parquet"):
        with fresh_folder(out) as folder:
            (folder / name).write_text("")
            (folder / "summary.json").write_text("{}")
    assert sorted(path.name for path in out.iterdir()) == ["jobs_price.parquet", "summary.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def interrupted(folder: Path, error: type[BaseException]) -> None:
    """Begin a report and do not get to its end."""
    (folder / "summary.json").write_text("second")
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_report_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    """When a report is not finished, what was there stays and nothing half-done is seen."""
    out = tmp_path / "out"
    with fresh_folder(out) as folder:
        (folder / "summary.json").write_text("first")
    with pytest.raises(error), fresh_folder(out) as folder:
        interrupted(folder, error)
    assert (out / "summary.json").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def failed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str) -> str:
    """Call the program with wrong input; give its one line."""
    monkeypatch.setattr(sys, "argv", ["tieline", "replay", *args])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    return lines[-1]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--policy", "fast"], "unknown policy 'fast'; known: isolated, fifo"),
        (["--policy", ","], "--policy: names none of isolated, fifo"),
        (["--scale", ","], "--scale: names no factor"),
        (["--scale", "0"], "--scale: found '0', allowed is a number above 0"),
        (["--scale", "1,nan"], "--scale: found 'nan', allowed is a number above 0"),
        (["--equal-service", "--policy", "isolated"], "name a policy besides isolated"),
        (["--error", "0.5"], "--error: found 0.5, allowed is a factor from 1 to 1,000,000"),
        (["--missing", "2"], "--missing: found 2, allowed is a share from 0 to 1"),
        (["--estimates", "user"], "jobs: it does not say how long users expected their jobs"),
        (["--limit", "0"], "0 is not in the range x>=1"),
        (["--option", "accelerator"], "found 'accelerator', expected NAME=VALUE"),
        (["--option", "accelerator=nvidia-h20-96"], None),
        (["--option", "accelerator=chips"], "'chips', which neither the catalogue nor network"),
        (["--out", "{trace}"], "is a file; name a directory"),
        (["--out", "{folder}"], "holds jobs.csv, which is no part of an earlier report"),
    ],
)
def test_wrong_input_gets_one_clear_line(
    files: tuple[str, str],
    args: list[str],
    words: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake ends with exit code 2 and a line that names it; a catalogue id is none."""
    places = {"trace": files[1], "folder": str(Path(files[1]).parent)}
    args = [arg.format(**places) for arg in args]
    if words is None:
        assert call(*files, *args).exit_code == 0
    else:
        assert words in failed(capsys, monkeypatch, *files, *args)


def test_missing_files_are_named(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is not there is named, whether network or trace."""
    assert "nowhere.yaml" in failed(capsys, monkeypatch, "nowhere.yaml", files[1])
    assert "nowhere.csv" in failed(capsys, monkeypatch, files[0], "nowhere.csv")
