"""`tieline check`: what it prints, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tieline.cli.check import check
from tieline.files.job import job_from_dict, read_job
from tieline.files.network import network_to_dict, read_network

NETWORK = """\
name: net
regions: [{id: east}]
sites:
  - id: east-1
    region: east
    pools: [{accelerator: nvidia-h20-96, nodes: 2, accelerators_per_node: 8}]
"""
JOB = """\
tenant: lab
workload: {class: training}
accelerators: {count: 16}
stacks: {cuda: {command: run}}
estimate: 2h
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a working directory with a network and a job, both without mistakes."""
    (tmp_path / "net.yaml").write_text(NETWORK)
    (tmp_path / "job.yaml").write_text(JOB)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(check, arguments)


def test_files_without_mistakes(folder: Path) -> None:
    """Each file is told apart and summed up in one line, and the exit code is 0."""
    del folder
    result = run("net.yaml", "job.yaml")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "net.yaml: network OK: 1 region, 1 site, 1 pool; 16 accelerators: 16 nvidia-h20-96",
        "job.yaml: job OK: lab: training, 16 accelerators with cuda, open, about 2h",
    ]


def test_job_on_its_network(folder: Path) -> None:
    """With a network, a job is checked against it, and the usable pools are counted."""
    del folder
    result = run("job.yaml", "--network", "net.yaml")
    assert result.stdout.endswith("about 2h, can run on 1 of 1 pools of net\n")
    assert result.exit_code == 0


def test_gang_larger_than_any_pool(folder: Path) -> None:
    """A gang larger than any pool is a mistake, on the line of its count, with exit code 2."""
    (folder / "job.yaml").write_text(JOB.replace("count: 16", "count: 17"))
    result = run("job.yaml", "net.yaml", "--network", "net.yaml")
    assert result.exit_code == 2
    assert result.stdout.splitlines()[0] == (
        "job.yaml:3: accelerators.count: 17 accelerators; "
        "the largest pool with cuda is east-1/nvidia-h20-96 with 16"
    )
    assert "net.yaml: network OK" in result.stdout


def test_one_of_several_jobs_does_not_fit(folder: Path) -> None:
    """Of several jobs in a file, the mistake names the one it is in, with its line."""
    jobs = "jobs:\n" + "".join(
        f"  - tenant: lab\n    workload: {{class: hpc}}\n    accelerators: {{count: 1}}\n"
        f"    stacks: {{{stack}: {{command: run}}}}\n"
        for stack in ("cuda", "cann")
    )
    (folder / "jobs.yaml").write_text(jobs)
    result = run("jobs.yaml", "--network", "net.yaml")
    assert result.exit_code == 2
    assert result.stdout == "jobs.yaml:9: jobs[1].stacks: no pool has cann; net has: cuda\n"


def test_job_with_no_pool_left(folder: Path) -> None:
    """A job that no pool can run, all rules taken together, is a mistake with its reasons."""
    (folder / "job.yaml").write_text(JOB + "sensitivity: sensitive\n")
    (folder / "net.yaml").write_text(
        NETWORK.replace(
            "    pools: [",
            "    pools:\n      - {accelerator: huawei-910b2, nodes: 1, accelerators_per_node: 8, "
            "trust: [sensitive]}\n      - ",
        ).replace("8}]", "8}")
    )
    result = run("job.yaml", "--network", "net.yaml")
    assert result.exit_code == 2
    assert result.stdout == (
        "job.yaml:1: no pool of net can run it; of 2 pools, "
        "1: built for another software stack, 1: the gang is larger than the pool, "
        "1: the pool is not trusted with this sensitivity\n"
    )


def test_neither_network_nor_job(folder: Path) -> None:
    """A file of another kind is refused, with what would make it one of these."""
    (folder / "other.yaml").write_text("scenarios: []\n")
    result = run("other.yaml")
    assert result.exit_code == 2
    assert result.stdout == (
        "other.yaml:1: neither a network, nor a job, nor a plan; a network has `regions` and "
        "`sites`, a job has a `workload`, a plan has `quarters` and `demand`\n"
    )


def test_json(folder: Path) -> None:
    """With --json one document is printed: contents that can be read again, and mistakes."""
    (folder / "bad.yaml").write_text(NETWORK.replace("nodes: 2", "nodes: two"))
    result = run("net.yaml", "job.yaml", "bad.yaml", "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    network, job, bad = report["files"]
    assert report["ok"] is False
    assert (network["ok"], network["kind"]) == (True, "network")
    assert network["data"] == network_to_dict(read_network("net.yaml"))
    assert [job_from_dict(data) for data in job["data"]] == [read_job("job.yaml")]
    assert bad == {
        "file": "bad.yaml",
        "ok": False,
        "problems": [
            {
                "file": "bad.yaml",
                "line": 6,
                "field": "sites[0].pools[0].nodes",
                "found": "'two'",
                "allowed": "allowed: a whole number from 1 to 1,000,000",
            }
        ],
    }


def test_wrong_network_ends_the_command(folder: Path) -> None:
    """A mistake in the network that jobs are checked against ends the command, with code 2."""
    (folder / "net.yaml").write_text(NETWORK.replace("region: east", "region: west"))
    code = "import sys; from tieline.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "check", "job.yaml", "--network", "net.yaml"]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        "tieline: net.yaml:5: sites[0].region: unknown region 'west'; did you mean east?\n"
    )
