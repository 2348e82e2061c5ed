"""What joining costs on real Slurm: the way to a job's first line, and jobs run to the end.

The same clusters of this machine, driven through Tieline and by plain `sbatch`, turn about. Prints
the delay from submission to the first line of a job on an idle cluster, and the jobs per second
that three clusters run through to the end. `python benchmarks/joined_sites.py [--json]`.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bed.slurm import Cluster, several
from tieline.files.network import read_network
from tieline.model.job import JobSpec
from tieline.model.workload import Workload
from tieline.service.composition import Placement, running
from tieline.service.control_plane import ControlPlane

ACCOUNT: Final = "games"
ACCELERATORS: Final = {
    "h200": "nvidia-h200-sxm",
    "h20": "nvidia-h20-96",
    "ascend910b": "huawei-910b2",
    "mlu590": "cambricon-mlu590",
}
STACKS: Final = ("cuda", "cann", "neuware")
FIRST_LINES: Final = 20
JOBS: Final = 300
#: Nothing takes longer [s].
PATIENCE_S: Final = 120


def network(clusters: Mapping[str, Cluster], folder: Path) -> str:
    """Give the network file of these clusters, by REST."""
    lines = ["name: bench", "regions: [{id: r}]", "sites:"]
    for name, cluster in clusters.items():
        tokens, runs = folder / name, cluster.shared / folder.name
        tokens.mkdir(mode=0o700)
        runs.mkdir()
        runs.chmod(0o1777)
        (tokens / ACCOUNT).write_text(cluster.token(ACCOUNT), encoding="utf-8")
        (tokens / ACCOUNT).chmod(0o600)
        lines += [
            f"  - id: {name}",
            "    region: r",
            f"    engine: {{kind: slurm, url: '{cluster.rest_url}', jwt_file: {tokens / ACCOUNT},",
            f"             directory: {runs}, workdir: /}}",
            f"    accounts: {{'*': {ACCOUNT}}}",
            "    pools:",
        ]
        lines += [
            f"      - {{accelerator: {ACCELERATORS[pool.type]}, nodes: {pool.nodes}, "
            f"accelerators_per_node: {pool.gpus}, partition: batch, gres: 'gpu:{pool.type}'}}"
            for pool in cluster.pools
        ]
    return "\n".join(lines) + "\n"


@contextmanager
def joined(clusters: Mapping[str, Cluster], folder: Path) -> Iterator[ControlPlane]:
    """Give a control plane that has joined the clusters."""
    file = folder / "network.yaml"
    file.write_text(network(clusters, folder), encoding="utf-8")
    with running(read_network(file), Placement(folder / "state")) as plane:
        wait_until(lambda: plane.health().ok)
        yield plane


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until it holds."""
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > give_up:
            raise SystemExit("waited in vain")
        time.sleep(0.005)


def through_tieline(plane: ControlPlane, command: str, count: int = 1) -> None:
    """Submit jobs of one accelerator for any site."""
    plane.submit([JobSpec("lab", Workload("hpc"), 1, dict.fromkeys(STACKS, command))] * count)


def by_sbatch(cluster: Cluster, command: str) -> None:
    """Submit a job of one accelerator to one cluster."""
    cluster.run("sbatch", "--gres=gpu:1", "--output=/dev/null", f"--wrap={command}", user=ACCOUNT)


def first_line(submit: Callable[[str], None], folder: Path) -> list[float]:
    """Give the delays from submission to the first line of single jobs [s]."""
    delays = []
    for number in range(FIRST_LINES):
        line = folder / f"line-{number}"
        begin = time.time()
        submit(f"date +%s.%N > {line}.new && mv {line}.new {line}")
        wait_until(line.exists)
        delays.append(float(line.read_text(encoding="utf-8")) - begin)
        line.unlink()
        time.sleep(1.0)  # idle again
    return delays


def to_the_end(submit: Callable[[str], None], folder: Path) -> float:
    """Give the jobs per second from the first submission to the end of the last."""
    done = folder / "done"
    done.touch()
    done.chmod(0o666)
    begin = time.perf_counter()
    submit(f"echo x >> {done}")
    wait_until(lambda: done.stat().st_size >= 2 * JOBS)
    rate = JOBS / (time.perf_counter() - begin)
    done.unlink()
    return rate


def all_by_sbatch(clusters: Mapping[str, Cluster], command: str) -> None:
    """Submit all jobs, turn about, by one user per cluster."""
    share = JOBS // len(clusters)

    def submit(cluster: Cluster) -> None:
        for _ in range(share):
            by_sbatch(cluster, command)

    with ThreadPoolExecutor(len(clusters)) as users:
        list(users.map(submit, clusters.values()))


def main() -> None:
    """Measure both ways on the same clusters."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tl-") as name, several() as clusters:
        folder = Path(name)
        folder.chmod(0o777)
        alpha = {"alpha": clusters["alpha"]}
        plain = first_line(lambda command: by_sbatch(alpha["alpha"], command), folder)
        plain_rate = to_the_end(lambda command: all_by_sbatch(clusters, command), folder)
        (folder / "one").mkdir()
        with joined(alpha, folder / "one") as plane:
            ours = first_line(lambda command: through_tieline(plane, command), folder)
        (folder / "three").mkdir()
        with joined(clusters, folder / "three") as plane:
            rate = to_the_end(lambda command: through_tieline(plane, command, JOBS), folder)
    found = {
        "sbatch_first_line_s": statistics.median(plain),
        "tieline_first_line_s": statistics.median(ours),
        "added_s": statistics.median(ours) - statistics.median(plain),
        "sbatch_jobs_per_s": plain_rate,
        "tieline_jobs_per_s": rate,
        "ratio": rate / plain_rate,
    }
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"first line   sbatch {found['sbatch_first_line_s']:.3f} s, Tieline "
        f"{found['tieline_first_line_s']:.3f} s: {found['added_s']:+.3f} s (medians)"
    )
    print(
        f"to the end   sbatch {plain_rate:.1f} jobs/s, Tieline {rate:.1f} jobs/s: "
        f"{found['ratio']:.2f} times as many"
    )


if __name__ == "__main__":
    main()
