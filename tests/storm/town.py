"""The town under the storm: three real clusters, PostgreSQL, two control planes and a user."""

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from bed import postgres, slurm
from bed.machine import claim, need
from storm.evidence import COMMAND
from storm.faults import processes_with
from tieline.client import Client
from tieline.control.lifecycle import Event
from tieline.control.ports import JobRecord, Store
from tieline.model.errors import TielineError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store

TIELINE: Final = str(Path(sys.executable).with_name("tieline"))
#: What lets the clock of a control plane jump.
CLOCK: Final = Path(__file__).with_name("clock")
#: The user of the sites as whom all commands run.
ACCOUNT: Final = "games"
#: Room on the disk where one site's claims are made.
DISK: Final = "size=4m,mode=1777"
#: What jobs are built for: a site of their own, or any.
_STACKS: Final = (("cuda",), ("cann",), ("neuware",), ("cuda", "cann", "neuware"))
#: Between two looks at control planes that do not answer [s].
_POLL_S: Final = 0.1

NETWORK: Final = """
name: storm
regions: [{{id: north}}]
sites:
  - id: alpha
    region: north
    engine: {{kind: slurm, directory: {alpha_folder}, workdir: /, timeout: 4s,
              url: "{alpha_url}", jwt_file: {jwt}/{account},
              heartbeat: 6s, grace: 2s}}
    accounts: {{"*": {account}}}
    pools:
      - {{accelerator: nvidia-h200-sxm, nodes: 4, accelerators_per_node: 8, partition: batch,
          gres: "gpu:h200"}}
  - id: beta
    region: north
    engine: {{kind: slurm, directory: {beta_folder}, workdir: /, timeout: 4s, conf: {beta_conf},
              heartbeat: 6s, grace: 2s}}
    accounts: {{"*": {account}}}
    pools:
      - {{accelerator: nvidia-h20-96, nodes: 2, accelerators_per_node: 8, partition: batch,
          gres: "gpu:h20"}}
      - {{accelerator: huawei-910b2, nodes: 2, accelerators_per_node: 8, partition: batch,
          gres: "gpu:ascend910b"}}
  - id: gamma
    region: north
    engine: {{kind: slurm, directory: {gamma_folder}, workdir: /, timeout: 4s, lease: 20s,
              ssh: root@{gamma_host}, ssh_config: {gamma_ssh}, conf: {gamma_conf},
              heartbeat: 6s, grace: 2s}}
    accounts: {{"*": {account}}}
    pools:
      - {{accelerator: cambricon-mlu590, nodes: 4, accelerators_per_node: 8, partition: batch,
          gres: "gpu:mlu590"}}
"""
CAPACITY: Final[Mapping[str, int]] = {
    "alpha/nvidia-h200-sxm": 32,
    "beta/nvidia-h20-96": 16,
    "beta/huawei-910b2": 16,
    "gamma/cambricon-mlu590": 32,
}


class Plane:
    """One control plane, life after life, with a clock that can be set."""

    def __init__(self, folder: Path, name: str, store_url: str) -> None:
        """Choose its address; it does not run yet."""
        self.folder = folder / name
        self.folder.mkdir()
        self._claim = claim()
        self.port = self._claim.getsockname()[1] + 1
        self.url = f"http://127.0.0.1:{self.port}"
        self._clock = self.folder / "clock"
        self.set_clock(0.0)
        self._command = [TIELINE, "up", str(folder / "network.yaml"), "--store", store_url]
        self._command += ["--dir", str(self.folder / "state")]
        self._command += ["--listen", f"127.0.0.1:{self.port}", "--verbose"]
        self._environment = os.environ | {
            "XDG_STATE_HOME": str(self.folder),
            "PYTHONPATH": str(CLOCK),
            "STORM_CLOCK": str(self._clock),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.wanted = False
        """Whether it is to be started again when it ends by itself, as it does when the store
        is not there at its start."""

    def start(self) -> None:
        """Begin a life, unless one goes on."""
        self.wanted = True
        if self._process is None or self._process.poll() is not None:
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    self._command, env=self._environment, stdout=log, stderr=log
                )

    def signal(self, number: int) -> None:
        """Send a signal, and after SIGKILL wait for the end."""
        self.wanted &= number != signal.SIGKILL
        if self._process is not None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self._process.wait(30)

    def stop(self) -> int:
        """End it in peace; give its exit code."""
        assert self._process is not None
        self.wanted = False
        self._process.terminate()
        return self._process.wait(60)

    def set_clock(self, offset_s: float) -> None:
        """Let its clock be off by so much."""
        temporary = self._clock.with_suffix(".new")
        temporary.write_text(f"{offset_s:+.0f}\n")
        temporary.rename(self._clock)

    @property
    def pid(self) -> int:
        """Process id of the present life."""
        assert self._process is not None
        return self._process.pid

    def close(self) -> None:
        """End it, however it is."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGKILL)
        self._claim.close()


class Town:
    """All of it, once started; see `town`."""

    with_rest: Final = "alpha"
    on_small_disk: Final = "beta"
    behind_link: Final = "gamma"

    def __init__(
        self,
        folder: Path,
        clusters: Mapping[str, slurm.Cluster],
        server: postgres.Server,
        disk: Path,
    ) -> None:
        """Write the network file and choose addresses; no control plane runs yet."""
        self.folder = folder
        self.clusters = clusters
        self.postgres = server
        self.store_url = server.url("storm")
        self.evidence = folder / "evidence"
        self.evidence.mkdir()
        self.evidence.chmod(0o1777)
        self._disk = disk
        self.network = folder / "network.yaml"
        self.network.write_text(self._network())
        self.planes = {name: Plane(folder, name, self.store_url) for name in ("one", "two")}
        self.acknowledged: list[str] = []
        self.calm = threading.Event()

    def _network(self) -> str:
        alpha, beta, gamma = (self.clusters[name] for name in ("alpha", "beta", "gamma"))
        jwt = self.folder / "jwt"
        jwt.mkdir(mode=0o700)
        (jwt / ACCOUNT).write_text(alpha.token(ACCOUNT))
        (jwt / ACCOUNT).chmod(0o600)
        assert gamma.ssh is not None
        return NETWORK.format(
            account=ACCOUNT,
            alpha_folder=alpha.shared,
            alpha_url=alpha.rest_url,
            jwt=jwt,
            beta_folder=self._disk,
            beta_conf=beta.conf,
            gamma_folder=gamma.shared,
            gamma_host=gamma.ssh.host,
            gamma_ssh=gamma.ssh.config("root"),
            gamma_conf=gamma.conf,
        )

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Give the store, as another reader."""
        with closing(open_store(self.store_url)) as store:
            yield store

    def folder_of(self, site: str) -> Path:
        """Give the folder in which a site's claims are made."""
        return self._disk if site == self.on_small_disk else self.clusters[site].shared

    def leading(self) -> str | None:
        """Give the name of the control plane that leads; None when none is known to."""
        with suppress(TielineError), self.store() as store:
            leader = store.leader()
            for name, plane in self.planes.items():
                if leader is not None and leader.url == plane.url:
                    return name
        return None

    def wait_for_submission(self, site: str, timeout_s: float) -> bool:
        """Wait until a job has just been placed at a site; tell whether one was in time."""
        give_up = time.monotonic() + timeout_s
        with suppress(TielineError), self.store() as store:
            position = store.news(0).position
            while time.monotonic() < give_up:
                lines = store.events(after=position, limit=1000)
                placed = Event.PLACED.name.lower()
                if any(
                    line.event == placed and str(line.data["pool"]).startswith(f"{site}/")
                    for line in lines
                ):
                    return True
                position = lines[-1].seq if lines else position
                time.sleep(0.05)
        return False

    def agents(self) -> list[int]:
        """Give what acts at the sites for the control planes: an agent each, or its ssh."""
        return [
            pid
            for plane in self.planes.values()
            for pid in _descendants(plane.pid)
            if any(word in _command_of(pid) for word in (b"-u\0-c\0", b"ssh\0"))
        ]

    def wrappers(self, site: str) -> list[int]:
        """Give the wrappers that see runs through at a site."""
        return processes_with(f"{self.folder_of(site)}/{ACCOUNT}/runs/".encode())

    def supervise(self) -> None:
        """Start again what has ended by itself, as whatever runs services does."""
        for plane in self.planes.values():
            if plane.wanted:
                plane.start()

    # --------------------------------------------------------------------- the user

    def submit_all(self, jobs: int, batch: int, seed: int) -> None:
        """Submit so many jobs at least, until it is calm, and cancel a few.

        Each batch is submitted again until it is acknowledged.
        """
        rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
        for number in itertools.count():
            if len(self.acknowledged) >= jobs and self.calm.is_set():
                return
            specs = [self._job(rng) for _ in range(batch)]
            key = f"batch-{number}"
            while (ids := self._submit(specs, key, rng)) is None:
                time.sleep(_POLL_S)
            self.acknowledged += ids
            if rng.random() < 0.3:
                self._cancel(rng.choice(ids), rng)
            self.calm.wait(rng.uniform(0.5, 1.5))

    def _submit(self, specs: list[JobSpec], key: str, rng: random.Random) -> list[str] | None:
        plane = self.planes[rng.choice(sorted(self.planes))]
        with suppress(TielineError), Client(plane.url, timeout_s=4.0) as client:
            return [job.id for job in client.submit(specs, key=key)]
        return None

    def _cancel(self, job_id: str, rng: random.Random) -> None:
        plane = self.planes[rng.choice(sorted(self.planes))]
        with suppress(TielineError), Client(plane.url, timeout_s=4.0) as client:
            client.cancel(job_id)

    def _job(self, rng: random.Random) -> JobSpec:
        beats, code = rng.randint(1, 8), rng.choice([0, 0, 0, 0, 3])
        command = COMMAND.format(folder=self.evidence, beats=beats, code=code)
        job = JobSpec(
            tenant="lab",
            workload=Workload("hpc"),
            count=rng.choice([1, 1, 2, 4, 8]),
            commands=dict.fromkeys(rng.choice(_STACKS), command),
            estimate_s=beats / 4,
        )
        kind = rng.random()
        if kind < 0.15:
            return replace(job, idempotent=True)
        if kind < 0.3:
            return replace(job, preemptible=True, restart_s=2.0)
        return job

    # ------------------------------------------------------------------------ peace

    def troubles(self) -> list[str]:
        """Give what control planes and clusters say, for whoever has to find out."""
        found = []
        for name, plane in self.planes.items():
            with suppress(TielineError), Client(plane.url, timeout_s=4.0) as client:
                sites = client.sites().sites
                found += [f"{name}: {one.id}: {one.state}, {one.problem}" for one in sites]
        for name, cluster in self.clusters.items():
            with suppress(OSError, subprocess.SubprocessError):
                queue = cluster.run("squeue", "-h", "-o", "%i %j %T %r %M %N").stdout
                found.append(f"{name}: {cluster.states()}\n{queue}")
        return found

    def wait_for_ends(self, timeout_s: float) -> list[JobRecord]:
        """Wait until every job has ended, as its operators mend what only they can; give all.

        After half of the time they start the control planes anew, and note what they saw.
        """
        give_up = time.monotonic() + timeout_s
        relieved = False
        while True:
            self.supervise()
            if not relieved and time.monotonic() > give_up - timeout_s / 2:
                relieved = True
                self._relieve()
            with suppress(TielineError), self.store() as store:
                jobs = store.jobs(limit=100_000)
                if all(job.status.ended for job in jobs) or time.monotonic() > give_up:
                    return jobs
            for cluster in self.clusters.values():
                with suppress(OSError, subprocess.SubprocessError):
                    cluster.resume_nodes()
            self._vouch()
            time.sleep(1.0)

    def _relieve(self) -> None:
        print("started anew, after", *self.troubles(), sep="\n")  # noqa: T201 - shown with -rP
        for plane in self.planes.values():
            plane.stop()
            plane.start()

    def _vouch(self) -> None:
        """Open the sites that came and went, instead of waiting for up to a quarter of an hour."""
        for plane in self.planes.values():
            with suppress(TielineError), Client(plane.url, timeout_s=4.0) as client:
                for site in client.sites().sites:
                    if site.state == "quarantined":
                        client.resume(site.id)


def _command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for one in found:  # grows on the way
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found[1:]


@contextmanager
def town(folder: Path) -> Iterator[Town]:
    """Give a town in which all works; nothing of it is left afterwards."""
    need({"mount": "mount"})
    folder.chmod(0o755)
    with ExitStack() as stack:
        disk = folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", str(disk)]
        subprocess.run(mount, check=True, timeout=30)
        stack.callback(subprocess.run, ["umount", "-l", str(disk)], check=True, timeout=30)
        clusters = {
            name: stack.enter_context(slurm.running(name, options=options))
            for name, options in {
                "alpha": slurm.Options(),
                "beta": slurm.Options(),
                "gamma": slurm.Options(cable=True, ssh=True),
            }.items()
        }
        made = Town(folder, clusters, stack.enter_context(postgres.running()), disk)
        for plane in made.planes.values():
            stack.callback(plane.close)
            plane.start()
        yield made


def complaints(log: Path) -> list[str]:
    """Give the lines of a control plane's log that tell of a fault of its own."""
    text = log.read_text(errors="replace")
    return re.findall(r"^.*(?:level=ERROR|Traceback|event=engine-fault).*$", text, re.MULTILINE)
