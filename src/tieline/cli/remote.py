"""What the commands that talk to a control plane share: where it is, and unknown jobs."""

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


@contextmanager
def connected(url: str | None) -> Iterator[Client]:
    """Give a client of the control plane, and say what to do about an unknown job."""
    with Client(find_url(url)) as client:
        try:
            yield client
        except NotFoundError as error:
            raise InputError(f"{error}; `tieline jobs` lists the jobs") from None
