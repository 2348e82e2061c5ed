"""How many submissions a second are taken for good, and how long each takes to be acknowledged.

Each is one job in one request, acknowledged when it would outlive a loss of power. Printed beside
the plain tool: `sbatch` and slurmrestd on a cluster of this machine. Clients are processes with
one connection each. `python benchmarks/submissions.py [--jobs N] [--json]`; 2,000 jobs by default.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bed import postgres, slurm
from tieline.client import Client
from tieline.model.errors import TielineError
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.store import open_store

TIELINE: Final = Path(sys.executable).with_name("tieline")
CLIENTS: Final = (1, 8)
NETWORK: Final = """
name: bench
regions: [{id: r}]
sites:
  - id: s
    region: r
    pools: [{accelerator: nvidia-h200-sxm, nodes: 1, accelerators_per_node: 1}]
"""
#: Larger than the pool, so that nothing starts while submissions are counted.
JOB: Final = {
    "tenant": "lab",
    "workload": {"class": "hpc"},
    "accelerators": {"count": 2},
    "stacks": {"cuda": {"command": "true"}},
    "estimate": "1m",
}
SLURM_JOB: Final = {
    "script": "#!/bin/sh\ntrue\n",
    "job": {
        "name": "bench",
        "hold": True,
        "current_working_directory": "/",
        "environment": {"PATH": "/usr/bin:/bin"},
    },
}

#: Sends so many requests and gives the time of each [s].
Sender = Callable[[int], list[float]]


def over_http(
    host: str, port: int, path: str, body: dict[str, object], headers: dict[str, str], count: int
) -> list[float]:
    """Post the body `count` times over one connection; give the time of each [s]."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    data, took = json.dumps(body).encode(), []
    for _ in range(count):
        begin = time.perf_counter()
        connection.request("POST", path, data, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        said = answer.read()
        took.append(time.perf_counter() - begin)
        if answer.status not in (200, 201):
            raise SystemExit(f"{path}: {answer.status}: {said[:300]!r}")
    connection.close()
    return took


def by_sbatch(conf: Path, count: int) -> list[float]:
    """Submit held jobs one after the other; give the time of each [s]."""
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        subprocess.run(
            ["sbatch", "--hold", "--output=/dev/null", "--wrap=true"],  # noqa: S607 - from the PATH
            env={"SLURM_CONF": str(conf), "PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
            timeout=60,
        )
        took.append(time.perf_counter() - begin)
    return took


def measured(
    send: Callable[..., list[float]], *arguments: object, clients: int, jobs: int
) -> dict:
    """Give the rate [1/s] and the times [ms] of so many submissions by so many clients."""
    share = jobs // clients
    with get_context("spawn").Pool(clients) as pool:
        pool.map(abs, range(clients))  # all are up
        begin = time.perf_counter()
        runs = [pool.apply_async(send, (*arguments, share)) for _ in range(clients)]
        took = [one for run in runs for one in run.get(timeout=600)]
        wall = time.perf_counter() - begin
    return summary(took, clients, wall)


def summary(took: list[float], clients: int, wall: float) -> dict:
    """Give the rate [1/s] and the times [ms] of submissions that took so long [s]."""
    cuts = statistics.quantiles(took, n=100)
    return {
        "clients": clients,
        "per_s": len(took) / wall,
        "p50_ms": 1e3 * statistics.median(took),
        "p99_ms": 1e3 * cuts[98],
    }


@contextmanager
def served(folder: Path, store: str | None) -> Iterator[tuple[str, int]]:
    """Give the address of a control plane of its own."""
    folder.mkdir()
    (folder / "network.yaml").write_text(NETWORK, encoding="utf-8")
    options = [] if store is None else ["--store", store]
    command = [TIELINE, "up", folder / "network.yaml", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--dir", folder / "state", *options], stdout=subprocess.PIPE, text=True
    ) as up:
        try:
            said = up.stdout.readline() if up.stdout else ""
            url = next(word for word in said.split() if "http" in word)
            host, port = url.rstrip(":;,").removeprefix("http://").split(":")
            wait_until_up(f"http://{host}:{port}")
            yield host, int(port)
        finally:
            up.terminate()


def wait_until_up(url: str) -> None:
    """Wait until the control plane works."""
    with Client(url) as client:
        for _ in range(600):
            try:
                if client.health().ok:
                    return
            except TielineError:
                pass
            time.sleep(0.1)
    raise SystemExit(f"{url} did not come up")


def tieline(folder: Path, name: str, store: str | None, jobs: int) -> Iterator[dict]:
    """Give the rates of the API on one kind of store."""
    with served(folder / name, store) as (host, port):
        for clients in CLIENTS:
            found = measured(
                over_http, host, port, "/v1/jobs", JOB, {}, clients=clients, jobs=jobs
            )
            yield {"what": f"Tieline, {name}", **found}


def alone(name: str, url: str, jobs: int) -> Iterator[dict]:
    """Give the rates of one kind of store without the API; clients are threads."""
    spec = JobSpec("lab", Workload("hpc"), 2, {"cuda": "true"}, estimate_s=60.0)
    with closing(open_store(url)) as store:

        def send(count: int) -> list[float]:
            took = []
            for _ in range(count):
                begin = time.perf_counter()
                store.add_jobs([spec], now=time.time())
                took.append(time.perf_counter() - begin)
            return took

        for clients in CLIENTS:
            with ThreadPoolExecutor(clients) as threads:
                begin = time.perf_counter()
                runs = threads.map(send, [jobs // clients] * clients)
                took = [one for run in runs for one in run]
                wall = time.perf_counter() - begin
            yield {"what": f"store alone, {name}", **summary(took, clients, wall)}


def plain(cluster: slurm.Cluster, jobs: int) -> Iterator[dict]:
    """Give the rates of plain Slurm."""
    headers = {"X-SLURM-USER-NAME": "root", "X-SLURM-USER-TOKEN": cluster.token("root")}
    host, port = cluster.rest_url.removeprefix("http://").split(":")
    path = "/slurm/v0.0.38/job/submit"
    for clients in CLIENTS:
        found = measured(by_sbatch, cluster.conf, clients=clients, jobs=jobs // 10)
        yield {"what": "sbatch", **found}
        found = measured(
            over_http, host, int(port), path, SLURM_JOB, headers, clients=clients, jobs=jobs // 4
        )
        yield {"what": "slurmrestd", **found}


def main() -> None:
    """Measure all and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000, metavar="N")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="tl-") as name:
        folder = Path(name)
        with slurm.running("alpha") as alpha:
            rows += plain(alpha, options.jobs)
        rows += tieline(folder, "SQLite", None, options.jobs)
        rows += alone("SQLite", f"sqlite:///{folder}/alone.db", options.jobs)
        with postgres.running() as server:
            rows += tieline(folder, "PostgreSQL", server.url(), options.jobs)
            rows += alone("PostgreSQL", server.url(), options.jobs)
    if options.json:
        print(json.dumps(rows))
        return
    sbatch = {row["clients"]: row["per_s"] for row in rows if row["what"] == "sbatch"}
    for row in sorted(rows, key=lambda row: (row["clients"], row["what"])):
        ratio = row["per_s"] / sbatch[row["clients"]]
        print(
            f"{row['what']:23} {row['clients']} clients {row['per_s']:8.1f}/s "
            f"({ratio:5.1f} x sbatch)   p50 {row['p50_ms']:7.1f} ms   p99 {row['p99_ms']:7.1f} ms"
        )


if __name__ == "__main__":
    main()
