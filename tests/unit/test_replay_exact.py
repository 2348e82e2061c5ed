"""Replays of recorded traces whose right answers are known or were measured independently."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.model.trace import Trace
from tieline.scheduling.registry import policy_named
from tieline.simulation.bound import bound_of
from tieline.simulation.replay import Replay, first_jobs, replay
from tieline.simulation.scaling import scaled
from tieline.simulation.summary import same_jobs, summarise
from tieline.traces.registry import read_trace

NETWORKS = Path(__file__).parents[2] / "examples" / "networks"
VENUS = "helios_venus_jobs/helios_trace.csv.zst"
PHILLY = "philly_jobs/philly.csv.zst"

Replayed = Callable[..., Replay]


@pytest.fixture
def replayed(traces: Path) -> Replayed:
    """Give the function that replays a recorded trace on an example network."""

    def run(
        network: str, trace: str, policy: str, *, scale: float = 1.0, limit: int | None = None
    ) -> Replay:
        base = read_network(NETWORKS / f"{network}.yaml")
        accelerators = {**catalogue(), **{one.id: one for one in base.accelerators}}
        read: Trace = read_trace(traces / trace)
        cut = first_jobs(read, limit or len(read))
        return replay(scaled(base, scale), cut, policy_named(policy), accelerators)

    return run


def test_fifo_on_venus_is_exact(replayed: Replayed) -> None:
    """One pool of one node under strict first come first served has one right answer."""
    summary = summarise(replayed("pool-1000", VENUS, "fifo"), None)
    assert (summary.finished, summary.rejected) == (125_303, 0)
    assert summary.mean_jct_s == pytest.approx(9089.670391, rel=1e-9)
    assert summary.mean_wait_s == pytest.approx(1.946410, rel=1e-6)


def test_fifo_on_philly_is_exact(replayed: Replayed) -> None:
    """The same holds for a trace whose rows are not in order of time, with ties by row."""
    done = replayed("pool-700", PHILLY, "fifo")
    summary = summarise(done, bound_of(done))
    assert (summary.finished, summary.rejected) == (82_247, 0)
    assert summary.mean_jct_s == pytest.approx(18743.186402, rel=1e-9)
    assert summary.mean_wait_s == pytest.approx(5607.255000, rel=1e-9)
    assert summary.makespan_s == 9_408_754.0
    assert summary.gap_mean is None
    assert summary.mean_price_by_pool is None
    assert summary.bound_ratio is not None
    assert 1.0 <= summary.bound_ratio < 1.5


def test_joining_philly_pays(replayed: Replayed) -> None:
    """At two fifths of its nodes Philly's jobs wait far less joined than in separate centres."""
    names = ("isolated", "backfill", "price")
    done = {name: replayed("philly", PHILLY, name, scale=0.4, limit=20_000) for name in names}
    same = same_jobs(list(done.values()))
    assert same is not None
    assert same.jobs == done["isolated"].ran.sum() < 20_000
    separate = same.mean_wait_s["isolated"]
    assert separate is not None
    for name in ("backfill", "price"):
        joined = same.mean_wait_s[name]
        assert joined is not None
        assert joined < separate / 100
    assert set(summarise(done["isolated"], None).rejected_for) == {"home"}
    clearing = done["price"].clearing
    assert clearing is not None
    assert 0 <= clearing.gap_mean < 0.01
    assert np.isfinite(clearing.price).all()
