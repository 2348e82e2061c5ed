"""`tieline up`: runs a network until it is told to stop."""

import logging
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final, get_args
from urllib.parse import quote, urlsplit

import click
import uvicorn
from fastapi import FastAPI

from tieline.client.address import DEFAULT_URL, leave_note, state_home, take_note_away
from tieline.client.credentials import CA_VARIABLE
from tieline.control.lifecycle import Status
from tieline.files.access import AccessRules, read_access
from tieline.files.network import read_network
from tieline.model.errors import InputError
from tieline.model.network import Network
from tieline.scheduling.registry import DEFAULT_POLICY, POLICIES
from tieline.service.api.app import create_app
from tieline.service.api.forward import add_forwarding
from tieline.service.api.guard import is_loopback
from tieline.service.api.server import Patience, Tls, server
from tieline.service.composition import Placement, running
from tieline.service.logs import Form, set_up
from tieline.service.metrics import Metrics

_LISTEN: Final = DEFAULT_URL.removeprefix("http://")
_AT_A_SITE: Final = [status for status in Status if status.holds_accelerators]
_FILE: Final = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Front:
    """How the service meets those who call it."""

    listen: str
    access: AccessRules | None
    """None: it asks nobody who they are."""
    tls: Tls | None
    behind_proxy: bool
    """Whether a proxy in front of it does TLS."""
    advertise: str | None = None
    """Address by which other control planes reach it; None: as it listens."""

    def check(self) -> None:
        """Demand that what others can reach asks who they are, over TLS.

        Raises
        ------
        InputError
            It would not.
        """
        if self.tls:
            self.tls.check()
            if self.behind_proxy:
                raise InputError("--behind-tls-proxy: with --tls-cert the service does TLS itself")
        if is_loopback(self.listen) and not self.behind_proxy:
            return
        missing = []
        if self.access is None:
            missing.append("--access ACCESS.yaml, which says who may come in")
        if self.tls is None and not self.behind_proxy:
            missing.append(
                "--tls-cert and --tls-key, or --behind-tls-proxy where a proxy does TLS"
            )
        if missing:
            needed = "; and ".join(missing)
            raise InputError(f"--listen {self.listen}: others can reach it; needed: {needed}")


@click.command()
@click.argument("network_file", metavar="NETWORK", type=click.Path())
@click.option(
    "--store",
    "store_url",
    metavar="URL",
    help="Where jobs are kept, such as sqlite:///jobs.db or postgresql://user@host/database; a "
    "file in --dir by default.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default=_LISTEN,
    show_default=True,
    help="Where the API listens; port 0 takes a free one. Anywhere but on this machine it needs "
    "--access and TLS.",
)
@click.option(
    "--access",
    "access_file",
    metavar="ACCESS",
    type=_FILE,
    help="Ask callers who they are, by the rules of this file; without it nobody is asked.",
)
@click.option("--tls-cert", metavar="FILE", type=_FILE, help="Certificate, PEM, with its chain.")
@click.option("--tls-key", metavar="FILE", type=_FILE, help="Its key, PEM, without password.")
@click.option(
    "--behind-tls-proxy", is_flag=True, help="A proxy in front does TLS; --access names it."
)
@click.option(
    "--advertise",
    metavar="URL",
    help="Address by which others reach it; by default that of --listen, with the first of the "
    "hosts in --access where it listens everywhere.",
)
@click.option(
    "--api-only", is_flag=True, help="Serve the API and never lead; needs a shared --store."
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
    type=_FILE,
    help="Where this network's store and runs are kept; by default a folder for its "
    "name under XDG_STATE_HOME (~/.local/state/tieline/networks).",
)
@click.option(
    "--log-format",
    type=click.Choice(get_args(Form)),
    default="text",
    show_default=True,
    help="How lines of the log are written to standard error.",
)
@click.option("--verbose", is_flag=True, help="Log every event and every request.")
def up(  # noqa: PLR0913 - one for each option
    network_file: str,
    *,
    store_url: str | None,
    listen: str,
    access_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_tls_proxy: bool,
    advertise: str | None,
    api_only: bool,
    policy: str,
    directory: Path | None,
    log_format: Form,
    verbose: bool,
) -> None:
    """Run the network of a file: schedule jobs on its sites and serve the API.

    Ctrl-C stops it. Jobs run on, and the next `tieline up` takes them up again.
    """
    set_up(log_format, logging.INFO if verbose else logging.WARNING)
    network = read_network(network_file)
    rules = read_access(access_file) if access_file else None
    front = Front(listen, rules, _tls(tls_cert, tls_key), behind_tls_proxy, advertise)
    if api_only and (store_url is None or store_url.startswith("sqlite:")):
        raise InputError("--api-only: needs a --store that several processes share, of PostgreSQL")
    home = directory or state_home() / "networks" / quote(network.name, safe="")
    with _listening(front) as door:
        place = Placement(home, store_url, lead=not api_only, url=_url(door, front))
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
        run_on = _run(network, place, policy, door, front)
    jobs = "1 job runs" if run_on == 1 else f"{run_on:,} jobs run"
    click.echo(f"stopped; {jobs} on, the next `tieline up` goes on from here")


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise InputError("--tls-cert, --tls-key: give both or none")
    return Tls(certificate, key)


def _run(
    network: Network, place: Placement, policy: str, door: socket.socket, front: Front
) -> int:
    """Serve until a signal asks for the end; give the number of jobs that run on."""
    metrics = Metrics()
    with running(network, place, policy=policy, metrics=metrics) as plane:
        leave_note(place.url)
        try:
            click.echo(_greeting(network, policy, place.url))
            app = create_app(plane, access=front.access, metrics=metrics)
            add_forwarding(app, plane, ca_file=_authority())
            _serve(_server(app, front), door)
            return len(plane.jobs(status=_AT_A_SITE, limit=network.capacity))
        finally:
            take_note_away(place.url)


def _greeting(network: Network, policy: str, url: str) -> str:
    return (
        f"{network.name} is up at {url}: {len(network.sites)} sites, {network.capacity:,} "
        f"accelerators, policy {policy}; Ctrl-C stops it, jobs run on"
    )


def _listening(front: Front) -> socket.socket:
    """Give a socket that listens at the address."""
    listen = front.listen
    wrong = f"--listen {listen}: write HOST:PORT, such as {_LISTEN}"
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InputError(wrong) from None
    if host is None or port is None or parts.netloc != listen:
        raise InputError(wrong)
    front.check()
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise InputError(f"--listen {listen}: {error.strerror}") from None
    family, kind, protocol, _, address = found[0]
    # With its protocol the server knows it for TCP, and sends answers without delay.
    door = socket.socket(family, kind, protocol)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(address)
        door.listen()  # whoever connects from now on is answered as soon as all is up
    except OSError as error:
        door.close()
        raise InputError(f"--listen {listen}: {error.strerror}; port 0 takes a free one") from None
    return door


def _url(door: socket.socket, front: Front) -> str:
    """Give the address by which others reach the service."""
    if front.advertise is not None:
        return front.advertise.rstrip("/")
    host, port = door.getsockname()[:2]
    if ip_address(host).is_unspecified and front.access:
        host = min(front.access.hosts, default=host)
    scheme = "https" if front.tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _authority() -> Path | None:
    """Give who vouches for the other control planes, as for the client."""
    file = os.environ.get(CA_VARIABLE)
    return Path(file) if file else None


def _server(app: FastAPI, front: Front) -> uvicorn.Server:
    rules = front.access or AccessRules()
    patience = Patience(connections=rules.limits.connections)
    proxies = rules.proxies if front.behind_proxy else ()
    return server(app, patience=patience, tls=front.tls, proxies=proxies)


def _serve(serving: uvicorn.Server, door: socket.socket) -> None:
    """Answer requests until a signal asks for the end."""
    # The server takes signals while it runs, ends in peace and raises them again.
    with suppress(KeyboardInterrupt):
        serving.run(sockets=[door])
