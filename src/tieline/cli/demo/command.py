"""The command itself: sets the scene, lets it run, replays it, and tells."""

import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from tieline.cli.demo import compare, report
from tieline.cli.demo.course import follow, outcome
from tieline.cli.demo.live import view
from tieline.cli.demo.server import serving
from tieline.cli.demo.workload import plan
from tieline.cli.screen import console, print_json
from tieline.files.fit import Offer
from tieline.files.network import read_network
from tieline.scheduling.registry import DEFAULT_POLICY, POLICIES

#: The policy that stands for centres that are not joined.
_APART: Final = "isolated"


@click.command()
@click.option("--seed", default=1, show_default=True, help="Other jobs at other moments.")
@click.option(
    "--policy",
    type=click.Choice(list(POLICIES)),
    default=DEFAULT_POLICY,
    show_default=True,
    help="How the live network orders and values jobs.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def demo(*, seed: int, policy: str, as_json: bool) -> None:
    """Join three centres on this machine and run real jobs on them.

    Three tenants with unevenly loaded home centres submit some fifty jobs, each a real process.
    At the end the same jobs run through the simulator as if the centres were separate. Takes
    about half a minute, works in a folder of its own and leaves nothing behind.
    """
    began = time.monotonic()
    screen = console(stderr=as_json)
    with (
        tempfile.TemporaryDirectory(prefix="tieline-demo-") as folder,
        as_file(files(__package__) / "network.yaml") as network_file,
    ):
        told = _run(network_file, Path(folder), policy, seed, screen)
    took_s = time.monotonic() - began
    if as_json:
        print_json({"policy": policy, "seed": seed, "took_s": took_s, **told.document()})
    else:
        report.show(screen, told)
        screen.print(f"\n{took_s:.0f} s; nothing is left running", style="dim")


def _run(
    network_file: Path, folder: Path, policy: str, seed: int, screen: Console
) -> report.Report:
    network = read_network(network_file)
    offer = Offer(network)
    jobs = plan(offer, seed)
    screen.print(
        f"{len(network.sites)} centres, {network.capacity} accelerators, "
        f"{len(network.tenants)} tenants, {len(jobs)} jobs, policy {policy}"
    )
    homes = ", ".join(f"{tenant.id} at {tenant.home}" for tenant in network.tenants)
    screen.print(f"at home: {homes}")
    screen.print("starting the control plane, a process of its own\n", style="dim")
    with serving(network_file, folder, policy) as client:
        with view(network, screen) as show:
            scene = follow(client, offer, jobs, show)
        live = outcome(client, scene)
    policies = dict.fromkeys((policy, _APART))
    replays = [compare.replay(offer, name, live) for name in policies]
    return report.Report(scene=scene, live=live, replays=replays, network=network)
