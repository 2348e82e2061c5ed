"""What every trace reader keeps, whatever the format."""

import dataclasses
import gzip
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tieline.model.errors import InputError
from tieline.model.trace import Trace
from tieline.traces.registry import FORMATS, read_trace

SPEEDS = """\
worker_type,model,scale_factor,steps_per_s
v100,LM,1,10.0
v100,LM,2,16.0
p100,LM,1,4.0
v100,CNN,1,0.0
k80,CNN,1,1.5
v100_unconsolidated,LM,2,8.0
"""

#: Per format: a file with quirks. No two submissions tie.
SAMPLES = {
    "native": """\
job_id,submit_s,duration_s,count,tenant,class,model,estimate_s,accelerator,type
a,100.5,3600,8,ann,training,llama-3-8b,7200,nvidia-h200-sxm,h200
b,90,0,1,bob,decode,,,nvidia-h200-sxm,h20
c,95,12.25,2,"lab, c",training,,60,nvidia-h200-sxm,
""",
    "helios": """\
job_id,vc,gpu_num,state,submit_time,start_time,end_time,duration
1425511,vcJkd,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848
1425512,vchbv,4,FAILED,2020-06-09 18:41:27,2020-06-09 18:41:27,2020-06-09 18:45:36,249
1425513,vcpDC,0,CANCELLED,2020-06-09 18:41:28,2020-06-09 18:41:28,2020-06-17 14:15:21,675233
1425514,vcpDC,8,CANCELLED,2020-06-09 18:41:29,None,None,0
""",
    "philly": """\
timestamp,duration,num_gpus,gpu_time,cluster
2017-10-09 07:01:55,66.0,1,66.0,11cb48
2017-10-09 06:13:03,2951.0,1,2951.0,6214e9
2017-09-29 07:58:32,860662.0,8,6885296.0,6c71a0
""",
    "openb": """\
name,num_gpu,gpu_milli,gpu_spec,pod_phase,creation_time,deletion_time,scheduled_time
pod-0,1,1000,,Running,0,12537496,0
pod-1,1,460,T4,Succeeded,427061,427961,427161
pod-2,0,0,,Failed,427062,427962,427161
pod-3,8,1000,G2|P100,Pending,427063,427963,
""",
    "pai": """\
job_name,task_name,inst_num,status,start_time,end_time,plan_cpu,plan_mem,plan_gpu,gpu_type
j1,ps,1.0,Terminated,1000.0,2000.0,600.0,29.3,0.0,CPU
j1,worker,2.0,Terminated,1010.0,2000.0,400.0,29.3,50.0,T4
j2,worker,3.0,Failed,900.0,950.0,400.0,29.3,100.0,V100
j2,evaluator,1.0,Failed,905.0,960.0,400.0,29.3,25.0,T4
j3,worker,1.0,Running,905.0,,400.0,29.3,100.0,T4
j4,worker,1.0,Waiting,,,400.0,29.3,,T4
""",
    "gavel": """\
job_id,arrival_s,model,scale_factor,total_steps,priority_weight
0,5,LM,1,1000,1
1,3,LM,2,1600,1
2,4,CNN,1,10,1
""",
    "sacct": """\
JobID|Account|State|Submit|Start|ElapsedRaw|AllocTRES
7|lab|COMPLETED|2024-03-01T08:00:00|2024-03-01T08:00:10|60|cpu=8,gres/gpu:a100=4,gres/gpu=4
7.batch|lab|COMPLETED|2024-03-01T08:00:10|2024-03-01T08:00:10|60|cpu=8,gres/gpu=4
8_[1-3]|lab|PENDING|2024-03-01T07:00:00|Unknown|0|
9|hub|CANCELLED by 12|2024-03-01T07:00:00|2024-03-01T07:00:00|7|gres/gpu=2
""",
    "swf": """\
; Version: 2.2
; Computer: a test
   1   10  5  100  4 -1 -1  4  200 -1 1 3 1 -1 0 -1 -1 -1
   2    7 -1   -1 -1 -1 -1  8  200 -1 5 3 1 -1 0 -1 -1 -1
   3    5  0   50 -1 -1 -1  2   -1 -1 0 4 2 -1 0 -1 -1 -1
""",
}

each_format = pytest.mark.parametrize("name", FORMATS)


def split(name: str) -> tuple[list[str], list[str]]:
    """Give the lines before the data of a sample, and its rows."""
    lines = SAMPLES[name].splitlines()
    head = sum(line.startswith(";") for line in lines) or 1
    return lines[:head], lines[head:]


def write(folder: Path, name: str, text: str | bytes | None = None) -> Path:
    """Write the sample of a format, and what lies beside it."""
    (folder / "throughputs.csv").write_text(SPEEDS)
    path = folder / f"{name}.txt"
    text = SAMPLES[name] if text is None else text
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def same(one: Trace, other: Trace) -> bool:
    """Tell whether two traces are equal in every field."""
    pairs = (
        (getattr(one, field.name), getattr(other, field.name))
        for field in dataclasses.fields(Trace)
    )
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        if isinstance(a, np.ndarray)
        else a == b
        for a, b in pairs
    )


def test_every_format_has_a_sample() -> None:
    """A format is registered only together with a sample that this suite can read."""
    assert set(SAMPLES) == set(FORMATS)


def test_every_format_is_documented() -> None:
    """The page on readers has a row for each format, which names its options."""
    page = (Path(__file__).parents[2] / "docs/how-to/add-a-trace-reader.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, kind in FORMATS.items():
        assert [option for option in kind.options if f"`{option}`" not in rows[name]] == []


@each_format
def test_the_jobs_are_in_order_and_sound(name: str, tmp_path: Path) -> None:
    """Jobs start at 0 and ascend; times are finite and not negative; gangs have at least one."""
    trace = read_trace(write(tmp_path, name))
    assert len(trace) > 0
    assert trace.submit_s[0] == 0
    assert (np.diff(trace.submit_s) >= 0).all()
    assert np.isfinite(trace.submit_s).all()
    assert np.isfinite(trace.duration_s).all()
    assert (trace.duration_s >= 0).all()
    assert (trace.count >= 1).all()
    assert not trace.submit_s.flags.writeable


@each_format
def test_codes_point_at_names(name: str, tmp_path: Path) -> None:
    """Every tenant and every kind of work has a job, and names stand in alphabetical order."""
    trace = read_trace(write(tmp_path, name))
    assert set(trace.tenant.tolist()) == set(range(len(trace.tenants)))
    assert set(trace.workload.tolist()) == set(range(len(trace.workloads)))
    assert list(trace.tenants) == sorted(set(trace.tenants))
    assert (trace.job_type is None) == (trace.types == ())
    if trace.job_type is not None:
        assert set(trace.job_type.tolist()) - {-1} == set(range(len(trace.types)))


@each_format
def test_no_row_disappears(name: str, tmp_path: Path) -> None:
    """Each row of the file is a job or is counted under a reason in plain words."""
    trace = read_trace(write(tmp_path, name))
    assert len(trace) + sum(trace.skipped.values()) == len(split(name)[1])
    assert all(number > 0 for number in trace.skipped.values())
    assert not [why for why in trace.skipped if not re.match(r"[a-z].{5,}[^.]$", why)]


@each_format
def test_reading_twice_gives_the_same(name: str, tmp_path: Path) -> None:
    """The same file gives the same trace, in every field."""
    path = write(tmp_path, name)
    assert same(read_trace(path), read_trace(path))


@each_format
def test_the_format_is_found_out(name: str, tmp_path: Path) -> None:
    """A file is read the same way with its format named and without."""
    path = write(tmp_path, name)
    assert same(read_trace(path), read_trace(path, name))


@each_format
def test_the_order_of_rows_does_not_matter(name: str, tmp_path: Path) -> None:
    """Rows in another order, without ties in time, give the same trace."""
    expected = read_trace(write(tmp_path, name))
    head, rows = split(name)
    for place in range(1, len(rows)):
        content = "\n".join([*head, *rows[place:], *rows[:place]]) + "\n"
        assert same(expected, read_trace(write(tmp_path, name, content)))


@each_format
@pytest.mark.parametrize("dress", ["crlf", "blank lines", "gzip", "no last newline", "bom"])
def test_the_dress_of_a_file_does_not_matter(name: str, dress: str, tmp_path: Path) -> None:
    """Line ends, blank lines, a byte order mark and compression change no job."""
    expected = read_trace(write(tmp_path, name))
    text = SAMPLES[name]
    data = {
        "crlf": text.replace("\n", "\r\n").encode(),
        "blank lines": (text + "\n\n").encode(),
        "gzip": gzip.compress(text.encode()),
        "no last newline": text.rstrip("\n").encode(),
        "bom": b"\xef\xbb\xbf" + text.encode(),
    }[dress]
    assert same(expected, read_trace(write(tmp_path, name, data)))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"sacct", "swf"}))
def test_the_kind_of_table_does_not_matter(name: str, tmp_path: Path) -> None:
    """A table gives the same jobs as CSV, Parquet and JSON lines."""
    expected = read_trace(write(tmp_path, name))
    table = pl.read_csv(tmp_path / f"{name}.txt")
    parquet, lines = tmp_path / f"{name}.parquet", tmp_path / f"{name}.jsonl"
    table.write_parquet(parquet)
    table.write_ndjson(lines)
    assert same(expected, read_trace(parquet))
    assert same(expected, read_trace(lines))


@each_format
def test_an_unknown_option_is_refused(name: str, tmp_path: Path) -> None:
    """An option the format does not have is named, with those it has."""
    with pytest.raises(InputError, match=f"option colour: format {name} knows only .*accelerator"):
        read_trace(write(tmp_path, name), colour="red")


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"gavel"}))
def test_the_user_knows_the_accelerator(name: str, tmp_path: Path) -> None:
    """What the user says about the recorded accelerator stands above what the file says."""
    trace = read_trace(write(tmp_path, name), accelerator="nvidia-a100-80")
    assert trace.accelerator == "nvidia-a100-80"


@each_format
def test_a_file_without_jobs_is_refused(name: str, tmp_path: Path) -> None:
    """A header alone is no trace: one line says so and names the file."""
    head = "\n".join(split(name)[0]) + "\n"
    with pytest.raises(InputError, match=rf"{name}\.txt.*no job is left") as caught:
        read_trace(write(tmp_path, name, head), name)
    assert "\n" not in str(caught.value)
