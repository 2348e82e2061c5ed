"""`tieline plan` with recorded jobs: demand from a trace or a store, prices of a replay."""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from tieline.cli.main import cli, main
from tieline.cli.plan_demand import demand_from
from tieline.cli.plan_subject import changed, subject
from tieline.model.catalogue import catalogue
from tieline.model.class_rates import absolute_rate
from tieline.model.job import JobSpec
from tieline.model.plan import PlanSpec
from tieline.model.workload import Workload
from tieline.store import open_store

CHIP = "huawei-910b2"
RATE = absolute_rate(catalogue()[CHIP], "training").value
ON = ("-o", f"accelerator={CHIP}")

NETWORK = f"""\
name: one
regions: [{{id: r}}, {{id: s}}]
sites:
  - {{id: a, region: r, pools: [{{accelerator: {CHIP}, nodes: 2, accelerators_per_node: 8}}]}}
"""
WIDE = f"""{NETWORK}\
  - id: b
    region: s
    pools: [{{accelerator: nvidia-h200-sxm, nodes: 80, accelerators_per_node: 8}}]
"""
PLAN = f"""\
name: one
from: 2027Q1
quarters: 4
regions: [{{id: r}}, {{id: s}}]
accelerators: [{{id: {CHIP}}}, {{id: huawei-910c, price: 90000 USD}}]
existing: [{{region: r, accelerator: {CHIP}, count: 16}}]
demand:
  - {{id: fit, class: training, amounts: {{r: [60, 90], s: 20}}, unmet_per_hour: 2 USD}}
branches:
  - id: hype
    from: 2027Q3
    outcomes: [{{id: lasts, probability: 0.5, demand: {{fit: 2}}}}, {{id: ends, probability: 0.5}}]
sweeps:
  - {{set: demand.fit.amounts.s, values: [20, 60]}}
"""
HEAD = "submit_s,duration_s,count,class"


def written(folder: Path, **files: str) -> Path:
    """Write files by their names, `_` for the dot, and give their folder."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def replay(folder: Path, network: str, jobs: str, *more: str) -> Path:
    """Replay the jobs for real; give the folder that it wrote."""
    written(folder, net_yaml=network, jobs_csv=jobs)
    args = [str(folder / "net.yaml"), str(folder / "jobs.csv"), *ON, *more]
    out = folder / "replayed"
    ran = CliRunner().invoke(cli, ["replay", *args, "--out", str(out)], catch_exceptions=False)
    assert ran.exit_code == 0
    return out


def equal_jobs() -> str:
    """Give jobs of one size that come twice as fast as two nodes can run them."""
    return "\n".join([HEAD, *(f"{3600 * i},14400,8,training" for i in range(150))]) + "\n"


def mixed_jobs() -> str:
    """Give jobs of two classes and many sizes that leave the network idle at times."""
    rows = (
        f"{1800 * i + 40_000 * (i // 20)},{900 + 2900 * i % 9000},{1 + 7 * (i % 2)},"
        f"{'training' if i % 3 else 'decode'}"
        for i in range(80)
    )
    return "\n".join([HEAD, *rows]) + "\n"


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a plan and the replay of equal jobs that are too many."""
    folder = written(tmp_path_factory.mktemp("steady"), plan_yaml=PLAN)
    replay(folder, NETWORK, equal_jobs(), "--policy", "price")
    return folder


def plan(*args: str) -> str:
    """Call `tieline plan` in this process; give what it printed."""
    result = CliRunner().invoke(cli, ["plan", *args], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.stderr == ""
    return result.stdout


def flat(text: str) -> str:
    """Give text without the line breaks of a narrow screen."""
    return " ".join(text.split())


def document(*args: str) -> dict[str, Any]:
    """Give the document of `tieline plan`."""
    found: dict[str, Any] = json.loads(plan(*args, "--json"))
    return found


def test_both_prices_agree_in_steady_overload(steady: Path) -> None:
    """Too many equal jobs all the time: an hour is worth rate x unmet, in replay and plan."""
    found = document(str(steady / "plan.yaml"), "--prices-from", str(steady / "replayed"))
    (pool,) = found["replay_prices"]["pools"]
    assert (pool["pool"], pool["accelerator"]) == (f"a/{CHIP}", CHIP)
    assert found["replay_prices"]["work_s"] == pytest.approx(8 * 14400 * RATE)
    assert pool["replay"]["mean_usd_per_hour"] == pytest.approx(2 * RATE, rel=0.03)
    assert pool["replay"]["above_0"] > 0.95
    assert pool["plan"]["mean_usd_per_hour"] == pytest.approx(2 * RATE, rel=1e-6)
    assert pool["plan"]["above_0"] == pytest.approx(1.0)


def test_prices_of_a_replay_are_those_of_its_summary(tmp_path: Path) -> None:
    """With idle hours and jobs of all sizes the mean is that of the summary, in money."""
    out = replay(tmp_path, NETWORK, mixed_jobs(), "--policy", "price")
    written(tmp_path, plan_yaml=PLAN)
    found = document(str(tmp_path / "plan.yaml"), "--prices-from", str(out))["replay_prices"]
    summary = json.loads((out / "summary.json").read_text())["policies"]["price"]
    jobs = pl.read_parquet(out / "jobs_price.parquet").filter(pl.col("end_s").is_not_null())
    works = [
        count * seconds * absolute_rate(catalogue()[CHIP], str(workload)).value
        for count, seconds, workload in jobs.select("count", "duration_s", "workload").iter_rows()
    ]
    usd = summary["mean_price_by_pool"][f"a/{CHIP}"] * sum(works) / len(works) * 2
    (pool,) = found["pools"]
    assert usd > 0
    assert pool["replay"]["mean_usd_per_hour"] == pytest.approx(usd, rel=1e-9)
    assert 0 < pool["replay"]["above_0"] < 0.95
    curve = pool["replay"]["usd_per_hour"]
    assert curve == sorted(curve, reverse=True)
    assert pool["replay"]["share"][-1] == 1.0
    assert (found["jobs"], found["span_s"]) == (len(jobs), summary["makespan_s"])


def test_pools_without_a_price_or_a_plan_are_shown(tmp_path: Path) -> None:
    """Where nothing was ever short the price is 0; what the plan has not has no price there."""
    out = replay(tmp_path, WIDE, equal_jobs(), "--policy", "price")
    written(tmp_path, plan_yaml=PLAN)
    args = (str(tmp_path / "plan.yaml"), "--prices-from", str(out), "--out", str(tmp_path / "m"))
    assert "b/nvidia-h200-sxm 0 USD (plan: -)" in flat(plan(*args))
    pools = json.loads((tmp_path / "m" / "plan.json").read_text())["replay_prices"]["pools"]
    by_pool = {one["pool"]: one for one in pools}
    assert by_pool["b/nvidia-h200-sxm"]["plan"] is None
    assert by_pool["b/nvidia-h200-sxm"]["replay"]["above_0"] == 0
    assert by_pool["b/nvidia-h200-sxm"]["replay"]["mean_usd_per_hour"] == 0


def test_unmet_work_costs_its_mean(steady: Path, tmp_path: Path) -> None:
    """A job is worth the mean unmet cost by first-quarter amounts; what must be served is out."""
    more = (
        "  - {id: big, class: training, amounts: {r: [240, 1]}, unmet_per_hour: 6 USD}\n"
        "  - {id: must, class: training, amounts: {r: 1}}\n"
    )
    written(tmp_path, plan_yaml=PLAN.replace("branches:", f"{more}branches:"))
    found = document(str(tmp_path / "plan.yaml"), "--prices-from", str(steady / "replayed"))
    weighted = (80 * 2 + 240 * 6) / 320
    assert found["replay_prices"]["unmet_usd_per_hour"] == pytest.approx(weighted)


def test_run_times_on_an_unknown_chip_are_said(tmp_path: Path) -> None:
    """Run times on an accelerator that only the network has count as those of the reference."""
    own = "accelerators: [{id: own, name: own, stack: cuda, rates: {training: 1}}]\n"
    network = own + NETWORK.replace(CHIP, "own")
    out = replay(tmp_path, network, equal_jobs(), "--policy", "price", "-o", "accelerator=own")
    written(tmp_path, plan_yaml=PLAN)
    found = document(str(tmp_path / "plan.yaml"), "--prices-from", str(out))["replay_prices"]
    assert found["note"] == "run times are taken to hold on nvidia-h200-sxm"
    assert found["work_s"] == 8 * 14400


def test_a_memo_shows_where_numbers_come_from(steady: Path, tmp_path: Path) -> None:
    """Screen, page and Markdown name the jobs behind demand and the prices of the replay."""
    sources = ("--demand-from", str(steady / "jobs.csv"), "--prices-from")
    args = (str(steady / "plan.yaml"), *sources, str(steady / "replayed"), *ON)
    screen = flat(plan(*args, "--out", str(tmp_path / "memo")))
    page = (tmp_path / "memo" / "memo.html").read_text()
    text = (tmp_path / "memo" / "memo.md").read_text()
    line = "Demand is scaled to jobs: 150 jobs in 6d5h keep nvidia-h200-sxm busy: "
    assert all(line in shown for shown in (screen, page, text))
    assert f"an accelerator-hour was worth, in the mean: a/{CHIP}" in screen
    assert "What capacity was worth in the replay" in page
    assert all("A finished job of the replay counts as" in shown for shown in (page, text))
    assert f"| a/{CHIP} | {CHIP} |" in text
    taken = json.loads((tmp_path / "memo" / "plan.json").read_text())["demand_from"]
    assert (taken["source"], taken["jobs"], taken["span_s"]) == ("jobs", 150, 149 * 3600)


def test_nothing_recorded_is_said_as_nothing(steady: Path) -> None:
    """Without sources the document says null, and the screen does not speak of them."""
    found = document(str(steady / "plan.yaml"))
    assert (found["demand_from"], found["replay_prices"]) == (None, None)
    assert "scaled" not in plan(str(steady / "plan.yaml"))


def first_quarter(spec: PlanSpec) -> dict[str, float]:
    """Give the amounts of the first quarter by region."""
    (demand,) = spec.demand
    return {region: series[0] for region, series in demand.amounts.items()}


def test_demand_is_scaled_after_every_change(steady: Path) -> None:
    """In the file, after `--set` and in a sweep, the first quarter sums to the load."""
    load = demand_from(str(steady / "jobs.csv"), None, [f"accelerator={CHIP}"])
    assert load is not None
    wanted = 150 * 8 * 14400 * RATE / (149 * 3600)
    asked = subject(str(steady / "plan.yaml"), load)
    assert first_quarter(asked.spec) == pytest.approx({"r": 0.75 * wanted, "s": 0.25 * wanted})
    assert asked.spec.demand[0].amounts["r"][1] == pytest.approx(0.75 * wanted * 1.5)
    halves = {"r": 0.5 * wanted, "s": 0.5 * wanted}
    assert first_quarter(asked.spec_at("demand.fit.amounts.s", 60.0)) == pytest.approx(halves)
    moved = changed(asked, ["demand.fit.amounts.s=60", "risk.weight=0.5"])
    assert first_quarter(moved.spec) == pytest.approx(halves)
    swept = moved.spec_at("branches.hype.outcomes.lasts.demand.fit", 3.0)
    assert first_quarter(swept) == pytest.approx(halves)
    assert swept.branches[0].outcomes[0].demand == {"fit": 3.0}


def test_the_whole_answer_rests_on_the_load(steady: Path) -> None:
    """Documents with and without `--set` have the load of the trace as their demand."""
    source = ("--demand-from", str(steady / "jobs.csv"), *ON, "--format", "native")
    args = (str(steady / "plan.yaml"), *source)
    wanted = 150 * 8 * 14400 * RATE / (149 * 3600)
    for more in ((), ("--set", "demand.fit.amounts.s=60")):
        found = document(*args, *more)
        assert found["demand"][0]["amount"] == pytest.approx(wanted)
        assert found["demand_from"]["by_class"] == pytest.approx({"training": wanted})
    assert found["changed"]["mean_cost_usd_before"] != found["mean_cost_usd"]
    screen = flat(plan(*args, "--set", "discount=0.1", "--prices-from", str(steady / "replayed")))
    assert screen.startswith("one with discount=0.1")
    assert "Demand is scaled to jobs" in screen
    assert f"a/{CHIP}" in screen


def test_demand_comes_from_a_store(tmp_path: Path) -> None:
    """The URL of a store takes its jobs: open ones by their estimates, up to now."""
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    store = open_store(url)
    job = JobSpec("lab", Workload("training"), 4, {"cann": "true"}, estimate_s=1e9)
    store.add_jobs([job, job], now=0.0)
    store.close()
    written(tmp_path, plan_yaml=PLAN)
    taken = document(str(tmp_path / "plan.yaml"), "--demand-from", url)["demand_from"]
    assert (taken["source"], taken["jobs"]) == (url, 2)
    assert taken["span_s"] > 1.7e9
    wanted = 2 * 4 * 1e9 / taken["span_s"]
    assert taken["by_class"]["training"] == pytest.approx(wanted, rel=1e-3)
    assert "2 of them have not ended" in taken["note"]


def failed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *args: str) -> str:
    """Call the program with wrong input; give its one line."""
    monkeypatch.setattr(sys, "argv", ["tieline", "plan", *args])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    return captured.err


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of replays without one price, a plan, and a trace that it cannot take."""
    folder = tmp_path_factory.mktemp("wrong")
    jobs = f"{HEAD}\n0,60,8,training\n60,60,8,decode"
    replay(folder, NETWORK, jobs, "--policy", "isolated").rename(folder / "isolated")
    replay(folder, NETWORK, jobs, "--policy", "price", "--scale", "1,0.5").rename(folder / "two")
    replay(folder, NETWORK, jobs, "--policy", "price").rename(folder / "broken")
    (folder / "broken" / "prices_price.parquet").write_text("half")
    huge = f"{HEAD}\n0,60,800,training"
    replay(folder, NETWORK, huge, "--policy", "price").rename(folder / "none")
    empty = f"{HEAD}\n0,0,8,training"
    replay(folder, NETWORK, empty, "--policy", "price").rename(folder / "empty")
    replay(folder, NETWORK, jobs, "--policy", "price").rename(folder / "good")
    free = PLAN.replace(", unmet_per_hour: 2 USD", "")
    return written(folder, plan_yaml=PLAN, free_yaml=free, jobs_csv=jobs)


@pytest.mark.parametrize(
    ("file", "args", "words"),
    [
        ("plan", "--prices-from {0}/nowhere", "no such folder; name what tieline replay --out"),
        ("plan", "--prices-from {0}/isolated", "has no prices; replay with --policy price"),
        ("plan", "--prices-from {0}/two", "at several scales (0.5, 1); replay at one --scale"),
        ("plan", "--prices-from {0}/broken", "its tables cannot be read; replay anew"),
        ("plan", "--prices-from {0}/none", "no job of the replay could run, so nothing"),
        ("plan", "--prices-from {0}/empty", "no job of the replay ran for any time"),
        ("free", "--prices-from {0}/good", "has unmet_per_hour, so a finished job is worth no"),
        ("plan", "--demand-from {0}/nowhere.csv", "nowhere.csv"),
        ("plan", "--demand-from sqlite:///{0}/no.db", "there is no such file; check the path"),
        ("plan", "--demand-from other://host/jobs", "unknown kind `other`"),
        ("plan", "--demand-from {0}/jobs.csv", "has decode jobs, and the plan no demand of that"),
        ("plan", "--demand-from {0}/jobs.csv -o x", "--option: found 'x', expected NAME=VALUE"),
        ("plan", "--format swf", "--demand-from names none; leave them out"),
        ("plan", "--demand-from sqlite:///{0}/no.db -o a=b", "names none; leave them out"),
    ],
)
def test_wrong_sources_get_one_clear_line(
    wrong: Path,
    file: str,
    args: str,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A source that does not serve ends with exit code 2 and a line that names the mend."""
    given = [part.format(wrong) for part in args.split()]
    assert words in failed(capsys, monkeypatch, str(wrong / f"{file}.yaml"), *given)
