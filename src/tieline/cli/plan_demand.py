"""Where `tieline plan` takes demand from besides its file: recorded jobs, or those of a store."""

import time
from collections.abc import Sequence
from typing import Final

import click

from tieline.cli.trace_options import pairs
from tieline.model.errors import InputError
from tieline.planning.load import Load, load_of_trace
from tieline.traces.registry import read_trace

DEMAND_FROM: Final = click.option(
    "--demand-from",
    "source",
    metavar="SOURCE",
    help="Scale the demand of the first quarter to what the jobs of SOURCE keep busy: a trace"
    " file, or the URL of a store, such as sqlite:///jobs.db.",
)


def demand_from(source: str | None, kind: str | None, options: Sequence[str]) -> Load | None:
    """Give the load of a trace or a store; None without a source.

    Parameters
    ----------
    kind, options
        Format of the trace and its options; only for a trace.

    Raises
    ------
    InputError
        The source cannot be read, has no load, or takes no format.
    """
    store = source is not None and "://" in source
    if (source is None or store) and (kind or options):
        raise InputError(
            "--format, --option: they tell how to read a trace, and --demand-from names none;"
            " leave them out"
        )
    if source is None:
        return None
    if store:
        from tieline.service.store_load import load_of_store  # noqa: PLC0415 - loads SQLAlchemy

        return load_of_store(source, time.time())
    return load_of_trace(read_trace(source, kind, **pairs(options)))
