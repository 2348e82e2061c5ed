"""The Slurm engine on a real cluster: accounts, capacity, adoption, preemption, epochs."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest

from bed.slurm import Cluster
from engine_bench import (
    OTHER_USER,
    REACHING,
    USER,
    Bench,
    make_idle,
    phase,
    shared_folder,
    slurm_bench,
    slurm_site,
)
from tieline.control.ports import RunOrder, RunPhase
from tieline.engines.slurm import FoundPool, SlurmEngine, discover, watch
from tieline.engines.slurm.batch import mark
from tieline.engines.slurm.runs import Run
from tieline.engines.wrapper.rundir import ENDED_PHASES
from tieline.model.errors import EngineUnavailable, OrderRefused
from tieline.model.network import Pool, Site

POOL: Final = "s/h200"
#: Accelerators of the cluster `alpha`, which these tests have to themselves while they run.
ALL: Final = 32

Eventually = Callable[[Callable[[], object]], None]

_NUMBERS: Final = count()


@dataclass(frozen=True)
class Field:
    """A cluster and one way to it."""

    cluster: Cluster
    folder: Path
    site: Site
    bench: Bench

    def rows(self, token: str) -> list[str]:
        """Give the states of the jobs of a token that this field has submitted."""
        shown = self.cluster.run(
            *("squeue", "-h", "-t", "all", f"--name={token}", "-O", "State:16,Comment:40")
        ).stdout
        own = mark(str(self.folder), USER)
        return [line.split()[0] for line in shown.splitlines() if own in line]


@pytest.fixture(params=["slurm-cli", "slurm-rest"])
def field(
    request: pytest.FixtureRequest,
    slurm_clusters: Mapping[str, Cluster],
    eventually: Eventually,
) -> Iterator[Field]:
    """Give a new site on the cluster `alpha`; leave it idle."""
    cluster = slurm_clusters["alpha"]
    folder = shared_folder(cluster, f"engine-{next(_NUMBERS)}")
    pools = (Pool(POOL, "s", "nvidia-h200-sxm", 4, 8, gres="gpu:h200"),)
    site = replace(slurm_site(REACHING[request.param](cluster, folder)), id="s", pools=pools)
    yield Field(cluster, folder, site, slurm_bench(cluster, site, folder, eventually))
    make_idle(cluster)


@pytest.fixture
def engine(field: Field) -> Iterator[SlurmEngine]:
    """Give an engine on the site."""
    engine = SlurmEngine(field.site)
    yield engine
    engine.close()


def order(command: str, run: str = "job.1", count: int = 1) -> RunOrder:
    """Give an order of one tenant."""
    return RunOrder(run, run.partition(".")[0], "lab-a", POOL, count, command)


def test_commands_run_as_the_account(field: Field, engine: SlurmEngine) -> None:
    """A command runs as the user of its tenant, and its files are that user's alone."""
    engine.submit(order("id -un; id -Gn"))
    field.bench.ended(engine, "job.1")
    assert engine.log("job.1") == b"games\ngames\n"
    run = field.folder / USER / "runs" / "job.1"
    assert run.stat().st_mode & 0o077 == 0
    assert {file.owner() for file in (run, *run.iterdir())} == {USER}


def test_tenants_do_not_see_one_another(field: Field) -> None:
    """Tenants with accounts of their own have runs of their own, and one engine sees all."""
    accounts = {"lab-a": USER, "lab-b": OTHER_USER}
    token = field.folder / f"token-{OTHER_USER}"
    token.write_text(field.cluster.token(OTHER_USER))
    token.chmod(0o600)
    workdir = {"workdir": str(field.cluster.shared)}
    site = replace(
        field.site, accounts=accounts, engine_options={**field.site.engine_options, **workdir}
    )
    engine = SlurmEngine(site)
    look = f"id -un; ls {field.folder}/{USER} {field.folder}/{OTHER_USER}"
    engine.submit(order(look, "a.1"))
    engine.submit(replace(order(look, "b.1"), tenant="lab-b"))
    field.bench.ended(engine, "a.1", "b.1")
    logs = [engine.log(token).decode() for token in ("a.1", "b.1")]
    assert [log.splitlines()[0] for log in logs] == [USER, OTHER_USER]
    assert f"cannot open directory '{field.folder}/{OTHER_USER}'" in logs[0]
    assert f"cannot open directory '{field.folder}/{USER}'" in logs[1]
    engine.submit(replace(order("touch ran", "a.1"), tenant="lab-b"))  # known, if not to lab-b
    engine.forget(["a.1", "b.1"])
    assert engine.observe() == {}
    engine.close()


SHARP: Final = "$(touch {0}/hit)`touch {0}/hit`;touch {0}/hit;'\"\\\n|&%j #"


def test_no_text_of_an_order_is_a_command(field: Field, engine: SlurmEngine) -> None:
    """Whatever the fields of an order hold, only its command is run, and all of it arrives."""
    text = SHARP.format(field.folder / "output")
    odd = replace(
        order('printf "%s" "$TIELINE_JOB|$TIELINE_TENANT|$X"'),
        job_id=text,
        tenant=text,
        env={"X": text},
    )
    engine.submit(odd)
    (report,) = field.bench.ended(engine, "job.1")
    assert report.phase is RunPhase.SUCCEEDED
    assert engine.log("job.1").decode() == f"{text}|{text}|{text}"
    assert not (field.folder / "output" / "hit").exists()


def test_secrets_are_in_no_arguments(field: Field, engine: SlurmEngine) -> None:
    """Neither a command nor its variables nor a token can be seen in the list of processes."""
    engine.submit(replace(order("sleep 100; : hush-1"), env={"X": "hush-2"}))
    field.bench.eventually(lambda: phase(engine) is RunPhase.RUNNING)
    token = field.cluster.token(USER)
    shown = []
    for pid in [entry.name for entry in Path("/proc").iterdir() if entry.name.isdecimal()]:
        try:
            shown.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:  # gone meanwhile
            continue
    ours = [line for line in shown if not line.startswith(b"sh\0-c\0sleep")]
    assert not [line for line in ours if b"hush" in line or token.encode() in line]
    engine.cancel("job.1")
    field.bench.ended(engine, "job.1")


def test_a_lost_acknowledgement_is_found(field: Field, engine: SlurmEngine) -> None:
    """A job that Slurm took, of which a crash lost the id, is adopted and not submitted again."""
    engine.submit(order("touch up; sleep 1", count=ALL))
    field.bench.eventually(field.bench.exists("up"))
    engine.submit(order("echo line >> lines", "next.1"))  # waits behind it
    (field.folder / USER / "runs" / "next.1" / "slurm.json").unlink()
    other = SlurmEngine(field.site)
    assert phase(other, "next.1") is RunPhase.ACCEPTED
    other.submit(order("echo line >> lines", "next.1"))
    assert len(field.rows("next.1")) == 1
    field.bench.ended(other, "next.1")
    assert (field.folder / "output" / "lines").read_text() == "line\n"
    other.close()


def test_a_crash_before_slurm_was_asked(field: Field, engine: SlurmEngine) -> None:
    """A run that was written down but never reached Slurm is absent, and can be submitted."""
    engine.submit(order("true"))
    field.bench.ended(engine, "job.1")
    runs = field.folder / USER / "runs"
    shutil.copytree(runs / "job.1", runs / "lost.1")
    for name in ("claim.json", "started.json", "ended.json", "slurm.json"):
        (runs / "lost.1" / name).unlink()
    for path in (runs / "lost.1", *(runs / "lost.1").iterdir()):
        shutil.chown(path, USER)
    field.bench.eventually(lambda: "lost.1" not in engine.observe())
    engine.submit(order("true", "lost.1"))
    assert field.bench.ended(engine, "lost.1")[0].phase is RunPhase.SUCCEEDED


def test_jobs_of_another_network_are_not_ours(field: Field, engine: SlurmEngine) -> None:
    """A job of the same name and user, but of another folder, is neither adopted nor ended."""
    other = shared_folder(field.cluster, f"{field.folder.name}-other")
    theirs = {**field.site.engine_options, "directory": str(other), "workdir": str(other)}
    stranger = SlurmEngine(replace(field.site, engine_options=theirs))
    stranger.submit(order("sleep 100"))
    field.bench.eventually(lambda: phase(stranger) is RunPhase.RUNNING)
    engine.submit(order("exit 3"))
    assert field.bench.ended(engine, "job.1")[0].exit_code == 3
    engine.cancel("job.1")
    assert phase(stranger) is RunPhase.RUNNING
    stranger.cancel("job.1")
    field.bench.ended(stranger, "job.1")
    stranger.close()


def test_a_job_that_cannot_start(field: Field) -> None:
    """A wrapper that cannot start is a failure, with what it had to say."""
    options = {**field.site.engine_options, "python": "python3"}
    engine = SlurmEngine(replace(field.site, engine_options=options))
    engine.submit(order("true", "first.1"))
    field.bench.ended(engine, "first.1")
    programs = list((field.folder / USER).glob("wrapper-*.py"))
    programs[0].write_text("raise SystemExit('it is broken')\n")
    field.bench.drive(engine, order("true"))
    report = engine.observe()["job.1"]
    assert (report.phase, report.detail) == (RunPhase.FAILED, "it is broken")
    engine.close()


def test_what_slurm_refuses(field: Field, engine: SlurmEngine) -> None:
    """An order that Slurm will never take is refused in its words, and leaves no trace."""
    wrong = replace(field.site.pools[0], gres="gpu:h100")
    other = SlurmEngine(replace(field.site, pools=(wrong,)))
    with pytest.raises(OrderRefused, match="Requested node configuration is not available"):
        other.submit(order("true"))
    assert other.observe() == {}
    other.close()
    nowhere = SlurmEngine(replace(field.site, pools=(replace(wrong, partition="nowhere"),)))
    with pytest.raises(OrderRefused, match="no partition nowhere; it has: batch, low, high"):
        nowhere.submit(order("true"))
    nowhere.close()
    engine.submit(order("exit 3"))
    assert field.bench.ended(engine, "job.1")[0].exit_code == 3


def test_an_uneven_gang(field: Field, engine: SlurmEngine) -> None:
    """A gang that does not divide by nodes is given exactly what it asks for."""
    engine.submit(order("touch up; sleep 100", count=11))
    field.bench.eventually(field.bench.exists("up"))
    nodes = field.cluster.run("scontrol", "-d", "-o", "show", "nodes").stdout
    used = [int(part.split(":")[2].split("(")[0]) for part in nodes.split("GresUsed=")[1:]]
    assert sum(used) == 11


def test_preemption(field: Field) -> None:
    """A run that makes way for others is evicted, and says why."""
    low = replace(field.site.pools[0], partition="low")
    engine = SlurmEngine(replace(field.site, pools=(low,)))
    trap = "trap 'echo saved > saved; exit 0' TERM; echo line >> lines; touch up; "
    engine.submit(order(f"{trap} while :; do sleep 0.05; done"))
    field.bench.eventually(field.bench.exists("up"))
    words = ("-p", "high", "-N4", "--gres=gpu:h200:8", "--wrap=sleep 3", "-o", "/dev/null")
    field.cluster.run("sbatch", *words, user=OTHER_USER)
    (report,) = field.bench.ended(engine, "job.1")
    assert (report.phase, report.detail) == (RunPhase.EVICTED, "preempted at the site")
    assert field.bench.exists("saved")()
    assert (field.folder / "output" / "lines").read_text() == "line\n"
    again = SlurmEngine(replace(field.site, pools=(low,)))
    assert again.observe() == {"job.1": report}
    again.close()
    engine.close()


def test_a_run_cancelled_at_the_site(field: Field, engine: SlurmEngine) -> None:
    """A run that an operator of the site cancels is evicted; one that waits fails in the end."""
    engine.submit(order("touch up; sleep 100", count=ALL))
    field.bench.eventually(field.bench.exists("up"))
    waits = order("true", "waits.1")
    for _ in range(3):
        engine.submit(waits)
        field.cluster.run("scancel", "--name=waits.1")
        field.bench.eventually(lambda: phase(engine, "waits.1") is not RunPhase.ACCEPTED)
    assert engine.observe()["waits.1"].phase is RunPhase.FAILED
    assert engine.observe()["waits.1"].detail == "cancelled at the site before it started"
    field.cluster.run("scancel", "--name=job.1")
    (report,) = field.bench.ended(engine, "job.1")
    assert (report.phase, report.detail) == (RunPhase.EVICTED, "cancelled at the site")


def test_requeued_ghosts_are_taken_out_of_the_queue(field: Field, engine: SlurmEngine) -> None:
    """A job that Slurm put back after its run had been claimed does not wait there for ever."""
    engine.submit(order("touch up; sleep 100"))
    field.bench.eventually(field.bench.exists("up"))
    field.bench.take_back("job.1")
    field.bench.ended(engine, "job.1")

    def gone() -> bool:
        engine.observe()
        return field.rows("job.1") in (["CANCELLED"], ["COMPLETED"])

    field.bench.eventually(gone)


@pytest.mark.parametrize("number", [1_000_000, None], ids=["known", "lost"])
def test_ghosts_are_asked_about_until_slurm_answers(
    engine: SlurmEngine, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """A run that Slurm could not be asked about when it had ended is asked about again.

    So is one whose number at Slurm a crash has lost, but none that Slurm was never asked for.
    """
    monkeypatch.setattr(watch, "_GHOST_S", 0.0)
    monkeypatch.setattr(watch, "_QUIET_S", 0.0)
    memory, slurm = engine._memory, engine._slurm  # noqa: SLF001 - what it remembers
    run = Run("job.7", USER, job=number)
    memory.look_again(run)
    memory.look_again(replace(run, asked=False))
    with patch.object(slurm, "rows", side_effect=EngineUnavailable("away")):
        engine.observe()
    assert memory.ghosts(9) == [run]
    memory.look_again(run)
    engine.observe()
    assert memory.ghosts(9) == []


def test_capacity_without_drained_nodes(field: Field, engine: SlurmEngine) -> None:
    """A drained node does not count, but for what our runs still hold on it."""
    node = next(iter(field.cluster.states()))
    field.cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    assert engine.capacity() == {POOL: ALL - 8}
    field.cluster.resume_nodes()
    field.bench.eventually(lambda: engine.capacity() == {POOL: ALL})
    engine.submit(order("touch up; sleep 100", count=8))
    field.bench.eventually(field.bench.exists("up"))
    held = field.cluster.run("squeue", "-h", "--name=job.1", "-t", "R", "-o", "%N").stdout.strip()
    field.cluster.run("scontrol", "update", f"nodename={held}", "state=drain", "reason=test")
    engine.observe()
    assert engine.capacity() == {POOL: ALL}


def test_capacity_without_what_strangers_hold(field: Field, engine: SlurmEngine) -> None:
    """What jobs of others hold does not count; what our own hold does, in every step."""
    words = ("-N1", "--gres=gpu:h200:5", "--wrap=sleep 100", "-o", "/dev/null", "-J", "theirs")
    field.cluster.run("sbatch", *words, user=OTHER_USER)
    field.bench.eventually(lambda: engine.capacity() == {POOL: ALL - 5})
    engine.submit(order("sleep 1", count=8))
    seen = set()
    while phase(engine) not in ENDED_PHASES:
        seen.add(engine.capacity()[POOL])
    seen.add(engine.capacity()[POOL])
    assert seen == {ALL - 5}


def test_a_site_that_takes_no_jobs(field: Field, engine: SlurmEngine) -> None:
    """While its partition is down a site has no room, and old runs can still be seen."""
    engine.submit(order("exit 3"))
    field.bench.ended(engine, "job.1")
    field.cluster.run("scontrol", "update", "partitionname=batch", "state=down")
    try:
        with pytest.raises(EngineUnavailable, match="no partition of its pools takes jobs"):
            engine.capacity()
        assert engine.observe()["job.1"].exit_code == 3
    finally:
        field.cluster.run("scontrol", "update", "partitionname=batch", "state=up")


def test_a_deposed_control_plane_is_refused(field: Field) -> None:
    """Once a site has heard of a later epoch it does nothing for an earlier one."""
    old, new = SlurmEngine(field.site, epoch=3), SlurmEngine(field.site, epoch=4)
    old.submit(order("true"))
    field.bench.ended(old, "job.1")
    new.observe()
    for call in (
        lambda: old.submit(order("touch ran", "job.2")),
        lambda: old.cancel("job.1"),
        lambda: old.forget(["job.1"]),
    ):
        with pytest.raises(EngineUnavailable, match=r"a later control plane leads \(epoch 4"):
            call()
    assert set(old.observe()) == {"job.1"}
    new.forget(["job.1"])
    assert old.observe() == {} == new.observe()
    for engine in (old, new):
        engine.close()


def test_the_lease_is_the_sites(field: Field) -> None:
    """The site hears how long it may count on the control plane, and the engine says so."""
    lease = {"lease": "1h"}
    site = replace(field.site, engine_options={**field.site.engine_options, **lease})
    engine = SlurmEngine(site)
    assert engine.lease_s is not None
    assert engine.lease_s > 3600
    engine.submit(replace(order("touch up; sleep 100"), may_run_again=True))
    field.bench.eventually(field.bench.exists("up"))
    note = field.folder / USER / "site-lease"
    first = json.loads(note.read_bytes())["until"]
    engine.observe()
    engine.observe()
    assert json.loads(note.read_bytes())["until"] > first
    note.write_text('{"until": 1.0}')
    field.bench.eventually((field.folder / USER / "runs" / "job.1" / "ended.json").exists)
    (report,) = field.bench.ended(engine, "job.1")
    assert report.phase is RunPhase.EVICTED
    assert "has not heard from the control plane" in report.detail
    engine.close()


def test_discovery(field: Field) -> None:
    """The pools of a cluster are found, with what the catalogue knows of their names."""
    found = discover(replace(field.site, pools=()))
    ids = ("nvidia-h200-nvl", "nvidia-h200-sxm")
    assert found == [
        FoundPool(name, name == "batch", "gpu:h200", 4, 8, ids)
        for name in ("batch", "low", "high")
    ]
