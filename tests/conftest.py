"""What every test shares: traces and servers, how hard properties are tried, no skips in CI."""

import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from bed import postgres, slurm, ssh
from bed.machine import Missing

Bed = TypeVar("Bed")
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

ROOT = Path(__file__).parents[1]
IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# No deadline and no complaint about slow generation: a busy machine breaks no rule of ours.
settings.register_profile(
    "dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "ci", settings.get_profile("dev"), max_examples=60, derandomize=True, print_blob=True
)
settings.load_profile("ci" if IN_CI else "dev")


def allowed_s(item: pytest.Item) -> float:
    """Give the time that a test is given by its own mark, where it has one."""
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else 0.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that may take longest go first: a long one at the end is waited for alone."""
    items.sort(key=allowed_s, reverse=True)


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


def standing(bed: AbstractContextManager[Bed]) -> Iterator[Bed]:
    """Give what stands on a bed, or skip what needs it and say how to get it."""
    try:
        with bed as server:
            yield server
    except Missing as want:
        pytest.skip(str(want))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """Give a PostgreSQL server; a test that stops it starts it again."""
    yield from standing(postgres.running())


@pytest.fixture(scope="session")
def ssh_server() -> Iterator[ssh.Server]:
    """Give an sshd on loopback; a test that stops it starts it again."""
    yield from standing(ssh.running())


@pytest.fixture(scope="session")
def slurm_clusters() -> Iterator[Mapping[str, slurm.Cluster]]:
    """Give three Slurm clusters on loopback; a test leaves them as it found them."""
    yield from standing(slurm.several(options=slurm.Options(socket=True, ssh=True)))


@pytest.fixture(scope="module")
def distant_clusters() -> Iterator[Mapping[str, slurm.Cluster]]:
    """Give three Slurm clusters with networks of their own, which can be cut off."""
    yield from standing(slurm.several(options=slurm.Options(cable=True, ssh=True)))


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
