"""The wrapper where nobody can look at its processes: its pulse, its leases, a full disk."""

import ast
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tieline.engines.slurm import agent
from tieline.engines.wrapper import files
from tieline.engines.wrapper.bundle import bundle, wrapper_source
from tieline.engines.wrapper.files import TRY_AGAIN

LEASE_S: Final = 1.5

Eventually = Callable[[Callable[[], object]], None]


def prepare(folder: Path, command: str, **more: object) -> Path:
    """Give a run directory with an order that has a lease, as a Slurm job finds it."""
    run = folder / "job.1"
    run.mkdir()
    order = {
        "token": "job.1",
        "job_id": "job",
        "tenant": "lab-a",
        "command": command,
        "env": {},
        "time_limit_s": None,
        "workdir": str(folder),
        "grace_s": 0.3,
        "attempt": 1,
        "pool": "s/p",
        "accelerator": "nvidia-h20-96",
        "poll_s": 0.2,
        "lease_s": LEASE_S,
        "site_lease": None,
        "lease_grace_s": 0.3,
        **more,
    }
    (run / "order.json").write_text(json.dumps(order))
    return run


def start(run: Path, **variables: str) -> subprocess.Popen[bytes]:
    """Start a wrapper on a run directory."""
    program = run.parent / "wrapper.py"
    if not program.exists():
        program.write_text(wrapper_source())
    command = [sys.executable, "-I", "-S", str(program), str(run)]
    return subprocess.Popen(command, env={**os.environ, **variables}, start_new_session=True)


def record(run: Path) -> Mapping[str, object]:
    """Give the end record of a run."""
    found: Mapping[str, object] = json.loads((run / "ended.json").read_bytes())
    return found


def keeper(run: Path) -> int:
    """Give the process id of the keeper."""
    pid: int = json.loads((run / "claim.json").read_bytes())["pid"]
    return pid


def test_what_is_sent_needs_no_new_python() -> None:
    """Wrapper and helper are single files that Python 3.9 can read and that import no Tieline."""
    for source in (wrapper_source(), bundle(files, agent)):
        tree = ast.parse(source, feature_version=(3, 9))
        names = [
            str(node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert not [name for name in names if name.startswith("tieline")]
        defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert len(defined) == len(set(defined))


def test_a_run_shows_signs_of_life(tmp_path: Path, eventually: Eventually) -> None:
    """The pulse is touched again and again while the run goes on, also while it is ended."""
    run = prepare(tmp_path, "trap 'sleep 2; exit 4' TERM; touch up; sleep 100 & wait", grace_s=20)
    with start(run) as wrapper:
        eventually((tmp_path / "up").exists)
        stamps = set()
        for _ in range(10):
            stamps.add((run / "pulse").stat().st_mtime_ns)
            time.sleep(0.2)
        (run / "cancel").touch()
        assert wrapper.wait(30) == 0
    assert len(stamps) > 2
    assert (record(run)["phase"], record(run)["exit_code"]) == ("stopped", 4)


def test_a_keeper_that_hangs_is_killed_with_its_run(
    tmp_path: Path, eventually: Eventually
) -> None:
    """When the pulse stops for the lease, nothing of the run is alive any more."""
    run = prepare(tmp_path, "setsid sleep 100 & echo $! > child; touch up; wait")
    with start(run) as wrapper:
        eventually((tmp_path / "up").exists)
        os.kill(keeper(run), signal.SIGSTOP)
        assert wrapper.wait(LEASE_S + 10) == TRY_AGAIN
    assert not Path(f"/proc/{(tmp_path / 'child').read_text().strip()}").exists()
    assert not (run / "ended.json").exists()


def test_a_file_system_that_fails_ends_the_run(tmp_path: Path, eventually: Eventually) -> None:
    """A keeper that cannot touch the pulse is taken for dead by all, and so it must be."""
    run = prepare(tmp_path, "touch up; sleep 100")
    with start(run) as wrapper:
        eventually((tmp_path / "up").exists)
        (run / "pulse").unlink()
        assert wrapper.wait(LEASE_S + 10) == TRY_AGAIN


def test_a_run_that_was_given_up_ends(tmp_path: Path, eventually: Eventually) -> None:
    """A wrapper that finds an end record ends its run and leaves the record as it is."""
    run = prepare(tmp_path, "touch up; sleep 100")
    with start(run) as wrapper:
        eventually((tmp_path / "up").exists)
        (run / "ended.json").write_text('{"phase": "vanished"}')
        assert wrapper.wait(30) == 0
    assert record(run) == {"phase": "vanished"}


def test_the_site_lease(tmp_path: Path, eventually: Eventually) -> None:
    """A run ends in time when the site does not hear from the control plane for its lease."""
    lease = tmp_path / "site-lease"
    run = prepare(
        tmp_path,
        "trap 'touch saved; exit 0' TERM; touch up; sleep 100 & wait",
        site_lease=str(lease),
    )
    until = time.time() + 3
    lease.write_text(json.dumps({"until": until}))
    with start(run) as wrapper:
        eventually((tmp_path / "up").exists)
        assert wrapper.wait(30) == 0
    ended_at = record(run)["ended_at"]
    assert record(run)["phase"] == "evicted"
    assert "has not heard from the control plane" in str(record(run)["detail"])
    assert (tmp_path / "saved").exists()
    assert isinstance(ended_at, float)
    assert ended_at < until + LEASE_S


@pytest.mark.parametrize("content", ['{"until": 1.0}', "", "[]", '{"until": "never"}', None])
def test_a_site_lease_that_has_passed(tmp_path: Path, content: str | None) -> None:
    """A run whose site has lost the control plane does not start; nor one that cannot tell."""
    lease = tmp_path / "site-lease"
    if content is not None:
        lease.write_text(content)
    run = prepare(tmp_path, "touch up", site_lease=str(lease))
    with start(run) as wrapper:
        assert wrapper.wait(30) == 0
    assert (record(run)["phase"], record(run)["started_at"]) == ("evicted", None)
    assert not (tmp_path / "up").exists()


def test_many_wrappers_of_one_run(tmp_path: Path) -> None:
    """However many wrappers start at one moment, one of them runs the command."""
    run = prepare(tmp_path, "echo line >> lines; sleep 0.3")
    wrappers = [start(run) for _ in range(8)]
    assert [wrapper.wait(30) for wrapper in wrappers] == [0] * 8
    assert (tmp_path / "lines").read_text() == "line\n"


def test_a_signal_that_reaches_all_at_once(tmp_path: Path, eventually: Eventually) -> None:
    """A command that ends well because the site ended it has not succeeded, but is evicted."""
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = prepare(folder, "trap 'exit 0' TERM; echo $$ > pid; touch up; sleep 100 & wait")
        with start(run) as wrapper:
            eventually((folder / "up").exists)
            os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
            os.kill(wrapper.pid, signal.SIGTERM)
            assert wrapper.wait(30) == 0
        assert (record(run)["phase"], record(run)["exit_code"]) == ("evicted", 0)


def test_a_token_of_slurmrestd_is_not_for_the_command(tmp_path: Path) -> None:
    """The token that slurmrestd puts into the environment of a job is taken out again."""
    run = prepare(tmp_path, "env > seen; echo $TIELINE_ACCELERATORS > given")
    with start(run, SLURM_JWT="secret", SLURM_JOB_GPUS="4,5") as wrapper:
        assert wrapper.wait(30) == 0
    assert "secret" not in (tmp_path / "seen").read_text()
    assert (tmp_path / "given").read_text() == "4,5\n"


@pytest.mark.usefixtures("slurm_clusters")  # only root can give a directory away
def test_a_wrapper_of_another_user_refuses(tmp_path: Path) -> None:
    """A run directory of one user is not run with the rights of another."""
    run = prepare(tmp_path, "touch up")
    os.chown(run, pwd.getpwnam("games").pw_uid, -1)
    with start(run) as wrapper:
        assert wrapper.wait(30) == 1
    assert not (run / "claim.json").exists()
    assert not (tmp_path / "up").exists()


#: Fills a small disk, starts the wrapper, gives it room after a while or cancels the run.
FULL: Final = """
mount -t tmpfs -o size=64k,mode=700 tmpfs {disk} && cp -r {run} {disk}/job.1 || exit 9
cat /dev/zero > {disk}/filler 2>/dev/null
{python} -I -S {program} {disk}/job.1 &
sleep 1.5; ls {disk}/job.1 > {folder}/during
{then}
wait $!; echo $? > {folder}/code; ls {disk}/job.1 > {folder}/after
"""


@pytest.mark.usefixtures("slurm_clusters")  # only root can mount a disk
@pytest.mark.parametrize(
    ("then", "ran"), [("rm {disk}/filler", True), ("touch {disk}/job.1/cancel", False)]
)
def test_a_full_disk(tmp_path: Path, then: str, ran: bool) -> None:
    """Nothing runs without a durable claim: the wrapper waits for room, or for the end."""
    run = prepare(tmp_path, "touch ran")
    program, disk = tmp_path / "wrapper.py", tmp_path / "disk"
    program.write_text(wrapper_source())
    disk.mkdir()
    script = FULL.format(
        disk=disk,
        run=run,
        python=sys.executable,
        program=program,
        folder=tmp_path,
        then=then.format(disk=disk),
    )
    subprocess.run(["/usr/bin/unshare", "--mount", "sh", "-c", script], check=True, timeout=60)
    assert "claim.json" not in (tmp_path / "during").read_text()
    assert (tmp_path / "ran").exists() == ran
    assert (tmp_path / "code").read_text() == "0\n"
    assert ("ended.json" in (tmp_path / "after").read_text()) == ran
    assert ".tmp" not in (tmp_path / "after").read_text()
