"""The memo of every example plan, made as a user makes it, and what it decides."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLANS = sorted(ROOT.glob("examples/plan-*/plan.yaml"))
TIELINE = Path(sys.executable).with_name("tieline")
H200 = "nvidia-h200-sxm"
#: Sweeps of each example in which the verdict on the H200 turns from buy to something less.
TURNS = {
    "plan-small": {
        "branches.re-ban.outcomes.banned.probability",
        "accelerators.nvidia-h200-sxm.price",
    },
    "plan-firm": {"accelerators.nvidia-h200-sxm.price", "rules.caps.licence.at_most"},
    "plan-h200": {
        "branches.imports.outcomes.closed.probability",
        "branches.re-ban.outcomes.banned.probability",
        "accelerators.nvidia-h200-sxm.price",
        "supply_factor.CN",
    },
}


@pytest.fixture(scope="module", params=PLANS, ids=lambda file: file.parent.name)
def memo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """Give the name of an example, and the folder with its memo."""
    file: Path = request.param
    folder = tmp_path_factory.mktemp("memo") / file.parent.name
    run = subprocess.run(
        [TIELINE, "plan", file, "--out", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert f"Written: {folder / 'memo.html'}" in run.stdout.replace("\n", "")
    return file.parent.name, folder


def document(folder: Path) -> dict[str, Any]:
    """Give the numbers of a memo."""
    found: dict[str, Any] = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    return found


def less_than_buy(sweep: dict[str, Any]) -> bool:
    """Say whether the verdict on the H200 is buy on one side of some threshold only."""
    sides = [{one["below"], one["above"]} for one in of_h200(sweep)]
    return any("buy" in both and both & {"wait", "do not buy"} for both in sides)


def of_h200(sweep: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the thresholds of the H200."""
    return [one for one in sweep["thresholds"] if one["accelerator"] == H200]


@pytest.mark.timeout(900)
def test_memo_of_every_example(memo: tuple[str, Path]) -> None:
    """A memo is a page, a text and numbers; the first line of each is a verdict."""
    name, folder = memo
    assert {file.name for file in folder.iterdir()} == {"memo.html", "memo.md", "plan.json"}
    first = document(folder)["headline"][0]
    assert first.startswith(("Buy ", "Wait ", "Do not buy "))
    for file in ("memo.html", "memo.md"):
        assert first in " ".join((folder / file).read_text(encoding="utf-8").split())
    verdict = {one["accelerator"]: one["action"] for one in document(folder)["verdicts"]}
    assert (name, verdict[H200]) == (name, "buy")


@pytest.mark.timeout(900)
def test_verdict_changes_where_it_should(memo: tuple[str, Path]) -> None:
    """Buy becomes wait or do not buy within the sweeps that are made to show it."""
    name, folder = memo
    turning = {one["path"] for one in document(folder)["sweeps"] if less_than_buy(one)}
    assert turning >= TURNS[name]


@pytest.mark.timeout(900)
def test_nothing_in_a_memo_contradicts_itself(memo: tuple[str, Path]) -> None:
    """Links, knowing more and waiting never cost the wrong way; least regret has the least."""
    found = document(memo[1])
    cost = abs(found["mean_cost_usd"])
    assert found["pooling"]["apart"]["cost_usd"] >= found["mean_cost_usd"] - 1e-6 * cost
    assert found["delay"]["all_usd"] >= -1e-6 * cost
    assert found["information"]["perfect_usd"] >= -1e-6 * cost
    strategies = found["regret"]["strategies"]
    least = strategies["least regret"]["largest_regret_usd"]
    assert all(one["largest_regret_usd"] >= least - 1e-6 * cost for one in strategies.values())
    for choice in found["choices"]:
        for low, high in choice["ranges"].values():
            assert low <= choice["first_year"] * (1 + 1e-6) + 1e-3
            assert high >= choice["first_year"] * (1 - 1e-6) - 1e-3
