"""Pages as they are used: the commands of a page, given one after the other, say what it shows."""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner

from tieline.cli.main import cli
from tieline.model.errors import TielineError

BLOCK = re.compile(r"^```(sh|console|yaml|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
#: What a command prints of the present may need a moment to become what the page shows [s].
PATIENCE_S = 30.0
#: Commands that only read, and may be asked again.
READING = {"jobs", "pools", "prices", "site", "why"}


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


def run(words: list[str]) -> str:
    """Run a command in this process and give what it prints, mistakes included."""
    result = CliRunner().invoke(cli, words, catch_exceptions=True)
    if isinstance(result.exception, TielineError):
        return f"tieline: {result.exception}"
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.stdout


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
        again = words[0] in READING and time.monotonic() < give_up
        assert again, f"tieline {' '.join(words)} printed\n{printed}\nand the page shows\n{shown}"
        time.sleep(0.1)


def sessions(block: str) -> Iterator[tuple[list[str], str]]:
    """Give the commands of a console block, each with the output shown after it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        program, *words = shlex.split(command)
        assert program == "tieline"
        yield words, shown


def played(text: str, folder: Path, served: Served) -> int:
    """Do what a page tells, in order, and give how many commands were shown to do what it says.

    A block of YAML with a name is written to a file of that name, `tieline up` brings a control
    plane up, and what a command prints must be what the page shows after it.
    """
    ran = 0
    for language, body in BLOCK.findall(text):
        named = re.match(r"# (\w+\.yaml)\n", body)
        if language == "yaml" and named:
            (folder / named[1]).write_text(body)
        elif language == "sh" and body.startswith("tieline up "):
            served.up(shlex.split(body)[1:])
        elif language == "sh" and body.startswith("mkdir "):
            subprocess.run(shlex.split(body), check=True, timeout=10)
        elif language == "console":
            for words, shown in sessions(body):
                shows(words, shown)
                ran += 1
    return ran
