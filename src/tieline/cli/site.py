"""`tieline site`: what is at each site, closing one to new work, and the pools of a new one."""

import time
from collections.abc import Sequence
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tieline.cli.remote import AS_JSON, SITES, URL, connected
from tieline.cli.screen import console, print_json, span, table
from tieline.cli.site_pools import block
from tieline.cli.suggestions import site_ids
from tieline.client import Client
from tieline.client.following import patiently
from tieline.model.errors import NotFoundError
from tieline.service.discovery import discovered
from tieline.wire.schemas import Site

_STYLES: Final = {"open": "green", "drained": "yellow", "closed": "red", "quarantined": "red"}
#: Between two looks while a site is waited for [s].
_POLL_S: Final = 0.5
#: The loop lifts a quarantine when it goes round next [s].
_HEEDED_S: Final = 5.0

_ID: Final = click.argument("site_id", metavar="ID", shell_complete=site_ids)


@click.group()
def site() -> None:
    """Look at sites, close them to new work, find their pools."""


@site.command(name="list")
@AS_JSON
@URL
def list_sites(url: str | None, *, as_json: bool) -> None:
    """List the sites and whether they take new work."""
    with connected(url, SITES) as client:
        found = client.sites()
    if as_json:
        print_json(found)
        return
    _show_table(console(), found.sites)


@site.command()
@click.argument("site_id", metavar="[ID]", required=False, shell_complete=site_ids)
@AS_JSON
@URL
def status(site_id: str | None, url: str | None, *, as_json: bool) -> None:
    """Show everything about one site, or about each."""
    with connected(url, SITES) as client:
        found = client.sites().sites if site_id is None else [_site(client, site_id)]
    if as_json:
        print_json({"sites": [one.model_dump(mode="json") for one in found]})
        return
    screen = console()
    for number, one in enumerate(found):
        if number:
            screen.print()
        _show(screen, one)


@site.command()
@_ID
@click.option("--reason", default="", metavar="TEXT", help="Why, for all who look at the site.")
@click.option("--wait", is_flag=True, help="Wait until nothing runs there any more.")
@AS_JSON
@URL
def drain(site_id: str, url: str | None, *, reason: str, wait: bool, as_json: bool) -> None:
    """Close a site to new work; what runs there goes on.

    It stays closed, also when the control plane starts again, until `tieline site resume`.
    """
    with connected(url, SITES) as client:
        found = client.drain(site_id, reason=reason)
        if wait:
            with console(stderr=True).status("") as line:  # shown on a terminal only
                while found.running:
                    line.update(f"{site_id}: {_running(found)}")
                    time.sleep(_POLL_S)
                    found = patiently(lambda: _site(client, site_id))
    _tell(found, as_json=as_json)


@site.command()
@_ID
@AS_JSON
@URL
def resume(site_id: str, url: str | None, *, as_json: bool) -> None:
    """Open a site to new work again: one that is drained, or in quarantine."""
    with connected(url, SITES) as client:
        found = client.resume(site_id)
        give_up = time.monotonic() + _HEEDED_S
        while found.state == "quarantined" and time.monotonic() < give_up:
            time.sleep(_POLL_S)
            found = patiently(lambda: _site(client, site_id))
    _tell(found, as_json=as_json)


@site.command()
@click.argument("network_file", metavar="NETWORK", type=click.Path())
@click.argument("site_id", metavar="SITE")
@click.option("--partition", metavar="NAME", help="Only the pools of this partition.")
@click.option("--json", "as_json", is_flag=True, help="Print all as one JSON document.")
def discover(network_file: str, site_id: str, *, partition: str | None, as_json: bool) -> None:
    """Ask a Slurm site for its pools, and print them for its entry in the network file.

    Reads how to reach the site from NETWORK, in which `pools` may still be missing there.
    """
    found = discovered(network_file, site_id)
    if as_json:
        print_json({"pools": found})
    else:
        click.echo(block(found, partition))


def _site(client: Client, site_id: str) -> Site:
    for one in client.sites().sites:
        if one.id == site_id:
            return one
    raise NotFoundError(f"there is no site {site_id!r}")


def _tell(found: Site, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found.id} is {found.state}; {_running(found)}")


def _running(found: Site) -> str:
    if not found.running:
        return "nothing runs there"
    return "1 job runs there" if found.running == 1 else f"{found.running:,} jobs run there"


def _show_table(screen: Console, found: Sequence[Site]) -> None:
    made = table("site", "state", ">usable", ">jobs", "problem", fold=("problem",))
    for one in found:
        state = Text(one.state, style=_STYLES[one.state])
        made.add_row(one.id, state, _usable(one), f"{one.running}", one.problem)
    screen.print(made)
    screen.print("\nusable: accelerators that work and that no stranger holds", style="dim")


def _show(screen: Console, one: Site) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for head, value in (
        ("site", Text(one.id)),
        ("state", Text(one.state, style=_STYLES[one.state])),
        ("problem", Text(one.problem or "-")),
        ("region", Text(one.region)),
        ("engine", Text(one.engine)),
        ("usable", Text(f"{_usable(one)} accelerators")),
        ("running", Text(f"{one.running:,} job{'s' * (one.running != 1)}")),
        ("last answer", Text("none yet" if one.silent_s is None else f"{span(one.silent_s)} ago")),
    ):
        grid.add_row(head, value)
    screen.print(grid)


def _usable(one: Site) -> str:
    now = "?" if one.capacity_now is None else f"{one.capacity_now:,}"
    return f"{now}/{one.capacity:,}"
