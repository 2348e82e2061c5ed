"""The tutorial is what happens: its commands, given one after the other, say what it shows."""

import re
import shlex
from pathlib import Path

import pytest

from pages import BLOCK, Served, played, run

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorials" / "first-network.md"

#: A mistake of the tutorial, on purpose, and its mend.
WRONG, RIGHT = "huawei-910b,", "huawei-910b2,"
#: A history of two accounts, as Slurm's `sacct -P` gives it.
HISTORY = """\
JobID|User|Account|Partition|State|Submit|Start|End|ElapsedRaw|Timelimit|AllocTRES|ReqTRES
1|ann|physics|gpu|COMPLETED|2026-02-01T10:00:00|2026-02-01T10:00:05|2026-02-01T11:00:05|3600|120|gres/gpu=8|gres/gpu=8
2|bo|language|gpu|COMPLETED|2026-02-01T10:10:00|2026-02-01T10:30:00|2026-02-01T10:50:00|1200|60|gres/gpu=4|gres/gpu=4
3|bo|language|gpu|RUNNING|2026-02-01T10:20:00|2026-02-01T10:40:00|Unknown|900|60|gres/gpu=4|gres/gpu=4
"""


def test_tutorial(here: Path, served: Served) -> None:
    """Every console block of the tutorial, given in order, prints what it shows."""
    assert played(TUTORIAL.read_text(encoding="utf-8"), here, served) >= 10


def test_example_of_a_site_is_in_the_network() -> None:
    """The part of the demo's network that the tutorial shows is in that file."""
    parts = [
        body
        for language, body in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
        if language == "yaml" and not body.startswith("# ")
    ]
    demo = (ROOT / "examples" / "networks" / "demo.yaml").read_text(encoding="utf-8")
    assert parts
    assert [part for part in parts if part not in demo] == []


@pytest.mark.parametrize("page", [README, TUTORIAL], ids=lambda page: page.name)
def test_own_history(page: Path, here: Path) -> None:
    """What a page tells to do with a history of one's own works, and the report is there."""
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    network = next(
        body
        for _, body in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
        if body.startswith("# network.yaml\n")
    )
    (here / "network.yaml").write_text(network.replace(WRONG, RIGHT))
    (here / "history.txt").write_text(HISTORY)
    lines = [line for language, body in blocks if language == "sh" for line in body.splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if re.match(r"tieline .*\bhistory", line)]
    assert [words[0] for words in commands] == ["trace", "replay"]
    described, replayed = map(run, commands)
    assert "2 of 3 rows" in described
    assert "2 jobs of 2 tenants" in replayed
    folder = commands[1][commands[1].index("--out") + 1]
    assert (here / folder / "report.html").is_file()
