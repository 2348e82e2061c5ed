"""What ended jobs show about rates: when it counts, and how far it can be trusted."""

import math

import numpy as np
import pytest

from tieline.model.observed_rates import ENOUGH, LATEST, MOST_GROUPS, ObservedRates
from tieline.model.workload import Workload

LLAMA = Workload("training", "llama-3-8b")


def noted(runs: dict[str, list[float]], estimates: list[float] | None = None) -> ObservedRates:
    """Give the history after these runs [s] of one group by accelerator."""
    seen = ObservedRates()
    for accelerator, times in runs.items():
        for i, run_s in enumerate(times):
            given = None if estimates is None else estimates[i]
            seen.note(LLAMA, accelerator, like="a", count=8, run_s=run_s, estimate_s=given)
    return seen


def test_the_ratio_of_run_times_is_the_ratio_of_speeds() -> None:
    """Jobs that do the same work and take twice as long ran at half the rate."""
    profile = noted({"fast": [100.0] * ENOUGH, "slow": [200.0] * ENOUGH}).profile(LLAMA)
    assert profile["fast"].value / profile["slow"].value == pytest.approx(2.0)
    assert all(rate.basis == "measured" for rate in profile.values())
    assert f"{2 * ENOUGH} jobs" in profile["slow"].source


def test_a_few_jobs_are_not_enough() -> None:
    """One job fewer than enough on either side says nothing."""
    for few in ("fast", "slow"):
        runs = {"fast": [100.0] * ENOUGH, "slow": [200.0] * ENOUGH}
        runs[few].pop()
        assert noted(runs).profile(LLAMA) == {}


def test_jobs_of_different_size_are_compared_by_their_estimates() -> None:
    """Estimates that are all off by the same factor still give the true ratio."""
    sizes = [100.0, 1000.0, 50.0, 4000.0, 700.0]
    runs = {"fast": [3 * size for size in sizes], "slow": [12 * size for size in sizes]}
    profile = noted(runs, sizes).profile(LLAMA)
    assert profile["fast"].value / profile["slow"].value == pytest.approx(4.0)


def test_jobs_that_do_other_work_are_not_compared() -> None:
    """Names, sizes of gang and workloads are kept apart."""
    seen = ObservedRates()
    for i in range(ENOUGH):
        seen.note(LLAMA, "fast", like="a", count=8, run_s=100.0 + i)
        seen.note(LLAMA, "slow", like="b", count=8, run_s=900.0 + i)
        seen.note(LLAMA, "slow", like="a", count=4, run_s=900.0 + i)
        seen.note(LLAMA, "slow", like="a", count=8, run_s=900.0, estimate_s=30.0)
        seen.note(Workload("training", "bert"), "slow", like="a", count=8, run_s=900.0)
    assert seen.profile(LLAMA) == {}
    assert seen.version(LLAMA) > 0


def test_run_times_that_scatter_say_nothing() -> None:
    """A ratio that may as well be 1 as 10 is not given."""
    scattered = [10.0, 100.0, 1000.0, 10_000.0, 50.0]
    assert noted({"fast": scattered, "slow": scattered[::-1]}).profile(LLAMA) == {}


@pytest.mark.parametrize("run_s", [0.0, 0.5, -1.0, math.nan, math.inf])
def test_impossible_run_times_are_passed_over(run_s: float) -> None:
    """A run that took no time, or no possible one, is no measurement."""
    seen = noted({"fast": [run_s] * ENOUGH, "slow": [100.0] * ENOUGH})
    assert seen.profile(LLAMA) == {}
    assert seen.version(LLAMA) == noted({"slow": [100.0] * ENOUGH}).version(LLAMA)


def test_what_is_forgotten_is_never_taken_for_what_comes_later() -> None:
    """After a new start the number that tells of changes is one that was never given before."""
    seen = noted({"fast": [100.0] * ENOUGH, "slow": [200.0] * ENOUGH})
    before = seen.version(LLAMA)
    seen.clear()
    assert seen.version(LLAMA) == 0
    assert seen.profile(LLAMA) == {}
    seen.note(LLAMA, "fast", like="a", count=8, run_s=100.0)
    assert seen.version(LLAMA) > before


def test_a_workload_without_a_model_is_not_followed() -> None:
    """A class alone is no workload: its jobs have nothing in common."""
    seen = ObservedRates()
    seen.note(Workload("training"), "fast", like="a", count=1, run_s=100.0)
    assert seen.version(Workload("training")) == 0


def test_the_latest_runs_count() -> None:
    """After a chip became twice as fast the old runs are forgotten."""
    old, new = [400.0] * LATEST, [200.0] * LATEST
    profile = noted({"fast": [100.0] * ENOUGH, "slow": old + new}).profile(LLAMA)
    assert profile["fast"].value / profile["slow"].value == pytest.approx(2.0)


def test_memory_is_bounded() -> None:
    """Names without end do not fill the memory: the one heard of longest ago goes first."""
    seen = noted({"fast": [100.0] * ENOUGH, "slow": [200.0] * ENOUGH})
    for i in range(MOST_GROUPS):
        seen.note(LLAMA, "fast", like=i, count=1, run_s=10.0)
    assert seen.profile(LLAMA) == {}


def test_the_range_holds_the_truth_four_times_in_five() -> None:
    """With run times that scatter by a fifth, about 80 % of the ranges hold the true ratio."""
    chance, inside = np.random.default_rng(7), []
    speeds = {"fast": 1.0, "slow": 0.4}
    for _ in range(300):
        times = {
            name: list(1000 / speed * np.exp(0.2 * chance.standard_normal(10)))
            for name, speed in speeds.items()
        }
        unit, other = sorted(noted(times).profile(LLAMA).items(), key=lambda item: item[1].value)
        if unit[1].low != unit[1].high:
            unit, other = other, unit
        truth = speeds[other[0]] / speeds[unit[0]]
        inside.append((other[1].low or 0) <= truth <= (other[1].high or 0))
    assert 0.7 < np.mean(inside) < 0.92
