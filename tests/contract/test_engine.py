"""The contract of the `Engine` port, held by every engine.

A new engine joins by a line in `BENCHES`. After each test the `bench` fixture cancels what is
left and demands that no process of any run is alive.
"""

import json
import os
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from engine_bench import (
    GRACE_S,
    POOL,
    REACHING,
    Bench,
    Eventually,
    local_bench,
    phase,
    shared_folder,
    slurm_bench,
    slurm_site,
)
from tieline.control.ports import Engine, RunOrder, RunPhase
from tieline.engines.wrapper.rundir import ENDED_PHASES
from tieline.model.errors import OrderRefused

BENCHES: Final = ("local", "slurm-cli", "slurm-rest")

_NUMBERS: Final = count()


@pytest.fixture(params=BENCHES)
def bench(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    eventually: Eventually,
    processes_of: Callable[[Path], list[int]],
) -> Iterator[Bench]:
    """Give a new site under each kind of engine; demand that nothing is left running."""
    if request.param == "local":
        bench = local_bench(tmp_path, eventually)
    else:
        cluster = request.getfixturevalue("slurm_clusters")["beta"]
        folder = shared_folder(cluster, f"contract-{next(_NUMBERS)}")
        site = slurm_site(REACHING[request.param](cluster, folder))
        bench = slurm_bench(cluster, site, folder, eventually)
    yield bench
    engine = bench.open()
    for token in engine.observe():
        engine.cancel(token)
    eventually(lambda: all(report.phase in ENDED_PHASES for report in engine.observe().values()))
    engine.close()
    assert processes_of(bench.runs) == []


@pytest.fixture
def engine(bench: Bench) -> Iterator[Engine]:
    """Give an engine on the bench."""
    engine = bench.open()
    yield engine
    engine.close()


def order(command: str, run: str = "job.1", count: int = 1) -> RunOrder:
    """Give an order of one tenant for the first pool."""
    return RunOrder(run, run.partition(".")[0], "lab-a", POOL, count, command)


def python(code: str) -> str:
    """Give the shell command that runs a piece of Python."""
    return f"python3 -I -S -c {shlex.quote(code)}"


def test_a_run_succeeds(bench: Bench, engine: Engine) -> None:
    """A command that ends with 0 has succeeded, and its times lie around it."""
    before = time.time()
    engine.submit(order("sleep 0.1"))
    (report,) = bench.ended(engine, "job.1")
    assert (report.token, report.phase, report.exit_code) == ("job.1", RunPhase.SUCCEEDED, 0)
    assert report.started_at is not None
    assert report.ended_at is not None
    assert before <= report.started_at <= report.ended_at - 0.1 <= time.time()


def test_phases_follow_one_another(bench: Bench, engine: Engine) -> None:
    """A submitted run is known at once, and running, with its start, from when it starts."""
    engine.submit(order("touch started; while [ ! -e go ]; do sleep 0.01; done"))
    assert phase(engine) in {RunPhase.ACCEPTED, RunPhase.RUNNING}
    bench.eventually(bench.exists("started"))
    bench.eventually(lambda: phase(engine) is RunPhase.RUNNING)
    report = engine.observe()["job.1"]
    assert report.started_at is not None
    assert report.ended_at is None
    (bench.output / "go").touch()
    bench.ended(engine, "job.1")


@pytest.mark.parametrize(
    ("command", "exit_code", "detail"),
    [
        ("exit 3", 3, ""),
        ("no-such-command-at-all", 127, ""),
        ("kill -SEGV $$", 128 + signal.SIGSEGV, "killed by signal 11"),
        ("kill -KILL $$", 128 + signal.SIGKILL, "killed by signal 9"),
    ],
)
def test_a_run_fails(
    bench: Bench, engine: Engine, command: str, exit_code: int, detail: str
) -> None:
    """Any other end of the command is a failure, with the exit code a shell would give."""
    engine.submit(order(command))
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.exit_code) == (RunPhase.FAILED, exit_code)
    assert report.detail == detail


def test_submit_is_idempotent(bench: Bench, engine: Engine) -> None:
    """However often a token is submitted, by whom and when, its command runs once."""
    once = order("echo line >> lines; sleep 0.3")
    for _ in range(3):
        engine.submit(once)
    other = bench.open()
    other.submit(once)
    bench.ended(other, "job.1")
    for again in (engine, other):
        again.submit(once)
        assert phase(again) is RunPhase.SUCCEEDED
    other.close()
    assert (bench.output / "lines").read_text() == "line\n"


def test_submit_at_the_same_time(bench: Bench) -> None:
    """Many submissions of one token at one moment, by several engines, run it once."""
    engines = [bench.open() for _ in range(4)]
    tokens = [f"job-{number}.1" for number in range(5)]
    with ThreadPoolExecutor(8) as pool:
        for token in tokens:
            once = order(f"echo line >> {token}", token)
            list(pool.map(lambda engine, once=once: engine.submit(once), engines * 4))
    bench.ended(engines[0], *tokens)
    for engine in engines:
        engine.close()
    assert [(bench.output / token).read_text() for token in tokens] == ["line\n"] * 5


def test_cancel_ends_the_whole_tree(bench: Bench, engine: Engine) -> None:
    """Cancelling ends every process of the run, those in sessions of their own included."""
    engine.submit(
        order(
            "echo $$ > first; sleep 100 & echo $! > second; "
            "setsid sh -c 'echo $$ > third; setsid sleep 100 & echo $! > fourth; wait' & "
            "wait"
        )
    )
    files = [bench.output / name for name in ("first", "second", "third", "fourth")]
    bench.eventually(lambda: all(file.exists() and file.read_text() for file in files))
    assert not any(bench.gone(file) for file in files)
    engine.cancel("job.1")
    engine.cancel("job.1")
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.detail) == (RunPhase.STOPPED, "cancelled")
    assert report.started_at is not None
    assert all(bench.gone(file) for file in files)


def test_a_command_that_ignores_sigterm_is_killed(bench: Bench, engine: Engine) -> None:
    """What does not end when asked to is killed after the grace, not before."""
    engine.submit(order("trap 'echo asked > asked' TERM; touch up; while :; do sleep 0.05; done"))
    bench.eventually(bench.exists("up"))
    cancelled_at = time.time()
    engine.cancel("job.1")
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.exit_code) == (RunPhase.STOPPED, 128 + signal.SIGKILL)
    assert (bench.output / "asked").read_text() == "asked\n"
    assert report.ended_at is not None
    assert report.ended_at - cancelled_at >= GRACE_S


def test_a_run_that_needs_longer_to_save_its_state_is_given_longer(
    bench: Bench, engine: Engine
) -> None:
    """A grace that the order names, longer than the engine's own, is waited for."""
    trap = f"trap 'sleep {3 * GRACE_S}; touch saved; exit 0' TERM"
    slow = order(f"{trap}; touch up; while :; do sleep 0.05; done")
    engine.submit(replace(slow, grace_s=20.0))
    bench.eventually(bench.exists("up"))
    engine.cancel("job.1")
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.exit_code) == (RunPhase.STOPPED, 0)
    assert bench.exists("saved")()


def test_a_stopped_process_is_ended_too(bench: Bench, engine: Engine) -> None:
    """A suspended command can be cancelled, and gets its chance to end by itself."""
    engine.submit(order("touch up; kill -STOP $$"))
    bench.eventually(bench.exists("up"))
    engine.cancel("job.1")
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.exit_code) == (RunPhase.STOPPED, 128 + signal.SIGTERM)


def test_a_cancelled_token_never_starts(bench: Bench, engine: Engine) -> None:
    """Cancelling is no error for a token nobody knows, and holds for a later submission."""
    engine.cancel("job.1")
    engine.submit(order("touch ran"))
    other = bench.open()
    other.submit(order("touch ran"))
    (report,) = bench.ended(other, "job.1")
    other.close()
    assert (report.phase, report.started_at) == (RunPhase.STOPPED, None)
    assert report.detail == "cancelled before it started"
    assert not (bench.output / "ran").exists()


def test_cancel_right_after_submit(bench: Bench, engine: Engine) -> None:
    """A run that is cancelled while it starts is stopped, whatever step it was at."""
    tokens = [f"job-{number}.1" for number in range(10)]
    for number, token in enumerate(tokens):
        engine.submit(order("sleep 100", token))
        time.sleep(number * 0.005)
        engine.cancel(token)
    assert {report.phase for report in bench.ended(engine, *tokens)} == {RunPhase.STOPPED}


def test_an_ended_run_cannot_be_cancelled(bench: Bench, engine: Engine) -> None:
    """Cancelling an ended run is no error and changes nothing."""
    engine.submit(order("true"))
    before = bench.ended(engine, "job.1")
    engine.cancel("job.1")
    again = bench.open()
    assert [again.observe()["job.1"]] == before
    again.close()


def test_the_time_limit_ends_a_run(bench: Bench, engine: Engine) -> None:
    """A run over its time limit fails, with the limit in its report, and all of it is ended."""
    limited = order("sleep 100 & echo $! > child; wait")
    engine.submit(replace(limited, time_limit_s=0.4))
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.detail) == (RunPhase.FAILED, "time limit of 0.4 s")
    assert report.exit_code == 128 + signal.SIGTERM
    assert report.started_at is not None
    assert report.ended_at is not None
    assert 0.4 <= report.ended_at - report.started_at < 10
    assert bench.gone(bench.output / "child")


def test_what_a_command_leaves_behind_is_ended(bench: Bench, engine: Engine) -> None:
    """A run ends when its command ends; daemons it started end with it."""
    engine.submit(
        order("setsid sh -c 'echo $$ > daemon; exec sleep 100' >&- 2>&- <&- & sleep 0.2")
    )
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.exit_code) == (RunPhase.SUCCEEDED, 0)
    assert bench.gone(bench.output / "daemon")


def test_a_command_that_closes_its_output_runs_on(bench: Bench, engine: Engine) -> None:
    """Closing standard output and error is not the end of a run."""
    engine.submit(order("exec >&- 2>&-; sleep 0.2; exit 5"))
    assert bench.ended(engine, "job.1")[0].exit_code == 5


def test_accelerators_are_free_when_the_end_is_seen(bench: Bench, engine: Engine) -> None:
    """A whole pool can be ordered again as soon as its run is seen to have ended."""
    for attempt in range(4):
        token = f"job.{attempt}"
        engine.submit(order("true", token, count=16))
        assert bench.ended(engine, token)[0].phase is RunPhase.SUCCEEDED


def test_a_waiting_run_can_be_cancelled(bench: Bench, engine: Engine) -> None:
    """A run that waits for accelerators can be cancelled and then never starts."""
    engine.submit(order("touch up; sleep 100", "first.1", count=16))
    bench.eventually(bench.exists("up"))
    engine.submit(order("touch ran", "second.1"))
    engine.cancel("second.1")
    assert bench.ended(engine, "second.1")[0].phase is RunPhase.STOPPED
    assert not (bench.output / "ran").exists()


def test_the_environment_of_a_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sees what the order says and who it is, and no secret of the control plane."""
    monkeypatch.setenv("TIELINE_SECRET", "hush")
    engine = bench.open()
    given = {"SEED": "1 'x'\n模型", "TIELINE_POOL": "a lie"}
    engine.submit(replace(order(f"{python(DUMP)} > env", "job.7", count=2), env=given, attempt=7))
    bench.ended(engine, "job.7")
    engine.close()
    seen = json.loads((bench.output / "env").read_text())
    assert seen.pop("TIELINE_ACCELERATORS") == "0,1"
    assert seen.pop("TIELINE_RUN")
    assert {name: value for name, value in seen.items() if name.startswith("TIELINE")} == {
        "TIELINE_ACCELERATOR": "nvidia-h20-96",
        "TIELINE_ATTEMPT": "7",
        "TIELINE_JOB": "job",
        "TIELINE_POOL": POOL,
        "TIELINE_TENANT": "lab-a",
        "TIELINE_TOKEN": "job.7",
    }
    assert seen["SEED"] == given["SEED"]
    assert "/usr/bin" in seen["PATH"].split(":")


DUMP: Final = "import json, os; print(json.dumps(dict(os.environ)))"


def test_a_run_inherits_nothing_odd(bench: Bench, engine: Engine) -> None:
    """A command has three files open, no signal blocked or ignored, and is its own session."""
    code = (
        "import os, signal; shell = os.getppid(); "
        "print(len(os.listdir(f'/proc/{shell}/fd')), os.getsid(0) == shell, "
        "signal.pthread_sigmask(signal.SIG_BLOCK, ())); "
        "status = dict(line.split(':') for line in open(f'/proc/{shell}/status')); "
        "print(int(status['SigIgn'], 16) % (1 << 31))"  # two above are the C library's own
    )
    engine.submit(order(f"{python(code)}; true"))
    bench.ended(engine, "job.1")
    assert engine.log("job.1") == b"3 True set()\n0\n"


def test_the_log_can_be_followed(bench: Bench, engine: Engine) -> None:
    """Output can be read piece by piece while the run goes on."""
    engine.submit(order("echo one; echo two >&2; while [ ! -e go ]; do sleep 0.01; done; echo 3"))
    bench.eventually(lambda: engine.log("job.1") == b"one\ntwo\n")
    assert engine.log("job.1", offset=4) == b"two\n"
    assert engine.log("job.1", offset=1, limit=3) == b"ne\n"
    assert engine.log("job.1", offset=8) == b""
    (bench.output / "go").touch()
    bench.ended(engine, "job.1")
    assert engine.log("job.1", offset=8) == b"3\n"
    assert engine.log("job.1", offset=1000) == b""


def test_output_is_bytes(bench: Bench, engine: Engine) -> None:
    """Output comes back byte for byte, text or not, however long a line."""
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)"
    engine.submit(order(python(code)))
    bench.ended(engine, "job.1")
    assert engine.log("job.1", limit=1 << 20) == bytes(range(256)) * 1000
    assert len(engine.log("job.1")) == 1 << 16


def test_unknown_tokens(engine: Engine) -> None:
    """A token that was never submitted is absent, has no output, and can be forgotten."""
    engine.forget(["job.1"])
    assert engine.observe() == {}
    assert engine.log("job.1") == b""


def test_a_killed_wrapper_takes_its_run_along(bench: Bench, engine: Engine) -> None:
    """When the wrapper is killed its run has vanished, and no process of it is alive."""
    command = "setsid sh -c 'echo $$ > away; exec sleep 100' & echo $$ > first; wait"
    engine.submit(order(command, count=16))
    files = [bench.output / "away", bench.output / "first"]
    bench.eventually(lambda: all(file.exists() and file.read_text() for file in files))
    os.kill(bench.keeper("job.1"), signal.SIGKILL)
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.exit_code) == (RunPhase.VANISHED, None)
    assert all(bench.gone(file) for file in files)
    engine.submit(order("touch ran"))
    assert phase(engine) is RunPhase.VANISHED
    engine.submit(order("true", "job.2", count=16))  # its accelerators are free
    assert bench.ended(engine, "job.2")[0].phase is RunPhase.SUCCEEDED
    assert not (bench.output / "ran").exists()


def test_a_run_that_the_site_takes_back(bench: Bench, engine: Engine) -> None:
    """A run that the site ends by itself is asked to save its state, evicted, and runs once."""
    command = "echo line >> lines; trap 'echo saved > saved; exit 0' TERM; touch up; "
    engine.submit(order(f"{command} while :; do sleep 0.05; done"))
    bench.eventually(bench.exists("up"))
    bench.take_back("job.1")
    (report,) = bench.ended(engine, "job.1")
    assert (report.phase, report.exit_code) == (RunPhase.EVICTED, 0)
    assert report.detail
    assert bench.exists("saved")()
    engine.submit(order("echo line >> lines"))
    assert phase(engine) is RunPhase.EVICTED
    assert (bench.output / "lines").read_text() == "line\n"


def test_a_machine_that_goes_down(bench: Bench, engine: Engine) -> None:
    """A run whose machine goes down ends without a result, and others run when it is back."""
    engine.submit(order("echo line >> lines; touch up; sleep 100"))
    bench.eventually(bench.exists("up"))
    bench.crash("job.1")
    try:
        (report,) = bench.ended(engine, "job.1")
    finally:
        bench.mend()
    assert report.phase in {RunPhase.EVICTED, RunPhase.VANISHED}
    engine.submit(order("true", "job.2", count=16))
    assert bench.ended(engine, "job.2")[0].phase is RunPhase.SUCCEEDED
    assert (bench.output / "lines").read_text() == "line\n"


def test_another_engine_sees_the_same(bench: Bench, engine: Engine) -> None:
    """After a restart all runs are known, and a running one can be followed and cancelled."""
    engine.submit(order("exit 4", "ended.1"))
    engine.submit(order("echo here; sleep 100", "live.1"))
    bench.eventually(lambda: engine.log("live.1"))
    bench.eventually(lambda: phase(engine, "live.1") is RunPhase.RUNNING)
    (ended,) = bench.ended(engine, "ended.1")
    engine.close()
    again = bench.open()
    reports = again.observe()
    assert set(reports) == {"ended.1", "live.1"}
    assert reports["ended.1"] == ended
    assert reports["live.1"].phase is RunPhase.RUNNING
    assert again.log("live.1") == b"here\n"
    again.cancel("live.1")
    assert bench.ended(again, "live.1")[0].phase is RunPhase.STOPPED
    again.close()


def test_forget(bench: Bench, engine: Engine) -> None:
    """An ended run can be forgotten, by any engine and twice; a live one cannot."""
    engine.submit(order("true", "ended.1"))
    engine.submit(order("touch up; sleep 100", "live.1"))
    bench.ended(engine, "ended.1")
    bench.eventually(bench.exists("up"))
    other = bench.open()
    for _ in range(2):
        other.forget(["ended.1", "live.1", "unknown.1", "../site"])
    other.close()
    assert set(engine.observe()) == {"live.1"}
    assert engine.log("ended.1") == b""


def test_capacity(engine: Engine) -> None:
    """Capacity counts the accelerators of every pool, used or not."""
    engine.submit(order("sleep 0.2", count=16))
    for _ in range(5):
        assert engine.capacity() == {POOL: 16, "gui-an-1/npu": 4}
        time.sleep(0.1)


REFUSED: Final[list[tuple[dict[str, object], str]]] = [
    ({"pool": "elsewhere/npu"}, r"'elsewhere/npu' is not at this site; its pools: gui-an-1/"),
    ({"count": 17}, "17 accelerators are asked for, gui-an-1/nvidia-h20-96 has 16"),
    ({"count": 0}, "0 accelerators are asked for"),
    ({"token": "../job.1"}, "the token may have only letters"),
    ({"token": ".."}, "the token may have only letters"),
    ({"token": ""}, "the token may have only letters"),
    ({"token": "a/b"}, "the token may have only letters"),
    ({"token": "job.1\n"}, "the token may have only letters"),
    ({"token": "x" * 201}, "the token may have only letters"),
    ({"command": "  "}, "the command is empty"),
    ({"command": "true\0"}, "the command holds a zero byte"),
    ({"command": "echo \ud800"}, "the command is not valid Unicode"),
    ({"command": "x" * (1 << 17)}, "131,072 bytes long, 131,071 are allowed"),
    ({"env": {"A=B": "1"}}, "'A=B' is no name of an environment variable"),
    ({"env": {"A": "\0"}}, "the variable A holds a zero byte"),
    ({"time_limit_s": 0.0}, "must be above 0"),
    ({"time_limit_s": float("nan")}, "must be above 0"),
]


def test_orders_that_can_never_run(engine: Engine) -> None:
    """An order that can never run is refused in plain words, and leaves no trace."""
    for change, message in REFUSED:
        with pytest.raises(OrderRefused, match=message):
            engine.submit(replace(order("true"), **change))  # type: ignore[arg-type] # wrong on purpose
    assert engine.observe() == {}


def test_odd_tokens_reach_no_file(engine: Engine) -> None:
    """A token that no run can have is unknown to every call."""
    for token in ("..", "../../site", "", "a/b", "\0", "/"):
        engine.cancel(token)
        engine.forget([token])
        assert engine.log(token) == b""
    assert engine.observe() == {}
