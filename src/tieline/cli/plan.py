"""`tieline plan`: what to buy, when and where, or not at all."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click
from rich.progress import Progress

from tieline.cli.plan_demand import DEMAND_FROM, demand_from
from tieline.cli.plan_show import show, show_change, show_recorded
from tieline.cli.plan_subject import Subject, changed, subject
from tieline.cli.screen import print_json, progress_bar
from tieline.cli.trace_options import FORMAT, OPTIONS
from tieline.planning.findings import Findings, findings
from tieline.planning.plan import Plan, Result
from tieline.reports.folder import MEMO, fresh_folder
from tieline.reports.memo.document import comparison_document, memo_document
from tieline.reports.memo.recorded import Recorded
from tieline.reports.memo.replay_prices import read_replay_prices


@click.command()
@click.argument("plan_file", metavar="PLAN")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change a value of the file, such as risk.weight=0.3, and compare; repeatable.",
)
@DEMAND_FROM
@FORMAT
@OPTIONS
@click.option(
    "--prices-from",
    "replayed",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Show the prices that tieline replay --policy price --out DIR wrote beside the plan's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write the memo to DIR: a page with pictures, Markdown, and the JSON document.",
)
def plan(  # noqa: PLR0913 - one argument per option
    plan_file: str,
    *,
    settings: Sequence[str],
    source: str | None,
    kind: str | None,
    options: Sequence[str],
    replayed: Path | None,
    as_json: bool,
    out: Path | None,
) -> None:
    """Say what to buy, when and where, or not at all, from the plan file PLAN.

    With `--set` the plan is solved as in the file and then, from there, as changed: both stand
    side by side. Memo and document are about the changed plan. `--format` and `--option` are
    those of the trace of `--demand-from`, which all of these plans share.
    """
    base = subject(plan_file, demand_from(source, kind, options))
    asked = changed(base, settings)
    prices = read_replay_prices(replayed, asked.spec) if replayed else None
    taken = Recorded(asked.load, prices)
    with ExitStack() as stack:
        folder = stack.enter_context(fresh_folder(out, MEMO)) if out else None
        bar = stack.enter_context(progress_bar())
        change = _change(base, asked, bar) if settings else None
        found = _findings(asked, bar) if folder or as_json or not change else None
        document = memo_document(found, asked.units(), taken) if found else {}
        if change:
            document["changed"] = comparison_document(change.before, change.after, change.cpu_s)
            document["changed"]["set"] = list(settings)
        if folder and found:
            from tieline.reports.memo.memo import write_memo  # noqa: PLC0415 - loads matplotlib

            bar.add_task("writing the memo", total=None)
            write_memo(folder, found, document, asked.units(), taken)
    if as_json:
        print_json(document)
        return
    if change:
        show_change(change.before, change.after, settings, change.cpu_s)
        show_recorded(taken, change.after)
    elif found:
        show(found)
        show_recorded(taken, found.result)
    if out:
        click.echo(f"\nWritten: {out / 'memo.html'}")


class _Change(NamedTuple):
    """A plan as in its file, and changed."""

    before: Result
    after: Result
    cpu_s: float
    """What it took to solve it again."""


def _change(base: Subject, asked: Subject, bar: Progress) -> _Change:
    """Solve the plan as in the file, then from there as changed."""
    task = bar.add_task("solving", total=None)
    live = Plan(base.spec)
    before = live.solve()
    started = time.process_time()
    after = live.what_if(asked.spec)
    cpu_s = time.process_time() - started
    bar.remove_task(task)
    return _Change(before, after, cpu_s)


def _findings(asked: Subject, bar: Progress) -> Findings:
    """Work out everything, in two threads, and show how far it is."""
    task = bar.add_task("plan")
    stop = threading.Event()

    def show_progress(what: str, done: int, total: int) -> None:
        if stop.is_set():
            raise _Stopped
        bar.update(task, description=what, completed=done, total=total)

    found = findings(
        Plan(asked.spec),
        asked.spec_at,
        asked.present(),
        progress=show_progress,
        both=lambda one, other: _at_the_same_time(one, other, stop),
    )
    bar.remove_task(task)
    return found


class _Stopped(Exception):  # noqa: N818 - not an error: the other half has failed
    """Raised in the half of the work that is not needed any more."""


def _at_the_same_time(
    one: Callable[[], None], other: Callable[[], None], stop: threading.Event
) -> None:
    """Call the other in a thread of its own; where one fails, let both end before that is told.

    The solver cannot be left alone: it would still run when the interpreter ends.
    """
    failures: list[BaseException] = []

    def guarded(half: Callable[[], None]) -> None:
        try:
            half()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)
            stop.set()

    thread = threading.Thread(target=guarded, args=(other,), daemon=True)
    thread.start()
    guarded(one)
    thread.join()
    if failures:
        raise failures[0]
