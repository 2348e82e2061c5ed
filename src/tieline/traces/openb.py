"""Pods of Alibaba's 2023 GPU cluster trace (`openb_pod_list_*.csv`).

name, num_gpu, gpu_milli (thousandths of one GPU when num_gpu is 1), gpu_spec (types it
accepts, `A|B`), pod_phase, creation_time, scheduled_time, deletion_time [s]. Source: Weng et
al., "Beware of Fragmentation", USENIX ATC '23.
"""

from typing import Final

import polars as pl

from tieline.model.errors import InputError
from tieline.model.trace import Trace
from tieline.traces.rows import Rows
from tieline.traces.source import Source

_SHAPE: Final = ("name", "num_gpu", "gpu_milli")
_TIMES: Final = ("creation_time", "scheduled_time", "deletion_time")


def matches(source: Source) -> bool:
    """Tell whether the file is a list of pods with shares of a GPU."""
    return set(_SHAPE) <= set(source.columns())


def read(source: Source) -> Trace:
    """Give the pods that held a GPU; a share of one counts as a whole one."""
    rows = Rows(source, source.table())
    rows.require(*_SHAPE)
    if not rows.has("creation_time"):
        raise InputError(
            f"{source.path}: these pods carry no times (columns {', '.join(_TIMES)}), so they"
            " cannot be replayed; openb_pod_list_default.csv and the gpuspec lists can"
        )
    rows.require(*_SHAPE, *_TIMES, "pod_phase")
    rows.numbers("num_gpu", minimum=0, whole=True)
    rows.numbers("gpu_milli", minimum=0)
    rows.skip(pl.col("num_gpu") == 0, "asks for no accelerator")
    rows.numbers(*_TIMES, optional=True)
    rows.skip(pl.col("scheduled_time").is_null(), "never scheduled")
    rows.skip(pl.col("deletion_time").is_null(), "still running when the file was written")
    rows.note(
        rows.count((pl.col("num_gpu") == 1) & (pl.col("gpu_milli") < 1000)),  # noqa: PLR2004 - thousandths
        "ask for a share of one GPU and count as a whole accelerator, so the load is above the"
        " recorded one.",
    )
    rows.note(
        rows.count(pl.col("pod_phase") == "Running"),
        "were running when the file was written; their run time is what was recorded by then.",
    )
    rows.notes.append(
        "This is a sample of the pods of 6,212 GPUs: the load of the cluster cannot be read from"
        " it."
    )
    rows.frame = rows.frame.with_columns(
        pl.col("name").alias("job_id"),
        pl.col("creation_time").alias("submit_s"),
        (pl.col("deletion_time") - pl.col("scheduled_time")).alias("duration_s"),
        pl.col("num_gpu").alias("count"),
    )
    if rows.has("gpu_spec"):
        rows.note(
            rows.count(pl.col("gpu_spec") != ""),
            "accept only some GPU types; which one they ran on is not recorded, so they are"
            " taken as able to run on any.",
        )
    return rows.finish()
