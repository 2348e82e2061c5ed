"""The end of the demo: where the jobs went and why, and what separate centres would have given."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tieline.cli.demo.compare import Outcome, in_both
from tieline.cli.demo.course import Scene
from tieline.cli.demo.placement import Placed
from tieline.cli.screen import table
from tieline.cli.why import show as show_why
from tieline.model.network import Network
from tieline.wire.schemas import named


@dataclass(frozen=True, slots=True)
class Report:
    """All that the demo measured."""

    scene: Scene
    live: Outcome
    replays: Sequence[Outcome]
    """Under the policy of the live network, then under `isolated` (unless it is that)."""
    network: Network

    @property
    def compared(self) -> list[bool]:
        """Tell of each job whether it ran in every outcome."""
        return in_both(self.live, *self.replays)

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """The live one first."""
        return (self.live, *self.replays)

    @property
    def conclusion(self) -> str:
        """One or two sentences with the numbers measured."""
        among = self.compared
        live, *replayed = (one.mean_completion_s(among) for one in self.outcomes)
        simulated = f"The simulator, given the same jobs and policy, says {replayed[0]:.1f} s."
        if len(replayed) == 1:
            return (
                f"In separate centres a job was done {live:.1f} s after its submission on "
                f"average. {simulated}"
            )
        alone = replayed[-1]
        lost = self.live.ran - self.replays[-1].ran
        jobs = "1 more job" if lost == 1 else f"{lost} more jobs"
        also = f", and {jobs} could not have run at all" if lost > 0 else ""
        return (
            f"Joined, a job was done {live:.1f} s after its submission on average; in separate "
            f"centres it would have been {alone:.1f} s, {alone / live:.1f} times as long{also}. "
            f"{simulated}"
        )

    def document(self) -> dict[str, object]:
        """Give everything as one JSON document."""
        return {
            "jobs": [self._job(row) for row in range(len(self.scene.jobs))],
            "never": [why.model_dump(mode="json") for why in self.scene.never.values()],
            "compared_jobs": sum(self.compared),
            "outcomes": [self._outcome(one) for one in self.outcomes],
            "conclusion": self.conclusion,
        }

    def _job(self, row: int) -> dict[str, object]:
        job, course = self.scene.jobs[row], self.live.courses[row]
        at = self.scene.placed.get(job.id)
        return {
            "id": job.id,
            "tenant": job.tenant,
            "name": job.name,
            "count": job.count,
            "status": named(job.status),
            "submitted_s": course.submitted_s,
            "started_s": course.started_s,
            "ended_s": course.ended_s,
            "pool": job.pool,
            "cause": None if at is None else str(at.cause),
            "rate": None if at is None else at.rate,
            "home_rate": None if at is None else at.home_rate,
        }

    def _outcome(self, one: Outcome) -> dict[str, object]:
        return {
            "name": one.name,
            "finished": one.ran,
            "rejected": len(one.courses) - one.ran,
            "mean_jct_s": one.mean_completion_s(self.compared),
            "mean_wait_s": one.mean_wait_s(self.compared),
            "makespan_s": one.makespan_s,
            "utilisation": one.utilisation(self.network.capacity),
            "mean_price_per_h": dict(one.prices_per_h),
        }


def show(screen: Console, report: Report) -> None:
    """Print where the jobs went, what can never run, the comparison and the conclusion."""
    screen.print("\nWhere the jobs went, and why", style="bold")
    screen.print(_destinations(report.scene))
    screen.print("rate: speed there, and the best at home; the H200 has 1", style="dim")
    for why in report.scene.never.values():
        screen.print("\nA job that can never run: tieline why says", style="bold")
        show_why(screen, why)
        screen.print("It was cancelled at the end.")
    screen.print("\nThe same jobs: live, and replayed in the simulator", style="bold")
    screen.print(_comparison(report))
    screen.print(
        f"means over the {sum(report.compared)} jobs that ran in all columns", style="dim"
    )
    screen.print()
    screen.print(report.conclusion)


def _destinations(scene: Scene) -> Table:
    groups: dict[tuple[str, str], dict[str, list[Placed]]] = {}
    for one in sorted(scene.placed.values(), key=lambda one: (one.job.tenant, one.job.name)):
        pools = groups.setdefault((one.job.tenant, one.job.name), {})
        pools.setdefault(one.pool.id, []).append(one)
    made = table("job", ">n", ">jobs", "ran on", ">rate", ">home", "why", fold=("why",), gap=1)
    tenant = ""
    for (owner, name), pools in groups.items():
        if owner != tenant:
            made.add_row(Text(owner, style="bold"))
        tenant = owner
        label = f" {name}"
        for pool, members in sorted(pools.items()):
            first = members[0]
            home = "-" if first.home_rate is None else f"{first.home_rate:.2f}"
            many = f"{len(members)}"
            gang = f"{first.job.count}"
            made.add_row(label, gang, many, pool, f"{first.rate:.2f}", home, _causes(members))
            label = ""
    return made


def _causes(members: Sequence[Placed]) -> str:
    counts = Counter(one.cause for one in members).most_common()
    if len(counts) == 1:
        return str(counts[0][0])
    return ", ".join(f"{number} {cause}" for cause, number in counts)


def _comparison(report: Report) -> Table:
    capacity, among = report.network.capacity, report.compared
    rows: list[tuple[str, Callable[[Outcome], str]]] = [
        ("jobs that ran", lambda one: f"{one.ran}"),
        ("jobs that could not", lambda one: f"{len(one.courses) - one.ran}"),
        ("mean completion", lambda one: f"{one.mean_completion_s(among):.1f} s"),
        ("mean wait", lambda one: f"{one.mean_wait_s(among):.1f} s"),
        ("all done after", lambda one: f"{one.makespan_s:.1f} s"),
        ("accelerators in use", lambda one: f"{one.utilisation(capacity):.0%}"),
    ]
    made = table("", ">live", *(f">replay: {one.name}" for one in report.replays))
    for label, cell in rows:
        made.add_row(label, *map(cell, report.outcomes))
    made.add_row("mean price")
    for pool in report.network.pools:
        cells = [one.prices_per_h.get(pool.id) for one in report.outcomes]
        told = ("-" if price is None else f"{price:.0f}" for price in cells)
        made.add_row(f"  {pool.id}", *told)
    return made
