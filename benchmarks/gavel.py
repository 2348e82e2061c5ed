"""Gavel's own cases under Gavel's own rounds: our policies beside the results of its simulator.

    python benchmarks/gavel.py [--json] [--errors] [--policy P ...]

Rounds of 360 s in lock step, the table of measured speeds, no cost of a restart, remaining work
known exactly. `price`, `shortest` and `finish-time` use that knowledge; Gavel's max-min
fairness does not, so `--errors` gives the figures with estimates that are 3 and 10 times too
long or too short, each job's at even odds, mean over five draws.

rho is the completion time over that under Gavel's policy `isolated`, in which every job has an
equal split of each accelerator model: finish-time fairness as Mahajan et al. (NSDI '20) and
Gavel's figures measure it, from a run of its own. (Gavel's policy minimises a rho of the
moment: time since submission plus what is left, under its allocation over the equal split.)

`fair` shares between tenants and Gavel's max-min fairness between jobs, so under `fair` each job
is a tenant of its own. The traces have one site, on which `isolated` is `fifo`: Gavel's
`isolated` is the equal split.
"""

import argparse
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from _inputs import GAVEL, GavelCase, gavel_case, state_of, tenant_per_job
from numpy.typing import NDArray

from tieline.control.state import State
from tieline.scheduling.registry import POLICIES, policy_named
from tieline.simulation.driver import World, drive
from tieline.simulation.rounds import Rounds, round_world
from tieline.simulation.schedule import Schedule

CASES = ("las96", "mm100")
ROUND_S = 360.0
ERRORS = (3.0, 10.0)
DRAWS = 5
#: A greedy fill by remaining accelerator-time, run in Gavel's simulator; not one of its own.
GREEDY = "srtf_perf"
#: Its policy `fifo` starts jobs from a stale variable; `fifo_perf` is the sound one.
BROKEN = ("fifo",)
#: Policies that share between tenants.
SHARING = ("fair",)
#: (mean completion [s], worst rho) at most, by case and policy.
TARGETS: dict[tuple[str, str], tuple[float | None, float | None]] = {
    ("las96", "price"): (12_600.0, None),
    ("mm100", "price"): (26_700.0, None),
    ("las96", "finish-time"): (15_010.0, 1.17),
    ("mm100", "finish-time"): (36_333.0, 1.28),
}

Times = NDArray[np.float64]


class Outcome(NamedTuple):
    """How a case went under a policy."""

    mean_jct_s: float
    max_rho: float


def misjudged(world: World, state: State, factor: Times) -> World:
    """Give the same world, in which the scheduler takes work for `factor` times what it is."""
    happens = next(world, None)
    while happens is not None:
        _, seen = happens
        state.snapshot.jobs["work"][seen.submitted] *= factor[seen.submitted]
        actions = yield happens
        try:
            happens = world.send(actions)
        except StopIteration:
            return


def completion(case: GavelCase, policy: str, factor: Times | None = None) -> Times:
    """Give the completion time of each job [s]; `factor` is estimate over truth, axis J."""
    trace = tenant_per_job(case.trace) if policy in SHARING else case.trace
    state = state_of(case.network, trace, policy_named(policy))
    n = len(trace)
    schedule = Schedule.empty(n, len(state.network.pools))
    rounds = Rounds(ROUND_S, case.step_s)
    world = round_world(state, trace.submit_s, trace.duration_s, np.arange(n), rounds, schedule)
    drive(state, world if factor is None else misjudged(world, state, factor))
    return schedule.end_s - trace.submit_s


def outcome(jct_s: Times, isolated_s: Times) -> Outcome:
    """Give the mean and the worst rho."""
    return Outcome(float(jct_s.mean()), float((jct_s / isolated_s).max()))


def with_errors(case: GavelCase, policy: str, isolated_s: Times, error: float) -> Outcome:
    """Give the mean over the draws, each job's estimate too long or too short by `error`."""
    draws = []
    for seed in range(DRAWS):
        ups = np.random.default_rng(seed).integers(0, 2, len(case.trace)) == 1
        factor = np.where(ups, error, 1.0 / error)
        draws.append(outcome(completion(case, policy, factor), isolated_s))
    return Outcome(*np.mean(draws, axis=0).tolist())


def gavels(name: str) -> dict[str, Times]:
    """Give the completion times [s] that Gavel's simulator gave, by its policy."""
    path = GAVEL / f"{name}_per_job_jct_seconds.json"
    read: dict[str, list[float]] = json.loads(path.read_text(encoding="utf-8"))
    return {policy: np.array(times) for policy, times in read.items() if policy not in BROKEN}


def print_case(name: str, case: GavelCase, ours: dict[str, Outcome]) -> None:
    """Print our policies and Gavel's, best first, each against the best, greedy and floor."""
    theirs = gavels(name)
    peers = {policy: outcome(times, theirs["isolated"]) for policy, times in theirs.items()}
    best = min(one.mean_jct_s for policy, one in peers.items() if policy != GREEDY)
    greedy = peers[GREEDY].mean_jct_s
    print(
        f"\n{name}: {len(case.trace)} jobs; floor {case.floor_s:,.0f} s; best of Gavel's"
        f" {best:,.0f} s; greedy {greedy:,.0f} s"
    )
    columns = ("mean s", "/best", "/greedy", "/floor", "max rho", " target")
    print(f"{'policy':42s} {{:>8}} {{:>6}} {{:>8}} {{:>7}} {{:>8}} {{}}".format(*columns))
    rows = [(one, f"tieline {policy}", policy) for policy, one in ours.items()]
    rows += [(one, f"gavel {policy}", "") for policy, one in peers.items()]
    for one, label, policy in sorted(rows):
        limit, worst = TARGETS.get((name, policy), (None, None))
        target = f"{limit or 0:,.0f} s" if limit else ""
        target += f", rho {worst}" if worst else ""
        mean = one.mean_jct_s
        print(
            f"{label:42s} {mean:8,.0f} {mean / best:6.3f} {mean / greedy:8.3f}"
            f" {mean / case.floor_s:7.3f} {one.max_rho:8.3f}  {target}".rstrip()
        )


def main() -> None:
    """Run the cases and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--policy", action="append", choices=list(POLICIES))
    options = parser.parse_args()
    policies: Sequence[str] = options.policy or list(POLICIES)
    results: dict[str, dict[str, dict[str, float]]] = {}
    errors: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for name in CASES:
        case, isolated_s = gavel_case(name), gavels(name)["isolated"]
        ours = {policy: outcome(completion(case, policy), isolated_s) for policy in policies}
        results[name] = {policy: one._asdict() for policy, one in ours.items()}
        if options.errors:
            errors[name] = {
                policy: {
                    f"{error:g}": with_errors(case, policy, isolated_s, error)._asdict()
                    for error in ERRORS
                }
                for policy in policies
            }
        if not options.json:
            print_case(name, case, ours)
            for policy, by_error in errors.get(name, {}).items():
                told = ", ".join(
                    f"{error} x off: {one['mean_jct_s']:,.0f} s, rho {one['max_rho']:.3f}"
                    for error, one in by_error.items()
                )
                print(f"  {policy:12s} {told}")
    if options.json:
        more = {"errors": errors} if options.errors else {}
        print(json.dumps({**results, **more}, indent=2))


if __name__ == "__main__":
    main()
