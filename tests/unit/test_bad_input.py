"""Input that makes no sense, or too much of it: a clear error or a typed rejection, and soon.

One table per door: network files, networks made in Python, jobs, masses.
"""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from loop_bench import Bench, job, network
from tieline.cli.main import cli
from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.files.network import read_network
from tieline.files.problems import FileErrors
from tieline.model.accelerator import Accelerator, Rate
from tieline.model.catalogue import catalogue
from tieline.model.errors import InputError
from tieline.model.job import JobKind
from tieline.model.network import Dataset, Link, Network, Pool, Region, Site
from tieline.model.rates import RateBook
from tieline.model.reasons import Reason
from tieline.model.workload import Workload
from tieline.scheduling.policy import Decision
from tieline.scheduling.registry import POLICIES, policy_named
from tieline.store import open_store
from tieline.wire.schemas import MAX_JOBS

#: A million jobs are taken in and decided on in less processor time [s].
SOON_S = 10.0
MILLION = 1_000_000

FILE = """\
accelerators: [{id: own, stack: cuda, rates: {training: 1}}]
regions: [{id: a}, {id: b}, {id: c}]
links: [{between: [a, b], bandwidth_gbit_s: 10}]
sites:
  - {id: s, region: a, pools: [{accelerator: own, nodes: 1, accelerators_per_node: 8}]}
datasets: [{id: d, size: 1GB, replicas: [s]}]
"""
RATE = "a number from 0 to 1,000"
WIDTH = "allowed: a number above 0 to 1,000,000 Gbit/s"
SIZE = "bytes, or text such as 500MB, 1.5TB or 2TiB; finite and not negative"
LINE_3 = "3: links[0].bandwidth_gbit_s"
TRAINING = "1: accelerators[0].rates.training"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("training: 1", "training: -1", f"{TRAINING}: -1; allowed: {RATE}"),
        (
            "training: 1",
            "training: .nan",
            f"{TRAINING}: .nan; allowed: {RATE}",
        ),
        (
            "training: 1",
            "training: .inf",
            f"{TRAINING}: .inf; allowed: {RATE}",
        ),
        (
            "training: 1",
            "training: 1, training: 2",
            f"{TRAINING}: given a second time, first on line 1; allowed: once",
        ),
        ("_s: 10", "_s: 0", f"{LINE_3}: 0; {WIDTH}"),
        ("_s: 10", "_s: -10", f"{LINE_3}: -10; {WIDTH}"),
        ("_s: 10", "_s: .nan", f"{LINE_3}: .nan; {WIDTH}"),
        ("_s: 10", "_s: .inf", f"{LINE_3}: .inf; {WIDTH}"),
        (
            "[a, b]",
            "[a, a]",
            "3: links[0].between: a link from 'a' to itself; allowed: two regions",
        ),
        (
            "[a, b]",
            "[a, z]",
            "3: links[0].between[1]: unknown region 'z'; allowed: a, b, c",
        ),
        (
            "_s: 10}]",
            "_s: 10}, {between: [b, a], bandwidth_gbit_s: 5}]",
            "3: links[1].between: second link between a and b, first on line 3; allowed: once",
        ),
        (
            "nodes: 1,",
            "nodes: 0,",
            "5: sites[0].pools[0].nodes: 0; allowed: a whole number from 1 to 1,000,000",
        ),
        (
            "size: 1GB",
            "size: -1",
            f"6: datasets[0].size: -1; allowed: {SIZE}",
        ),
    ],
)
def test_a_network_file_is_refused_with_its_line(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    """Impossible rates, links and pools are told with line and field, and what is allowed."""
    path = tmp_path / "net.yaml"
    path.write_text(FILE)
    assert read_network(path).capacity == 8
    assert FILE.count(old) == 1
    path.write_text(FILE.replace(old, new))
    with pytest.raises(FileErrors) as raised:
        read_network(path)
    assert [str(one).removeprefix(f"{path}:") for one in raised.value.problems] == [expected]


def joined(*links: tuple[str, str, float]) -> Network:
    """Give three regions with eight H200s in each; the dataset `d` of 1 GB lies in `a`."""
    sites = tuple(
        Site(f"in-{region}", region, (Pool(f"in-{region}/p", f"in-{region}", "own", 1, 8),))
        for region in "abc"
    )
    return Network(
        "three",
        tuple(Region(one) for one in "abc"),
        sites,
        links=tuple(Link((one, other), width) for one, other, width in links),
        datasets=(Dataset("d", 1e9, frozenset({"in-a"})),),
    )


def state(network: Network, rate: float = 1.0, policy: str = "price") -> State:
    """Give a state whose accelerators run training at this rate."""
    own = Accelerator(
        "own", "own", "V", "US", "cuda", rates={"training": Rate(rate, "measured", "")}
    )
    chips = {**catalogue(), "own": own}
    return State(network, policy_named(policy), chips, RateBook(chips))


RING = (("a", "b", 1e9), ("b", "c", 1e8), ("c", "a", 1e7))


@pytest.mark.parametrize(
    ("links", "stage_s"),
    [
        (RING, [0.0, 1.0, 10.0]),
        ((*RING, ("c", "b", 1e9)), [0.0, 1.0, 1.0]),
        (RING[:1], [0.0, 1.0, math.inf]),
        ((), [0.0, math.inf, math.inf]),
        ((("a", "b", 1e8), ("b", "a", 1e9)), [0.0, 1.0, math.inf]),
        ((("a", "a", 1e3), ("a", "b", 1e9)), [0.0, 1.0, math.inf]),
        ((("a", "b", 0.0), ("b", "c", 1e9)), [0.0, math.inf, math.inf]),
        ((("a", "b", -1e9), ("b", "c", 1e9)), [0.0, math.inf, math.inf]),
        ((("a", "b", math.nan), ("b", "c", 1e9)), [0.0, math.inf, math.inf]),
        ((("a", "b", math.inf),), [0.0, 0.0, math.inf]),
    ],
    ids=[
        *("cycle", "cycle with a wider link", "c is cut off", "no links"),
        *("twice the same link", "link to itself", "no bandwidth", "less than none"),
        *("not a number", "no limit"),
    ],
)
def test_data_takes_the_widest_way_or_none(
    links: tuple[tuple[str, str, float], ...], stage_s: list[float]
) -> None:
    """Rings of links are fine; where no link leads the reason is `LINK`, and only there.

    A link that carries nothing, made in Python past the checks of files, is none.
    """
    made = state(joined(*links))
    kind = made.intern(JobKind("lab", Workload("training"), 8, datasets=("d",)))
    assert made.snapshot.stage[kind, made.snapshot.pools["market"]].tolist() == stage_s
    expected = [int(Reason.LINK) if one == math.inf else 0 for one in stage_s]
    assert made.bars()[kind].tolist() == expected


class Said(RateBook):
    """A rate book that says one rate, whatever the work."""

    def __init__(self, value: float) -> None:
        """Say this rate."""
        self._value = value

    def rate(self, workload: Workload, accelerator: str, count: int) -> Rate:
        """Give the rate."""
        return Rate(self._value, "assumed", f"{workload} on {count} x {accelerator}")


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf, -1.0])
def test_an_impossible_rate_is_refused_before_it_is_used(rate: float) -> None:
    """Whatever a rate book says, the scheduler takes in no rate that is no speed."""
    chips = dict(catalogue())
    net = replace(joined(), sites=network().sites, regions=network().regions, datasets=())
    made = State(net, policy_named("price"), chips, Said(rate))
    with pytest.raises(InputError, match="allowed: a finite number, 0 or more"):
        made.intern(JobKind("lab", Workload("training"), 1))
    assert made.kinds == []


def test_rate_zero_is_a_rejection() -> None:
    """Work that makes no progress anywhere is rejected with the reason `SPEED`."""
    made = state(joined(), rate=0.0)
    kind = made.intern(JobKind("lab", Workload("training"), 1))
    assert made.bars()[kind].tolist() == [int(Reason.SPEED)] * 3


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_a_workload_holds_no_impossible_rate(value: float) -> None:
    """A job's own rates are checked where they are made, and name the accelerator."""
    with pytest.raises(InputError, match="its rate on own is"):
        Workload("training", None, (("own", value),))
    with pytest.raises(InputError, match="an accelerator has two rates"):
        Workload("training", None, (("own", 1.0), ("own", 2.0)))


def first_cycle(jobs: int, policy: str) -> tuple[int, Decision]:
    """Give the jobs that start, and the decision, when so many jobs alike come at once."""
    made = state(joined(), policy=policy)
    kind = made.intern(JobKind("lab", Workload("training"), 1))
    zeros = np.zeros(jobs)
    made.add(np.full(jobs, kind, np.int32), zeros + 3600.0, zeros)
    actions, _, decision = run_cycle(made, Observations(submitted=np.arange(jobs)), 0.0)
    return len(actions.rows), decision


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_million_identical_jobs_are_one_kind(policy: str) -> None:
    """A million jobs alike are taken in and decided on at once; as many start as there is room."""
    first_cycle(1, policy)  # compiles what is not compiled yet
    began = time.process_time()
    starting, decision = first_cycle(MILLION, policy)
    assert time.process_time() - began < SOON_S
    assert starting == (0 if policy_named(policy).home_only else 24)
    assert decision.gap <= 0.01 or decision.prices is None


def test_too_many_jobs_in_one_request_are_refused(tmp_path: Path) -> None:
    """`tieline submit --count 1000000` says how many are allowed, before anything is sent."""
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    result = CliRunner().invoke(cli, ["submit", str(path), "--count", str(MILLION)])
    assert result.exit_code == 2
    assert f"1000000 is not in the range 1<=x<={MAX_JOBS}" in result.stderr


JOB = """\
tenant: lab
workload: {class: training}
accelerators: {count: 1000000}
stacks: {cuda: {command: "true"}}
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a live loop with two sites of four accelerators each."""
    store = open_store("sqlite://")
    bench = Bench(store, network())
    yield bench
    bench.loop.close()
    store.close()


def test_a_gang_of_a_million_is_told_that_it_can_never_run(bench: Bench) -> None:
    """A live job larger than any pool waits for good, and is told so with the reason `GANG`."""
    (one,) = bench.submit(job(MILLION, "cuda", "cann"))
    (other,) = bench.running(job(4))
    found = bench.plane.why(one).explanation
    assert found is not None
    assert found.never
    assert found.counts == {Reason.GANG: 2}
    assert bench.record(other).pool is not None


def test_a_gang_of_a_million_is_found_by_the_check(tmp_path: Path) -> None:
    """`tieline check` names the largest pool; one more than a million no file may ask for."""
    (tmp_path / "net.yaml").write_text(FILE)
    (tmp_path / "job.yaml").write_text(JOB)
    args = ["check", str(tmp_path / "job.yaml"), "--network", str(tmp_path / "net.yaml")]
    result = CliRunner().invoke(cli, args)
    assert result.exit_code == 2
    assert (
        "accelerators.count: 1000000 accelerators; the largest pool with cuda is s/own with 8"
        in (result.stdout)
    )
    (tmp_path / "job.yaml").write_text(JOB.replace("1000000", "1000001"))
    result = CliRunner().invoke(cli, args[:2])
    assert result.exit_code == 2
    assert "allowed: a whole number from 1 to 1,000,000" in result.stdout


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_gang_of_a_million_is_rejected_in_a_replay(policy: str, tmp_path: Path) -> None:
    """A replay rejects it as `gang`, and every other job runs."""
    (tmp_path / "net.yaml").write_text(FILE)
    rows = [f"{i},60,{MILLION if i == 5 else 1},own" for i in range(10)]
    (tmp_path / "jobs.csv").write_text("submit_s,duration_s,count,accelerator\n" + "\n".join(rows))
    args = [str(tmp_path / "net.yaml"), str(tmp_path / "jobs.csv"), "--policy", policy, "--json"]
    result = CliRunner().invoke(cli, ["replay", *args], catch_exceptions=False)
    found = json.loads(result.stdout)["policies"][policy]
    assert (found["finished"], found["rejected_for"]) == (9, {"gang": 1})
