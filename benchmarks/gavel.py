"""Gavel's own cases under Gavel's own rounds: our policies beside the results of its simulator.

    python benchmarks/gavel.py [--json] [--errors] [--events] [--restart S ...] [--policy P ...]

Rounds of 360 s in lock step, the table of measured speeds, no cost of a restart, remaining work
known exactly. `price`, `shortest` and `finish-time` use that knowledge; Gavel's max-min
fairness does not. So `--errors` gives the figures with every estimate off by a factor drawn
log-uniformly from [1/3, 3] and [1/10, 10], mean over five draws. `--events` has exact events
instead of rounds: jobs are decided anew whenever one comes or ends. `--restart 30 120` lets a
stop and a new start cost that much [s]; each is shown over the same policy's figure without.

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
from _inputs import GAVEL, GavelCase, gavel_case, tenant_per_job
from numpy.typing import NDArray

from tieline.model.catalogue import catalogue
from tieline.scheduling.registry import POLICIES, policy_named
from tieline.simulation.conditions import Conditions
from tieline.simulation.replay import replay

CASES = ("las96", "mm100")
ROUND_S = 360.0
IN_ROUNDS = Conditions(round_s=ROUND_S)
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


def completion(case: GavelCase, policy: str, conditions: Conditions = IN_ROUNDS) -> Times:
    """Give the completion time of each job [s]."""
    trace = tenant_per_job(case.trace) if policy in SHARING else case.trace
    accelerators = {**catalogue(), **{chip.id: chip for chip in case.network.accelerators}}
    rule = policy_named(policy)
    return replay(case.network, trace, rule, accelerators, conditions=conditions).jct_s


#: Outcomes by option and label, such as `errors` and `3`.
Extra = dict[str, dict[str, Outcome]]
#: What a label means, by option.
MEANINGS = {
    "errors": "estimates up to {} x off",
    "events": "exact events, restart {} s",
    "restart": "rounds, restart {} s",
}


def outcome(jct_s: Times, isolated_s: Times) -> Outcome:
    """Give the mean and the worst rho."""
    return Outcome(float(jct_s.mean()), float((jct_s / isolated_s).max()))


def with_errors(case: GavelCase, policy: str, isolated_s: Times, error: float) -> Outcome:
    """Give the mean over the draws, estimates off by up to `error` either way."""
    draws = [
        completion(case, policy, Conditions(round_s=ROUND_S, error=error, seed=seed))
        for seed in range(DRAWS)
    ]
    return Outcome(*np.mean([outcome(jct_s, isolated_s) for jct_s in draws], axis=0).tolist())


def variants(options: argparse.Namespace) -> dict[str, dict[str, Conditions]]:
    """Give the conditions that were asked for besides Gavel's own, by option and label."""
    found: dict[str, dict[str, Conditions]] = {}
    if options.events:
        found["events"] = {
            f"{restart_s:g}": Conditions(restart_s=restart_s)
            for restart_s in (0.0, *options.restart)
        }
    if options.restart:
        found["restart"] = {
            f"{restart_s:g}": Conditions(round_s=ROUND_S, restart_s=restart_s)
            for restart_s in options.restart
        }
    return found


def extras(case: GavelCase, policy: str, isolated_s: Times, options: argparse.Namespace) -> Extra:
    """Run what was asked for besides; give outcomes by option and label."""
    found = {
        option: {
            label: outcome(completion(case, policy, conditions), isolated_s)
            for label, conditions in labelled.items()
        }
        for option, labelled in variants(options).items()
    }
    if options.errors:
        found["errors"] = {
            f"{error:g}": with_errors(case, policy, isolated_s, error) for error in ERRORS
        }
    return found


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


def print_extras(ours: dict[str, Outcome], more: dict[str, Extra]) -> None:
    """Print what was asked for besides; restarts over the same without cost."""
    for policy, extra in more.items():
        for option, labelled in extra.items():
            free = labelled["0"] if "0" in labelled else ours[policy]
            for label, one in labelled.items():
                print(
                    f"  {policy:12s} {MEANINGS[option].format(label):28s}"
                    f" {one.mean_jct_s:8,.0f} s  {one.mean_jct_s / free.mean_jct_s:6.3f} of"
                    f" {free.mean_jct_s:,.0f} s, rho {one.max_rho:.3f}"
                )


def document(
    results: dict[str, dict[str, Outcome]], more: dict[str, dict[str, Extra]]
) -> dict[str, object]:
    """Give the results as JSON has them: by case and policy, then what was asked for besides."""
    found: dict[str, object] = {
        case: {policy: one._asdict() for policy, one in ours.items()}
        for case, ours in results.items()
    }
    for option in MEANINGS:
        of_option = {
            case: {
                policy: {label: one._asdict() for label, one in extra[option].items()}
                for policy, extra in by_policy.items()
                if option in extra
            }
            for case, by_policy in more.items()
        }
        if any(of_option.values()):
            found[option] = of_option
    return found


def main() -> None:
    """Run the cases and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--events", action="store_true")
    parser.add_argument("--restart", type=float, nargs="+", default=[], metavar="S")
    parser.add_argument("--policy", action="append", choices=list(POLICIES))
    options = parser.parse_args()
    policies: Sequence[str] = options.policy or list(POLICIES)
    results: dict[str, dict[str, Outcome]] = {}
    more: dict[str, dict[str, Extra]] = {}
    for name in CASES:
        case, isolated_s = gavel_case(name), gavels(name)["isolated"]
        results[name] = {one: outcome(completion(case, one), isolated_s) for one in policies}
        more[name] = {one: extras(case, one, isolated_s, options) for one in policies}
        if not options.json:
            print_case(name, case, results[name])
            print_extras(results[name], more[name])
    if options.json:
        print(json.dumps(document(results, more), indent=2))


if __name__ == "__main__":
    main()
