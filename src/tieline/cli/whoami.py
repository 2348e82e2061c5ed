"""`tieline whoami`: whom the control plane takes the caller for."""

import click

from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import print_json


@click.command()
@AS_JSON
@URL
def whoami(url: str | None, *, as_json: bool) -> None:
    """Say whom the control plane takes you for, and what you may do.

    An operator may do everything, a member what is its tenant's, an auditor only look.
    """
    with connected(url) as client:
        found = client.whoami()
    if as_json:
        print_json(found)
        return
    tenant = "" if found.tenant is None else f" of tenant {found.tenant}"
    click.echo(f"{found.name}: {found.role}{tenant}")
