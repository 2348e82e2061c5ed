"""Who gets the fast accelerators: through a replay and live, by every source of rates."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from loop_bench import EAST, WEST, Bench, job, network
from tieline.cli.main import cli
from tieline.files.network import network_to_dict, read_network
from tieline.files.problems import FileErrors
from tieline.model.catalogue import catalogue
from tieline.model.rates import RateBook
from tieline.model.workload import Workload
from tieline.scheduling.registry import POLICIES
from tieline.simulation.workload import speeds
from tieline.store import open_store
from tieline.traces.registry import read_trace

NETWORK = """\
regions: [{id: r}]
sites:
  - id: a
    region: r
    pools:
      - {accelerator: nvidia-h200-sxm, nodes: 1, accelerators_per_node: 8}
      - {accelerator: nvidia-h20-96, nodes: 1, accelerators_per_node: 8}
"""
FAST, SLOW = "a/nvidia-h200-sxm", "a/nvidia-h20-96"
#: Both models run faster on the H200: one by a quarter, the other five times.
SPEEDS = """\
accelerator,model,count,steps_per_s
nvidia-h200-sxm,gains-little,8,10
nvidia-h20-96,gains-little,8,8
nvidia-h200-sxm,gains-much,8,50
nvidia-h20-96,gains-much,8,10
"""


def placed(tmp_path: Path, policy: str, jobs: list[str], speeds: str = "") -> dict[str, str]:
    """Replay jobs of eight accelerators from files; give where each one ran."""
    text = NETWORK
    if speeds:
        (tmp_path / "speeds.csv").write_text(speeds)
        text += "throughputs: speeds.csv\n"
    (tmp_path / "net.yaml").write_text(text)
    head = "job_id,submit_s,duration_s,count,class,model,accelerator\n"
    rows = "".join(f"{one},nvidia-h200-sxm\n" for one in jobs)
    (tmp_path / "jobs.csv").write_text(head + rows)
    names = ("net.yaml", "jobs.csv", "out")
    net, trace, out = (str(tmp_path / name) for name in names)
    args = ["replay", net, trace, "--policy", policy, "--out", out]
    result = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    table = pl.read_parquet(next((tmp_path / "out").rglob("jobs*.parquet")))
    return dict(zip(table["job"].to_list(), table["pool"].to_list(), strict=True))


@pytest.mark.parametrize("first", ["gains-little", "gains-much"])
def test_the_h200_goes_to_the_job_that_gains_more(first: str, tmp_path: Path) -> None:
    """Of two equal jobs that both prefer the H200 the one that gains more gets it."""
    models = [first, *({"gains-little", "gains-much"} - {first})]
    jobs = [f"{model},0,3600,8,training,{model}" for model in models]
    assert placed(tmp_path, "price", jobs, SPEEDS) == {"gains-much": FAST, "gains-little": SLOW}


def test_the_h200_goes_to_the_class_that_gains_more(tmp_path: Path) -> None:
    """The catalogue alone tells that training gains more from an H200 than decoding does."""
    chip = catalogue()["nvidia-h20-96"]
    assert chip.rates["training"].value < chip.rates["decode"].value < 1
    jobs = ["decodes,0,3600,8,decode,", "trains,0,3600,8,training,"]
    assert placed(tmp_path, "price", jobs) == {"trains": FAST, "decodes": SLOW}


def test_who_gains_more_goes_before_who_is_shorter(tmp_path: Path) -> None:
    """The shorter job takes the H200 under `shortest`; under `price` comparative advantage."""
    jobs = ["short,0,3000,8,training,gains-little", "long,0,3600,8,training,gains-much"]
    assert placed(tmp_path, "shortest", jobs, SPEEDS) == {"short": FAST, "long": SLOW}
    (tmp_path / "out").rename(tmp_path / "earlier")
    assert placed(tmp_path, "price", jobs, SPEEDS) == {"long": FAST, "short": SLOW}


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_a_job_runs_where_it_was_measured_to_run(policy: str, tmp_path: Path) -> None:
    """A model with speed 0 on the free H200 waits for nothing there: it runs on the H20."""
    speeds = SPEEDS.replace("gains-much,8,50", "gains-much,8,0")
    jobs = ["one,0,3600,8,training,gains-much"]
    assert placed(tmp_path, policy, jobs, speeds) == {"one": SLOW}


def test_a_replay_says_how_its_rates_are_known(tmp_path: Path) -> None:
    """The document counts the jobs by the basis of their rates, and a sentence says it."""
    placed(tmp_path, "price", ["a,0,9,8,training,gains-much", "b,0,9,8,hpc,"], SPEEDS)
    document = json.loads((tmp_path / "out" / "summary.json").read_text())
    counts = document["policies"]["price"]["rate_basis"]
    assert sum(counts.values()) == 2
    assert set(counts) <= {"measured", "inferred", "assumed"}
    assert any(line.startswith("Rates of the jobs") for line in document["assumptions"])


def test_a_table_of_speeds_is_found_beside_the_network_file(tmp_path: Path) -> None:
    """Its path counts from the network file, whatever the working directory."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "speeds.csv").write_text(SPEEDS)
    (tmp_path / "net.yaml").write_text(f"{NETWORK}throughputs: sub/speeds.csv\n")
    found = read_network(tmp_path / "net.yaml")
    assert found.throughputs is not None
    assert found.throughputs.steps_per_s["gains-much", "nvidia-h20-96", 8] == 10
    assert network_to_dict(found)["throughputs"] == "sub/speeds.csv"
    checked = CliRunner().invoke(cli, ["check", str(tmp_path / "net.yaml")])
    assert "2 pools, 4 measured speeds" in checked.stdout
    book = RateBook(catalogue(), throughputs=found.throughputs)
    rate = book.rate(Workload("training", "gains-much"), "nvidia-h20-96", 8)
    assert rate.value == pytest.approx(0.2)
    assert rate.basis == "measured"
    assert rate.source.startswith("sub/speeds.csv: gains-much on 8 x nvidia-h20-96")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("nvidia-h20-96,m,8,-1", "line 6, column steps_per_s: found '-1', expected at least 0"),
        ("nvidia-h20-96,m,8,nan", "line 6, column steps_per_s: found 'nan', expected a number"),
        ("nvidia-h20-96,m,8,inf", "line 6, column steps_per_s: found 'inf', expected a number"),
        ("nvidia-h20-96,m,0,1", "line 6, column count: found '0', expected at least 1"),
        ("nvidia-h20-96,m,1.5,1", "line 6, column count: found '1.5', expected a whole number"),
        ("nvidia-h20-96,,8,1", "line 6, column model: found nothing, expected a name"),
        (
            "nvidia-h20-96,gains-much,8,11",
            "line 6: 'gains-much' on nvidia-h20-96 with gang size 8 has speed 11, but 10 on line",
        ),
        ("nvidia-h20,m,8,1", "unknown accelerator 'nvidia-h20'; did you mean nvidia-h20-"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(row: str, words: str, tmp_path: Path) -> None:
    """What is wrong in a table of speeds is told under the field that names it."""
    (tmp_path / "speeds.csv").write_text(f"{SPEEDS}{row}\n")
    path = tmp_path / "net.yaml"
    path.write_text(f"{NETWORK}throughputs: speeds.csv\n")
    with pytest.raises(FileErrors, match=re.escape(f"{path}:8: throughputs: ")) as raised:
        read_network(path)
    assert words in str(raised.value)
    (tmp_path / "speeds.csv").unlink()
    with pytest.raises(FileErrors, match="no such file"):
        read_network(path)


@pytest.mark.parametrize("name", ["las96", "mm100"])
def test_gavels_jobs_run_at_the_measured_ratios(name: str, traces: Path) -> None:
    """No rate of Gavel's cases is filled in: each is the ratio of two speeds, or 0 as measured."""
    trace = read_trace(traces / "gavel_cases" / f"{name}.csv")
    cluster = read_network(Path(__file__).parents[2] / "examples" / "networks" / "gavel.yaml")
    table = speeds(cluster, trace)
    assert table is not None
    chips = {one.id: one for one in cluster.accelerators}
    book = RateBook({**catalogue(), **chips}, relative_to="v100", throughputs=table)
    for code, count in zip(trace.workload.tolist(), trace.count.tolist(), strict=True):
        workload = trace.workloads[code]
        model = workload.model or ""
        for chip in chips:
            rate = book.rate(workload, chip, count)
            steps = table.steps_per_s[model, chip, count]
            assert rate.basis == "measured"
            assert rate.value == steps / table.steps_per_s[model, "v100", count]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """Give a live loop with four H200s in the east and four Ascend 910B2s in the west."""
    store = open_store("sqlite://")
    bench = Bench(store, network())
    yield bench
    bench.loop.close()
    store.close()


@pytest.mark.parametrize("swapped", [False, True])
def test_live_jobs_are_placed_by_the_rates_in_their_files(bench: Bench, *, swapped: bool) -> None:
    """Of two live jobs that both say the H200 is faster, the one that gains more gets it."""
    both = replace(job(4, "cuda", "cann"), estimate_s=3600.0)
    fast, slow = (pool.partition("/")[2] for pool in (EAST, WEST))
    little, much = (
        replace(both, workload=Workload("hpc", None, ((fast, 1.0), (slow, rate))))
        for rate in (0.8, 0.2)
    )
    specs = (much, little) if swapped else (little, much)
    pools = [bench.record(one).pool for one in bench.running(*specs)]
    assert pools == ([EAST, WEST] if swapped else [WEST, EAST])
