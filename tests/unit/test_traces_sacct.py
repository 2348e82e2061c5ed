"""Slurm's accounting: what becomes of each kind of row."""

from pathlib import Path

import numpy as np
import pytest

from tieline.model.errors import InputError
from tieline.model.trace import Trace
from tieline.traces.registry import read_trace

COLUMNS = (
    "JobID",
    "JobName",
    "User",
    "Account",
    "Partition",
    "State",
    "Submit",
    "Start",
    "End",
    "Elapsed",
    "ElapsedRaw",
    "Timelimit",
    "AllocTRES",
    "ReqTRES",
)
#: A job that ran for an hour on eight A100s, as Slurm 23 prints it.
ROW = {
    "JobID": "4101",
    "JobName": "pretrain",
    "User": "ann",
    "Account": "lab-a",
    "Partition": "gpu",
    "State": "COMPLETED",
    "Submit": "2024-03-01T08:00:00",
    "Start": "2024-03-01T08:00:30",
    "End": "2024-03-01T09:00:30",
    "Elapsed": "01:00:00",
    "ElapsedRaw": "3600",
    "Timelimit": "1-12:00:00",
    "AllocTRES": "billing=64,cpu=64,gres/gpu:a100=8,gres/gpu=8,mem=512G,node=1",
    "ReqTRES": "billing=64,cpu=64,gres/gpu=8,mem=512G,node=1",
}
PENDING = {
    "State": "PENDING",
    "Start": "Unknown",
    "End": "Unknown",
    "Elapsed": "00:00:00",
    "ElapsedRaw": "0",
    "AllocTRES": "",
}
NEVER = {**PENDING, "State": "CANCELLED by 1000", "Start": "None", "End": "2024-03-01T08:05:00"}


def text(*rows: dict[str, str], columns: tuple[str, ...] = COLUMNS) -> str:
    """Print rows as `sacct -P` does; what a row does not say is as in the model row."""
    lines = ["|".join((ROW | row).get(name, "") for name in columns) for row in rows]
    return "\n".join(["|".join(columns), *lines]) + "\n"


def read(folder: Path, content: str, **options: str) -> Trace:
    """Read text as the accounting of a cluster."""
    path = folder / "sacct.txt"
    path.write_text(content)
    return read_trace(path, **options)


def without(*names: str) -> tuple[str, ...]:
    """Give the columns without some."""
    return tuple(name for name in COLUMNS if name not in names)


def test_a_job_is_read_with_all_that_is_known(tmp_path: Path) -> None:
    """A plain row gives run time, gang, account, time limit and type."""
    trace = read(tmp_path, text({}))
    assert trace.job_ids == ("4101",)
    assert trace.duration_s.tolist() == [3600]
    assert trace.count.tolist() == [8]
    assert trace.tenants == ("lab-a",)
    assert (trace.accelerator, trace.types) == (None, ("a100",))
    assert any("Accelerators are in the file's words (a100)" in note for note in trace.notes)
    assert trace.estimate_s is not None
    assert trace.estimate_s.tolist() == [36 * 3600]
    assert trace.skipped == {}


def test_steps_are_left_out(tmp_path: Path) -> None:
    """The batch, extern and numbered steps repeat the job and are left out."""
    steps = [{"JobID": f"4101.{step}", "User": ""} for step in ("batch", "extern", "0", "1")]
    trace = read(tmp_path, text({}, *steps, {"JobID": "4102_3+1.batch"}))
    assert len(trace) == 1
    assert trace.skipped == {"step of a job (its row counts)": 5}


def test_array_tasks_are_jobs(tmp_path: Path) -> None:
    """Each task of an array that ran is a job; ranges that never started are left out."""
    rows = (
        {"JobID": "77_4"},
        {"JobID": "77_5"},
        {"JobID": "77_[6-20%2]", **PENDING},
        {"JobID": "78_[0-3]", **NEVER},
    )
    trace = read(tmp_path, text(*rows))
    assert trace.job_ids == ("77_4", "77_5")
    assert trace.skipped == {"array tasks that never started (one row for several)": 2}


def test_the_last_attempt_counts(tmp_path: Path) -> None:
    """Of the rows of a requeued job the one submitted last counts, wherever it stands."""
    first = {"State": "NODE_FAIL", "ElapsedRaw": "40"}
    second = {"State": "PREEMPTED", "Submit": "2024-03-01T08:10:00", "ElapsedRaw": "50"}
    last = {"Submit": "2024-03-01T08:20:00", "ElapsedRaw": "60"}
    trace = read(tmp_path, text(last, first, second, {"JobID": "9", "ElapsedRaw": "5"}))
    assert trace.duration_s.tolist() == [5, 60]
    assert trace.submit_s.tolist() == [0, 1200]
    assert trace.skipped == {"earlier attempt of a requeued job": 2}


def test_a_job_whose_last_attempt_waits_is_left_out(tmp_path: Path) -> None:
    """An attempt that failed is not replayed when the job waits again."""
    again = {**PENDING, "Submit": "2024-03-01T08:10:00"}
    trace = read(tmp_path, text({"State": "NODE_FAIL"}, again, {"JobID": "9"}))
    assert trace.job_ids == ("9",)
    assert trace.skipped == {
        "earlier attempt of a requeued job": 1,
        "still waiting when the file was written": 1,
    }


def test_an_id_used_again_is_another_job(tmp_path: Path) -> None:
    """Slurm starts its ids over one day: another user or name is another job."""
    other = {"Submit": "2024-09-01T08:10:00", "User": "bob", "JobName": "eval"}
    assert len(read(tmp_path, text({}, other))) == 2


@pytest.mark.parametrize("start", ["None", "Unknown", "", "2024-03-01T08:05:00"])
def test_a_job_cancelled_while_it_waited_is_left_out(start: str, tmp_path: Path) -> None:
    """Cancelled before a start, as new and old Slurm print it, is not a job that ran."""
    cancelled = {**NEVER, "JobID": "5", "Start": start}
    trace = read(tmp_path, text({}, cancelled))
    assert trace.job_ids == ("4101",)
    assert trace.skipped == {"cancelled before it started": 1}


def test_a_job_cancelled_while_it_ran_is_kept(tmp_path: Path) -> None:
    """Cancelled after a start is kept with the time it ran, and the user is told."""
    trace = read(tmp_path, text({"State": "CANCELLED by 1000", "ElapsedRaw": "61"}))
    assert trace.duration_s.tolist() == [61]
    assert "1 job: cancelled while running; kept with the time they ran." in trace.notes


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "DEADLINE"])
def test_a_job_that_ended_badly_is_kept(state: str, tmp_path: Path) -> None:
    """A job that failed after a start held its accelerators and is kept."""
    trace = read(tmp_path, text({"State": state}))
    assert trace.duration_s.tolist() == [3600]
    assert any(note.startswith("1 job: failed, timed out") for note in trace.notes)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (PENDING, "still waiting when the file was written"),
        ({"State": "RUNNING", "End": "Unknown"}, "still running when the file was written"),
        ({"State": "COMPLETING"}, "still running when the file was written"),
        ({"End": "Unknown"}, "still running when the file was written"),
        ({"State": "REQUEUED"}, "requeued, without a later attempt in the file"),
        ({"State": "FAILED", "Start": "None"}, "never started"),
        ({"Submit": "Unknown"}, "submission unknown"),
        ({"Elapsed": "00:00:00", "ElapsedRaw": "0"}, "ran for 0 s"),
        ({"ElapsedRaw": "-3"}, "ends before it starts"),
        ({"AllocTRES": "cpu=4,node=1", "ReqTRES": "cpu=4"}, "asks for no accelerator"),
        ({"JobID": "JobID", "State": "State"}, "the header again"),
    ],
)
def test_what_is_left_out_is_counted(row: dict[str, str], reason: str, tmp_path: Path) -> None:
    """Every row that is no finished job with accelerators has its reason."""
    trace = read(tmp_path, text({}, {"JobID": "5", **row}))
    assert trace.job_ids == ("4101",)
    assert trace.skipped == {reason: 1}


def test_a_heterogeneous_job_is_one_gang(tmp_path: Path) -> None:
    """Components with accelerators start together: one gang, as long as the longest."""
    rows = (
        {"JobID": "60+0", "AllocTRES": "cpu=4", "ReqTRES": "cpu=4"},
        {"JobID": "60+1", "AllocTRES": "gres/gpu:a100=2", "ElapsedRaw": "100"},
        {"JobID": "60+2", "AllocTRES": "gres/gpu:h100=6", "ElapsedRaw": "120"},
        {"JobID": "61+0", "AllocTRES": "gres/gpu:a100=1", "ElapsedRaw": "7"},
    )
    trace = read(tmp_path, text(*rows))
    assert trace.job_ids == ("60", "61")
    assert trace.count.tolist() == [8, 1]
    assert trace.duration_s.tolist() == [120, 7]
    assert trace.types == ("a100", "a100+h100")
    assert trace.skipped == {
        "asks for no accelerator": 1,
        "another component of a heterogeneous job (added to its gang)": 1,
    }


@pytest.mark.parametrize(
    ("tres", "count", "kind"),
    [
        ("billing=8,cpu=8,gres/gpu=8,node=1", 8, None),
        ("gres/gpu:a100=8,gres/gpu=8", 8, "a100"),
        ("gres/gpu=8,gres/gpu:a100=8", 8, "a100"),
        ("cpu=1,gres/gpu:a100=4,gres/gpu:v100=2,node=3", 6, "a100+v100"),
        ("gres/gpu:nvidia_h100_80gb_hbm3=16,gres/gpu=16", 16, "nvidia_h100_80gb_hbm3"),
        ("gres/gpu:a100_1g.5gb=3", 3, "a100_1g.5gb"),
        ("gres/gpumem=40G,gres/gpu=2,gres/gpuutil=90", 2, None),
    ],
)
def test_accelerators_in_a_tres_string(
    tres: str, count: int, kind: str | None, tmp_path: Path
) -> None:
    """The total counts once, however often the parts repeat it."""
    trace = read(tmp_path, text({"AllocTRES": tres}))
    assert trace.count.tolist() == [count]
    assert trace.types == (() if kind is None else (kind,))


@pytest.mark.parametrize(
    ("gres", "count", "kind"),
    [
        ("gpu:8", 8, None),
        ("gpu:k80:2", 2, "k80"),
        ("gpu:k80:2,gpu:p100:1,mic:4", 3, "k80+p100"),
        ("craynetwork:1,gpu:1", 1, None),
        ("gpu", 1, None),
        ("gres:gpu:4", 4, None),
        ("7696487:2", 2, None),
        ("gpu:tesla:2(S:0-1)", 2, "tesla"),
    ],
)
def test_accelerators_in_a_gres_string(
    gres: str, count: int, kind: str | None, tmp_path: Path
) -> None:
    """Slurm before 21.08 says it in AllocGRES; 7696487 is its number for gpu."""
    columns = (*without("AllocTRES", "ReqTRES"), "AllocGRES")
    trace = read(tmp_path, text({"AllocGRES": gres}, columns=columns))
    assert trace.count.tolist() == [count]
    assert trace.types == (() if kind is None else (kind,))


def test_what_a_job_got_stands_above_what_it_asked_for(tmp_path: Path) -> None:
    """AllocTRES decides; ReqTRES fills in where it is empty."""
    rows = (
        {"JobID": "1", "AllocTRES": "gres/gpu=4", "ReqTRES": "gres/gpu=2"},
        {"JobID": "2", "AllocTRES": "", "ReqTRES": "gres/gpu=2"},
    )
    assert read(tmp_path, text(*rows)).count.tolist() == [4, 2]


def test_another_resource_can_be_the_accelerator(tmp_path: Path) -> None:
    """Centres with other chips name their resource."""
    row = {"AllocTRES": "cpu=8,gres/npu:ascend910b=8,gres/npu=8"}
    trace = read(tmp_path, text(row), gres="npu")
    assert trace.count.tolist() == [8]
    assert trace.types == ("ascend910b",)


def test_no_accelerators_at_all_names_the_mend(tmp_path: Path) -> None:
    """When no job has the resource, the error names those there are, or how to record it."""
    npu = {"AllocTRES": "cpu=8,gres/npu=8", "ReqTRES": ""}
    with pytest.raises(InputError, match=r"none of the 1 jobs that ran has gres/gpu.*one of npu"):
        read(tmp_path, text(npu))
    bare = {"AllocTRES": "cpu=8", "ReqTRES": ""}
    with pytest.raises(InputError, match="AccountingStorageTRES has gres/gpu"):
        read(tmp_path, text(bare))


@pytest.mark.parametrize(
    ("elapsed", "seconds"),
    [("00:01:40", 100), ("1-02:03:04", 93_784), ("100-00:00:00", 8_640_000), ("26:00:01", 93_601)],
)
def test_elapsed_is_days_hours_minutes_seconds(
    elapsed: str, seconds: float, tmp_path: Path
) -> None:
    """The clock form is read as Slurm prints it."""
    content = text({"Elapsed": elapsed}, columns=without("ElapsedRaw"))
    assert read(tmp_path, content).duration_s.tolist() == [seconds]


def test_end_minus_start_stands_in_for_elapsed(tmp_path: Path) -> None:
    """Without Elapsed the run time is from Start to End."""
    content = text({}, columns=without("Elapsed", "ElapsedRaw"))
    assert read(tmp_path, content).duration_s.tolist() == [3600]


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ("00:30:00", 1800),
        ("2-00:00:00", 172_800),
        ("UNLIMITED", np.nan),
        ("Partition_Limit", np.nan),
        ("", np.nan),
    ],
)
def test_the_time_limit_is_the_estimate(limit: str, seconds: float, tmp_path: Path) -> None:
    """What the user asked for is kept as the estimate; no limit is none."""
    trace = read(tmp_path, text({"Timelimit": limit}, {"JobID": "5", "Timelimit": "00:01:00"}))
    np.testing.assert_array_equal(trace.estimate_s, [seconds, 60])


def test_the_raw_time_limit_is_in_minutes(tmp_path: Path) -> None:
    """TimelimitRaw counts minutes."""
    content = text({"TimelimitRaw": "90"}, columns=(*without("Timelimit"), "TimelimitRaw"))
    np.testing.assert_array_equal(read(tmp_path, content).estimate_s, [5400])


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    """The header decides what a column is, and `-p` may end each line with a `|`."""
    turned = text({}, {"JobID": "5"}, columns=tuple(reversed(COLUMNS)))
    trailing = "".join(f"{line}|\n" for line in turned.splitlines())
    for content in (turned, trailing):
        trace = read(tmp_path, content)
        assert trace.job_ids == ("4101", "5")
        assert trace.count.tolist() == [8, 8]


def test_the_tenant_can_be_chosen(tmp_path: Path) -> None:
    """Account, user or partition pays; without the column all are one tenant, and it says so."""
    rows = text({"Account": ""}, {"JobID": "5", "User": "bob", "Account": "lab-b"})
    assert read(tmp_path, rows).tenants == ("(none)", "lab-b")
    assert read(tmp_path, rows, tenant="user").tenants == ("ann", "bob")
    assert read(tmp_path, rows, tenant="partition").tenants == ("gpu",)
    with pytest.raises(InputError, match="found 'group', allowed are account, user, partition"):
        read(tmp_path, rows, tenant="group")
    trace = read(tmp_path, text({}, columns=without("Account")))
    assert trace.tenants == ("all",)
    assert any("no column Account" in note for note in trace.notes)


def test_requeues_without_duplicates_are_told(tmp_path: Path) -> None:
    """Restarts says that earlier attempts are missing where -D was not given."""
    content = text({"Restarts": "2"}, columns=(*COLUMNS, "Restarts"))
    assert any(
        note.startswith("1 job: had been requeued") for note in read(tmp_path, content).notes
    )


def test_quotes_in_names_are_letters(tmp_path: Path) -> None:
    """sacct quotes nothing: a lone quote in a job name is part of it."""
    trace = read(tmp_path, text({"JobName": 'a "b'}, {"JobID": "5", "JobName": '"'}))
    assert len(trace) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text({}).split("\n", 1)[1], "line 1: is not the header of sacct .*without -n"),
        (text({}, columns=without("Submit")), "no column Submit"),
        (text({}, columns=without("State")), "no column State"),
        (text({}, columns=without("AllocTRES", "ReqTRES")), "no column AllocTRES"),
        (text({}, columns=without("Elapsed", "ElapsedRaw", "End")), "no column End"),
        (text({"JobName": "a|b"}), r"line 2: has 15 fields, the header has 14"),
        (text({}, {"JobID": "5", "Submit": "yesterday"}), r"line 3, column Submit: found 'yest"),
        (text({"ElapsedRaw": "long"}), r"line 2, column ElapsedRaw: found 'long'"),
        (text({"Timelimit": "1h"}), r"line 2, column Timelimit: found '1h'"),
    ],
)
def test_bad_accounting_gets_one_clear_line(content: str, message: str, tmp_path: Path) -> None:
    """The error names the place, what was found and what is needed."""
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)
    assert "sacct.txt" in str(caught.value)


def test_moments_may_be_seconds(tmp_path: Path) -> None:
    """With SLURM_TIME_FORMAT=%s the moments are seconds since 1970."""
    moments = {"Submit": "1709280000", "Start": "1709280030", "End": "1709283630"}
    trace = read(tmp_path, text({}, {"JobID": "5", **moments}))
    assert trace.submit_s.tolist() == [0, 0]
