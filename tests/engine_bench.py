"""One site under each kind of engine, for tests that hold for all of them."""

import json
import os
import pwd
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bed.slurm import Cluster
from tieline.control.ports import Engine, RunOrder, RunPhase, RunReport
from tieline.engines.local import LocalEngine
from tieline.engines.slurm import SlurmEngine
from tieline.engines.wrapper.rundir import ENDED_PHASES
from tieline.model.errors import EngineUnavailable
from tieline.model.network import Pool, Site

GRACE_S: Final = 0.3
#: After so long without a sign of life nothing of a Slurm run is alive, tests say [s].
HEARTBEAT_S: Final = 4.0
#: Account of all tenants at the Slurm sites.
USER: Final = "games"
#: Whose jobs are in the way there.
OTHER_USER: Final = "www-data"
POOL: Final = "gui-an-1/nvidia-h20-96"
SITE: Final = Site(
    "gui-an-1",
    "gui-an",
    (
        Pool(POOL, "gui-an-1", "nvidia-h20-96", nodes=2, accelerators_per_node=8, gres="gpu:h20"),
        Pool(
            "gui-an-1/npu",
            "gui-an-1",
            "huawei-910b2",
            nodes=1,
            accelerators_per_node=4,
            gres="gpu:ascend910b",
        ),
    ),
)

Eventually = Callable[[Callable[[], object]], None]


@dataclass(frozen=True)
class Bench:
    """One site under one kind of engine."""

    open: Callable[[], Engine]
    """Gives a new engine object on the site, as after a restart of the control plane."""
    runs: Path
    """Where the run directories are."""
    output: Path
    """A folder for what the commands write."""
    processes: Callable[[], Iterable[int]]
    """Gives the processes of the machine that commands run on."""
    take_back: Callable[[str], None]
    """Makes the site end a run for reasons of its own, and put it back where it has a queue."""
    crash: Callable[[str], None]
    """Lets the machine of a run go down."""
    mend: Callable[[], None]
    """Brings the machine back."""
    eventually: Eventually

    def ended(self, engine: Engine, *tokens: str) -> list[RunReport]:
        """Wait for the end of runs and give their reports."""
        self.eventually(lambda: all(phase(engine, token) in ENDED_PHASES for token in tokens))
        return [engine.observe()[token] for token in tokens]

    def drive(
        self, engine: Engine, *orders: RunOrder, meanwhile: Callable[[], object] = bool
    ) -> None:
        """Do what the loop does until all have ended: look, and submit again what is absent."""
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            with suppress(EngineUnavailable):
                reports = engine.observe()
                phases = {token: report.phase for token, report in reports.items()}
                if all(phases.get(once.token) in ENDED_PHASES for once in orders):
                    return
                for once in orders:
                    if once.token not in reports:
                        engine.submit(once)
            meanwhile()
            time.sleep(0.1)
        raise TimeoutError(f"not ended: {engine.observe()}")

    def exists(self, name: str) -> Callable[[], bool]:
        """Give the condition that a command has written a file of its output folder."""
        return (self.output / name).exists

    def process(self, number: int) -> int:
        """Give our id of a process that has that id on its machine; 0 when it is gone."""
        for pid in self.processes():
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:  # gone meanwhile
                continue
            names = next(line for line in status.splitlines() if line.startswith("NSpid:"))
            if int(names.split()[-1]) == number and "State:\tZ" not in status:
                return pid
        return 0

    def gone(self, file: Path) -> bool:
        """Tell whether the process that wrote its id into a file is no longer there."""
        return self.process(int(file.read_text())) == 0

    def keeper(self, token: str) -> int:
        """Give the process that keeps a run that is claimed."""
        claim = json.loads((self.runs / token / "claim.json").read_bytes())
        return self.process(claim["pid"])


def phase(engine: Engine, run: str = "job.1") -> RunPhase | None:
    """Give how far a run has come; None when the site does not know it."""
    report = engine.observe().get(run)
    return report.phase if report else None


def all_processes() -> list[int]:
    """Give the processes of this machine."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def parent_of(pid: int) -> int:
    """Give the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def local_bench(folder: Path, eventually: Eventually) -> Bench:
    """Give a site under the local engine."""
    site = folder / "site"
    (folder / "output").mkdir()

    def open_engine() -> LocalEngine:
        return LocalEngine(SITE, site, workdir=folder / "output", grace_s=GRACE_S, slot_wait_s=0.3)

    def take_back(token: str) -> None:
        os.kill(bench.keeper(token), signal.SIGTERM)

    def crash(token: str) -> None:
        keeper = bench.keeper(token)
        guard = parent_of(keeper)
        os.kill(guard, signal.SIGSTOP)  # or it would end the run when it sees the keeper gone
        os.kill(keeper, signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)

    bench = Bench(
        open_engine,
        site / "runs",
        folder / "output",
        all_processes,
        take_back,
        crash,
        lambda: None,
        eventually,
    )
    return bench


def slurm_options(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Give the options of a Slurm site in a folder that its cluster shares."""
    return {
        "directory": str(folder),
        "workdir": str(folder / "output"),
        "heartbeat": f"{HEARTBEAT_S:g}s",
        "grace": f"{GRACE_S:g}s",
        "conf": str(cluster.conf),
    }


def by_rest(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Give the options to reach a cluster by its slurmrestd."""
    token = folder / f"token-{USER}"
    token.write_text(cluster.token(USER))
    token.chmod(0o600)
    options = slurm_options(cluster, folder)
    del options["conf"]
    return {**options, "url": cluster.rest_url, "jwt_file": str(folder / "token-{user}")}


def by_ssh(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Give the options to reach a cluster by its commands over ssh."""
    assert cluster.ssh is not None
    options = slurm_options(cluster, folder)
    config = str(cluster.ssh.config(USER))
    return {**options, "ssh": f"{{user}}@{cluster.ssh.host}", "ssh_config": config}


REACHING: Final[Mapping[str, Callable[[Cluster, Path], dict[str, str]]]] = {
    "slurm-cli": slurm_options,
    "slurm-rest": by_rest,
    "slurm-ssh": by_ssh,
}


def shared_folder(cluster: Cluster, name: str) -> Path:
    """Give a new folder that the nodes of a cluster share, with one for output in it."""
    folder = cluster.shared / name
    folder.mkdir()
    folder.chmod(0o1777)
    (folder / "output").mkdir()
    owner = pwd.getpwnam(USER)
    os.chown(folder / "output", owner.pw_uid, owner.pw_gid)
    return folder


def save_state(cluster: Cluster) -> None:
    """Have the controller write down what it knows, which it otherwise does every 5 s.

    When it is killed before, jobs that ended in other tests run once more in its mind, and hold
    what they held.
    """
    cluster.kill("slurmctld", signal.SIGTERM)
    cluster.start("slurmctld")
    cluster.wait_idle()


def make_idle(cluster: Cluster) -> None:
    """End all jobs of a cluster and let its nodes take new ones, until it stays like that.

    A controller that was killed comes to know only by and by what went on meanwhile.
    """
    give_up = time.monotonic() + 60
    while True:
        for user in (USER, OTHER_USER):
            cluster.run("scancel", f"--user={user}", check=False)
        with suppress(ChildProcessError):  # a node has come back by itself meanwhile
            cluster.resume_nodes()
        try:
            return cluster.wait_idle(2.0)
        except TimeoutError:
            if time.monotonic() > give_up:
                raise


def slurm_site(options: Mapping[str, str]) -> Site:
    """Give the site with a Slurm engine, where all tenants run as one user."""
    return replace(SITE, engine="slurm", engine_options=options, accounts={"*": USER})


def slurm_bench(cluster: Cluster, site: Site, folder: Path, eventually: Eventually) -> Bench:
    """Give a site under the Slurm engine."""

    def shown(token: str, column: str) -> str:
        return cluster.run(
            "squeue", "-h", f"--name={token}", "-t", "R", "-o", column
        ).stdout.strip()

    def take_back(token: str) -> None:
        number = shown(token, "%i")
        cluster.run("scontrol", "update", f"jobid={number}", "requeue=1")
        cluster.run("scontrol", "requeue", number)

    def crash(token: str) -> None:
        node = shown(token, "%N")
        cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    return Bench(
        lambda: SlurmEngine(site),
        folder / USER / "runs",
        folder / "output",
        cluster.machine.processes,
        take_back,
        crash,
        cluster.resume_nodes,
        eventually,
    )
