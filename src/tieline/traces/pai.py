"""Tasks of Alibaba's PAI cluster, 2020 (`pai_task_table.csv`, with or without its header).

job_name, task_name, inst_num, status, start_time, end_time [s], plan_cpu, plan_mem, plan_gpu
(hundredths of a GPU per instance), gpu_type. The tasks of one job start together: they become
one gang. `pai_job_table.csv` (job_name, inst_id, user, status, start_time, end_time) beside it
gives the submission and the user. Source: Weng et al., "MLaaS in the Wild", NSDI '22.
"""

from pathlib import Path
from typing import Final

import polars as pl

from tieline.model.trace import Trace
from tieline.traces.rows import Rows
from tieline.traces.source import LINE, Source

TASKS: Final = (
    "job_name",
    "task_name",
    "inst_num",
    "status",
    "start_time",
    "end_time",
    "plan_cpu",
    "plan_mem",
    "plan_gpu",
    "gpu_type",
)
JOBS: Final = ("job_name", "inst_id", "user", "status", "start_time", "end_time")

_STATUS: Final = {"Terminated", "Failed", "Running", "Waiting"}
_NEEDED: Final = ("job_name", "inst_num", "start_time", "end_time", "plan_gpu")
#: Shares of GPUs add up with rounding errors; 2.0000001 GPUs are 2.
_TOLERANCE: Final = 1e-6


def matches(source: Source) -> bool:
    """Tell whether the file is a table of tasks, with a header or without."""
    columns = source.columns()
    return set(_NEEDED) <= set(columns) or _headerless(columns, TASKS)


def read(source: Source, *, jobs: str | None = None) -> Trace:
    """Give the jobs that held a GPU, one gang per job.

    Parameters
    ----------
    source
        The table of tasks.
    jobs
        Path of the table of jobs; `pai_job_table.csv` beside the tasks by default, if it is
        there.
    """
    rows = Rows(source, _table(source, TASKS))
    rows.require(*_NEEDED)
    rows.numbers("inst_num", "plan_gpu", minimum=0, optional=True)
    rows.skip(
        pl.col("plan_gpu").fill_null(0) * pl.col("inst_num").fill_null(0) <= 0,
        "asks for no accelerator",
    )
    rows.numbers("start_time", "end_time", optional=True)
    # A time of 0 stands for unknown in some rows.
    rows.skip(~(pl.col("start_time") > 0) | pl.col("start_time").is_null(), "never started")
    rows.skip(
        ~(pl.col("end_time") > 0) | pl.col("end_time").is_null(),
        "still running when the file was written",
    )
    rows.skip(pl.col("end_time") < pl.col("start_time"), "ends before it starts")
    _join_tasks(rows)
    _join_jobs(rows, jobs)
    rows.note(
        rows.count((pl.col("count") - pl.col("gpus")).abs() > _TOLERANCE),
        "ask for shares of GPUs, rounded up to whole accelerators.",
    )
    return rows.finish()


def _headerless(columns: tuple[str, ...], expected: tuple[str, ...]) -> bool:
    place = expected.index("status")
    return len(columns) == len(expected) and columns[place] in _STATUS


def _table(source: Source, expected: tuple[str, ...]) -> pl.DataFrame:
    names = expected if _headerless(source.columns(), expected) else None
    return source.table(names=names)


def _join_tasks(rows: Rows) -> None:
    """Make one row of the tasks of each job."""
    if not rows.has("gpu_type"):
        rows.frame = rows.frame.with_columns(pl.lit(None, pl.String).alias("gpu_type"))
    before = rows.frame.height
    rows.frame = rows.frame.group_by("job_name", maintain_order=True).agg(
        pl.col(LINE).first(),
        pl.col("start_time").min().alias("started"),
        pl.col("end_time").max().alias("ended"),
        (pl.col("inst_num") * pl.col("plan_gpu") / 100).sum().alias("gpus"),
        pl.col("gpu_type").drop_nulls().unique().sort().str.join("+").alias("type"),
    )
    rows.frame = rows.frame.with_columns(
        pl.col("job_name").alias("job_id"),
        pl.col("started").alias("submit_s"),
        (pl.col("ended") - pl.col("started")).alias("duration_s"),
        (pl.col("gpus") - _TOLERANCE).ceil().clip(1).alias("count"),
    )
    if before > rows.frame.height:
        reason = "another task of the same job (added to its gang)"
        rows.skipped[reason] = before - rows.frame.height


def _join_jobs(rows: Rows, jobs: str | None) -> None:
    """Take submission and user from the table of jobs, where there is one."""
    path = Path(jobs) if jobs else rows.source.path.with_name("pai_job_table.csv")
    if jobs is None and not path.exists():
        rows.notes.append(
            "There is no table of jobs beside the tasks: the start of a job is taken as its"
            " submission, and all belong to one tenant."
        )
        return
    source = Source.open(path)
    table = Rows(source, _table(source, JOBS))
    table.require("job_name", "user", "start_time")
    table.numbers("start_time", optional=True)
    known = table.frame.select("job_name", pl.col("user").alias("tenant"), "start_time")
    rows.frame = rows.frame.join(
        known.unique("job_name", keep="first", maintain_order=True),
        on="job_name",
        how="left",
        maintain_order="left",
    )
    rows.note(
        rows.count(pl.col("start_time").is_null()),
        "no submission in the table of jobs; their start is taken.",
    )
    rows.frame = rows.frame.with_columns(
        pl.min_horizontal("start_time", "started").alias("submit_s")
    )
