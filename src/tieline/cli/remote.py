"""What the commands that talk to a control plane share: where it is, and what is unknown to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from tieline.client import Client, find_url
from tieline.model.errors import InputError, NotFoundError

URL: Final = click.option(
    "--url",
    metavar="URL",
    help="Control plane to ask; TIELINE_URL or the one started last on this machine by default.",
)
AS_JSON: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)


#: What helps against an unknown id.
_JOBS: Final = "`tieline jobs` lists the jobs"
SITES: Final = "`tieline site list` lists the sites"


@contextmanager
def connected(url: str | None, lister: str = _JOBS) -> Iterator[Client]:
    """Give a client of the control plane, and say what to do about an unknown id."""
    with Client(find_url(url)) as client:
        try:
            yield client
        except NotFoundError as error:
            raise InputError(f"{error}; {lister}") from None
