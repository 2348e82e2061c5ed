"""`tieline replay`: recorded jobs through the scheduler, policies side by side."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import click
from rich.progress import Progress, TaskID
from rich.table import Table

from tieline.cli.replay_conditions import conditions
from tieline.cli.replay_why import WHY, Subject, answer
from tieline.cli.screen import console, print_json, progress_bar, table
from tieline.cli.trace_options import FORMAT, OPTIONS, pairs
from tieline.files.network import read_network
from tieline.model.accelerator import Accelerator
from tieline.model.catalogue import catalogue, nearest
from tieline.model.errors import InputError
from tieline.model.network import Network
from tieline.model.trace import Trace
from tieline.reports import rows, words
from tieline.reports.document import Measured, document
from tieline.reports.folder import fresh_folder
from tieline.reports.text_table import Rows
from tieline.scheduling.policies.isolated import ISOLATED
from tieline.scheduling.policy import Policy
from tieline.scheduling.registry import POLICIES, policy_named
from tieline.simulation.comparison import AtScale, Comparison, compare, equal_services
from tieline.simulation.conditions import Conditions
from tieline.simulation.replay import Replay, first_jobs
from tieline.simulation.replay import replay as replay_trace
from tieline.simulation.scaling import scaled
from tieline.simulation.workload import recorded_on
from tieline.traces.registry import read_trace

_POLICIES: Final = "isolated,backfill,price"
#: The largest factor on the nodes of a network.
_MOST: Final = 100.0
#: Jobs replayed before the clock starts, so that it does not measure the compiler.
_WARM_UP: Final = 2


@click.command()
@click.argument("network_file", metavar="NETWORK", type=click.Path())
@click.argument("trace_file", metavar="TRACE", type=click.Path())
@FORMAT
@OPTIONS
@click.option(
    "--policy",
    "policies",
    multiple=True,
    default=(_POLICIES,),
    show_default=True,
    metavar="NAME,...",
    help=f"Policies to compare, of {', '.join(POLICIES)}; repeatable.",
)
@click.option(
    "--scale",
    "scales",
    multiple=True,
    default=("1",),
    show_default=True,
    metavar="FACTOR,...",
    help="Factors on the nodes of every pool, such as 1,0.75,0.5; repeatable.",
)
@click.option(
    "--equal-service",
    "equal",
    is_flag=True,
    help="Also find how many accelerators separate centres need for the service that the joined"
    " network gives, and the reverse. Takes some twenty replays more.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Replay only the first jobs.")
@conditions
@WHY
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write a page with pictures, the JSON document and Parquet tables to DIR.",
)
def replay(  # noqa: PLR0913 - one argument per option
    network_file: str,
    trace_file: str,
    *,
    kind: str | None,
    options: Sequence[str],
    policies: Sequence[str],
    scales: Sequence[str],
    equal: bool,
    limit: int | None,
    under: Conditions,
    asked: str | None,
    as_json: bool,
    out: Path | None,
) -> None:
    """Run the jobs of TRACE through the scheduler on NETWORK, in simulated time.

    Every policy sees the same jobs. `isolated` is what separate centres do: each tenant on
    its home site alone.
    """
    chosen = [policy_named(name) for name in _listed(policies)]
    if not chosen:
        raise InputError(f"--policy: names none of {', '.join(POLICIES)}")
    factors = _factors(scales)
    joined = [policy for policy in chosen if not policy.home_only]
    if equal:
        if not joined:
            raise InputError("--equal-service: name a policy besides isolated to compare it with")
        chosen = list(dict.fromkeys([ISOLATED, *chosen]))
    network = read_network(network_file)
    trace = _trace(trace_file, kind, options, limit)
    accelerators = {**catalogue(), **{one.id: one for one in network.accelerators}}
    base = _recorded_on(network, trace, accelerators)
    if asked is not None:
        first = scaled(network, factors[0])
        subject = Subject(first, trace, chosen[0], accelerators, base, under)
        answer(subject, asked, as_json=as_json)
        return
    with ExitStack() as stack:
        folder = stack.enter_context(fresh_folder(out)) if out else None
        bar = stack.enter_context(progress_bar())
        runner = _Runner(trace, accelerators, base, under, bar)
        results: list[AtScale] = []
        for factor in factors:
            at = compare(network, factor, chosen, runner.run)
            if equal:
                needs = equal_services(network, at, ISOLATED, joined, runner.run)
                at = dataclasses.replace(at, needs=needs)
            results.append(at)
        comparison = Comparison(network, trace, base, under, tuple(results))
        result = document(comparison, runner.clock)
        if folder:
            from tieline.reports.report import write_report  # noqa: PLC0415 - loads matplotlib

            bar.add_task("writing the report", total=None)
            write_report(folder, comparison, result)
    if as_json:
        print_json(result)
    else:
        _show(comparison, runner.clock)
        if out:
            click.echo(f"\nWritten: {out / 'report.html'}")


def _trace(file: str, kind: str | None, options: Sequence[str], limit: int | None) -> Trace:
    """Read the trace, or its first jobs."""
    trace = read_trace(file, kind, **pairs(options))
    return trace if limit is None else first_jobs(trace, limit)


class _Runner:
    """Replays one trace on several networks under several policies; each pair once."""

    def __init__(
        self,
        trace: Trace,
        accelerators: Mapping[str, Accelerator],
        base: str,
        conditions: Conditions,
        bar: Progress,
    ) -> None:
        self._trace = trace
        self._accelerators = accelerators
        self._base = base
        self._conditions = conditions
        self._bar = bar
        self._done: dict[tuple[str, tuple[int, ...]], Replay] = {}
        self._warm: set[str] = set()
        self.clock: dict[tuple[str, int], Measured] = {}

    def run(self, network: Network, policy: Policy) -> Replay:
        """Give the replay, made now or before."""
        key = policy.name, tuple(pool.nodes for pool in network.pools)
        if key not in self._done:
            task = self._bar.add_task(f"{policy.name} on {network.capacity:,}", total=1.0)
            self._done[key] = self._timed(network, policy, task)
            self._bar.remove_task(task)
        return self._done[key]

    def _timed(self, network: Network, policy: Policy, task: TaskID) -> Replay:
        if policy.name not in self._warm:
            self._replay(network, policy, first_jobs(self._trace, _WARM_UP))
            self._warm.add(policy.name)
        span = float(self._trace.submit_s[-1]) or 1.0
        wall, cpu = time.perf_counter(), time.process_time()
        done = self._replay(
            network,
            policy,
            self._trace,
            lambda now: self._bar.update(task, completed=min(1.0, now / span)),
        )
        self.clock[policy.name, network.capacity] = Measured(
            time.perf_counter() - wall, time.process_time() - cpu
        )
        return done

    def _replay(
        self,
        network: Network,
        policy: Policy,
        trace: Trace,
        on_progress: Callable[[float], None] | None = None,
    ) -> Replay:
        return replay_trace(
            network,
            trace,
            policy,
            self._accelerators,
            relative_to=self._base,
            conditions=self._conditions,
            on_progress=on_progress,
        )


def _listed(texts: Sequence[str]) -> list[str]:
    """Give the parts of comma lists, each once."""
    parts = [part.strip() for text in texts for part in text.split(",")]
    return list(dict.fromkeys(part for part in parts if part))


def _factors(texts: Sequence[str]) -> list[float]:
    """Give the factors on the nodes."""
    factors = []
    for text in _listed(texts):
        try:
            factor = float(text)
        except ValueError:
            factor = math.nan
        if not 0 < factor <= _MOST:
            raise InputError(
                f"--scale: found {text!r}, allowed is a number above 0 and at most {_MOST:g}"
            )
        factors.append(factor)
    if not factors:
        raise InputError("--scale: names no factor, such as 1,0.75,0.5")
    return list(dict.fromkeys(factors))


def _recorded_on(network: Network, trace: Trace, accelerators: Mapping[str, Accelerator]) -> str:
    """Give the accelerator that run times hold for; it must be one whose rates are known."""
    base = recorded_on(network, trace)
    if base not in accelerators:
        names = nearest(base, accelerators)
        hint = f" (nearest: {', '.join(names)})" if names else ""
        raise InputError(
            f"trace {trace.name}: its run times hold on {base!r}, which neither the catalogue nor"
            f" network {network.name} has{hint}; define it in the network file, or name another"
            " with --option accelerator=ID"
        )
    return base


def _show(comparison: Comparison, clock: Mapping[tuple[str, int], Measured]) -> None:
    screen = console()
    screen.print(f"{words.what_is_replayed(comparison)}\n")
    same, needs = rows.on_same_jobs(comparison), rows.needs(comparison)
    _show_rows("", rows.results(comparison))
    if same is not None:
        _show_rows("\nmean completion (mean wait) on the jobs that ran under every policy", same)
    if needs is not None:
        _show_rows("\naccelerators for the same mean completion", needs)
    for line in words.headline(comparison):
        screen.print(f"\n{line}", style="bold")
    screen.print()
    notes = [*words.rejections(comparison), *words.moved(comparison)]
    notes += words.assumptions(comparison)
    notes += [*comparison.trace.notes, *words.left_out(comparison)]
    notes.append(f"Replayed at {_speed(comparison, clock):,.0f} jobs per CPU second.")
    listed = Table.grid(padding=(0, 1, 0, 0))
    for note in notes:
        listed.add_row("-", note, style="dim")
    screen.print(listed)


def _show_rows(title: str, found: Rows) -> None:
    screen = console()
    if title:
        screen.print(title, style="bold")
    made = table(*found.heads, fold=("policy",))
    for row in found.rows:
        made.add_row(*row)
    screen.print(made)


def _speed(comparison: Comparison, clock: Mapping[tuple[str, int], Measured]) -> float:
    """Give jobs per CPU second over all replays that were made."""
    return len(comparison.trace) * len(clock) / max(1e-9, sum(one.cpu_s for one in clock.values()))
