"""The trace formats Tieline reads, and the one function that reads any of them."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tieline.model.errors import InputError
from tieline.model.trace import Trace
from tieline.traces import gavel, helios, native, openb, pai, philly, sacct, swf
from tieline.traces.source import Source


@dataclass(frozen=True)
class Format:
    """One kind of trace file."""

    name: str
    summary: str
    """What it is and how it is told from others."""
    matches: Callable[[Source], bool]
    read: Callable[..., Trace]
    """Takes the source, and the options by keyword."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Name of an option -> what it sets."""


_TENANT: Final = "who counts as the tenant: {}"

#: In the order in which a file is tried against them.
FORMATS: Final = {
    row.name: row
    for row in (
        Format(
            "native",
            "Tieline's own table: submit_s, duration_s, count",
            native.matches,
            native.read,
        ),
        Format(
            "helios",
            "SenseTime Helios: arrival_s, service_sec, gpu_count, or the released cluster_log",
            helios.matches,
            helios.read,
        ),
        Format(
            "philly",
            "Microsoft Philly: timestamp, duration, num_gpus, cluster",
            philly.matches,
            philly.read,
        ),
        Format(
            "openb",
            "Alibaba 2023 pods: name, num_gpu, gpu_milli, creation_time",
            openb.matches,
            openb.read,
        ),
        Format(
            "pai",
            "Alibaba PAI 2020 tasks: job_name, inst_num, plan_gpu, start_time",
            pai.matches,
            pai.read,
            {"jobs": "path of pai_job_table.csv; beside the tasks by default"},
        ),
        Format(
            "gavel",
            "Gavel jobs with measured speeds: arrival_s, model, scale_factor, total_steps",
            gavel.matches,
            gavel.read,
            {
                "throughputs": "path of the table of speeds; throughputs.csv beside the jobs by"
                " default",
                "reference": "worker type on which the run times hold; v100 by default",
            },
        ),
        Format(
            "sacct",
            "Slurm accounting: the output of sacct -P, fields separated by |",
            sacct.matches,
            sacct.read,
            {
                "tenant": _TENANT.format("account, user or partition"),
                "gres": "name of the generic resource that counts as accelerators; gpu by default",
            },
        ),
        Format(
            "swf",
            "Standard Workload Format: 18 numbers a line",
            swf.matches,
            swf.read,
            {"tenant": _TENANT.format("group, user, queue or partition")},
        ),
    )
}

#: Options that every format takes.
COMMON_OPTIONS: Final = {"accelerator": "catalogue id on which the run times were recorded"}


def read_trace(path: str | Path, format: str | None = None, **options: str) -> Trace:  # noqa: A002 - the word users know from --format
    """Read recorded jobs from a file.

    Parameters
    ----------
    path
        Plain, gzip or zstd text, Parquet or JSON lines.
    format
        A name in `FORMATS`; None finds it out from the columns.
    options
        Options of the format (`FORMATS[format].options`) and of all (`COMMON_OPTIONS`).

    Returns
    -------
    Trace
        Sorted by submission, the first at 0; ties keep the order of the file. The same file
        and options give the same trace.

    Raises
    ------
    InputError
        One line that names the file, the place, what was found and what is allowed.
    """
    source = Source.open(path)
    kind = _detect(source) if format is None else _by_name(format)
    accelerator = options.pop("accelerator", None)
    for name in options:
        if name not in kind.options:
            allowed = ", ".join([*kind.options, *COMMON_OPTIONS])
            raise InputError(f"option {name}: format {kind.name} knows only {allowed}")
    trace = kind.read(source, **options)
    if accelerator is None:
        return trace
    if trace.throughputs is not None:
        raise InputError(
            f"option accelerator: {source.path} has measured speeds; its run times hold on"
            f" {trace.throughputs.reference} (option `reference`)"
        )
    return dataclasses.replace(trace, accelerator=accelerator)


def _by_name(name: str) -> Format:
    if name not in FORMATS:
        raise InputError(f"unknown trace format {name!r}; known are {', '.join(FORMATS)}")
    return FORMATS[name]


def _detect(source: Source) -> Format:
    """Give the first format the file fits."""
    for kind in FORMATS.values():
        if kind.matches(source):
            return kind
    columns = ", ".join(source.columns()[:8])
    found = f"its first line is {columns[:120]!r}" if columns else "it has no header line"
    raise InputError(
        f"{source.path}: fits no trace format ({found}); known are {', '.join(FORMATS)}. Name one"
        f" with --format, or name the columns {', '.join(native.COLUMNS)}"
    )
