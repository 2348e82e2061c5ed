"""Jobs of Microsoft's Philly clusters, 2017, in the table cut by the authors of Pollux.

timestamp, duration, num_gpus, gpu_time, cluster; the hash of the virtual cluster becomes the
tenant. Rows are not in order of time: ties keep the order of the file. Source: Jeon et al.,
USENIX ATC '19, as cut in Qiao et al., OSDI '21.
"""

from typing import Final

from tieline.model.trace import Trace
from tieline.traces.rows import Rows
from tieline.traces.source import Source

COLUMNS: Final = ("timestamp", "duration", "num_gpus", "cluster")


def matches(source: Source) -> bool:
    """Tell whether the file has Philly's columns."""
    return set(COLUMNS) <= set(source.columns())


def read(source: Source) -> Trace:
    """Give all jobs, by time, ties by row."""
    rows = Rows(source, source.table())
    rows.require(*COLUMNS)
    rows.moments("timestamp", form="%Y-%m-%d %H:%M:%S", shown="YYYY-MM-DD HH:MM:SS")
    rows.frame = rows.frame.rename(
        {
            "timestamp": "submit_s",
            "duration": "duration_s",
            "num_gpus": "count",
            "cluster": "tenant",
        }
    )
    rows.notes.append(
        "The file does not say whether a timestamp is the submission or the start; it is taken"
        " as the submission. Times are local, without zone."
    )
    rows.notes.append(
        "The table holds about half of the GPU time of the published trace; large and long jobs"
        " are under-represented in it."
    )
    return rows.finish()
