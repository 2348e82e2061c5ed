"""What `tieline plan` prints: verdicts, a table, what they rest on; or two plans side by side."""

from collections.abc import Sequence

from tieline.cli.screen import console, table
from tieline.planning.findings import Findings
from tieline.planning.plan import Result
from tieline.planning.verdict import Verdict, verdicts
from tieline.reports.memo import recorded, tables, words
from tieline.reports.memo.numbers import count, percent, usd
from tieline.reports.memo.recorded import Recorded
from tieline.reports.memo.verdict_words import verdict_lines
from tieline.reports.text_table import Rows


def show(found: Findings) -> None:
    """Print the findings of one plan."""
    screen = console()
    spec = found.result.inputs.spec
    screen.print(f"{spec.name}: {words.about(spec, len(found.result.inputs.tree.leaves))}\n")
    for line in verdict_lines(found.result, found.verdicts):
        screen.print(line, style="bold")
    screen.print()
    _print(tables.on_screen(found))
    screen.print(f"\n{words.cost(found.result)}")
    for line in (*words.delay(found.delay, found.result), *words.pooling(found.pooling)):
        screen.print(line)
    for curve in found.curves:
        screen.print(f"\n{words.sweep_title(curve)}: in the file {words.at_present(curve)}")
        for line in words.sweep(curve):
            screen.print(line)


def show_change(before: Result, after: Result, settings: Sequence[str], cpu_s: float) -> None:
    """Print two plans side by side: orders now, verdicts, cost."""
    screen = console()
    screen.print(f"{after.inputs.spec.name} with {', '.join(settings)}\n")
    _print(_change(before, after))
    difference = after.mean_usd - before.mean_usd
    part = difference / abs(before.mean_usd) if before.mean_usd else 0.0
    more = "more" if difference >= 0 else "less"
    screen.print(
        f"\nMean cost: {usd(before.mean_usd)} as in the file, {usd(after.mean_usd)} changed:"
        f" {usd(abs(difference))} {more} ({percent(abs(part))})."
    )
    for line in verdict_lines(after, verdicts(after)):
        screen.print(line, style="bold")
    screen.print(f"\nSolved again in {cpu_s:.2f} s of CPU time.", style="dim")


def show_recorded(taken: Recorded, result: Result) -> None:
    """Print what a plan takes from recorded jobs; nothing where it takes none."""
    lines = [*recorded.demand(taken.load), *recorded.prices(taken.prices, result)]
    for line in lines:
        console().print(f"\n{line}")


def _change(before: Result, after: Result) -> Rows:
    heads = (
        "accelerator",
        ">now,\nin file",
        ">now,\nchanged",
        ">in all,\nin file",
        ">in all,\nchanged",
        "verdict",
    )
    old = {one.accelerator: one for one in verdicts(before)}
    new = {one.accelerator: one for one in verdicts(after)}
    names = dict.fromkeys([*old, *new])
    rows = [(name, *_sides(old.get(name), new.get(name))) for name in names]
    return Rows(heads, rows, frozenset())


def _sides(old: Verdict | None, new: Verdict | None) -> tuple[str, ...]:
    pairs = [
        *(count(one.now) if one else "-" for one in (old, new)),
        *(count(one.total) if one else "-" for one in (old, new)),
    ]
    actions = [one.action if one else "not on offer" for one in (old, new)]
    turned = actions[1] if actions[0] == actions[1] else " -> ".join(actions)
    return (*pairs, turned)


def _print(rows: Rows) -> None:
    made = table(*rows.heads, fold=("accelerator", "verdict"), gap=1)
    for row in rows.rows:
        made.add_row(*row)
    console().print(made)
