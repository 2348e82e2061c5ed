"""The directory of the local engine: whose it is, what in it may be broken, what is refused."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from stat import S_IMODE
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tieline.control.ports import Engine, RunOrder, RunPhase
from tieline.engines.local import LocalEngine
from tieline.engines.wrapper.rundir import ENDED_PHASES, RunDirectory
from tieline.model.errors import EngineUnavailable, InputError
from tieline.model.network import Pool, Site

SITE: Final = Site("s", "r", (Pool("s/p", "s", "nvidia-h20", nodes=1, accelerators_per_node=4),))
ORDER: Final = RunOrder("job.1", "job", "lab-a", "s/p", 1, "true")

Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    """Give an engine on a new directory."""
    engine = LocalEngine(SITE, tmp_path / "site", grace_s=0.3)
    yield engine
    engine.close()


@pytest.fixture
def ended(engine: LocalEngine, tmp_path: Path, eventually: Eventually) -> Path:
    """Give the directory of a run that has ended, unseen by any engine."""
    engine.submit(ORDER)
    run = tmp_path / "site" / "runs" / "job.1"
    eventually((run / "ended.json").exists)
    return run


def observed(folder: Path) -> RunPhase | None:
    """Give what a new engine reports of the one run; None when it is absent."""
    engine: Engine = LocalEngine(SITE, folder / "site")
    report = engine.observe().get("job.1")
    engine.close()
    return report.phase if report else None


def test_the_directory_is_private(tmp_path: Path, ended: Path) -> None:
    """Nobody else can look at orders, output or results."""
    site = tmp_path / "site"
    modes = {path: S_IMODE(path.stat().st_mode) for path in (site, ended, *ended.iterdir())}
    directories = {path for path in modes if path.is_dir()}
    assert {modes[path] for path in directories} == {0o700}
    assert {mode & 0o700 for mode in modes.values()} <= {0o600, 0o700}


def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    """Who can write to the directory can run commands as its owner."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site").chmod(0o777)
    with pytest.raises(InputError, match=r"others can write to .*: make it yours with mode 700"):
        LocalEngine(SITE, tmp_path / "site")


def test_a_directory_serves_one_site(tmp_path: Path, engine: LocalEngine) -> None:
    """The directory of one site is refused for another."""
    del engine
    with pytest.raises(InputError, match="one directory serves one site"):
        LocalEngine(replace(SITE, id="other"), tmp_path / "site")


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """A site whose directory cannot be used is unavailable, and the reason is said."""
    (tmp_path / "file").touch()
    with pytest.raises(EngineUnavailable, match="cannot open its directory: Not a directory"):
        LocalEngine(SITE, tmp_path / "file" / "site")


def test_a_lost_directory(tmp_path: Path, engine: LocalEngine) -> None:
    """When the directory is gone every call says that the site is unavailable."""
    (tmp_path / "site").rename(tmp_path / "elsewhere")
    (tmp_path / "site").touch()
    calls: list[Callable[[], object]] = [
        lambda: engine.submit(ORDER),
        engine.observe,
        lambda: engine.cancel("job.1"),
    ]
    for call in calls:
        with pytest.raises(EngineUnavailable, match=r"^site s cannot .*(directory|exists)"):
            call()


def test_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    """A submission that cannot be written is unavailable, and succeeds when there is room."""
    code = f"""
import resource, signal
from math import inf
from pathlib import Path
from tieline.control.ports import RunOrder
from tieline.engines.local import LocalEngine
from tieline.model.errors import EngineUnavailable
from tieline.model.network import Pool, Site

engine = LocalEngine({SITE!r}, Path({str(tmp_path / "site")!r}))
order = {ORDER!r}
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
try:
    engine.submit(order)
except EngineUnavailable as error:
    print(error)
print(len(engine.observe()))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
engine.submit(order)
while "succeeded" not in [report.phase for report in engine.observe().values()]:
    pass
"""
    run = subprocess.run(
        [sys.executable, "-c", code], timeout=60, check=True, capture_output=True, text=True
    )
    assert run.stdout.splitlines() == [
        f"site s cannot submit job.1: {os.strerror(errno.EFBIG)}",
        "0",
    ]


def test_no_zombies(engine: LocalEngine, eventually: Eventually) -> None:
    """Wrappers that have ended are collected when the runs are looked at."""

    def children() -> str:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    before = children()
    for number in range(5):
        engine.submit(replace(ORDER, token=f"job.{number}"))
    assert children() != before
    eventually(lambda: engine.observe() and children() == before)
    assert {report.phase for report in engine.observe().values()} == {RunPhase.SUCCEEDED}


def test_what_is_no_run_is_passed_over(tmp_path: Path, engine: LocalEngine) -> None:
    """Files and directories with other names, or without an order, are not reported."""
    runs = tmp_path / "site" / "runs"
    (runs / ".hidden").mkdir()
    (runs / "a b").mkdir()
    (runs / "empty.1").mkdir()
    (runs / "file.1").touch()
    (runs / "link.1").symlink_to("/")
    (runs / os.fsdecode(b"\xff")).mkdir()
    assert engine.observe() == {}


@pytest.mark.parametrize("name", ["ended.json", "started.json", "claim.json", "lock", "log"])
def test_odd_files_make_no_reader_fail_or_wait(
    tmp_path: Path, engine: LocalEngine, ended: Path, name: str
) -> None:
    """A file of a run may be a directory, a pipe, a link or absent: the site can be seen."""
    makers: list[Callable[[Path], object]] = [
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to(path),
        lambda path: path,
    ]
    for make in makers:
        path = ended / name
        path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        make(path)
        assert observed(tmp_path) in ENDED_PHASES
        assert name != "log" or engine.log("job.1") == b""
        engine.cancel("job.1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "phase": JSON | st.sampled_from([*RunPhase]),
        "started_at": JSON,
        "ended_at": JSON,
        "exit_code": JSON,
        "detail": JSON,
        "at": JSON,
        "pid": JSON,
        "start": JSON,
    },
)
CONTENT = st.binary(max_size=50) | RECORD.map(json.dumps).map(str.encode) | st.just(b"[" * 60_000)


@given(content=CONTENT, name=st.sampled_from(["ended.json", "started.json", "claim.json"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_can_be_read(tmp_path: Path, content: bytes, name: str) -> None:
    """Whatever a job writes into the files of its run, a report comes out that can be shown."""
    run = RunDirectory(tmp_path / "run")
    with run.lock() as lock:
        assert lock is not None
        (run.path / name).write_bytes(content)
        run.request_end()
        report = run.report("job.1")
        assert report is not None
        assert isinstance(report.phase, RunPhase)
        assert report.detail.isprintable()
        assert report.exit_code in {None, *range(256)}
        for moment in (report.started_at, report.ended_at):
            assert moment is None or datetime.fromtimestamp(moment, UTC).year >= 1970
    for file in run.path.iterdir():
        file.unlink()


def test_a_damaged_end_record_is_a_failure(tmp_path: Path, ended: Path) -> None:
    """A run with an end record that cannot be read has ended, and what is wrong is said."""
    (ended / "ended.json").write_text('{"phase": "exploded", "detail": ""}')
    engine = LocalEngine(SITE, tmp_path / "site")
    report = engine.observe()["job.1"]
    engine.close()
    assert (report.phase, report.detail) == (RunPhase.FAILED, "its end record is damaged")


def test_what_cannot_start_is_a_failure(tmp_path: Path, eventually: Eventually) -> None:
    """A command that the operating system cannot start has failed, and the reason is said."""
    engine = LocalEngine(SITE, tmp_path / "site", workdir=tmp_path / "missing")
    engine.submit(ORDER)
    eventually(lambda: observed(tmp_path) in ENDED_PHASES)
    report = engine.observe()["job.1"]
    engine.close()
    assert (report.phase, report.exit_code, report.started_at) == (RunPhase.FAILED, 126, None)
    assert report.detail.startswith("cannot start: ")
    assert "No such file or directory" in report.detail


def test_a_removal_that_was_cut_short_is_finished(tmp_path: Path, engine: LocalEngine) -> None:
    """What a crash left of a removal is no run and is gone after the next start."""
    engine.close()
    (tmp_path / "site" / "trash" / "half").mkdir()
    (tmp_path / "site" / "trash" / "half" / "claim.json").touch()
    assert observed(tmp_path) is None
    assert list((tmp_path / "site" / "trash").iterdir()) == []


def test_a_wrapper_that_cannot_work_says_why(
    tmp_path: Path, engine: LocalEngine, eventually: Eventually
) -> None:
    """An order whose wrapper fails before it claims is absent, can be submitted again, and the
    reason is in the site's `wrappers.log`."""
    slots = tmp_path / "site" / "slots"
    slots.rmdir()
    engine.submit(ORDER)
    complaints = tmp_path / "site" / "wrappers.log"
    eventually(lambda: engine.observe() == {})
    assert "No such file or directory" in complaints.read_text()
    slots.mkdir()
    engine.submit(ORDER)
    eventually(lambda: observed(tmp_path) is RunPhase.SUCCEEDED)


def test_a_known_token_costs_no_process(tmp_path: Path, ended: Path) -> None:
    """Neither a run that was claimed nor one that was cancelled gets another wrapper."""
    engine = LocalEngine(SITE, tmp_path / "site")
    other = "other.1"
    engine.cancel(other)
    (ended / "order.json").unlink()
    engine.submit(ORDER)
    engine.submit(replace(ORDER, token=other))
    engine.close()
    assert not (ended / "order.json").exists()
    assert not (ended.parent / other / "order.json").exists()


def test_signals_of_the_control_plane_are_not_passed_on(
    tmp_path: Path, eventually: Eventually
) -> None:
    """A control plane that ignores signals still starts commands that can be ended by them."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    engine = LocalEngine(SITE, tmp_path / "site", grace_s=60)
    try:
        engine.submit(replace(ORDER, command="exec sleep 100"))
    finally:
        signal.signal(signal.SIGTERM, before)
    eventually(lambda: engine.observe()["job.1"].phase is RunPhase.RUNNING)
    engine.cancel("job.1")
    eventually(lambda: engine.observe()["job.1"].phase is RunPhase.STOPPED)
    engine.close()
