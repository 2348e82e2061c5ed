"""The demo on the screen while it runs: a live view on a terminal, else one line per placement."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tieline.cli.demo.course import Scene, Watcher
from tieline.cli.demo.placement import Cause, Placed
from tieline.cli.screen import span
from tieline.control.lifecycle import Status
from tieline.model.network import Network

#: Placements shown on a terminal, the last ones.
_LAST: Final = 8
#: From this width on there is room for the rates.
_WIDE: Final = 100
#: Signs of a bar at most: one per accelerator up to here.
_WIDEST_BAR: Final = 16
_STYLES: Final = {
    Cause.HOME: "",
    Cause.CANNOT: "magenta",
    Cause.FULL: "yellow",
    Cause.FASTER: "green",
    Cause.DEARER: "cyan",
}


@contextmanager
def view(network: Network, screen: Console) -> Iterator[Watcher]:
    """Give the function that shows a scene."""
    if screen.is_terminal:
        with Live(console=screen, auto_refresh=False) as live:
            yield lambda scene: live.update(_picture(scene, network, screen.width), refresh=True)
        return
    told: set[str] = set()

    def tell(scene: Scene) -> None:
        for job_id, one in scene.placed.items():
            if job_id not in told:
                told.add(job_id)
                screen.print(_line(one, scene, one.words), soft_wrap=True)

    yield tell


def _line(one: Placed, scene: Scene, words: str) -> Text:
    at = (one.job.placed_at or 0.0) - scene.jobs[0].submitted_at
    what = f"{one.job.tenant}/{one.job.name}"
    return Text.assemble(
        (f"{at:5.1f}s ", "dim"),
        f"{what:24.24} {one.job.count:>2} {one.pool.id:27} ",
        (words, _STYLES[one.cause]),
        no_wrap=True,
    )


def _picture(scene: Scene, network: Network, width: int) -> RenderableType:
    last = list(scene.placed.values())[-_LAST:]
    lines = [_line(one, scene, one.words if width >= _WIDE else str(one.cause)) for one in last]
    return Group(_centres(scene, network), Text(), _counts(scene), Text(), *lines)


def _centres(scene: Scene, network: Network) -> Table:
    regions = {region.id: region.name or region.id for region in network.regions}
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column()
    grid.add_column(no_wrap=True)
    grid.add_column(justify="right")
    grid.add_column(justify="right", style="dim")
    for site in network.sites:
        grid.add_row(Text.assemble((site.id, "bold"), f" {regions[site.region]}"))
        for pool in scene.pools:
            if pool.site == site.id:
                used = pool.capacity - pool.free
                grid.add_row(
                    f"  {pool.accelerator}",
                    _bar(used, pool.capacity),
                    f"{used}/{pool.capacity}",
                    f"{pool.waiting} waiting",
                )
    return grid


def _bar(used: int, capacity: int) -> Text:
    width = min(capacity, _WIDEST_BAR)
    full = round(width * min(1.0, used / capacity))
    return Text.assemble(("█" * full, "cyan"), ("░" * (width - full), "dim"))


def _counts(scene: Scene) -> Text:
    started = (Status.SUBMITTED, Status.RUNNING)
    return Text.assemble(
        (f"{span(scene.elapsed_s):>6}  ", "dim"),
        f"{scene.count(Status.QUEUED)} waiting, {scene.count(*started)} running, ",
        (f"{scene.count(Status.SUCCEEDED)} done", "green"),
        f", {scene.planned - len(scene.jobs)} still to come",
        (f"; {len(scene.never)} can never run" if scene.never else "", "red"),
    )
