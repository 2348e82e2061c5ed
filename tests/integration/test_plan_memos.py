"""The memo of every example plan, made as a user makes it, and what it decides.

That of the national plan takes three minutes of processor time. So its memo is made of a copy in
which imports are either closed, banned again or open, and nothing comes of it later; the verdicts
are also those of the whole plan, which is solved where its sweeps lead.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tieline.cli.plan_subject import subject
from tieline.planning.plan import Plan
from tieline.planning.verdict import verdicts

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


NATIONAL: Final = ROOT / "examples" / "plan-h200" / "plan.yaml"
#: Branches of the national plan that only make its memo larger.
LATE: Final = ("volume", "ramp")
#: A value within each of its sweeps at which the H200 are no longer bought at once.
TURNED: Final = {
    "branches.imports.outcomes.closed.probability": 0.5,
    "branches.re-ban.outcomes.banned.probability": 0.5,
    "accelerators.nvidia-h200-sxm.price": 32_000,
    "supply_factor.CN": 1.5,
}


def without_late_branches(file: Path, folder: Path) -> Path:
    """Give a smaller copy of the national plan."""
    plan = yaml.safe_load(file.read_text(encoding="utf-8"))
    plan["branches"] = [one for one in plan["branches"] if one["id"] not in LATE]
    gone = {f"branches.{name}" for name in LATE}
    plan["sources"] = [one for one in plan["sources"] if one["of"] not in gone]
    copy = folder / "plan.yaml"
    copy.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
    return copy


@pytest.fixture(scope="module", params=PLANS, ids=lambda file: file.parent.name)
def memo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """Give the name of an example, and the folder with its memo."""
    file: Path = request.param
    made = tmp_path_factory.mktemp("memo")
    folder = made / file.parent.name
    plan = without_late_branches(file, made) if file == NATIONAL else file
    run = subprocess.run(
        [TIELINE, "plan", plan, "--out", folder],
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
def test_verdict_changes_in_the_whole_national_plan() -> None:
    """With all its futures, the H200 are bought at once, and not where its sweeps turn."""
    national = subject(str(NATIONAL))
    assert TURNED.keys() == TURNS["plan-h200"]
    plan = Plan(national.spec)
    decided = {"": verdicts(plan.solve())} | {
        path: verdicts(plan.what_if(national.spec_at(path, value)))
        for path, value in TURNED.items()
    }
    actions = {
        path: one.action
        for path, found in decided.items()
        for one in found
        if one.accelerator == H200
    }
    assert actions.pop("") == "buy"
    assert actions == dict.fromkeys(TURNED, "wait")


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
