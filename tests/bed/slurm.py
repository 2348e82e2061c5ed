"""Real Slurm clusters: with preemption, a REST server, and jobs of several users.

    with slurm.running("alpha") as alpha:
        alpha.run("sbatch", "--wrap=id", user="games")
        alpha.kill("slurmd:alpha-n1", signal.SIGKILL)
        alpha.start("slurmd:alpha-n1")

What runs a step of a job (`slurmstepd`) outlives the daemons, as on a real cluster.
"""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bed import ssh
from bed.machine import Daemon, Machine, Missing, need, wait_until
from bed.slurm_conf import Plan, Pool, write

PROGRAMS: Final = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmrestd": "slurmrestd",
    "sbatch": "slurm-client",
    "munged": "munge",
}
PLUGINS: Final = {
    "auth_munge.so": "slurm-wlm-basic-plugins",
    "auth_jwt.so": "slurm-wlm-jwt-plugin",
}
#: Three centres with unequal accelerators, each of which has others' work to make way for.
CLUSTERS: Final[Mapping[str, Sequence[Pool]]] = {
    "alpha": (Pool("h200", 4, 8),),
    "beta": (Pool("h20", 2, 8), Pool("ascend910b", 2, 8)),
    "gamma": (Pool("mlu590", 4, 8),),
}


@dataclass(frozen=True)
class Options:
    """What a cluster has beside the usual."""

    cable: bool = False
    """A network of its own, which `Cluster.cut` cuts off."""
    socket: bool = False
    """A second REST server, at a Unix socket, for root on the cluster's login node."""
    ssh: bool = False
    """An sshd on its login node."""


class Cluster:
    """A Slurm cluster.

    Attributes
    ----------
    name, folder, conf
        Its name, the folder that all of it lies in, the path of its slurm.conf.
    pools
        Its nodes: the Slurm type of their GPUs, how many nodes, GPUs of each.
    rest_url
        The address of its slurmrestd, which takes JSON web tokens.
    rest_socket
        The socket of its second REST server, which asks for none; None without `Options.socket`.
    machine
        What it runs on.
    shared
        The folder that its nodes and its users share; everybody may write to it.
    ssh
        The sshd of its login node; None without `Options.ssh`.
    """

    def __init__(
        self, machine: Machine, name: str, pools: Sequence[Pool], options: Options
    ) -> None:
        """Start a cluster on a machine; its nodes are not idle yet."""
        self.name, self.folder, self.pools = name, machine.folder, pools
        self.plan = Plan(name, machine.folder, machine.address, machine.port, pools)
        self.conf = write(self.plan)
        self.rest_url = f"http://{machine.address}:{self.plan.ports['slurmrestd']}"
        self.rest_socket = self.folder / "run/rest.sock" if options.socket else None
        self.shared = self.folder / "shared"
        self.shared.mkdir()
        self.shared.chmod(0o1777)
        self.ssh: ssh.Server | None = None
        self.machine = machine
        self._environment = {"SLURM_CONF": str(self.conf)}
        self._daemons = self._servers()
        for server in self._daemons:
            self._start(server)
        if options.ssh:
            self.ssh = ssh.Server(
                machine, self.plan.ports["sshd"], host=name, environment=self._environment
            )

    def run(
        self, *argv: str, user: str | None = None, check: bool = True, timeout_s: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the login node, in the shared folder, as root or another user.

        One that fails is complained of, unless `check` is off. Slurm's commands hang while
        slurmctld is down; after the time-out they are ended.
        """
        return self.machine.run(
            *("env", f"--chdir={self.shared}", *argv),
            user=user,
            environment=self._environment,
            check=check,
            timeout_s=timeout_s,
        )

    def token(self, user: str = "root", lifespan_s: int = 86400) -> str:
        """Give a JSON web token of a user, for the header X-SLURM-USER-TOKEN."""
        told = self.run("scontrol", "token", f"username={user}", f"lifespan={lifespan_s}")
        return told.stdout.strip().removeprefix("SLURM_JWT=")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a server a signal: `slurmctld`, `slurmrestd` or `slurmd:NODE`.

        After SIGKILL it is gone on return. SIGTERM may take slurmd more than 20 s.
        """
        self._daemons[name].kill(number)

    def start(self, name: str) -> None:
        """Start a server again, once it has ended, and wait until it listens."""
        self._start(name)
        self._await(name)

    def log(self, name: str) -> str:
        """Give what a server has said."""
        file = self.folder / "log" / f"{name.replace(':', '-')}.log"
        return (file if file.exists() else self._daemons[name].log).read_text()

    def states(self) -> dict[str, str]:
        """Give the state of each node as sinfo has it, such as `idle` or `mixed*`."""
        lines = self.run("sinfo", "-h", "-N", "-p", "batch", "-o", "%N %T").stdout.splitlines()
        return dict(line.split() for line in lines)

    def resume_nodes(self) -> None:
        """Let nodes that are down or drained take jobs again."""
        for node, state in self.states().items():
            if state.startswith(("down", "drain")):
                self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def wait_idle(self, timeout_s: float = 60.0) -> None:
        """Wait until no job waits or runs, and every node would take one."""
        wait_until(
            lambda: (
                not self.run("squeue", "-h").stdout and set(self.states().values()) == {"idle"}
            ),
            f"{self.name} does not become idle",
            timeout_s,
        )

    def cut(self) -> None:
        """Cut its cable: what is sent is lost without a word."""
        self.machine.cut()

    def mend(self) -> None:
        """Mend its cable."""
        self.machine.mend()

    def down(self) -> None:
        """End all of it, jobs too, and remove its folder."""
        self.machine.down()

    def ready(self) -> None:
        """Wait until it takes jobs at every node."""
        for name in self._daemons:
            self._await(name)
        self.wait_idle()

    def _start(self, name: str) -> None:
        """Start a server."""
        self._daemons[name].start()
        if name == "munged":  # all others fail without its socket
            wait_until((self.folder / "run/munge.sock").exists, "munged does not start")

    def _await(self, name: str) -> None:
        """Wait until a server listens."""
        if name in self.plan.ports:
            self._daemons[name].listening(self.plan.ports[name])
        elif name == "slurmrestd:socket" and self.rest_socket:
            wait_until(self.rest_socket.exists, "slurmrestd makes no socket")

    def _servers(self) -> dict[str, Daemon]:
        """Give its servers by name, in the order in which they start."""
        run, etc, log = (self.folder / name for name in ("run", "etc", "log"))
        files = ("-f", str(self.conf))
        argv: dict[str, tuple[str, ...]] = {
            "munged": (
                *("munged", "--foreground", "--force", f"--key-file={etc}/munge.key"),
                *(f"--socket={run}/munge.sock", f"--pid-file={run}/munged.pid"),
                *(f"--log-file={log}/munged.log", f"--seed-file={run}/munged.seed"),
            ),
            "slurmctld": ("slurmctld", "-D", *files),
        }
        for node in self.plan.nodes:
            argv[f"slurmd:{node}"] = ("slurmd", "-D", "-N", node, *files)
        servers = {
            name: Daemon(self.machine, *words, environment=self._environment)
            for name, words in argv.items()
        }
        rest = ("slurmrestd", *files, "-s", "openapi/v0.0.38", "-t", "8", "-a")
        servers["slurmrestd"] = Daemon(
            self.machine,
            *(*rest, "rest_auth/jwt", self.rest_url.removeprefix("http://")),
            user="nobody",
            environment=self._environment | {"SLURM_JWT": "daemon"},  # else it takes no token
        )
        if self.rest_socket is not None:  # it looks up who calls, and has to be told to bear root
            servers["slurmrestd:socket"] = Daemon(
                self.machine,
                *(*rest, "rest_auth/local", f"unix:{self.rest_socket}"),
                environment=self._environment | {"SLURMRESTD_SECURITY": "disable_user_check"},
                sees_us=True,
            )
        return servers


@contextmanager
def running(
    name: str,
    pools: Sequence[Pool] | None = None,
    options: Options = Options(),
) -> Iterator[Cluster]:
    """Give a cluster that takes jobs; without pools it is the one of that name in `CLUSTERS`."""
    with several({name: pools or CLUSTERS[name]}, options) as clusters:
        yield clusters[name]


@contextmanager
def several(
    named: Mapping[str, Sequence[Pool]] = CLUSTERS,
    options: Options = Options(),
) -> Iterator[dict[str, Cluster]]:
    """Give clusters that take jobs, by name; they are gone afterwards."""
    check_programs(options)
    with ExitStack() as stack:
        clusters = {}
        for name, pools in named.items():
            machine = Machine(cable=options.cable)
            stack.callback(machine.down)
            clusters[name] = Cluster(machine, name, pools, options)
        for cluster in clusters.values():
            cluster.ready()
        yield clusters


def check_programs(options: Options) -> None:
    """See to it that all is installed that clusters run on."""
    need(PROGRAMS | (ssh.PROGRAMS if options.ssh else {}))
    found = {file.name for file in Path("/usr/lib").glob("*/slurm*/auth_*.so")}
    if gone := sorted(PLUGINS.keys() - found):
        packages = " ".join(PLUGINS[name] for name in gone)
        raise Missing(f"missing: {', '.join(gone)}; as root on Debian: apt-get install {packages}")
