"""One decision of the clearing beside the same linear program through HiGHS.

    python benchmarks/decision.py [--jobs N] [--repeats N] [--seed N] [--json]

Jobs of Gavel's models and gang sizes with its measured speeds on three accelerator types, half
as many accelerators as jobs in the shares of Gavel's cluster, remaining work log-normal.
`decide` gives whole placements on nodes and a bound, from prices of 0; HiGHS solves the
relaxation and may split jobs. For scale: Gavel with ECOS needs 0.060 CPU s for its max-min
program at 2,048 jobs and 3 types on a quiet machine, and 10 CPU s for finish-time fairness.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import highspy
import numpy as np
from _inputs import GAVEL, NETWORKS

from tieline.control.cycle import Observations, run_cycle
from tieline.control.state import State
from tieline.files.network import read_network
from tieline.model.catalogue import catalogue
from tieline.model.job import JobKind
from tieline.model.rates import RateBook
from tieline.model.snapshot import Snapshot
from tieline.model.workload import Workload
from tieline.scheduling.decide import decide
from tieline.scheduling.registry import policy_named
from tieline.simulation.scaling import scaled
from tieline.traces.registry import read_trace

#: CPU seconds one decision at 2,048 jobs may take.
TARGET_S = 0.01
#: What Gavel takes for its max-min program of that size [CPU s].
GAVEL_S = 0.060


def build_state(n_jobs: int, seed: int) -> State:
    """Give a state in which all jobs wait and every accelerator is free."""
    rng = np.random.default_rng(seed)
    table = read_trace(GAVEL / "las96.csv", "gavel").throughputs
    if table is None:
        raise AssertionError("the reader gives the table of measured speeds")
    network = read_network(NETWORKS / "gavel.yaml")
    network = scaled(network, n_jobs / 2 / network.capacity)
    accelerators = {**catalogue(), **{chip.id: chip for chip in network.accelerators}}
    rates = RateBook(accelerators, relative_to=table.reference, throughputs=table)
    state = State(network, policy_named("price"), accelerators, rates)
    models = [key for key in table.steps_per_s if key[1] == table.reference]
    kinds = [
        state.intern(JobKind("all", Workload("training", model), count))
        for model, _, count in models
    ]
    drawn = rng.choice(np.array(kinds, np.int32), n_jobs)
    state.add(drawn, rng.lognormal(9.0, 1.5, n_jobs), np.zeros(n_jobs))
    state.lay_queue_anew(np.arange(n_jobs))
    return state


def program(s: Snapshot, n_jobs: int) -> tuple[highspy.HighsLp, float]:
    """Give the linear program of the clearing, and the value that its costs are scaled by."""
    kind, markets = s.jobs["kind"][:n_jobs], np.arange(len(s.markets))
    count, rate = s.kinds["count"][kind], s.rate[kind]
    free = np.bincount(s.pools["market"], s.pools["free"])
    job, market = np.nonzero((rate > 0) & (count[:, None] <= free[markets]))
    run = s.stage[kind[job], market] + s.jobs["work"][job] / rate[job, market]
    value = s.kinds["weight"][kind[job]] / np.maximum(1.0, run)
    n, scale = len(job), float(value.max())  # HiGHS has absolute tolerances
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n, n_jobs + len(markets)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = -value / scale, np.zeros(n), np.ones(n)
    lp.row_lower_ = np.full(lp.num_row_, -highspy.kHighsInf)
    lp.row_upper_ = np.concatenate([np.ones(n_jobs), free])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(0, 2 * n + 1, 2)  # each column: its job, its market
    lp.a_matrix_.index_ = np.column_stack([job, n_jobs + market]).ravel()
    lp.a_matrix_.value_ = np.column_stack([np.ones(n), count[job]]).ravel()
    return lp, scale


def optimum(lp: highspy.HighsLp, scale: float) -> float:
    """Give the optimum of the program, solved by HiGHS on one thread."""
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # its constructor has no types
    highs.silent()
    highs.setOptionValue("threads", 1)
    highs.passModel(lp)
    highs.run()
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise AssertionError(highs.modelStatusToString(highs.getModelStatus()))
    return -float(highs.getInfo().objective_function_value) * scale


def cpu_seconds(repeats: int, run: Callable[[], object]) -> float:
    """Give the median CPU seconds of the repeats."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def measure(n_jobs: int, seed: int, repeats: int) -> dict[str, float]:
    """Measure the decision, the whole first cycle, and HiGHS, on one instance."""
    run_cycle(build_state(64, seed), Observations(), 0.0)  # compiles what is not compiled yet
    state = build_state(n_jobs, seed)
    s, plan, policy = state.snapshot, state.plan, state.policy
    cpu_s = cpu_seconds(repeats, lambda: decide(s, policy, plan, 0.0))
    decision = decide(s, policy, plan, 0.0)
    placed = int(plan.size[0])
    asked = s.kinds["count"][s.jobs["kind"][:n_jobs]].sum()
    lp, scale = program(s, n_jobs)
    best = optimum(lp, scale)
    highs_s = cpu_seconds(max(1, repeats // 4), lambda: optimum(lp, scale))
    began = time.process_time()
    run_cycle(state, Observations(), 0.0)
    cycle_s = time.process_time() - began
    return {
        "jobs": n_jobs,
        "types": len(s.markets),
        "accelerators": state.network.capacity,
        "asked_over_free": float(asked) / state.network.capacity,
        "placed": placed,
        "cpu_s": cpu_s,
        "target_cpu_s": TARGET_S,
        "cycle_cpu_s": cycle_s,
        "highs_cpu_s": highs_s,
        "highs_over_ours": highs_s / cpu_s,
        "gavel_cpu_s": GAVEL_S,
        "value_over_lp": decision.value / best,
        "bound_over_lp": decision.bound / best,
        "gap": decision.gap,
    }


def main() -> None:
    """Measure one size and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    row = measure(options.jobs, options.seed, options.repeats)
    if options.json:
        print(json.dumps({"decision": row}, indent=2))
        return
    print(
        f"{row['jobs']:,} jobs, {row['types']} types, {row['accelerators']:,} accelerators"
        f" (asked for {row['asked_over_free']:.1f} times), {row['placed']:,} jobs placed"
    )
    print(f"decision     {row['cpu_s'] * 1e3:8.2f} ms CPU (target {TARGET_S * 1e3:.0f} ms)")
    print(f"whole cycle  {row['cycle_cpu_s'] * 1e3:8.2f} ms CPU")
    print(
        f"HiGHS        {row['highs_cpu_s'] * 1e3:8.2f} ms CPU, {row['highs_over_ours']:.1f} times"
        f" ours; Gavel with ECOS {GAVEL_S * 1e3:.0f} ms"
    )
    print(
        f"value {row['value_over_lp']:.4%} of the LP optimum, bound {row['bound_over_lp']:.4%},"
        f" certified gap {row['gap']:.3%}"
    )


if __name__ == "__main__":
    main()
