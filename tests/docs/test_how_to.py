"""How-to pages are what happens: what they tell to do, done in order, prints what they show."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bed.slurm import Cluster
from pages import BLOCK, Served, played, run
from terminal import NETWORK
from tieline.client import Client, find_url

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
Clusters = Mapping[str, Cluster]


def page(name: str) -> str:
    """Give the text of a page."""
    return (HOW_TO / name).read_text(encoding="utf-8")


# ------------------------------------------------------------- on sites of this machine


def test_arrays_and_following(here: Path, served: Served) -> None:
    """The commands of the page on arrays print what it shows."""
    (here / "network.yaml").write_text(NETWORK)
    served.up(["up", "network.yaml"])
    assert played(page("run-arrays-and-follow-them.md"), here, served) == 4


def test_python_client(here: Path, served: Served) -> None:
    """The programs of the page on the client run, print what it says, and submit once."""
    (here / "network.yaml").write_text(NETWORK)
    served.up(["up", "network.yaml"])
    programs = [body for language, body in BLOCK.findall(page("use-the-python-client.md"))]
    assert len(programs) == 2
    expected = "".join(f"seed {index}\n" for index in range(5))
    for _ in range(2):
        assert python(programs[0]) == expected
    with Client(find_url()) as client:
        assert len(client.jobs()) == 5
    followed = python("\n".join(programs)).removeprefix(expected).splitlines()
    for job in ("job-000006", "job-000007"):
        steps = [line.removeprefix(f"{job} ") for line in followed if line.startswith(job)]
        # The control plane may see such a short job only when it has ended.
        told = [step for step in steps if step != "started"]
        assert told == ["submitted", "placed", "seed", "succeeded"]


def test_every_method_of_the_client_is_on_its_page() -> None:
    """The page on the client names every method that the client has."""
    methods = {name for name in vars(Client) if not name.startswith("_")} - {"close"}
    table = page("use-the-python-client.md").partition("## What the methods give")[2]
    named = set(re.findall(r"`(\w+)`", table.partition("Answers are")[0]))
    assert named == methods


def python(program: str) -> str:
    """Run a program and give what it prints."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout


# --------------------------------------------------------------------- on a Slurm cluster


@pytest.fixture
def alpha(slurm_clusters: Clusters, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Give the cluster that the page joins, as one whose settings are in the usual place."""
    cluster = slurm_clusters["alpha"]
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    yield cluster
    cluster.wait_idle()


def on(cluster: Cluster, text: str) -> str:
    """Give the text with the names of this cluster in place of those in the page."""
    assert cluster.ssh is not None
    names = {
        "/shared/tieline": f"{cluster.shared}/{cluster.name}-joined",
        "/etc/slurm/slurm.conf": str(cluster.conf),
        "http://slurm.example:6820": cluster.rest_url,
        "login.example": cluster.ssh.host,
        "/etc/tieline/ssh_config": str(cluster.ssh.config()),
        "alice": "games",
    }
    for name, ours in names.items():
        assert name in text
        text = text.replace(name, ours)
    return text


def test_joining_a_slurm_site(here: Path, served: Served, alpha: Cluster) -> None:
    """Each command of the page, word for word, does on a real cluster what the page shows."""
    text = on(alpha, page("join-a-slurm-site.md"))
    assert played(text, here, served) == 6
    others = re.findall(r"^```yaml\n( +engine:.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(others) == 2
    file = here / "network.yaml"
    before = file.read_text()
    for other in others:
        file.write_text(re.sub(r"^ +engine:.*\n", other, before, flags=re.MULTILINE))
        assert "gres: gpu:h200" in run(["site", "discover", "network.yaml", "alpha"])
        if "url:" in other:
            served.up(["up", "network.yaml"])
            assert run(["submit", "job.yaml", "--follow"]).startswith("games\n")
