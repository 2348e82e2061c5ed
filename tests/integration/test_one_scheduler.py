"""One scheduler: what the live loop decided, the replay's loop decides again.

Real processes on three sites of unequal chips. Nothing here is told what to expect: the live
run happens as it happens, and the replay must agree with it.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tieline.control.cycle import Observations, run_cycle
from tieline.control.lifecycle import Status
from tieline.control.ports import JobRecord
from tieline.control.state import State
from tieline.files.fit import Offer
from tieline.files.network import read_network
from tieline.model.job import JobKind, JobSpec
from tieline.model.workload import Workload
from tieline.scheduling.registry import policy_named
from tieline.service.composition import Placement, running
from tieline.service.control_plane import ControlPlane
from tieline.service.live.loop import LoopSettings
from tieline.simulation.driver import simulate
from tieline.simulation.recorded import RecordedCycle, Recorder, differences

ROOT: Final = Path(__file__).parents[2]
OFFER: Final = Offer(read_network(ROOT / "examples/networks/demo.yaml"))
STACKS: Final = ("cuda", "cann", "neuware")
JOBS: Final = 60

pytestmark = pytest.mark.timeout(300)  # on a new machine the kernels are compiled first

Eventually = Callable[[Callable[[], object]], None]


@dataclass(frozen=True)
class Live:
    """A live run that has ended."""

    cycles: list[RecordedCycle]
    jobs: list[JobRecord]
    """In order of submission."""
    freed_at: dict[str, float]
    """When the loop learnt that a job had ended."""


def work(workload: Workload, length: float, code: int) -> str:
    """Give a command that takes `length` on the reference accelerator and scales as the rates."""
    cases = []
    for pool in OFFER.network.pools:
        rate = OFFER.rates.rate(workload, pool.accelerator, 1).value
        cases.append(f"{pool.accelerator}) sleep {length / rate:.3f};;")
    return f"case $TIELINE_ACCELERATOR in {' '.join(cases)} esac; exit {code}"


def some_job(rng: random.Random) -> JobSpec:
    """Give a job of a random kind and length; some fail, some are built for one stack only."""
    workload = Workload(rng.choice(["training", "decode", "hpc"]))
    length = rng.choice([0.1, 0.2, 0.4])
    command = work(workload, length, rng.choice([0, 0, 0, 0, 3]))
    return JobSpec(
        tenant=rng.choice(["university", "startup", "hospital"]),
        workload=workload,
        count=rng.choice([1, 1, 2, 4, 8]),
        commands=dict.fromkeys(rng.sample(STACKS, rng.choice([1, 2, 3])), command),
        estimate_s=length * rng.choice([0.8, 1.0, 1.25]),
        sensitivity=rng.choice(["open", "open", "sensitive"]),
    )


def use(plane: ControlPlane, seed: int, eventually: Eventually) -> None:
    """Submit jobs in bursts, cancel some of them, and wait for the end of all."""
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    eventually(lambda: plane.health().ok)
    long = replace(some_job(rng), commands=dict.fromkeys(STACKS, "sleep 600"), sensitivity="open")
    never = replace(some_job(rng), count=16, commands={"neuware": "true"})
    submitted = plane.submit([long, never, long])
    while len(submitted) < JOBS:
        submitted += plane.submit([some_job(rng) for _ in range(rng.choice([1, 3, 8]))])
        if rng.random() < 0.4:
            plane.cancel(rng.choice(submitted).id)
        time.sleep(rng.choice([0.0, 0.1, 0.4]))
    for job in submitted[:3]:
        plane.cancel(job.id)
    feasible = [job.id for job in submitted if not built_for_none(job)]
    eventually(lambda: all(plane.job(job).status.ended for job in feasible))


def built_for_none(job: JobRecord) -> bool:
    """Tell whether no pool of the network can ever run the job."""
    state = new_state("price")
    kind = state.intern(JobKind.of(job.spec))
    return bool((state.rates_by_pool()[kind] == 0).all())


def new_state(policy: str) -> State:
    """Give the state of a network in which nothing has happened."""
    return State(OFFER.network, policy_named(policy), OFFER.accelerators, OFFER.rates)


@pytest.fixture(scope="module", params=["price", "backfill"])
def policy(request: pytest.FixtureRequest) -> str:
    """Give a policy that orders by work, and one that orders by submission and uses the time."""
    return str(request.param)


@pytest.fixture(scope="module")
def live(
    policy: str,
    tmp_path_factory: pytest.TempPathFactory,
    processes_of: Callable[[Path], list[int]],
    eventually: Eventually,
) -> Iterator[Live]:
    """Give a live run; afterwards nothing of it is left running."""
    folder = tmp_path_factory.mktemp("live")
    run_cycle(new_state(policy), Observations(), 0.0)  # compiles what is not compiled yet
    recorder = Recorder()
    settings = LoopSettings(busy_s=0.05)
    with running(
        OFFER.network,
        Placement(folder),
        policy=policy,
        settings=settings,
        cycle=recorder.run_cycle,
    ) as plane:
        use(plane, seed=7, eventually=eventually)
        jobs = plane.jobs(limit=1000)[::-1]
        ends = {event.job_id: event.at for event in plane.events(limit=100_000)}
    yield Live(recorder.cycles, jobs, ends)
    eventually(lambda: processes_of(folder) == [])


def test_the_replay_decides_what_the_live_loop_decided(live: Live, policy: str) -> None:
    """Recorded observations give the same state before and the same actions in every cycle."""
    assert len(live.jobs) >= 40
    assert {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED} <= {job.status for job in live.jobs}
    assert len({job.pool for job in live.jobs if job.pool}) == len(OFFER.network.pools)
    assert sum(len(cycle.actions.rows) for cycle in live.cycles) >= 40
    assert list(differences(live.cycles, new_state(policy))) == []


def test_a_difference_is_seen(live: Live, policy: str) -> None:
    """The comparison above finds a placement that was not decided by this scheduler."""
    at = next(i for i, cycle in enumerate(live.cycles) if len(cycle.actions.rows))
    cycles = list(live.cycles)
    changed = cycles[at].actions._replace(pools=cycles[at].actions.pools + 1)
    cycles[at] = replace(cycles[at], actions=changed)
    found = list(differences(cycles, new_state(policy)))
    assert len(found) == 1
    assert found[0].startswith(f"cycle {at} ")


def test_simulated_time_tells_the_story_of_the_live_run(live: Live, policy: str) -> None:
    """Simulated from submit and run times alone, jobs start in about the same order and place."""
    ran = [job for job in live.jobs if job.placed_at is not None]
    state = new_state(policy)
    kinds = np.array([state.intern(JobKind.of(job.spec)) for job in ran], np.int32)
    pool_row = {pool.id: row for row, pool in enumerate(OFFER.network.pools)}
    submit = np.array([job.submitted_at for job in ran])
    pool = np.array([pool_row[job.pool or ""] for job in ran])
    held_s = np.array([live.freed_at[job.id] - (job.placed_at or 0.0) for job in ran])
    state.add(kinds, np.array([job.spec.estimate_s or 0.0 for job in ran]), submit)
    duration = held_s * state.rates_by_pool()[kinds, pool]
    schedule = simulate(state, submit, duration, np.ones(len(ran), np.bool_))
    placed = np.array([job.placed_at for job in ran])
    assert np.corrcoef(placed, schedule.start_s)[0, 1] > 0.9
    assert np.mean(schedule.pool == pool) > 0.6
