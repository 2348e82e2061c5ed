"""The figures in the pages are those that the code gives."""

import re
from pathlib import Path

import pytest

from tieline.cli.main import COMMANDS
from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.scheduling.registry import policy_named
from tieline.simulation.comparison import compare
from tieline.simulation.replay import replay
from tieline.traces.registry import read_trace

ROOT = Path(__file__).parents[2]


def page(*parts: str) -> str:
    """Give the text of a page, its lines joined."""
    return " ".join(ROOT.joinpath(*parts).read_text(encoding="utf-8").split())


@pytest.mark.timeout(300)
def test_joining_philly(traces: Path) -> None:
    """Philly at 40 % of its machines waits as long as the pages say, apart and joined."""
    network = read_network(ROOT / "examples" / "networks" / "philly.yaml")
    trace = read_trace(str(traces / "philly_jobs" / "philly.csv.zst"))
    accelerators = {**catalogue(), **{one.id: one for one in network.accelerators}}
    at = compare(
        network,
        0.4,
        [policy_named(name) for name in ("isolated", "price")],
        lambda scaled, policy: replay(scaled, trace, policy, accelerators),
    )
    assert at.same_jobs is not None
    apart = at.same_jobs.mean_wait_s["isolated"] or 0.0
    joined = at.same_jobs.mean_wait_s["price"] or 0.0
    readme, explained = page("README.md"), page("docs", "explanation", "replay.md")
    minutes = round(apart / 60)
    row = rf"\| 40 % \| {at.network.capacity:,} \| {minutes // 60} h {minutes % 60} min \|"
    assert re.search(rf"{row} \S+ s \| {joined:.1f} s \|", readme)
    row = rf"\| 0\.4 \| {at.network.capacity:,} \| {apart:,.0f} \|"
    assert re.search(rf"{row} \S+ \| \S+ \| {joined:.1f} \|", explained)
    assert f"the {at.same_jobs.jobs:,} jobs that run in both cases" in readme
    assert f"{len(trace):,} jobs" in readme


def test_catalogue() -> None:
    """The catalogue has as many accelerators as the changelog says."""
    assert f"A catalogue of {len(catalogue())} accelerators" in page("CHANGELOG.md")


def test_commands() -> None:
    """The changelog names every command."""
    named = {
        word for code in re.findall(r"`([^`]+)`", page("CHANGELOG.md")) for word in code.split()
    }
    assert set(COMMANDS) - named == set()
