"""The tutorial is what happens: its commands, given one after the other, say what it shows."""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tieline.cli.main import cli
from tieline.client import Client, find_url
from tieline.control.lifecycle import Status
from tieline.model.errors import TielineError

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorials" / "first-network.md"

BLOCK = re.compile(r"^```(sh|console|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: A mistake of the tutorial, on purpose, and its mend.
WRONG, RIGHT = "huawei-910b,", "huawei-910b2,"
#: A history of two accounts, as Slurm's `sacct -P` gives it.
HISTORY = """\
JobID|User|Account|Partition|State|Submit|Start|End|ElapsedRaw|Timelimit|AllocTRES|ReqTRES
1|ann|physics|gpu|COMPLETED|2026-02-01T10:00:00|2026-02-01T10:00:05|2026-02-01T11:00:05|3600|120|gres/gpu=8|gres/gpu=8
2|bo|language|gpu|COMPLETED|2026-02-01T10:10:00|2026-02-01T10:30:00|2026-02-01T10:50:00|1200|60|gres/gpu=4|gres/gpu=4
3|bo|language|gpu|RUNNING|2026-02-01T10:20:00|2026-02-01T10:40:00|Unknown|900|60|gres/gpu=4|gres/gpu=4
"""
#: What a command prints of the present may need a moment to become what the page shows [s].
PATIENCE_S = 30.0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with the examples in it, as of a user with a wide terminal."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("TIELINE_URL", raising=False)
    return tmp_path


class Served:
    """The control plane that the page has brought up, in a process of its own."""

    process: subprocess.Popen[str] | None = None

    def up(self, words: list[str]) -> None:
        """Start it, on a port that is free; one that runs is stopped first, as with Ctrl-C."""
        self.stop()
        command = [str(Path(sys.executable).with_name("tieline")), *words]
        self.process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert " is up at " in self.process.stdout.readline()

    def stop(self) -> None:
        """Stop it; jobs run on."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            assert "stopped" in self.process.communicate(timeout=30)[0]
            self.process = None


@pytest.fixture
def served(here: Path) -> Iterator[Served]:
    """Give a control plane that is not up yet; leave no job and no process behind."""
    assert here.is_dir()
    found = Served()
    yield found
    if found.process is not None:
        with Client(find_url()) as client:
            left = client.jobs(status=[status for status in Status if not status.ended])
            client.wait([client.cancel(job.id) for job in left], timeout_s=30)
    found.stop()


def run(words: list[str]) -> str:
    """Run a command in this process and give what it prints, mistakes included."""
    result = CliRunner().invoke(cli, words, catch_exceptions=True)
    if isinstance(result.exception, TielineError):
        return f"tieline: {result.exception}"
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.output


def pattern(shown: str) -> re.Pattern[str]:
    """Give what an output must look like: `...` is any text, `5.0s` is any length of time."""
    lines = []
    for line in shown.splitlines():
        if line == "...":
            lines.append(r"(?:.*\n)*")
            continue
        words = re.sub(r"\b\d+(?:\.\d+)?s\b", "...", " ".join(line.split()))
        lines.append(".*".join(map(re.escape, words.split("..."))) + r"\n")
    return re.compile("".join(lines))


def shows(words: list[str], shown: str) -> None:
    """Demand that a command prints what the page shows, asking again while it only reads."""
    wanted, give_up = pattern(shown), time.monotonic() + PATIENCE_S
    while True:
        printed = "".join(f"{' '.join(line.split())}\n" for line in run(words).splitlines())
        if wanted.fullmatch(printed):
            return
        again = words[0] in {"jobs", "pools", "prices", "why"} and time.monotonic() < give_up
        assert again, f"tieline {' '.join(words)} printed\n{printed}\nand the page shows\n{shown}"
        time.sleep(0.1)


def sessions(block: str) -> Iterator[tuple[list[str], str]]:
    """Give the commands of a console block, each with the output shown after it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        program, *words = shlex.split(command)
        assert program == "tieline"
        yield words, shown


def test_tutorial(here: Path, served: Served) -> None:
    """Every console block of the tutorial, given in order, prints what it shows."""
    ran = 0
    for language, body in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
        named = re.match(r"# (\w+\.yaml)\n", body)
        if language == "yaml" and named:
            (here / named[1]).write_text(body)
        elif language == "sh" and body.startswith("tieline up "):
            served.up(shlex.split(body)[1:])
        elif language == "console":
            for words, shown in sessions(body):
                shows(words, shown)
                ran += 1
    assert ran >= 10


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
