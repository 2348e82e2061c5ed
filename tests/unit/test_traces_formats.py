"""Readers of published traces: what each does with the quirks of its files."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tieline.model.errors import InputError
from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.traces.registry import read_trace


def read(folder: Path, content: str, name: str = "trace.csv", **options: str) -> Trace:
    """Read text as a trace file."""
    path = folder / name
    path.write_text(content)
    return read_trace(path, **options)


def test_helios_venus_is_complete(traces: Path) -> None:
    """All 125,303 GPU jobs of Venus are there, and the cut of long run times is told."""
    trace = read_trace(traces / "helios_venus_jobs" / "helios_trace.csv.zst")
    assert len(trace) == 125_303
    assert trace.name == "helios_trace"
    assert trace.skipped == {}
    assert trace.job_ids[0] == "363167#0"
    assert trace.submit_s[-1] == 16_747_071
    hours = (trace.count * trace.duration_s).sum() / 3600
    assert hours == pytest.approx(2_423_407, abs=1)
    assert any(note.startswith("2,379 jobs: run time of exactly 48 h") for note in trace.notes)


def test_philly_is_sorted_with_ties_by_row(traces: Path) -> None:
    """All 82,247 jobs of 15 virtual clusters come by time; equal times keep the file's order."""
    path = traces / "philly_jobs" / "philly.csv.zst"
    trace = read_trace(path)
    raw = pl.read_csv(path).filter(pl.col("cluster") != "")
    expected = raw.sort("timestamp", maintain_order=True)
    assert len(trace) == 82_247
    assert len(trace.tenants) == 15
    assert trace.duration_s.tolist() == expected["duration"].to_list()
    assert trace.count.tolist() == expected["num_gpus"].to_list()
    assert [trace.tenants[code] for code in trace.tenant] == expected["cluster"].to_list()
    first = expected["timestamp"].str.to_datetime()
    assert trace.submit_s.tolist() == (first - first[0]).dt.total_seconds().to_list()


def test_openb_counts_what_it_leaves_out(traces: Path) -> None:
    """Pods without a GPU or without a start are counted; shares of a GPU are told."""
    path = traces / "alibaba2023_openb" / "openb_pod_list_gpuspec33.csv.zst"
    trace = read_trace(path)
    raw = pl.read_csv(path).filter(pl.col("num_gpu") > 0)
    ran = raw.filter(pl.col("scheduled_time").is_not_null())
    assert len(trace) == ran.height
    assert trace.skipped["never scheduled"] == raw.height - ran.height
    assert trace.skipped["asks for no accelerator"] == 8152 - raw.height
    shares = ran.filter(pl.col("gpu_milli") < 1000).height
    assert any(note.startswith(f"{shares:,} jobs: ask for a share") for note in trace.notes)
    assert trace.duration_s.sum() == (ran["deletion_time"] - ran["scheduled_time"]).sum()


def test_openb_without_times_is_refused(traces: Path) -> None:
    """A resampled list of pods has no times: the error says so."""
    with pytest.raises(InputError, match="these pods carry no times"):
        read_trace(traces / "alibaba2023_openb" / "openb_pod_list_multigpu50.csv.zst")


@pytest.mark.parametrize(("name", "jobs"), [("las96", 96), ("mm100", 100)])
def test_gavel_run_times_come_from_the_speeds(name: str, jobs: int, traces: Path) -> None:
    """The run time is the steps over the measured speed on a V100, for each job."""
    folder = traces / "gavel_cases"
    trace = read_trace(folder / f"{name}.csv")
    assert len(trace) == jobs
    assert trace.accelerator == "v100"
    assert trace.throughputs is not None
    speeds = trace.throughputs.steps_per_s
    assert {accelerator for _, accelerator, _ in speeds} == {"v100", "p100", "k80"}
    rows = pl.read_csv(folder / f"{name}.csv").sort("arrival_s", maintain_order=True)
    expected = [
        steps / speeds[model, "v100", size]
        for model, size, steps in rows.select("model", "scale_factor", "total_steps").iter_rows()
    ]
    np.testing.assert_allclose(trace.duration_s, expected, rtol=1e-12)
    models = [trace.workloads[code].model for code in trace.workload]
    assert models == rows["model"].to_list()


GAVEL = "job_id,arrival_s,model,scale_factor,total_steps\n0,0,LM,1,100\n1,0,LM,2,100\n2,9,X,1,5\n"
SPEEDS = "worker_type,model,scale_factor,steps_per_s\nv100,LM,1,10\np100,LM,1,5\nv100,X,1,0\n"


def test_gavel_without_a_speed_on_the_reference(tmp_path: Path) -> None:
    """A job not measured on the reference at its gang size is left out and counted."""
    (tmp_path / "throughputs.csv").write_text(SPEEDS)
    trace = read(tmp_path, GAVEL)
    assert trace.duration_s.tolist() == [10]
    assert trace.workloads == (Workload("training", "LM"),)
    assert trace.throughputs is not None
    assert dict(trace.throughputs.steps_per_s) == {
        ("LM", "v100", 1): 10,
        ("LM", "p100", 1): 5,
        ("X", "v100", 1): 0,
    }
    assert trace.skipped == {
        "has no measured speed on v100 for its model and gang size": 2,
    }


def test_gavel_with_another_table_and_reference(tmp_path: Path) -> None:
    """The table and the reference can be named."""
    (tmp_path / "measured.csv").write_text(SPEEDS)
    options = {"throughputs": str(tmp_path / "measured.csv"), "reference": "p100"}
    trace = read(tmp_path, GAVEL, **options)
    assert trace.duration_s.tolist() == [20]
    assert trace.accelerator == "p100"


@pytest.mark.parametrize(
    ("speeds", "options", "message"),
    [
        (None, {}, "there is no throughputs.csv beside it; name the table with the option"),
        (SPEEDS, {"reference": "h100"}, "no speed on the reference 'h100'; measured are p100, v1"),
        (SPEEDS, {"accelerator": "h100"}, "its run times hold on v100"),
        (
            SPEEDS + "v100,LM,1,11\n",
            {},
            "line 5: 'LM' on v100 with gang size 1 has speed 11, but 10",
        ),
        (SPEEDS + "v100,LM,4,fast\n", {}, "line 5, column steps_per_s: found 'fast'"),
        ("worker_type,model\n", {}, "throughputs.csv: no column scale_factor, steps_per_s"),
    ],
)
def test_gavel_with_a_bad_table(
    speeds: str | None, options: dict[str, str], message: str, tmp_path: Path
) -> None:
    """What is wrong with the speeds is named in one line."""
    if speeds is not None:
        (tmp_path / "throughputs.csv").write_text(speeds)
    with pytest.raises(InputError, match=message):
        read(tmp_path, GAVEL, **options)


HELIOS = (
    "job_id,user,vc,gpu_num,state,submit_time,start_time,end_time,duration,queue\n"
    "3,u1,vcB,8,COMPLETED,2020-06-09 18:41:30,2020-06-09 18:41:31,2020-06-09 18:51:31,600,1\n"
    "1,u1,vcA,1,FAILED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-09 18:41:11,10,0\n"
    "2,u2,vcA,0,COMPLETED,2020-06-09 18:41:02,2020-06-09 18:41:02,2020-06-09 18:41:12,10,0\n"
    "4,u2,vcA,2,CANCELLED,2020-06-09 18:41:40,None,None,0,0\n"
)


def test_helios_as_released(tmp_path: Path) -> None:
    """The virtual cluster is the tenant; CPU jobs and jobs without a start are counted."""
    trace = read(tmp_path, HELIOS)
    assert trace.job_ids == ("1", "3")
    assert trace.submit_s.tolist() == [0, 29]
    assert trace.tenants == ("vcA", "vcB")
    assert trace.label is not None
    assert trace.label.tolist() == [0, 0]
    assert trace.skipped == {"asks for no accelerator": 1, "never started": 1}
    assert any(note.startswith("1 job: did not end as COMPLETED") for note in trace.notes)


PAI = (
    "j1,ps,1.0,Terminated,1000.0,2000.0,600.0,29.3,0.0,CPU\n"
    "j1,worker,3.0,Terminated,1010.0,2000.0,400.0,29.3,50.0,T4\n"
    "j1,evaluator,1.0,Terminated,1020.0,2100.0,400.0,29.3,100.0,T4\n"
    "j2,worker,1.0,Failed,1500.0,1600.0,400.0,29.3,100.0,V100\n"
    "j3,worker,1.0,Running,1600.0,,400.0,29.3,100.0,T4\n"
    "j4,worker,1.0,Waiting,,,400.0,29.3,100.0,T4\n"
)


def test_pai_tasks_of_a_job_are_one_gang(tmp_path: Path) -> None:
    """Shares of the tasks of one job add up, are rounded up, and span all its GPU tasks."""
    trace = read(tmp_path, PAI)
    assert trace.job_ids == ("j1", "j2")
    assert trace.count.tolist() == [3, 1]
    assert trace.duration_s.tolist() == [1090, 100]
    assert trace.submit_s.tolist() == [0, 490]
    assert trace.types == ("T4", "V100")
    assert trace.tenants == ("all",)
    assert trace.skipped == {
        "asks for no accelerator": 1,
        "never started": 1,
        "still running when the file was written": 1,
        "another task of the same job (added to its gang)": 1,
    }
    assert any(note.startswith("1 job: ask for shares of GPUs") for note in trace.notes)


def test_pai_takes_submission_and_user_from_the_jobs(tmp_path: Path) -> None:
    """The table of jobs beside the tasks gives when a job was submitted and by whom."""
    (tmp_path / "pai_job_table.csv").write_text(
        "j1,i1,ann,Terminated,400.0,2000.0\nj9,i9,bob,Failed,1.0,2.0\n"
    )
    trace = read(tmp_path, PAI)
    assert trace.submit_s.tolist() == [0, 1100]
    assert [trace.tenants[code] for code in trace.tenant] == ["ann", "(none)"]
    assert any(note.startswith("1 job: no submission") for note in trace.notes)


SWF = """\
; Version: 2.2
;
; Note: fields are right aligned
  1     0     5    100    4  -1 -1   8    200 -1  1  7  1 -1  2  1 -1 -1
  2    10    -1     -1   -1  -1 -1   8    200 -1  5  7  1 -1  2  1 -1 -1
  3    20     0     50   -1  -1 -1   2     -1 -1  0  8  2 -1  2  1 -1 -1
  4    30     0     60    4  -1 -1   4    200 -1  5  8  2 -1  2  1 -1 -1
  5    40     0     30    4  -1 -1   4    200 -1  2  8  2 -1  2  1 -1 -1
  5    40     0     30    4  -1 -1   4    200 -1  3  8  2 -1  2  1 -1 -1
  5    40     0     60    4  -1 -1   4    200 -1  1  8 -1 -1  2  1 -1 -1
  6    50     0     60   -1  -1 -1  -1    200 -1  1  8  2 -1  2  1 -1 -1
  7    -1     0     60    4  -1 -1   4    200 -1  1  8  2 -1  2  1 -1 -1
  8    60    -1     -1    4  -1 -1   4    200 -1 -1  8  2 -1  2  1 -1 -1
"""


def test_swf_counts_missing_values(tmp_path: Path) -> None:
    """What is unknown (-1), never started or only part of a job is left out and counted."""
    trace = read(tmp_path, SWF, "log.swf")
    assert trace.job_ids == ("1", "3", "4", "5")
    assert trace.count.tolist() == [4, 2, 4, 4]
    assert trace.duration_s.tolist() == [100, 50, 60, 60]
    np.testing.assert_array_equal(trace.estimate_s, [200, np.nan, 200, 200])
    assert trace.tenants == ("(none)", "group 1", "group 2")
    assert trace.workloads == (Workload("hpc"),)
    assert trace.label is not None
    assert trace.label.tolist() == [0, 1, 1, 1]
    assert trace.skipped == {
        "cancelled before it started": 1,
        "one burst of a swapped job (its sum counts)": 2,
        "processors unknown": 1,
        "submission unknown": 1,
        "run time unknown": 1,
    }
    assert "1 job: cancelled while running; kept with the time they ran." in trace.notes
    assert read(tmp_path, SWF, "log.swf", tenant="user").tenants == ("user 7", "user 8")


def test_labels_join_the_jobs_of_one_user_and_program(tmp_path: Path) -> None:
    """Jobs have one label when user and program agree; a job of nobody has none."""
    who = ["7 1 3", "8 1 3", "7 1 4", "7 2 3", "-1 1 3", "-1 1 3", "7 1 -1", "7 1 3"]
    line = "{} {} 0 9 1 -1 -1 1 9 -1 1 {} 1 1 -1 -1\n"
    text = "".join(line.format(i, i, one) for i, one in enumerate(who, 1))
    trace = read(tmp_path, text, "log.swf")
    assert trace.label is not None
    assert trace.label.tolist() == [0, 1, 2, 0, -1, -1, 3, 0]


def test_a_native_file_has_labels_of_its_own(tmp_path: Path) -> None:
    """The column `label` may hold any text; without it, or all blank, there is none."""
    head = "submit_s,duration_s,count,label\n"
    trace = read(tmp_path, head + "1,1,1,b\n0,1,1,z z\n2,1,1,\n3,1,1,b\n")
    assert trace.label is not None
    assert trace.label.tolist() == [0, 1, -1, 1]
    assert read(tmp_path, head + "1,1,1,\n").label is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 2 3", "line 2: has 3 fields, the Standard Workload Format has 18"),
        (
            "1 0 0 x 1 -1 -1 1 9 -1 1 1 1 -1 1 1 -1 -1",
            "line 2, column duration_s: found 'x', expected a number",
        ),
    ],
)
def test_swf_with_a_bad_line(line: str, message: str, tmp_path: Path) -> None:
    """A bad line is named with its number in the file, comments included."""
    with pytest.raises(InputError, match=message):
        read(tmp_path, f"; a comment\n{line}\n", "log.swf")
