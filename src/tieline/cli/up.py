"""`tieline up`: runs a network until it is told to stop."""

import logging
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import click
import uvicorn

from tieline.client.address import DEFAULT_URL, leave_note, state_home, take_note_away
from tieline.control.lifecycle import Status
from tieline.files.network import read_network
from tieline.model.errors import InputError
from tieline.model.network import Network
from tieline.scheduling.registry import DEFAULT_POLICY, POLICIES
from tieline.service.api import create_app
from tieline.service.composition import Placement, running
from tieline.service.control_plane import ControlPlane
from tieline.service.guard import is_loopback

_LISTEN: Final = DEFAULT_URL.removeprefix("http://")
_AT_A_SITE: Final = [status for status in Status if status.holds_accelerators]
#: Requests under way when it stops get so long to be answered [s].
_FAREWELL_S: Final = 3


@click.command()
@click.argument("network_file", metavar="NETWORK")
@click.option(
    "--store",
    "store_url",
    metavar="URL",
    help="Where jobs are kept, such as sqlite:///jobs.db; a file in --dir by default.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default=_LISTEN,
    show_default=True,
    help="Where the API listens; port 0 takes a free one.",
)
@click.option(
    "--policy",
    type=click.Choice(sorted(POLICIES)),
    default=DEFAULT_POLICY,
    show_default=True,
    help="How jobs are ordered and valued.",
)
@click.option(
    "--dir",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where this network's store and runs are kept; by default a folder for its "
    "name under XDG_STATE_HOME (~/.local/state/tieline/networks).",
)
@click.option("--verbose", is_flag=True, help="Log every event to standard error.")
def up(
    network_file: str,
    *,
    store_url: str | None,
    listen: str,
    policy: str,
    directory: Path | None,
    verbose: bool,
) -> None:
    """Run the network of a file: schedule jobs on its sites and serve the API.

    Ctrl-C stops it. Jobs run on, and the next `tieline up` takes them up again.
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s level=%(levelname)s %(message)s",
    )
    network = read_network(network_file)
    home = directory or state_home() / "networks" / quote(network.name, safe="")
    with _listening(listen) as door:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
        run_on = _run(network, Placement(home, store_url), policy, door)
    jobs = "1 job runs" if run_on == 1 else f"{run_on:,} jobs run"
    click.echo(f"stopped; {jobs} on, the next `tieline up` goes on from here")


def _run(network: Network, place: Placement, policy: str, door: socket.socket) -> int:
    """Serve until a signal asks for the end; give the number of jobs that run on."""
    url = _url(door)
    with running(network, place, policy=policy) as plane:
        leave_note(url)
        try:
            click.echo(_greeting(network, policy, url))
            _serve(plane, door)
            return len(plane.jobs(status=_AT_A_SITE, limit=network.capacity))
        finally:
            take_note_away(url)


def _greeting(network: Network, policy: str, url: str) -> str:
    return (
        f"{network.name} is up at {url}: {len(network.sites)} sites, {network.capacity:,} "
        f"accelerators, policy {policy}; Ctrl-C stops it, jobs run on"
    )


def _listening(listen: str) -> socket.socket:
    """Give a socket that listens at the address."""
    wrong = f"--listen {listen}: write HOST:PORT, such as {_LISTEN}"
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InputError(wrong) from None
    if host is None or port is None or parts.netloc != listen:
        raise InputError(wrong)
    if not is_loopback(listen):
        raise InputError(
            f"--listen {listen}: the API asks nobody who they are, so it listens on this machine "
            f"only, such as {_LISTEN}; reach it from another one through an SSH tunnel"
        )
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    door = socket.socket(family, kind)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(address)
        door.listen()  # whoever connects from now on is answered as soon as all is up
    except OSError as error:
        door.close()
        raise InputError(f"--listen {listen}: {error.strerror}; port 0 takes a free one") from None
    return door


def _url(door: socket.socket) -> str:
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _serve(plane: ControlPlane, door: socket.socket) -> None:
    """Answer requests until a signal asks for the end."""
    # The server takes signals while it runs, ends in peace and raises them again.
    with suppress(KeyboardInterrupt):
        config = uvicorn.Config(
            create_app(plane),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_FAREWELL_S,
        )
        uvicorn.Server(config).run(sockets=[door])
