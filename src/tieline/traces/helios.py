"""Jobs of SenseTime's Helios clusters, 2020: the release and its converted copy.

The release (`cluster_log.csv`) has job_id, user, vc, gpu_num, cpu_num, node_num, state,
submit_time, start_time, end_time, duration, queue; the virtual cluster `vc` becomes the
tenant and the user the label. The converted copy has job_id, arrival_s, service_sec, gpu_count
and cuts long run times. Source: Hu et al., SC '21, doi 10.1145/3458817.3476223.
"""

from typing import Final

import polars as pl

from tieline.model.trace import Trace
from tieline.traces.rows import Rows
from tieline.traces.source import Source

CONVERTED: Final = ("arrival_s", "service_sec", "gpu_count")
RELEASED: Final = ("vc", "gpu_num", "state", "submit_time", "duration")

#: The converted copy cuts run times here [s].
_CUT_S: Final = 48 * 3600


def matches(source: Source) -> bool:
    """Tell whether the file has the columns of the release or of the converted copy."""
    columns = set(source.columns())
    return set(CONVERTED) <= columns or set(RELEASED) <= columns


def read(source: Source) -> Trace:
    """Give the jobs that asked for a GPU."""
    rows = Rows(source, source.table())
    if rows.has("gpu_num"):
        return _released(rows)
    rows.require(*CONVERTED)
    rows.frame = rows.frame.rename(
        {"arrival_s": "submit_s", "service_sec": "duration_s", "gpu_count": "count"}
    )
    rows.numbers("duration_s", minimum=0)
    longest = rows.frame["duration_s"].max()
    if longest == _CUT_S:
        rows.note(
            rows.count(pl.col("duration_s") == _CUT_S),
            "run time of exactly 48 h, the longest in the file: it is cut there, so what longer"
            " jobs ran beyond is missing.",
        )
    return rows.finish()


def _released(rows: Rows) -> Trace:
    rows.require(*RELEASED)
    rows.numbers("gpu_num", minimum=0, whole=True)
    rows.skip(pl.col("gpu_num") == 0, "asks for no accelerator")
    if rows.has("start_time"):
        unknown = pl.col("start_time").fill_null("").str.to_lowercase()
        rows.skip(unknown.is_in(["", "none", "unknown", "nan"]), "never started")
    rows.label("user")
    rows.moments("submit_time", form="%Y-%m-%d %H:%M:%S", shown="YYYY-MM-DD HH:MM:SS")
    rows.note(
        rows.count(pl.col("state") != "COMPLETED"),
        "did not end as COMPLETED; kept with the time they ran.",
    )
    rows.frame = rows.frame.rename(
        {"submit_time": "submit_s", "duration": "duration_s", "gpu_num": "count", "vc": "tenant"}
    )
    return rows.finish()
