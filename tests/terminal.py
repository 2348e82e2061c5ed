"""A terminal for tests: runs `tieline` in this process, on a network that is really served."""

import json
import re
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tieline.cli.main import main

#: Two sites of this machine with unequal chips, and two tenants.
NETWORK = """
name: twins
regions: [{id: east}, {id: west}]
links: [{between: [east, west], bandwidth_gbit_s: 100}]
sites:
  - id: one
    region: east
    engine: {kind: local}
    pools: [{accelerator: nvidia-h200-sxm, nodes: 1, accelerators_per_node: 4, trust: [open]}]
  - id: two
    region: west
    engine: {kind: local}
    pools: [{accelerator: huawei-910b2, nodes: 1, accelerators_per_node: 2, trust: [sensitive]}]
tenants: [{id: lab, home: one}, {id: clinic, home: two}]
"""
JOB = """
tenant: lab
name: {name}
workload: {{class: hpc}}
accelerators: {{count: {count}}}
stacks: {{cuda: {{command: {command}}}}}
sensitivity: {sensitivity}
estimate: 1s
"""


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON is any
        """The one JSON document on standard output."""
        return json.loads(self.out)

    @property
    def job(self) -> str:
        """The id of the one job that was submitted."""
        match = re.match(r"(job-\d{6}) \w+\n", self.out)
        assert match
        return match[1]


class Terminal:
    """Runs `tieline` in this process, as from a shell."""

    def __init__(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.capsys = capsys
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> Ran:
        """Run a command and give what it left."""
        self.monkeypatch.setattr(sys, "argv", ["tieline", *arguments])
        self.capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Ran(code, *self.capsys.readouterr())

    def good(self, *arguments: str) -> Ran:
        """Run a command that has to succeed, without a word on standard error."""
        ran = self(*arguments)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran
