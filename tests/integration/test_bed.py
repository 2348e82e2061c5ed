"""The beds: real servers come up, bear what tests do to them, and leave nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from bed import postgres, slurm, ssh
from bed.machine import Machine, Missing, need

Eventually = Callable[[Callable[[], object]], None]
Clusters = Mapping[str, slurm.Cluster]

#: A test run that puts a cluster with a job up, says where, and then waits for its end.
HELD = """
import sys
from bed import slurm
with slurm.running("alpha", options=slurm.Options(cable=True, socket=True, ssh=True)) as alpha:
    alpha.run("sbatch", "--wrap=setsid sleep 1000 & sleep 1000")
    while "R" not in alpha.run("squeue", "-h", "-o", "%t").stdout:
        pass
    print(alpha.folder, alpha.machine.init, flush=True)
    sys.stdin.read()
"""


def test_a_job_runs_on_every_cluster_as_its_user(slurm_clusters: Clusters) -> None:
    """Jobs of unprivileged users run as these, on the accelerators that they ask for."""
    asked = {"alpha": "h200", "beta": "ascend910b", "gamma": "mlu590"}
    assert slurm_clusters.keys() == asked.keys()
    script = "--wrap=whoami; echo $CUDA_VISIBLE_DEVICES"
    for name, kind in asked.items():
        for user in ssh.USERS:
            argv = (f"--gres=gpu:{kind}:2", f"--output=bed-{user}", script)
            slurm_clusters[name].run("sbatch", *argv, user=user)
    for cluster in slurm_clusters.values():
        cluster.wait_idle()
        for user in ssh.USERS:
            output = cluster.shared / f"bed-{user}"
            who, devices = output.read_text().split()
            assert (who, output.owner()) == (user, user)
            assert devices in {"0,1", "2,3"}


def test_the_rest_server_knows_users_by_their_tokens(slurm_clusters: Clusters) -> None:
    """A token opens the REST server to its user; without one, or with a false one, it is shut."""
    alpha = slurm_clusters["alpha"]
    jobs = f"{alpha.rest_url}/slurm/v0.0.38/jobs"
    user = {"X-SLURM-USER-NAME": "games"}
    token = {"X-SLURM-USER-TOKEN": alpha.token("games")}
    assert httpx.get(jobs, headers=user | token, timeout=30).status_code == 200
    assert httpx.get(jobs, headers=user, timeout=30).status_code == 401
    false = httpx.get(jobs, headers=user | {"X-SLURM-USER-TOKEN": "false"}, timeout=30)
    assert false.status_code != 200


def test_the_socket_takes_root_without_a_token(slurm_clusters: Clusters) -> None:
    """At the Unix socket the kernel says who calls."""
    transport = httpx.HTTPTransport(uds=str(slurm_clusters["alpha"].rest_socket))
    with httpx.Client(transport=transport, timeout=30) as client:
        assert client.get("http://alpha/slurm/v0.0.38/jobs").status_code == 200


def test_a_job_outlives_every_server(slurm_clusters: Clusters) -> None:
    """Servers that are killed come back, and a job that ran goes on to its end."""
    gamma = slurm_clusters["gamma"]
    wait = "until [ -e go ]; do sleep 0.1; done; touch done"
    gamma.run("sbatch", "-wgamma-n1", f"--wrap={wait}")
    while gamma.run("squeue", "-h", "-o", "%t").stdout != "R\n":
        time.sleep(0.05)
    time.sleep(6)  # slurmctld forgets what it has not saved, which it does every 5 s
    for name in ("slurmctld", "slurmrestd", "slurmd:gamma-n1"):
        gamma.kill(name)
        gamma.start(name)
    (gamma.shared / "go").touch()
    gamma.wait_idle()
    assert (gamma.shared / "done").exists()


def test_drained_nodes_are_resumed(slurm_clusters: Clusters) -> None:
    """Nodes that were taken out take jobs again."""
    beta = slurm_clusters["beta"]
    beta.run("scontrol", "update", "nodename=beta-n[1-2]", "state=drain", "reason=test")
    assert set(beta.states().values()) == {"idle", "drained"}
    beta.resume_nodes()
    beta.wait_idle()


def test_users_log_in_to_a_cluster(slurm_clusters: Clusters) -> None:
    """Through its sshd, each user gives Slurm orders as himself."""
    alpha = slurm_clusters["alpha"]
    assert alpha.ssh is not None
    for user in ssh.USERS:
        order = "sbatch --parsable --hold --wrap=true"
        argv = ["ssh", "-F", str(alpha.ssh.config(user)), "alpha", order]
        job = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout
        assert alpha.run("squeue", "-h", "-j", job.strip(), "-o", "%u").stdout.strip() == user
        alpha.run("scancel", job.strip())
    alpha.wait_idle()


def test_an_sshd_comes_back(ssh_server: ssh.Server) -> None:
    """An sshd that is killed can be started again, with the key that clients know."""
    ssh_server.kill()
    ssh_server.start()
    argv = ["ssh", "-F", str(ssh_server.config("games")), ssh_server.host, "whoami"]
    run = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout == "games\n"


def test_postgres_keeps_what_it_has_committed(postgres_server: postgres.Server) -> None:
    """A committed row outlives kill -9; what was not committed is gone."""
    url = postgres_server.url()
    with closing(psycopg.connect(url)) as connection:
        connection.execute("CREATE TABLE rows (number int)")
        connection.execute("INSERT INTO rows VALUES (1)")
        connection.commit()
        connection.execute("INSERT INTO rows VALUES (2)")
        postgres_server.kill()
    postgres_server.start()
    with closing(psycopg.connect(url)) as connection:
        assert connection.execute("SELECT number FROM rows").fetchall() == [(1,)]
    postgres_server.stop()
    postgres_server.start()


def test_databases_are_new_and_empty(postgres_server: postgres.Server) -> None:
    """Every address is that of a database of its own, with nothing in it."""
    one, other = postgres_server.url(), postgres_server.url()
    assert one != other
    with closing(psycopg.connect(one, autocommit=True)) as connection:
        connection.execute("CREATE TABLE mine (number int)")
    find = "SELECT count(*) FROM information_schema.tables WHERE table_name = 'mine'"
    with closing(psycopg.connect(other)) as connection:
        assert connection.execute(find).fetchall() == [(0,)]


def test_a_cable_that_is_cut_loses_packets_without_a_word() -> None:
    """Nobody says that the other end is out of reach; a connection lives through it."""
    machine = Machine(cable=True)
    try:
        server = ssh.Server(machine, machine.port)
        with socket.create_connection((machine.address, server.port), timeout=30) as open_one:
            assert open_one.recv(4) == b"SSH-"
            machine.cut()
            with socket.socket() as new:
                new.settimeout(1)
                with pytest.raises(TimeoutError):
                    new.connect((machine.address, server.port))
            open_one.sendall(b"SSH-2.0-test\r\n")
            machine.mend()
            assert open_one.recv(4)
    finally:
        machine.down()


def test_two_sets_of_servers_do_not_meet(postgres_server: postgres.Server) -> None:
    """Servers of several test runs at once have ports and folders of their own."""
    with postgres.running() as other:
        assert other.port != postgres_server.port
        assert other.url() != postgres_server.url()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_however_the_tests_end(
    eventually: Eventually, number: signal.Signals
) -> None:
    """Daemons, jobs, what jobs left running, folder and cable go with the tests that made them."""
    tests = subprocess.Popen(
        [sys.executable, "-c", HELD],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with tests:
        assert tests.stdout is not None
        place, init = tests.stdout.readline().split()
        folder, cable = Path(place), Path(f"/sys/class/net/bed{init}")
        assert processes_at(folder)
        assert cable.exists()
        tests.send_signal(number)
    eventually(lambda: not folder.exists())
    eventually(lambda: processes_at(folder) == [])
    eventually(lambda: not cable.exists())


def test_what_is_missing_is_told_with_its_package() -> None:
    """Who lacks a program is told which, and how to get it."""
    wanted = {"sh": "dash", "no-such-program": "good-package", "nor-this": "good-package"}
    with pytest.raises(Missing, match=r"^missing: no-such-program, nor-this; .* good-package$"):
        need(wanted)


def processes_at(folder: Path) -> list[int]:
    """Give the processes that hold something in a folder open, or are told of it."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            held = [str(file.readlink()) for file in (entry / "fd").iterdir()]
            if os.fsencode(folder) in told or any(f"{folder}/" in path for path in held):
                found.append(int(entry.name))
    return found
