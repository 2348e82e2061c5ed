"""The Standard Workload Format, version 2: 18 numbers a line, `;` before a comment, -1 unknown.

Processors are taken as accelerators: those allocated, else those requested. A job that was
cancelled or failed after it started is kept with the time it ran. Source: Feitelson,
Parallel Workloads Archive, "The Standard Workload Format".
"""

from typing import Final

import polars as pl

from tieline.model.errors import InputError
from tieline.model.trace import Trace
from tieline.traces.rows import Rows
from tieline.traces.source import LINE, Source

FIELDS: Final = (
    "job_id",
    "submit_s",
    "wait_s",
    "duration_s",
    "allocated",
    "cpu_s",
    "used_memory",
    "requested",
    "estimate_s",
    "requested_memory",
    "status",
    "user",
    "group",
    "executable",
    "queue",
    "partition",
    "preceding",
    "think_s",
)
TENANTS: Final = ("group", "user", "queue", "partition")

#: Status of one burst of a job that was swapped out; a line of its own sums the job up.
_BURSTS: Final = (2.0, 3.0, 4.0)
_FAILED: Final = 0
_CANCELLED: Final = 5


def matches(source: Source) -> bool:
    """Tell whether the first line is a `;` comment or 18 numbers."""
    if not source.head:
        return False
    first = source.head[0]
    data = next((line for line in source.head if not line.startswith(";")), "")
    fields = data.split()
    numbers = len(fields) == len(FIELDS) and all(_is_number(field) for field in fields)
    return numbers or first.startswith(";")


def read(source: Source, *, tenant: str = "group") -> Trace:
    """Give the jobs that ran.

    Parameters
    ----------
    source
        The log.
    tenant
        Field that names the tenant: `group`, `user`, `queue` or `partition`.
    """
    if tenant not in TENANTS:
        raise InputError(f"option tenant: found {tenant!r}, allowed are {', '.join(TENANTS)}")
    rows = Rows(source, _table(source))
    rows.numbers(*FIELDS[1:])
    rows.skip(pl.col("status").is_in(_BURSTS), "one burst of a swapped job (its sum counts)")
    rows.skip(pl.col("submit_s") < 0, "submission unknown")
    never = (pl.col("status") == _CANCELLED) & (pl.col("duration_s") <= 0)
    rows.skip(never, "cancelled before it started")
    rows.skip(pl.col("duration_s") < 0, "run time unknown")
    rows.frame = rows.frame.with_columns(
        pl.when(pl.col("allocated") > 0).then("allocated").otherwise("requested").alias("count"),
        pl.when(pl.col("estimate_s") > 0).then("estimate_s").alias("estimate_s"),
        pl.when(pl.col(tenant) >= 0)
        .then(tenant + " " + pl.col(tenant).cast(pl.Int64).cast(pl.String))
        .alias("tenant"),
    )
    rows.skip(pl.col("count") < 1, "processors unknown")
    known = pl.when(pl.col("user") >= 0).then("user")
    rows.frame = rows.frame.with_columns(known.alias("user"))
    rows.label("user", "executable")
    if rows.frame["estimate_s"].null_count() == rows.frame.height:
        rows.frame = rows.frame.drop("estimate_s")
    for status, words in ((_FAILED, "failed"), (_CANCELLED, "cancelled while running")):
        rows.note(rows.count(pl.col("status") == status), f"{words}; kept with the time they ran.")
    rows.notes.append("Processors are taken as accelerators.")
    return rows.finish(default_class="hpc")


def _table(source: Source) -> pl.DataFrame:
    """Split the lines that are not comments into 18 fields of text."""
    text = pl.col("text").str.strip_chars()
    lines = source.lines().with_columns(text).filter((text != "") & ~text.str.starts_with(";"))
    fields = lines["text"].str.replace_all(r"\s+", " ").str.split(" ")
    wrong = (fields.list.len() != len(FIELDS)).arg_true()
    if len(wrong):
        row = wrong[0]
        raise InputError(
            f"{source.path}, line {lines[LINE][row]}: has {len(fields[row])} fields, the"
            f" Standard Workload Format has {len(FIELDS)}"
        )
    table = fields.list.to_struct(fields=list(FIELDS)).struct.unnest()
    return table.insert_column(0, lines[LINE])


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()
