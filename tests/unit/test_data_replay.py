"""Replays with data: the column of the trace, what was moved, and why a job waits."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tieline.control.cycle import Observations, run_cycle
from tieline.control.replicas import Move
from tieline.control.state import State
from tieline.files.network import network_to_dict, read_network
from tieline.model.catalogue import catalogue
from tieline.model.errors import InputError
from tieline.model.job import JobKind
from tieline.model.rates import RateBook
from tieline.model.reasons import Reason
from tieline.model.trace import Trace
from tieline.model.workload import Workload
from tieline.scheduling.explain import explain
from tieline.scheduling.registry import policy_named
from tieline.simulation.conditions import Conditions
from tieline.simulation.replay import first_jobs, replay
from tieline.simulation.summary import summarise
from tieline.traces.registry import read_trace

EXAMPLES = Path(__file__).parents[2] / "examples"
NETWORK = read_network(EXAMPLES / "networks" / "data.yaml")
PRICE = policy_named("price")


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Give the jobs of the example."""
    return read_trace(EXAMPLES / "traces" / "data.csv")


def test_example_moves_data_and_says_how_much(trace: Trace) -> None:
    """Moved bytes are whole datasets, their cost is that of the links, and all jobs run."""
    summary = summarise(replay(NETWORK, trace, PRICE, catalogue()), None)
    assert summary.finished == len(trace)
    smallest = min(dataset.size_bytes for dataset in NETWORK.datasets)
    assert summary.moved_bytes >= smallest
    assert summary.moved_bytes % smallest == 0  # 400 GB divides all four
    rates = [link.usd_per_byte for link in NETWORK.links]
    assert min(rates) <= summary.moved_usd / summary.moved_bytes <= sum(rates)


def test_in_rounds_nobody_moves_data_ahead(trace: Trace) -> None:
    """With rounds jobs fetch their data themselves, and nothing is counted as moved."""
    few = first_jobs(trace, 10)
    done = replay(NETWORK, few, PRICE, catalogue(), conditions=Conditions(round_s=360.0))
    assert done.ran.all()
    assert done.schedule.moved.tolist() == [0.0, 0.0]


def test_dataset_that_the_network_lacks(trace: Trace) -> None:
    """A trace that names an unknown dataset is refused, with the name and the nearest ones."""
    wrong = replace(trace, datasets=("web-txt", *trace.datasets[1:]))
    with pytest.raises(InputError, match=r"column dataset: found 'web-txt'.*nearest: web-text"):
        replay(NETWORK, wrong, PRICE, catalogue())


def test_why_a_job_with_data_on_its_way_waits() -> None:
    """Pools in regions that lack its data answer `DATA` while it waits, which waiting cures."""
    state = State(NETWORK, PRICE, catalogue(), RateBook(catalogue()), moves_data=True)
    kind = state.intern(JobKind("lab-coast", Workload("training"), 8, datasets=("web-text",)))
    state.add(np.array([kind], np.int32), np.array([1e6]), np.zeros(1))
    actions, _, _ = run_cycle(state, Observations(submitted=np.zeros(1, np.int64)), 0.0)
    assert [(move.dataset, move.to) for move in actions.moves] == [("web-text", "hills")]
    told = explain(state.snapshot, PRICE, NETWORK.pools, 0)
    assert not told.never
    assert [answer.reasons for answer in told.answers[1:]] == [(Reason.DATA,)] * 2
    arrived = Observations(arrived=actions.moves)
    actions, _, _ = run_cycle(state, arrived, 3200.0)
    assert actions.pools.tolist() == [1]


def test_data_that_no_cache_can_hold() -> None:
    """A region whose caches are smaller than the data is closed to the job for good."""
    small = tuple(replace(site, cache_bytes=1e9) for site in NETWORK.sites)
    network = replace(NETWORK, sites=small)
    state = State(network, PRICE, catalogue(), RateBook(catalogue()), moves_data=True)
    state.intern(JobKind("lab-coast", Workload("training"), 8, datasets=("web-text",)))
    assert state.bars()[0].tolist() == [0, int(Reason.STORAGE), int(Reason.STORAGE)]


def test_arrival_of_what_was_not_sent_is_refused() -> None:
    """The world cannot report data that is not on its way."""
    state = State(NETWORK, PRICE, catalogue(), RateBook(catalogue()), moves_data=True)
    state.intern(JobKind("lab-coast", Workload("training"), 8, datasets=("web-text",)))
    with pytest.raises(InputError, match="it was not on its way"):
        run_cycle(state, Observations(arrived=(Move("web-text", "coast", "hills"),)), 0.0)


def test_cache_and_worth_of_an_hour_are_kept() -> None:
    """What a network file says of caches and money is in the network, and is written back."""
    assert [site.cache_bytes for site in NETWORK.sites] == [20e12, 12e12, 20e12]
    assert NETWORK.usd_per_accelerator_hour == 2
    written = network_to_dict(NETWORK)
    assert [site["cache"] for site in written["sites"]] == [20e12, 12e12, 20e12]
    assert written["usd_per_accelerator_hour"] == 2
