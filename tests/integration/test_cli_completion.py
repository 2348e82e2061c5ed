"""Completion in a real bash, with the script that `tieline completion bash` prints."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from terminal import Terminal
from tieline.scheduling.registry import POLICIES

JobFile = Callable[..., str]

PROGRAMS = str(Path(sys.executable).parent)
#: Sources the script, completes the words given, the last of them unfinished, and prints.
SCRIPT = """
eval "$(tieline completion bash)"
COMP_WORDS=(tieline "$@"); COMP_CWORD=$#
$(complete -p tieline | sed 's/.*-F \\([^ ]*\\) .*/\\1/') tieline
printf '%s\\n' "${COMPREPLY[@]}"
"""
HEAVY = {"numba", "numpy", "polars", "pydantic", "rich", "httpx", "fastapi", "matplotlib"}


def completed(*words: str, home: Path | None = None, url: str = "") -> list[str]:
    """Give what bash completes the last word to."""
    names = {"PATH": f"{PROGRAMS}:{os.environ['PATH']}", "TIELINE_URL": url}
    names |= {} if home is None else {"XDG_STATE_HOME": str(home)}
    run = subprocess.run(
        ["/bin/bash", "--norc", "--noprofile", "-c", SCRIPT, "bash", *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | names,
    )
    assert run.stderr == ""
    return run.stdout.split()


def test_commands_and_their_commands() -> None:
    """Commands are completed, also those of a group, and their options."""
    assert completed("jo") == ["job", "jobs"]
    assert completed("site", "dr") == ["drain"]
    assert completed("site", "drain", "one", "--re") == ["--reason"]


def test_values_of_options() -> None:
    """Statuses, policies and the ids of accelerators are completed."""
    assert completed("jobs", "--status", "su") == ["submitted", "succeeded"]
    assert completed("up", "x.yaml", "--policy", "") == sorted(POLICIES)
    assert completed("accelerators", "huawei-910c") == ["huawei-910c"]


def test_ids_come_from_the_control_plane(tieline: Terminal, home: Path, job_file: JobFile) -> None:
    """Where a control plane answers, ids of its jobs and sites are completed, also in ranges."""
    job = tieline.good("submit", job_file()).job
    for words in (["job", job[:-1]], ["logs", "job-"], ["cancel", job, "job-"]):
        assert job in completed(*words, home=home)
    assert f"{job}..{job}" in completed("jobs", f"{job}..", home=home)
    assert completed("site", "drain", "t", home=home) == ["two"]


def test_without_a_control_plane_nothing_is_suggested() -> None:
    """Where none answers, or one that hangs, there are no ids, no words and no long wait."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        began = time.monotonic()
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        assert completed("job", "job-", url=url) == []
        hung_s = time.monotonic() - began
    began = time.monotonic()
    assert completed("job", "job-", url="http://127.0.0.1:9") == []
    assert hung_s - (time.monotonic() - began) < 5.0


def test_completing_a_command_is_light() -> None:
    """The names of commands are completed without importing what the commands need."""
    code = f"""
import sys
from tieline.cli.main import main
try:
    main()
except SystemExit:
    print("imported:", *sorted({HEAVY!r} & set(sys.modules)))
"""
    names = {"_TIELINE_COMPLETE": "bash_complete", "COMP_WORDS": "tieline s", "COMP_CWORD": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | names,
    )
    assert run.stdout == "plain,site\nplain,submit\nimported:\n"


@pytest.mark.parametrize(
    ("shell", "part"),
    [
        ("bash", "complete -o nosort -F _tieline_completion tieline"),
        ("zsh", "#compdef tieline"),
        ("fish", "complete --no-files --command tieline"),
    ],
)
def test_each_shell_has_its_script(tieline: Terminal, shell: str, part: str) -> None:
    """`completion` prints the script of bash, zsh and fish."""
    assert part in tieline.good("completion", shell).out
