"""A plan's linear program: how fast it is made, solved, and solved again when a number changes.

    python benchmarks/planning.py [--size R A F] [--methods] [--large] [--json]

Drawn plans of R regions, A accelerators and F futures over twelve quarters, in which budget,
import ratio, licence, supply, power and links bind. Build is arrays and program from the plan's
spec, hand-over is HiGHS taking it, solve is HiGHS and the check of what it found; beside them
linopy with the same rules. `--methods` compares HiGHS' methods from cold, `--large` solves half a
million columns to a proven gap of 0.1 %.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import highspy
import numpy as np
from _inputs import ROOT
from _plans import drawn_plan

from tieline.model.plan import Offer, PlanSpec
from tieline.planning.bundles import nearly_best
from tieline.planning.inputs import inputs_of
from tieline.planning.model import program_of
from tieline.planning.plan import Plan
from tieline.planning.program import LinearProgram
from tieline.planning.solver import Solver

sys.path.insert(0, str(ROOT / "tests"))  # the twin that the tests compare with

from twins.plan_linopy import optimum, twin

Size = tuple[int, int, int]
Row = dict[str, Any]
_T = TypeVar("_T")

SOLVED: tuple[Size, ...] = ((2, 2, 1), (8, 6, 1), (8, 6, 9), (8, 6, 27), (31, 10, 1))
BUILT: tuple[Size, ...] = ((31, 10, 27), (31, 10, 81))
METHODS: tuple[Size, ...] = (*SOLVED[:2], (8, 6, 3), *SOLVED[2:])
WHAT_IFS: Size = (8, 6, 9)
LARGE: Size = (31, 10, 27)
GAP = 1e-3
REPEATS = 5


def timed(run: Callable[[], _T]) -> tuple[_T, float]:
    """Give what a call gives, and its CPU seconds."""
    began = time.process_time()
    found = run()
    return found, time.process_time() - began


def median(run: Callable[[], object]) -> float:
    """Give the median CPU seconds of a few calls."""
    return statistics.median(timed(run)[1] for _ in range(REPEATS))


@contextmanager
def solver_time() -> Iterator[list[float]]:
    """Give the CPU seconds of each run of HiGHS within the block."""
    run, taken = highspy.Highs.run, []

    def watched(highs: highspy.Highs) -> highspy.HighsStatus:
        status, seconds = timed(lambda: run(highs))
        taken.append(seconds)
        return status

    highspy.Highs.run = watched  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        highspy.Highs.run = run  # type: ignore[method-assign]


@contextmanager
def banner_apart() -> Iterator[None]:
    """Let what HiGHS itself prints within the block go where errors go."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def measure(size: Size, *, solve: bool) -> Row:
    """Measure one size: build, hand-over, and where wanted the solution, beside linopy."""
    spec = drawn_plan(*size)
    inputs = inputs_of(spec)
    program = program_of(inputs)
    row: Row = {
        "size": size,
        "rows": len(program.row_lower),
        "columns": len(program.cost),
        "nonzeros": len(program.values),
        "build_s": median(lambda: program_of(inputs_of(spec))),
        "hand_over_s": median(lambda: Solver(program)),
    }
    model, row["linopy_build_s"] = timed(lambda: twin(inputs))
    if not solve:
        return row
    with solver_time() as runs:
        solution, row["solve_s"] = timed(Solver(program).solve)
    made = row["build_s"] + row["hand_over_s"]
    row["total_over_solver"] = (made + row["solve_s"]) / sum(runs)
    row["usd"], row["iterations"] = solution.objective, solution.iterations
    with solver_time() as runs, banner_apart():
        row["linopy_usd"], seconds = timed(lambda: optimum(model))
    row["linopy_total_s"] = row["linopy_build_s"] + seconds
    row["linopy_total_over_solver"] = row["linopy_total_s"] / sum(runs)
    return row


def changes(spec: PlanSpec) -> dict[str, PlanSpec]:
    """Give what is asked of a drawn plan, one number changed in each."""

    def offers(change: Callable[[Offer], Offer], place: int) -> PlanSpec:
        chips = list(spec.chips)
        offer = chips[place].offer
        if offer is None:
            raise AssertionError("in a drawn plan all is on offer")
        chips[place] = replace(chips[place], offer=change(offer))
        return replace(spec, chips=tuple(chips))

    def times(factor: float) -> Callable[[Offer], Offer]:
        return lambda one: replace(one, supply=tuple(factor * x for x in one.supply or ()))

    rule, cap = spec.import_ratio, spec.caps[0]
    if rule is None:
        raise AssertionError("a drawn plan has an import ratio")
    asked = {
        "ratio: base + 20 %": replace(spec, import_ratio=replace(rule, base=1.2 * rule.base)),
        "ratio: 0.8 to 1": replace(spec, import_ratio=replace(rule, ratio=1.0)),
        "ratio: 0.8 to 0.6": replace(spec, import_ratio=replace(rule, ratio=0.6)),
        "licence + 20 %": replace(spec, caps=(replace(cap, at_most=1.2 * cap.at_most),)),
        "price of an import + 10 %": offers(lambda o: replace(o, price_usd=1.1 * o.price_usd), 0),
        "price of a domestic one - 10 %": offers(
            lambda o: replace(o, price_usd=0.9 * o.price_usd), -1
        ),
        "supply of an import - 10 %": offers(times(0.9), 0),
        "discount 8 to 10 %": replace(spec, discount=0.10),
        "risk weight 0.3 to 0.5": replace(spec, risk=replace(spec.risk, weight=0.5)),
        "utilisation 1 to 0.98": replace(spec, utilisation=0.98),
        "utilisation 1 to 0.9": replace(spec, utilisation=0.9),
    }
    if spec.branches:
        first = spec.branches[0]
        low, *between, high = first.outcomes
        outcomes = (
            replace(low, probability=low.probability + 0.05),
            *between,
            replace(high, probability=high.probability - 0.05),
        )
        branches = (replace(first, outcomes=outcomes), *spec.branches[1:])
        asked["probability 0.3 to 0.35"] = replace(spec, branches=branches)
    return asked


def what_ifs(size: Size) -> list[Row]:
    """Measure each change, from the solved plan, to the checked result."""
    spec = drawn_plan(*size)
    plan = Plan(spec)
    plan.solve()
    rows = []
    for name, changed in changes(spec).items():
        taken = []
        iterations = 0
        for _ in range(REPEATS):
            result, seconds = timed(lambda changed=changed: plan.what_if(changed))  # type: ignore[misc] # bound
            taken.append(seconds)
            iterations = result.solution.iterations
            plan.solve()
        rows.append({"what": name, "cpu_s": statistics.median(taken), "iterations": iterations})
    return rows


def cold(program: LinearProgram, method: str) -> Row:
    """Measure one method of HiGHS from cold, on one thread."""
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no types
    highs.silent()
    for option, value in (("threads", 1), ("solver", method)):
        highs.setOptionValue(option, value)
    inf = highspy.kHighsInf
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(program.cost), len(program.row_lower)
    lp.col_cost_ = program.cost
    lp.col_lower_, lp.col_upper_ = np.maximum(program.lower, -inf), np.minimum(program.upper, inf)
    lp.row_lower_ = np.maximum(program.row_lower, -inf)
    lp.row_upper_ = np.minimum(program.row_upper, inf)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = program.starts, program.rows
    lp.a_matrix_.value_ = program.values
    highs.passModel(lp)
    _, seconds = timed(highs.run)
    info = highs.getInfo()
    iterations = info.simplex_iteration_count + info.ipm_iteration_count
    return {"cpu_s": seconds, "iterations": iterations}


def methods(sizes: tuple[Size, ...]) -> list[Row]:
    """Measure HiGHS' methods from cold."""
    rows = []
    for size in sizes:
        program = program_of(inputs_of(drawn_plan(*size)))
        found = {method: cold(program, method) for method in ("simplex", "ipx")}
        rows.append({"size": size, "nonzeros": len(program.values), **found})
    return rows


def large(size: Size) -> Row:
    """Solve a large plan to a proven gap."""
    inputs = inputs_of(drawn_plan(*size))
    result, seconds = timed(lambda: nearly_best(inputs, GAP))
    return {
        "size": size,
        "cpu_s": seconds,
        "gap": None if result is None else result.solution.gap,
        "usd": None if result is None else result.objective_usd,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def show(document: dict[str, Any]) -> None:
    """Print the document as tables."""
    print(
        "     size     rows   columns   nonzeros  build  hand-over  linopy   solve  total/solver"
    )
    for row in document["planning"]:
        print(
            f"{'x'.join(map(str, row['size'])):>9} {row['rows']:8,} {row['columns']:9,}"
            f" {row['nonzeros']:10,} {row['build_s']:6.3f} {row['hand_over_s']:10.3f}"
            f" {row['linopy_build_s']:7.2f}",
            end="" if "solve_s" in row else "\n",
        )
        if "solve_s" in row:
            ours, linopy = row["total_over_solver"], row["linopy_total_over_solver"]
            print(f" {row['solve_s']:7.2f} {ours:13.3f} (linopy {linopy:.2f})")
    for row in document.get("what_if", ()):
        print(f"{row['what']:32} {row['cpu_s']:7.3f} s {row['iterations']:6,} iterations")
    for row in document.get("methods", ()):
        parts = [
            f"{name} {row[name]['cpu_s']:8.2f} s {row[name]['iterations']:7,} iterations"
            for name in ("simplex", "ipx")
        ]
        print(f"{'x'.join(map(str, row['size'])):>9} {row['nonzeros']:10,} nonzeros;", *parts)
    if "large" in document:
        row = document["large"]
        gap = "not reached" if row["gap"] is None else f"{row['gap']:.4%}"
        print(f"large: {row['cpu_s']:.0f} s, gap {gap}, peak {row['rss_mib']:.0f} MiB")


def main() -> None:
    """Measure and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, metavar=("R", "A", "F"))
    parser.add_argument("--methods", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    one: Size | None = tuple(options.size) if options.size else None
    document: dict[str, Any] = {}
    if options.large:  # first, so that the peak of memory is its own
        document["large"] = large(one or LARGE)
    document["planning"] = [measure(size, solve=True) for size in ((one,) if one else SOLVED)]
    if one is None:
        document["planning"] += [measure(size, solve=False) for size in BUILT]
    document["what_if"] = what_ifs(one or WHAT_IFS)
    if options.methods:
        document["methods"] = methods((one,) if one else METHODS)
    print(json.dumps(document, indent=2)) if options.json else show(document)


if __name__ == "__main__":
    main()
