"""Tables of measured speeds: one row per model, accelerator and size of gang.

column        in Gavel's words   meaning
accelerator   worker_type        id of the accelerator
model         model              name of the model
count         scale_factor       accelerators of the gang, >= 1
steps_per_s   steps_per_s        speed of the whole gang; 0: measured as not running

What has no row was not measured. Each combination has one row.
"""

from pathlib import Path
from typing import Final

import polars as pl

from tieline.model.errors import InputError
from tieline.model.throughputs import ThroughputTable
from tieline.traces.rows import MAX_COUNT, Rows
from tieline.traces.source import LINE, Source

COLUMNS: Final = ("accelerator", "model", "count", "steps_per_s")
GAVEL_COLUMNS: Final = ("worker_type", "model", "scale_factor", "steps_per_s")

#: Gavel's speeds of gangs spread over several servers; a gang here is always consolidated.
_SPREAD: Final = "_unconsolidated"


def read_throughputs(path: str | Path) -> ThroughputTable:
    """Read a table of measured speeds, in either set of words.

    Raises
    ------
    InputError
        One line that names the file, the place, what was found and what is allowed.
    """
    source = Source.open(path)
    rows = Rows(source, source.table())
    columns = GAVEL_COLUMNS if rows.has("worker_type") else COLUMNS
    rows.require(*columns)
    accelerator, model, count, speed = columns
    rows.numbers(count, minimum=1, maximum=MAX_COUNT, whole=True)
    rows.numbers(speed, minimum=0)
    for column in (accelerator, model):
        names = rows.frame[column].cast(pl.String)
        rows.refuse(column, names.fill_null("").str.strip_chars() == "", names, "a name")
    frame = rows.frame.select(LINE, *columns)
    frame.columns = [LINE, *COLUMNS]
    frame = frame.filter(~pl.col("accelerator").str.ends_with(_SPREAD))
    _demand_once(frame, source)
    keys = zip(frame["model"], frame["accelerator"], frame["count"].cast(int), strict=True)
    speeds = dict(zip(keys, frame["steps_per_s"], strict=True))
    return ThroughputTable(speeds, name=source.path.name)


def _demand_once(frame: pl.DataFrame, source: Source) -> None:
    keys = list(COLUMNS[:3])
    twice = frame.filter(frame.select(keys).is_duplicated()).sort(keys, maintain_order=True)
    if not twice.is_empty():
        (first, kind, model, size, speed), (second, *_, other) = twice.row(0), twice.row(1)
        raise InputError(
            f"{source.path}, {source.row_word} {second}: {model!r} on {kind} with gang size"
            f" {size:g} has speed {other:g}, but {speed:g} on {source.row_word} {first}; give"
            " each combination once"
        )
