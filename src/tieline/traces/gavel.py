"""Jobs with measured speeds on several accelerators, as in Gavel's experiments.

The jobs: job_id, arrival_s, model, scale_factor (gang size), total_steps, priority_weight.
The speeds: worker_type, model, scale_factor, steps_per_s (alone, consolidated), as
`tieline.traces.throughputs` reads them. Source: Narayanan et al., OSDI '20.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl

from tieline.model.errors import InputError
from tieline.model.throughputs import ThroughputTable
from tieline.model.trace import Trace
from tieline.traces.rows import MAX_COUNT, Rows
from tieline.traces.source import Source
from tieline.traces.throughputs import read_throughputs

COLUMNS: Final = ("arrival_s", "model", "scale_factor", "total_steps")


def matches(source: Source) -> bool:
    """Tell whether the file has the columns of a list of jobs with steps."""
    return set(COLUMNS) <= set(source.columns())


def read(source: Source, *, throughputs: str | None = None, reference: str = "v100") -> Trace:
    """Give the jobs with their run time on the reference and the table of speeds.

    Parameters
    ----------
    source
        The jobs.
    throughputs
        Path of the table of speeds; `throughputs.csv` beside the jobs by default.
    reference
        Worker type on which `Trace.duration_s` holds. A job whose model was not measured on
        it at its gang size is left out and counted.
    """
    rows = Rows(source, source.table())
    rows.require(*COLUMNS)
    rows.numbers("scale_factor", minimum=1, maximum=MAX_COUNT, whole=True)
    rows.numbers("total_steps", minimum=0)
    table = _speeds(source, throughputs)
    if reference not in table.accelerators:
        raise InputError(
            f"{throughputs or 'throughputs.csv'}: no speed on the reference {reference!r};"
            f" measured are {', '.join(table.accelerators)} (option `reference`)"
        )
    on_reference = pl.DataFrame(
        [
            (model, float(count), speed)
            for (model, kind, count), speed in table.steps_per_s.items()
            if kind == reference and speed > 0
        ],
        schema={"model": pl.String, "scale_factor": pl.Float64, "steps_per_s": pl.Float64},
        orient="row",
    )
    rows.frame = rows.frame.join(
        on_reference, on=["model", "scale_factor"], how="left", maintain_order="left"
    )
    rows.skip(
        pl.col("steps_per_s").is_null(),
        f"has no measured speed on {reference} for its model and gang size",
    )
    if rows.has("priority_weight"):
        rows.numbers("priority_weight")
        other = rows.count(pl.col("priority_weight") != 1)
        rows.note(other, "priority weight other than 1; weights are not replayed.")
    rows.frame = rows.frame.with_columns(
        pl.col("arrival_s").alias("submit_s"),
        (pl.col("total_steps") / pl.col("steps_per_s")).alias("duration_s"),
        pl.col("scale_factor").alias("count"),
        pl.lit(reference).alias("accelerator"),
    )
    table = replace(table, reference=reference)
    return rows.finish(default_class="training", throughputs=table)


def _speeds(jobs: Source, throughputs: str | None) -> ThroughputTable:
    path = Path(throughputs) if throughputs else jobs.path.with_name("throughputs.csv")
    if throughputs is None and not path.exists():
        raise InputError(
            f"{jobs.path}: needs measured speeds and there is no {path.name} beside it; name the"
            " table with the option `throughputs`"
        )
    return read_throughputs(path)
