"""Slurm's accounting, as `sacct -P` prints it: how operators bring their own history.

    sacct -a -P -D -S 2024-01-01 -E now -o \
      JobID,User,Account,Partition,State,Submit,Start,End,ElapsedRaw,Timelimit,AllocTRES,ReqTRES

The order of the columns is free. Needed are JobID (or JobIDRaw), Submit, State, a run time
(ElapsedRaw, Elapsed, or Start and End) and the accelerators (AllocTRES, ReqTRES, or AllocGRES
and ReqGRES of Slurm before 21.08). What becomes of each row:

    step (`12.batch`)                 its job's own row counts
    several rows with one JobID       the last submitted counts (a requeue starts a new row)
    `12_3`                            a job of its own, like every task of an array
    `12_[4-9]`                        tasks that never started: left out
    `12+0`, `12+1`                    one gang of all components with accelerators
    pending, running, never started   left out
    cancelled, failed after a start   kept with the time they ran

Everything left out is counted. Source: sacct(1), https://slurm.schedmd.com/sacct.html
"""

from typing import Final

import polars as pl

from tieline.model.errors import InputError
from tieline.model.trace import Trace
from tieline.traces.rows import Rows
from tieline.traces.source import LINE, Source
from tieline.traces.tres import accelerators, kinds_of_gres

#: What each option `tenant` takes as the tenant.
TENANTS: Final = {"account": "Account", "user": "User", "partition": "Partition"}

#: Columns that are looked at; sacct prints them like this whatever the user typed.
_KNOWN: Final = (
    "JobID",
    "JobIDRaw",
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
    "TimelimitRaw",
    "AllocTRES",
    "ReqTRES",
    "AllocGRES",
    "ReqGRES",
    "Restarts",
)
#: In order of trust: what a job got before what it asked for.
_RESOURCES: Final = ("AllocTRES", "AllocGRES", "ReqTRES", "ReqGRES")
_RUNNING: Final = ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "STAGE_OUT")
_TIME: Final = {"form": "%Y-%m-%dT%H:%M:%S", "shown": "YYYY-MM-DDTHH:MM:SS"}
_STILL_RUNNING: Final = "still running when the file was written"
_NEVER_STARTED: Final = "cancelled before it started"
#: Words for "there is no such moment", lower case.
_NO_TIME: Final = ("", "none", "unknown", "n/a")
#: Words for "there is no such length of time", lower case.
_NO_LENGTH: Final = (*_NO_TIME, "invalid", "unlimited", "partition_limit")


def matches(source: Source) -> bool:
    """Tell whether the fields of the first line are separated by `|`; no other format does."""
    return bool(source.head) and source.head[0].count("|") > 0 and not source.is_json_lines


def read(source: Source, *, tenant: str = "account", gres: str = "gpu") -> Trace:
    """Give the jobs that held accelerators and ended.

    Parameters
    ----------
    source
        Output of `sacct -P` (or `-p`) with its header.
    tenant
        Who counts as the tenant: `account`, `user` or `partition`.
    gres
        Name of the generic resource that counts as accelerators.
    """
    if tenant not in TENANTS:
        raise InputError(f"option tenant: found {tenant!r}, allowed are {', '.join(TENANTS)}")
    rows = _header(source)
    rows.skip(pl.col("JobID") == "JobID", "the header again")
    rows.skip(pl.col("JobID").str.contains(".", literal=True), "step of a job (its row counts)")
    _times(rows)
    _last_attempts(rows)
    _ended_after_a_start(rows)
    _run_times(rows)
    _accelerators(rows, gres)
    _join_components(rows)
    _estimates(rows)
    _tell(rows)
    rows.label("User", "JobName")
    rows.frame = rows.frame.rename({"JobID": "job_id", "Submit": "submit_s"})
    if rows.has(TENANTS[tenant]):
        rows.frame = rows.frame.rename({TENANTS[tenant]: "tenant"})
    else:
        rows.notes.append(f"There is no column {TENANTS[tenant]}: all jobs belong to one tenant.")
    return rows.finish()


def _header(source: Source) -> Rows:
    """Read the table and give its columns the names sacct has for them."""
    found = {name.lower() for name in source.columns("|")}
    if not found & {"jobid", "jobidraw"}:
        raise InputError(
            f"{source.path}, line 1: is not the header of sacct (no column JobID); run sacct -P"
            " without -n/--noheader"
        )
    frame = source.table("|")
    known = {name.lower(): name for name in _KNOWN}
    frame = frame.rename({name: known.get(name.lower(), name) for name in frame.columns})
    rows = Rows(source, frame)
    if not rows.has("JobID"):
        rows.frame = rows.frame.with_columns(pl.col("JobIDRaw").alias("JobID"))
    rows.require("JobID", "Submit", "State")
    if not (rows.has("ElapsedRaw") or rows.has("Elapsed")):
        rows.require("Start", "End")
    if not any(rows.has(name) for name in _RESOURCES):
        rows.require("AllocTRES")
    return rows


def _times(rows: Rows) -> None:
    """Turn the moments into seconds and the state into its first word."""
    for name in ("Submit", "Start", "End"):
        if rows.has(name):
            known = ~pl.col(name).fill_null("").str.to_lowercase().is_in(_NO_TIME)
            rows.frame = rows.frame.with_columns(pl.when(known).then(name).alias(name))
            rows.moments(name, optional=True, **_TIME)
    # `CANCELLED by 1000` names the user who did it.
    rows.frame = rows.frame.with_columns(
        pl.col("State").str.to_uppercase().str.extract(r"^([A-Z_]+)").fill_null("UNKNOWN")
    )
    rows.skip(pl.col("Submit").is_null(), "submission unknown")


def _last_attempts(rows: Rows) -> None:
    """Keep the last submitted row of each job.

    Slurm gives a requeued job a new row with the moment of the requeue as its submission. It
    also hands out the same ids again one day: rows are attempts of one job only when user and
    name agree too.
    """
    job = [name for name in ("JobID", "User", "JobName") if rows.has(name)]
    by_time = rows.frame.sort("Submit", maintain_order=True)
    last = by_time.unique(job, keep="last", maintain_order=True)[LINE]
    rows.skip(~pl.col(LINE).is_in(last.implode()), "earlier attempt of a requeued job")


def _ended_after_a_start(rows: Rows) -> None:
    """Leave out what never started and what has not ended."""
    state = pl.col("State")
    rows.skip(
        pl.col("JobID").str.contains("_[", literal=True),
        "array tasks that never started (one row for several)",
    )
    rows.skip(state == "PENDING", "still waiting when the file was written")
    rows.skip(state.is_in(_RUNNING), _STILL_RUNNING)
    rows.skip(state == "REQUEUED", "requeued, without a later attempt in the file")
    rows.skip(state == "REVOKED", "revoked (ran in another cluster)")
    if rows.has("Start"):
        unknown = pl.col("Start").is_null()
        rows.skip(unknown & (state == "CANCELLED"), _NEVER_STARTED)
        rows.skip(unknown, "never started")
    if rows.has("End"):
        rows.skip(pl.col("End").is_null(), _STILL_RUNNING)


def _run_times(rows: Rows) -> None:
    """Add `duration_s`: without suspensions where sacct says so, else end minus start."""
    columns = [name for name in ("ElapsedRaw", "Elapsed") if rows.has(name)]
    for name in columns:
        _lengths(rows, name)
    seconds = [pl.col(name) for name in columns]
    if rows.has("Start") and rows.has("End"):
        seconds.append(pl.col("End") - pl.col("Start"))
    rows.frame = rows.frame.with_columns(pl.coalesce(seconds).alias("duration_s"))
    rows.skip(pl.col("duration_s").is_null(), "run time unknown")
    rows.skip(pl.col("duration_s") < 0, "ends before it starts")
    nothing = pl.col("duration_s") == 0
    rows.skip(nothing & (pl.col("State") == "CANCELLED"), _NEVER_STARTED)
    rows.skip(nothing, "ran for 0 s")


def _lengths(rows: Rows, name: str, bare_unit_s: float = 1.0) -> None:
    """Turn a column of lengths of time into seconds, null where there is none.

    Slurm prints `[days-][hours:]minutes:seconds`, or bare numbers in its Raw columns.
    """
    text = rows.frame[name].str.strip_chars()
    parts = text.str.extract_groups(r"^(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?$").struct
    days, hours, minutes = (parts[place].cast(pl.Float64).fill_null(0) for place in range(3))
    clock = ((days * 24 + hours) * 60 + minutes) * 60 + parts[3].cast(pl.Float64)
    seconds = clock.fill_null(text.cast(pl.Float64, strict=False) * bare_unit_s)
    there = ~text.fill_null("").str.to_lowercase().is_in(_NO_LENGTH)
    rows.refuse(name, seconds.is_null() & there, text, "[days-]hours:minutes:seconds")
    rows.frame = rows.frame.with_columns(seconds.alias(name))


def _accelerators(rows: Rows, gres: str) -> None:
    """Add `count` and `type` from the first column that names any."""
    columns = [name for name in _RESOURCES if rows.has(name)]
    rows.frame = rows.frame.with_columns(accelerators(columns, gres))
    some = pl.col("count") > 0
    if rows.frame.height and not rows.count(some):
        kinds = ", ".join(kinds_of_gres(rows.frame, columns))
        mend = (
            f"name one of {kinds} with the option `gres`"
            if kinds
            else f"Slurm records it when AccountingStorageTRES has gres/{gres}"
        )
        raise InputError(
            f"{rows.source.path}: none of the {rows.frame.height:,} jobs that ran has"
            f" gres/{gres} in {', '.join(columns)}; {mend}"
        )
    rows.skip(~some.fill_null(value=False), "asks for no accelerator")
    rows.note(
        rows.count(pl.col("type").str.contains(r"\d+g\.\d+gb")),
        "held MIG slices; each slice counts as a whole accelerator.",
    )


def _join_components(rows: Rows) -> None:
    """Make one gang of the components `12+0`, `12+1` of a heterogeneous job."""
    component = pl.col("JobID").str.contains(r"\+\d+$")
    if not rows.count(component):
        return
    job = pl.col("JobID").str.replace(r"\+\d+$", "")
    alone = pl.concat_str(pl.lit("#"), LINE)
    gang = pl.when(component).then(pl.concat_str(job, pl.lit(" "), "Submit")).otherwise(alone)
    names = pl.col("type").drop_nulls().unique().sort().str.join("+")
    rows.frame = rows.frame.with_columns(
        job.alias("JobID"),
        pl.col("count").sum().over(gang),
        pl.col("duration_s").max().over(gang),
        names.over(gang).alias("type"),
        pl.col(LINE).first().over(gang).alias("first"),
    )
    rows.skip(
        pl.col(LINE) != pl.col("first"),
        "another component of a heterogeneous job (added to its gang)",
    )


def _estimates(rows: Rows) -> None:
    """Add `estimate_s` from the time limit, where the file has one."""
    for name, unit in (("Timelimit", 60.0), ("TimelimitRaw", 60.0)):
        if rows.has(name):
            _lengths(rows, name, unit)
            rows.frame = rows.frame.with_columns(pl.col(name).alias("estimate_s"))
            return


def _tell(rows: Rows) -> None:
    """Say what a user must know about the jobs that are kept."""
    state = pl.col("State")
    rows.note(
        rows.count(state == "CANCELLED"),
        "cancelled while running; kept with the time they ran.",
    )
    rows.note(
        rows.count(~state.is_in(["CANCELLED", "COMPLETED"])),
        "failed, timed out or lost their node; kept with the time they ran.",
    )
    if rows.has("Restarts"):
        rows.numbers("Restarts", optional=True)
        rows.note(
            rows.count(pl.col("Restarts") > 0),
            "had been requeued; only the last attempt counts, submitted at the requeue.",
        )
    rows.notes.append(
        "Times carry no time zone: jobs around a change of the clocks may be an hour off."
    )
