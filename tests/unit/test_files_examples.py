"""The example networks and jobs: they are what they say, and fit the traces they are for."""

import csv
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from tieline.cli.check import check
from tieline.files.network import read_network

EXAMPLES = Path(__file__).parents[2] / "examples"
NETWORKS = sorted((EXAMPLES / "networks").glob("*.yaml"))
JOBS = sorted((EXAMPLES / "jobs").glob("*.yaml"))
#: Made to show what happens to a job that no pool may run.
NOBODY = "nobody.yaml"


@pytest.mark.parametrize("file", [*NETWORKS, *JOBS], ids=lambda file: file.name)
def test_example_has_no_mistake(file: Path) -> None:
    """Every example is without mistakes, and its head says what it is."""
    assert file.read_text().startswith("# ")
    result = CliRunner().invoke(check, [str(file)])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("file", JOBS, ids=lambda file: file.name)
def test_example_job_on_the_demo(file: Path) -> None:
    """Every example job can run on the demo, but the one that is made not to."""
    demo = str(EXAMPLES / "networks" / "demo.yaml")
    result = CliRunner().invoke(check, [str(file), "--network", demo])
    assert result.exit_code == (2 if file.name == NOBODY else 0)
    assert ("no pool of demo can run it" in result.stdout) == (file.name == NOBODY)


def test_demo_keeps_sensitive_work_on_domestic_chips() -> None:
    """On the demo, only chips made in the country are trusted with sensitive work."""
    demo = read_network(EXAMPLES / "networks" / "demo.yaml")
    trusted = {pool.accelerator for pool in demo.pools if "sensitive" in pool.trust}
    assert trusted == {"huawei-910b2", "cambricon-mlu590"}
    assert {pool.accelerator for pool in demo.pools} - trusted == {
        "nvidia-h200-sxm",
        "nvidia-h20-96",
    }
    assert len(demo.regions) == len(demo.sites) == len(demo.tenants) == 3
    assert {tenant.home for tenant in demo.tenants} == {site.id for site in demo.sites}


@pytest.mark.parametrize("size", [600, 700, 1000])
def test_pool_of_one_node(size: int) -> None:
    """The networks for exact checks have one pool of one node."""
    network = read_network(EXAMPLES / "networks" / f"pool-{size}.yaml")
    assert [(pool.nodes, pool.capacity) for pool in network.pools] == [(1, size)]


def test_gavel_has_the_machines_of_the_paper() -> None:
    """Gavel's cluster has 8, 16 and 24 servers with one accelerator each."""
    network = read_network(EXAMPLES / "networks" / "gavel.yaml")
    pools = {pool.accelerator: (pool.nodes, pool.accelerators_per_node) for pool in network.pools}
    assert pools == {"v100": (8, 1), "p100": (16, 1), "k80": (24, 1)}


def test_gavel_has_the_accelerators_of_the_trace(traces: Path) -> None:
    """The accelerators of Gavel's cluster are those with measured speeds of whole gangs."""
    network = read_network(EXAMPLES / "networks" / "gavel.yaml")
    speeds = pl.read_csv(traces / "gavel_cases" / "throughputs.csv")
    whole = {name for name in speeds["worker_type"] if not name.endswith("_unconsolidated")}
    assert {one.id for one in network.accelerators} == whole


def test_philly_has_the_nodes_of_the_source(traces: Path) -> None:
    """Philly's centres are the virtual clusters with nodes, as many as the source says."""
    network = read_network(EXAMPLES / "networks" / "philly.yaml")
    with (traces / "philly_jobs" / "philly_vc_nodes.csv").open(newline="") as file:
        nodes = {row["vc"]: int(row["node num"]) for row in csv.DictReader(file)}
    assert {pool.site: pool.nodes for pool in network.pools} == nodes
    assert {pool.accelerators_per_node for pool in network.pools} == {8}
    assert {tenant.id for tenant in network.tenants if tenant.home == tenant.id} == set(nodes)


def test_philly_has_the_tenants_of_the_trace(traces: Path) -> None:
    """Philly's tenants are those of the trace; the four without nodes are at home nowhere."""
    network = read_network(EXAMPLES / "networks" / "philly.yaml")
    jobs = pl.read_csv(traces / "philly_jobs" / "philly.csv.zst").drop_nulls("cluster")
    homeless = {tenant.id for tenant in network.tenants if tenant.home is None}
    assert {tenant.id for tenant in network.tenants} == set(jobs["cluster"])
    assert len(homeless) == 4
    assert len(jobs.filter(pl.col("cluster").is_in(homeless))) == 18


def test_venus_has_a_size_of_the_source(traces: Path) -> None:
    """Venus has the capacity that its own records show most often after July 2020."""
    network = read_network(EXAMPLES / "networks" / "venus.yaml")
    days = pl.read_csv(traces / "helios_config" / "Venus_gpu_number.csv")
    later = days.filter(pl.col("date") > "2020-07-06")
    assert network.capacity == later["total"].mode().item()
    assert {pool.accelerators_per_node for pool in network.pools} == {8}
