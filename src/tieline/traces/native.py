"""Tieline's own trace format: a table with one row per job, as CSV, Parquet or JSON lines.

column       need      meaning
submit_s     yes       submission [s], on any clock; the first job becomes 0
duration_s   yes       run time [s], >= 0
count        yes       accelerators of the gang, >= 1
job_id       no        a name for people
tenant       no        who pays; without it all jobs belong to one tenant
class        no        training, fine-tuning, prefill, decode, batch-inference or hpc
model        no        what it runs, such as llama-3-8b
estimate_s   no        run time the user asked for [s]
deadline_s   no        when it should be done [s], on the clock of submit_s
accelerator  no        catalogue id on which the run times were recorded, the same in all rows
type         no        what the job ran on, in the words of who recorded it
label        no        the same for jobs that do the same work, such as user and name
dataset      no        id of the dataset that the job reads; the network must have it
"""

import contextlib
import io
import os
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from tieline.model.errors import InputError
from tieline.model.trace import Trace
from tieline.traces.rows import Rows
from tieline.traces.source import Source

COLUMNS: Final = ("submit_s", "duration_s", "count")


def matches(source: Source) -> bool:
    """Tell whether the file has the columns every native trace has."""
    return set(COLUMNS) <= set(source.columns())


def read(source: Source) -> Trace:
    """Give the jobs of a native file; every row is a job."""
    rows = Rows(source, source.table())
    rows.require(*COLUMNS)
    return rows.finish()


def write_trace(trace: Trace, path: str | Path) -> None:
    """Write a trace as a native file; reading it back gives the same jobs.

    What is left out and told (`skipped`, `notes`) and a throughput table have no place in
    the file.

    Parameters
    ----------
    trace
        Any trace.
    path
        Ends in `.csv` or `.parquet`. Written under a temporary name, then renamed.

    Raises
    ------
    InputError
        Another ending, or a place that cannot be written.
    """
    path = Path(path)
    if path.suffix not in {".csv", ".parquet"}:
        raise InputError(f"{path}: a trace is written as .csv or .parquet")
    frame = _frame(trace)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    buffer = io.BytesIO()
    if path.suffix == ".csv":
        frame.write_csv(buffer)
    else:
        frame.write_parquet(buffer)
    try:
        temporary.write_bytes(buffer.getvalue())
        temporary.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path}: cannot be written: {reason}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _frame(trace: Trace) -> pl.DataFrame:
    """Lay a trace out as a table, without the optional columns it has no values for."""
    columns: dict[str, object] = {}
    if trace.job_ids:
        columns["job_id"] = trace.job_ids
    columns |= {
        "submit_s": trace.submit_s,
        "duration_s": trace.duration_s,
        "count": trace.count,
        "tenant": _named(trace.tenants, trace.tenant),
        "class": _named(tuple(kind.kind for kind in trace.workloads), trace.workload),
    }
    if any(kind.model for kind in trace.workloads):
        models = tuple(kind.model for kind in trace.workloads)
        columns["model"] = _named(models, trace.workload)
    if trace.estimate_s is not None:
        columns["estimate_s"] = pl.Series(trace.estimate_s, nan_to_null=True)
    if trace.deadline_s is not None:
        columns["deadline_s"] = pl.Series(trace.deadline_s).set(
            pl.Series(np.isinf(trace.deadline_s)), None
        )
    if trace.accelerator is not None:
        columns["accelerator"] = [trace.accelerator] * len(trace)
    if trace.job_type is not None:
        # One name more than there are: -1 points at the last one.
        columns["type"] = _named((*trace.types, None), trace.job_type)
    if trace.label is not None:
        columns["label"] = pl.Series(trace.label).set(pl.Series(trace.label) < 0, None)
    if trace.dataset is not None:
        columns["dataset"] = _named((*trace.datasets, None), trace.dataset)
    return pl.DataFrame(columns)


def _named(names: tuple[str | None, ...], codes: np.ndarray) -> pl.Series:
    return pl.Series(names, dtype=pl.String)[codes.astype(np.int64)]
