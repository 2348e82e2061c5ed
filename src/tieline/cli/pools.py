"""`tieline pools` and `tieline prices`: the state of the network, and what it is worth."""

import click
from rich.text import Text

from tieline.cli.remote import AS_JSON, URL, connected
from tieline.cli.screen import console, print_json, span, table
from tieline.wire.schemas import Pool


@click.command()
@AS_JSON
@URL
def pools(url: str | None, *, as_json: bool) -> None:
    """Show every pool: what is in use, free and waited for."""
    with connected(url) as client:
        found = client.pools()
    if as_json:
        print_json(found)
        return
    screen = console()
    made = table(
        "pool", ">in use", ">free", ">node", ">jobs", ">wait", "trust", fold=("pool", "trust")
    )
    for pool in found.pools:
        made.add_row(
            pool.id,
            f"{pool.usable - pool.free}/{pool.usable}",
            f"{pool.free}",
            f"{pool.largest}",
            f"{pool.running}",
            f"{pool.waiting}",
            ", ".join(pool.trust),
        )
    screen.print(made)
    for pool in found.pools:
        if not pool.open:
            screen.print(_closed(pool))
        if pool.usable < pool.capacity:
            screen.print(_withheld(pool))
    used = sum(pool.usable - pool.free for pool in found.pools)
    capacity = sum(pool.usable for pool in found.pools)
    screen.print(
        f"\n{used:,} of {capacity:,} accelerators in use. node: most free on one node; jobs: "
        f"running; wait: jobs that may run there",
        style="dim",
    )


def _closed(pool: Pool) -> Text:
    return Text(f"{pool.id} takes no new work: {pool.problem or 'closed'}", style="red")


def _withheld(pool: Pool) -> Text:
    gone = f"{pool.capacity - pool.usable:,} of {pool.capacity:,}"
    return Text(f"{pool.id}: {gone} do not work now, or strangers hold them", style="yellow")


@click.command()
@AS_JSON
@URL
def prices(url: str | None, *, as_json: bool) -> None:
    """Show what an accelerator-hour is worth at each pool.

    The price is the number of jobs that one more accelerator-hour would finish; 0 where
    nobody waits.
    """
    with connected(url) as client:
        found = client.prices()
    if as_json:
        print_json(found)
        return
    screen = console()
    if found.latest is None:
        screen.print("no prices yet: the first cycle is still to come")
        return
    made = table("pool", ">price", fold=("pool",))
    for pool, price in found.latest.prices_per_h.items():
        made.add_row(pool, f"{price:.4g}")
    screen.print(made)
    screen.print("\nfinished jobs per accelerator-hour", style="dim")
    gap = found.latest.gap
    certified = "no certificate" if gap is None else f"certified within {gap:.2%} of the best"
    screen.print(f"policy {found.policy}, {certified}, {span(found.age_s)} ago", style="dim")
