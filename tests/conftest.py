"""What every test shares: the traces, how hard properties are tried, no skipping in CI."""

import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

ROOT = Path(__file__).parents[1]
IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# No deadline and no complaint about slow generation: a busy machine breaks no rule of ours.
settings.register_profile(
    "dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=200, derandomize=True, print_blob=True
)
settings.load_profile("ci" if IN_CI else "dev")


def refuse_skip(report: Report) -> Report:
    """In CI what is skipped has failed: a check that does not run checks nothing."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let no test be skipped in CI."""
    return refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let no file be skipped in CI."""
    return refuse_skip((yield))


@pytest.fixture(scope="session")
def traces() -> Path:
    """Give the folder with the recorded traces, or say how to get them."""
    folder = Path(os.environ.get("TIELINE_TRACES", ROOT.parent / "shared" / "traces"))
    if not folder.is_dir():
        pytest.skip(
            "the recorded traces are missing: point TIELINE_TRACES at their folder, "
            "or get one with `tieline trace download NAME`"
        )
    return folder


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], object]], None]:
    """Give the function that waits until a condition holds, and fails when it does not."""

    def wait(condition: Callable[[], object]) -> None:
        give_up = time.monotonic() + 30.0
        while not condition():
            assert time.monotonic() < give_up, "waited 30 s in vain"
            time.sleep(0.01)

    return wait


@pytest.fixture(scope="session")
def processes_of() -> Callable[[Path], list[int]]:
    """Give the function that lists the live processes of runs whose directory is in a folder."""

    def find(folder: Path) -> list[int]:
        mark = b"TIELINE_RUN=" + os.fsencode(folder)
        return [pid for pid, environment in environments() if mark in environment]

    return find


def environments() -> Generator[tuple[int, bytes]]:
    """Give id and environment of every process that can be looked at."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                yield int(entry.name), (entry / "environ").read_bytes()
            except OSError:  # gone meanwhile, or of somebody else
                continue
