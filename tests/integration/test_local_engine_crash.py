"""The local engine when processes are killed: the control plane, a wrapper, all at random."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from tieline.control.ports import RunOrder, RunPhase
from tieline.engines.local import LocalEngine
from tieline.engines.wrapper.rundir import ENDED_PHASES, RunDirectory
from tieline.engines.wrapper.slots import is_locked
from tieline.model.network import Pool, Site

SITE: Final = Site("s", "r", (Pool("s/p", "s", "nvidia-h20", nodes=2, accelerators_per_node=4),))

Eventually = Callable[[Callable[[], object]], None]

#: A control plane in a process of its own; the test's code follows.
PREAMBLE: Final = """
import os, signal, sys
from pathlib import Path
from tieline.control.ports import RunOrder
from tieline.engines.local import LocalEngine
from tieline.model.network import Pool, Site

# As in a terminal, also where the tests run in the background and these are ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
site = Site("s", "r", (Pool("s/p", "s", "nvidia-h20", nodes=2, accelerators_per_node=4),))
folder = Path({!r})
engine = LocalEngine(site, folder / "site", workdir=folder, grace_s=0.3, slot_wait_s=20)
"""


@pytest.fixture
def engine(
    tmp_path: Path, eventually: Eventually, processes_of: Callable[[Path], list[int]]
) -> Iterator[LocalEngine]:
    """Give an engine whose runs start in `tmp_path`; demand that none of them is left."""
    engine = open_engine(tmp_path)
    yield engine
    for token in engine.observe():
        engine.cancel(token)
    eventually(lambda: all_ended(engine))
    engine.close()
    assert processes_of(tmp_path) == []


def open_engine(folder: Path) -> LocalEngine:
    """Give an engine as the code of `PREAMBLE` does."""
    return LocalEngine(SITE, folder / "site", workdir=folder, grace_s=0.3, slot_wait_s=20)


def all_ended(engine: LocalEngine) -> bool:
    """Tell whether every run that the engine knows has ended."""
    return all(report.phase in ENDED_PHASES for report in engine.observe().values())


def running(engine: LocalEngine) -> list[str]:
    """Give the tokens that run now, sorted."""
    reports = engine.observe()
    return sorted(token for token in reports if reports[token].phase is RunPhase.RUNNING)


def order(command: str, run: str = "job.1", count: int = 1) -> RunOrder:
    """Give an order for the one pool."""
    return RunOrder(run, run.partition(".")[0], "lab-a", "s/p", count, command)


@contextmanager
def control_plane(folder: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Start a control plane that runs the code and prints; it is not left running."""
    command = [sys.executable, "-c", PREAMBLE.format(str(folder)) + code]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def keeper(folder: Path, token: str = "job.1") -> int:  # noqa: S107 - no password
    """Give the process id of the keeper of a running token."""
    claim = folder / "site" / "runs" / token / "claim.json"
    pid: int = json.loads(claim.read_bytes())["pid"]
    return pid


def guard_of(keeper_pid: int) -> int:
    """Give the process id of the guard of a keeper: its parent."""
    return int(Path(f"/proc/{keeper_pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT])
def test_runs_outlive_the_control_plane(
    tmp_path: Path, engine: LocalEngine, eventually: Eventually, number: signal.Signals
) -> None:
    """A run goes on, guarded, when the process group of the control plane gets a signal."""
    code = (
        "engine.submit(RunOrder('job.1', 'job', 'lab-a', 's/p', 1,"
        "'touch up; while [ ! -e go ]; do sleep 0.01; done; exit 7'));"
        "print('submitted', flush=True); signal.pause()"
    )
    with control_plane(tmp_path, code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "submitted\n"
        eventually((tmp_path / "up").exists)
        guard = guard_of(keeper(tmp_path))
        os.killpg(process.pid, number)
        process.wait(timeout=30)
    time.sleep(0.1)
    eventually(lambda: running(engine) == ["job.1"])
    assert guard_of(keeper(tmp_path)) == guard
    (tmp_path / "go").touch()
    eventually(lambda: all_ended(engine))
    assert engine.observe()["job.1"].exit_code == 7


def test_a_crash_at_any_step_of_submit(
    tmp_path: Path, engine: LocalEngine, eventually: Eventually
) -> None:
    """Wherever a submission is cut off by a crash, submitting again runs the job once."""
    # Each fork of the control plane kills itself at the nth thing that submit asks of the
    # operating system; the last one gets through, so every step was tried.
    code = """
def crash_at(step):
    left = [step]
    def hook(event, arguments):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

for step in range(100):
    order = RunOrder(f'job-{step}.1', 'job', 'lab-a', 's/p', 1, f'echo line >> {step}')
    child = os.fork()
    if child == 0:
        crash_at(step)
        engine.submit(order)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        print(step)
        break
"""
    with control_plane(tmp_path, code) as process:
        output, _ = process.communicate(timeout=60)
    steps = int(output)
    assert steps > 5
    tokens = {step: f"job-{step}.1" for step in range(steps + 1)}
    for step, token in tokens.items():
        engine.submit(order(f"echo line >> {step}", token))
    eventually(lambda: all_ended(engine))
    assert {report.phase for report in engine.observe().values()} == {RunPhase.SUCCEEDED}
    assert [(tmp_path / str(step)).read_text() for step in tokens] == ["line\n"] * len(tokens)


def test_an_order_without_a_wrapper_is_unknown(tmp_path: Path, engine: LocalEngine) -> None:
    """What a crash left of a submission before the wrapper started is absent."""
    run = tmp_path / "site" / "runs" / "job.1"
    run.mkdir()
    (run / "order.json").write_text("{}")
    (run / "lock").touch()
    (run / "order.json.123.tmp").write_text('{"tok')
    assert engine.observe() == {}


def test_a_second_wrapper_runs_nothing(
    tmp_path: Path, engine: LocalEngine, eventually: Eventually
) -> None:
    """A wrapper that finds its token claimed ends without touching the run."""
    engine.submit(order("echo line >> lines; while [ ! -e go ]; do sleep 0.01; done"))
    eventually((tmp_path / "lines").exists)
    site = tmp_path / "site"
    with (site / "any").open("w") as file:
        # The shell gives it the lock's file descriptor, open on a file that nobody holds.
        command = 'exec "$1" -I -S wrapper.pyc "$2" 3<&0'
        arguments = ["sh", "-c", command, "sh", sys.executable, str(site / "runs" / "job.1")]
        second = subprocess.run(
            arguments, cwd=site, stdin=file, timeout=30, check=False, capture_output=True
        )
    assert (second.returncode, second.stderr) == (0, b"")
    eventually(lambda: running(engine) == ["job.1"])
    (tmp_path / "go").touch()
    eventually(lambda: all_ended(engine))
    assert (tmp_path / "lines").read_text() == "line\n"


def test_the_guard_alone_can_be_killed(
    tmp_path: Path, engine: LocalEngine, eventually: Eventually
) -> None:
    """A run whose guard is killed goes on, seen by its keeper, and ends as usual."""
    engine.submit(order("touch up; while [ ! -e go ]; do sleep 0.01; done; exit 3"))
    eventually((tmp_path / "up").exists)
    os.kill(guard_of(keeper(tmp_path)), signal.SIGKILL)
    time.sleep(0.05)
    eventually(lambda: running(engine) == ["job.1"])
    (tmp_path / "go").touch()
    eventually(lambda: all_ended(engine))
    assert engine.observe()["job.1"].exit_code == 3


def test_guard_and_keeper_killed_at_once(
    tmp_path: Path,
    engine: LocalEngine,
    eventually: Eventually,
    processes_of: Callable[[Path], list[int]],
) -> None:
    """A run that nobody guards any more is ended by the engine before it is called vanished."""
    engine.submit(order("setsid sleep 100 & sleep 0.1; touch up; wait"))
    eventually(lambda: (tmp_path / "up").exists() and running(engine))
    keeper_pid = keeper(tmp_path)
    pids = [guard_of(keeper_pid), keeper_pid]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert engine.observe()["job.1"].phase is RunPhase.RUNNING
    eventually(lambda: all_ended(engine))
    assert engine.observe()["job.1"].phase is RunPhase.VANISHED
    assert processes_of(tmp_path) == []


def test_a_run_is_alive_until_its_guard_has_ended_it(
    tmp_path: Path, engine: LocalEngine, eventually: Eventually
) -> None:
    """Between the death of the keeper and the end of the tree nothing is given to others."""
    engine.submit(order("touch up; setsid sleep 100 & wait", count=8))
    eventually(lambda: (tmp_path / "up").exists() and running(engine))
    keeper_pid = keeper(tmp_path)
    guard = guard_of(keeper_pid)
    os.kill(guard, signal.SIGSTOP)
    os.kill(keeper_pid, signal.SIGKILL)
    engine.submit(order("touch ran", "job.2"))
    time.sleep(0.3)
    phases = [report.phase for report in engine.observe().values()]
    assert sorted(phases) == [RunPhase.ACCEPTED, RunPhase.RUNNING]
    assert not (tmp_path / "ran").exists()
    os.kill(guard, signal.SIGCONT)
    eventually(lambda: all_ended(engine))
    assert engine.observe()["job.1"].phase is RunPhase.VANISHED
    assert engine.observe()["job.2"].phase is RunPhase.SUCCEEDED


def test_accelerators_are_free_before_the_end_is_written(
    tmp_path: Path, engine: LocalEngine
) -> None:
    """Who reads the end record can order the accelerators again, without any wait."""
    record = tmp_path / "site" / "runs" / "job.1" / "ended.json"
    engine.submit(order("true", count=8))
    give_up = time.monotonic() + 30
    while not record.exists():
        assert time.monotonic() < give_up
    with (tmp_path / "site" / "slots" / "s%2Fp.lock").open("r+b") as slots:
        assert not any(is_locked(slots.fileno(), slot) for slot in range(8))


def test_a_shutdown_of_the_machine(
    tmp_path: Path, engine: LocalEngine, eventually: Eventually
) -> None:
    """A run that the site ends without being asked to is evicted: the job is not to blame."""
    engine.submit(order("touch up; sleep 100"))
    eventually((tmp_path / "up").exists)
    os.kill(keeper(tmp_path), signal.SIGTERM)
    eventually(lambda: all_ended(engine))
    report = engine.observe()["job.1"]
    assert report.phase is RunPhase.EVICTED
    assert report.detail == "the site ended its wrapper with SIGTERM"
    assert report.exit_code == 128 + signal.SIGTERM


def test_cancel_hits_no_process_that_got_the_id(tmp_path: Path, engine: LocalEngine) -> None:
    """When the wrapper's process id was given to another process, cancelling spares it."""
    run = RunDirectory(tmp_path / "site" / "runs" / "job.1")
    with subprocess.Popen(["/bin/sleep", "100"], env={}) as bystander:
        with run.lock() as lock:
            assert lock is not None
            (run.path / "claim.json").write_text(json.dumps({"pid": bystander.pid, "start": 1}))
            engine.cancel("job.1")
            time.sleep(0.05)
            assert bystander.poll() is None
        bystander.kill()


#: A command that notes its start and, as long as it lives, locks a file per accelerator.
HOLD: Final = """
import fcntl, os, time
with open("starts", "a") as file:
    file.write(os.environ["TIELINE_TOKEN"] + "\\n")
held = [open("held-" + slot, "w") for slot in os.environ["TIELINE_ACCELERATORS"].split(",")]
for file in held:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
time.sleep(0.1)
"""


@pytest.mark.parametrize("seed", range(3))
def test_no_chaos_starts_a_run_twice_or_shares_accelerators(
    tmp_path: Path, engine: LocalEngine, eventually: Eventually, seed: int
) -> None:
    """Whatever is submitted, cancelled, killed or restarted when: one start, own accelerators."""
    chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
    (tmp_path / "hold.py").write_text(HOLD)
    command = f"exec {sys.executable} -I -S hold.py"
    counts = {f"job-{number}.1": chance.choice([1, 2, 4, 8]) for number in range(25)}
    engines = [engine, open_engine(tmp_path)]
    for token, count in counts.items():
        for _ in range(chance.randint(1, 3)):
            chance.choice(engines).submit(order(command, token, count))
        time.sleep(chance.random() * 0.05)
        if chance.random() < 0.2:
            chance.choice(engines).cancel(chance.choice(list(counts)))
        if chance.random() < 0.5 and (live := running(engine)):
            kill_keeper(tmp_path, chance.choice(live))
        if chance.random() < 0.3:
            engines[1].close()
            engines[1] = open_engine(tmp_path)
    engines[1].close()
    eventually(lambda: all_ended(engine))
    phases = {token: report.phase for token, report in engine.observe().items()}
    starts = (tmp_path / "starts").read_text().split()
    assert set(phases) == set(counts)
    assert len(starts) == len(set(starts))
    assert {token for token in phases if phases[token] is RunPhase.SUCCEEDED} <= set(starts)
    # A clash over an accelerator would be an error of the command.
    assert RunPhase.FAILED not in phases.values()
    assert {RunPhase.SUCCEEDED, RunPhase.VANISHED} <= set(phases.values())


def kill_keeper(folder: Path, token: str) -> None:
    """Kill the keeper of a run, if it has got as far as to claim it."""
    with suppress(FileNotFoundError, ProcessLookupError):
        os.kill(keeper(folder, token), signal.SIGKILL)
