"""What a shell suggests for an argument: ids of jobs, sites and accelerators.

Called at every press of the key, so nothing here raises, prints or takes long: where no control
plane answers at once, nothing is suggested. Imports are made when they are needed, because
completing a command needs none of them.
"""

from collections.abc import Callable, Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem

from tieline.model.errors import TielineError

#: How long a control plane is waited for [s].
_PATIENCE_S: Final = 0.5
#: Most jobs that are suggested: the newest.
_MOST: Final = 100

_Pairs = Iterable[tuple[str, str]]


def job_ids(
    context: click.Context, parameter: click.Parameter, typed: str
) -> list[CompletionItem[str]]:
    """Give the ids of the newest jobs; after `job-000012..` the ends of a range."""
    del parameter
    first, dots, last = typed.rpartition("..")
    found = _asked(context, _jobs, last)
    return [CompletionItem(f"{first}{dots}{one.value}", help=one.help) for one in found]


def site_ids(
    context: click.Context, parameter: click.Parameter, typed: str
) -> list[CompletionItem[str]]:
    """Give the ids of the sites."""
    del parameter
    return _asked(context, _sites, typed)


def accelerator_ids(
    context: click.Context, parameter: click.Parameter, typed: str
) -> list[CompletionItem[str]]:
    """Give the ids of the catalogue."""
    from tieline.model.catalogue import catalogue  # noqa: PLC0415 - reads the catalogue

    del context, parameter
    return _items(((one.id, one.name) for one in catalogue().values()), typed)


def _asked(
    context: click.Context, ask: Callable[[str | None], _Pairs], typed: str
) -> list[CompletionItem[str]]:
    try:
        return _items(ask(context.params.get("url")), typed)
    except TielineError:
        return []


def _jobs(url: str | None) -> _Pairs:
    from tieline.client import Client, find_url  # noqa: PLC0415 - loads the client
    from tieline.wire.schemas import named  # noqa: PLC0415

    with Client(find_url(url), timeout_s=_PATIENCE_S, patience_s=0) as client:
        found = client.jobs(limit=_MOST)
    return [(job.id, f"{named(job.status)} {job.name or job.workload}") for job in found]


def _sites(url: str | None) -> _Pairs:
    from tieline.client import Client, find_url  # noqa: PLC0415 - loads the client

    with Client(find_url(url), timeout_s=_PATIENCE_S, patience_s=0) as client:
        found = client.sites().sites
    return [(site.id, site.state) for site in found]


def _items(pairs: _Pairs, typed: str) -> list[CompletionItem[str]]:
    return [CompletionItem(one, help=words) for one, words in pairs if one.startswith(typed)]
