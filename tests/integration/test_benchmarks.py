"""The benchmarks run, give what they promise, and the simulator stays right."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def figures(script: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark and give the one document it prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.timeout(300)
def test_gavel_prints_mean_and_worst_rho_by_case_and_policy(traces: Path) -> None:
    """Without further options the cases and policies are all there is, with two figures each."""
    assert traces.is_dir()
    document = figures("gavel.py", "--policy", "price", "--policy", "finish-time")
    assert set(document) == {"las96", "mm100"}
    for by_policy in document.values():
        assert set(by_policy) == {"price", "finish-time"}
        assert all(set(one) == {"mean_jct_s", "max_rho"} for one in by_policy.values())
    assert document["las96"]["price"]["mean_jct_s"] < 13_676, "no better than greedy"
    assert document["mm100"]["price"]["mean_jct_s"] < 28_422, "no better than greedy"
    assert document["las96"]["finish-time"]["max_rho"] < 1.17
    assert document["mm100"]["finish-time"]["max_rho"] < 1.28


@pytest.mark.timeout(300)
def test_gavel_prints_more_only_when_asked(traces: Path) -> None:
    """Errors, events and restarts stand under keys of their own, by case, policy and amount."""
    assert traces.is_dir()
    document = figures(
        "gavel.py", "--policy", "fifo", "--errors", "--events", "--restart", "30", "120"
    )
    assert set(document) == {"las96", "mm100", "errors", "events", "restart"}
    assert set(document["errors"]["las96"]["fifo"]) == {"3", "10"}
    assert set(document["events"]["mm100"]["fifo"]) == {"0", "30", "120"}
    assert set(document["restart"]["mm100"]["fifo"]) == {"30", "120"}


@pytest.mark.timeout(300)
def test_the_simulator_agrees_with_gavels_and_with_real_gpus(traces: Path) -> None:
    """A peer's rule in our world gives the peer's results."""
    assert traces.is_dir()
    document = figures("fidelity.py")
    gavel = {row["case"]: row for row in document["gavel"]}
    assert abs(gavel["las96"]["over_gavel"] - 1) < 0.01
    assert abs(gavel["mm100"]["over_gavel"] - 1) < 0.01
    physical = {row["policy"]: row for row in document["physical"]}
    assert set(physical) == {"max_min_fairness", "finish_time_fairness", "min_total_duration"}
    for policy, row in physical.items():
        assert abs(row["over_physical_makespan"] - 1) < 0.10
        # The aim of min_total_duration is the makespan; its mean is 13 % off.
        allowed = 0.15 if policy == "min_total_duration" else 0.10
        assert abs(row["over_physical_jct"] - 1) < allowed


@pytest.mark.timeout(300)
def test_decision_is_certified_against_the_linear_program(traces: Path) -> None:
    """The value of a decision lies below the optimum and its bound above, within the gap."""
    assert traces.is_dir()
    row = figures("decision.py", "--jobs", "256", "--repeats", "3")["decision"]
    assert row["value_over_lp"] <= 1 + 1e-6 <= row["bound_over_lp"] + 2e-6
    assert 1 - row["value_over_lp"] <= row["gap"] + 1e-6
    assert row["cpu_s"] > 0
    assert row["highs_cpu_s"] > 0


@pytest.mark.timeout(300)
def test_policies_stand_beside_the_bound(traces: Path) -> None:
    """No policy beats the lower bound, on either trace."""
    assert traces.is_dir()
    rows = figures("policies.py", "--jobs", "400", "--policy", "fifo", "--policy", "price")
    assert {(row["trace"], row["policy"]) for row in rows["policies"]} == {
        (trace, policy) for trace in ("philly", "venus") for policy in ("fifo", "price")
    }
    assert all(row["over_bound"] >= 1 - 1e-12 for row in rows["policies"])


@pytest.mark.timeout(300)
def test_mixed_fleet_compares_the_same_jobs(traces: Path) -> None:
    """Every policy is measured on the same jobs of eight regions, and none beats the bound."""
    assert traces.is_dir()
    rows = figures("mixed_fleet.py", "--jobs", "300")["mixed_fleet"]
    assert [row["policy"] for row in rows] == ["isolated", "backfill", "price"]
    assert len({row["jobs"] for row in rows}) == 1
    assert all(len(row["demand_supply"]) == 8 for row in rows)
    assert all(row["over_bound"] >= 1 - 1e-12 for row in rows)


@pytest.mark.timeout(300)
def test_cycle_gives_one_size() -> None:
    """With a size the benchmark of the cycle gives time, gap and memory of that one."""
    row = figures("cycle.py", "--jobs", "500", "--sites", "4")
    assert {"cpu_s", "gap", "rss_mib"} <= set(row)
    assert 0 <= row["gap"] < 1
    assert row["rss_mib"] > 0


@pytest.mark.timeout(300)
def test_planning_gives_one_size() -> None:
    """With a size the benchmark of plans gives times, linopy's optimum, and a proven gap."""
    document = figures("planning.py", "--size", "2", "2", "3", "--methods", "--large")
    (row,) = document["planning"]
    assert row["usd"] == pytest.approx(row["linopy_usd"], rel=1e-7)
    assert row["total_over_solver"] > 1
    assert all(one["cpu_s"] > 0 for one in document["what_if"])
    assert set(document["methods"][0]) == {"size", "nonzeros", "simplex", "ipx"}
    large = document["large"]
    assert 0 <= large["gap"] <= 1e-3
    assert row["usd"] * (1 - 1e-9) <= large["usd"] <= row["usd"] * (1 + large["gap"] + 1e-9)
