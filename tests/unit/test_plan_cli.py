"""`tieline plan` as people call it: verdicts, documents, what-ifs, memos, mistakes."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tieline.cli.main import cli, main
from tieline.cli.plan_subject import changed, subject
from tieline.model.errors import InputError
from tieline.reports.folder import MEMO, REPORT, fresh_folder

PLAN = """\
name: two centres
from: 2027Q1
quarters: 4
domestic: [CN]
regions:
  - {id: coast, electricity_usd_per_kwh: 0.10, space: 4000}
  - {id: west, electricity_usd_per_kwh: 0.05}
links:
  - {between: [coast, west], bandwidth_gbit_s: 100, rtt_ms: 20}
accelerators:
  - {id: nvidia-h200-sxm, price: 27000 USD, duty: 0.25, supply: [500, 400]}
  - {id: huawei-910c, price: 21400 USD, supply: 300}
existing:
  - {region: coast, accelerator: nvidia-h200-sxm, count: 600}
demand:
  - {id: chat, class: decode, amounts: {coast: [900, 900, 1800]}, unmet_per_hour: 3 USD}
branches:
  - id: re-ban
    from: 2027Q2
    outcomes:
      - {id: banned, probability: 0.3, ban: [US]}
      - {id: open, probability: 0.7}
sweeps:
  - {set: accelerators.nvidia-h200-sxm.price, values: [20000, 27000, 60000], title: its price}
  - {set: branches.re-ban.outcomes.banned.probability, values: [0, 0.5, 1]}
"""
PRICE = "accelerators.nvidia-h200-sxm.price"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Give a plan file."""
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return str(path)


def call(*args: str) -> Result:
    """Call `tieline plan` in this process."""
    return CliRunner().invoke(cli, ["plan", *args], catch_exceptions=False)


def flat(result: Result) -> str:
    """Give what was printed, without the line breaks of a narrow screen."""
    return " ".join(result.stdout.split())


def test_the_verdicts_come_first(file: str) -> None:
    """The answer begins with the verdict on each accelerator, and says what it rests on."""
    result = call(file)
    text = flat(result)
    document = json.loads(call(file, "--json").stdout)
    assert result.exit_code == 0
    assert result.stderr == ""
    for line in document["headline"]:
        assert line in text
    for part in ("+1 % cost", "To order nothing in 2027Q1", "With links", "its price"):
        assert part in text
    assert text.index(document["headline"][0]) < text.index("pays")


def test_json_is_one_document(file: str) -> None:
    """`--json` prints one document and nothing else anywhere."""
    result = call(file, "--json")
    document = json.loads(result.stdout)
    assert result.stderr == ""
    assert document["name"] == "two centres"
    assert [one["accelerator"] for one in document["verdicts"]] == [
        "nvidia-h200-sxm",
        "huawei-910c",
    ]
    assert [one["unit"] for one in document["sweeps"]] == ["USD", ""]
    assert [one["present"] for one in document["sweeps"]] == [27000, 0.3]
    assert "changed" not in document


def test_a_change_stands_beside_the_file(file: str) -> None:
    """`--set` shows orders and cost as in the file and changed, and how long it took."""
    result = call(file, "--set", f"{PRICE}=20000", "--set", "discount=0.05")
    text = flat(result)
    assert text.startswith(f"two centres with {PRICE}=20000, discount=0.05")
    assert "Solved again in" in text
    documents = [
        json.loads(call(file, *args, "--json").stdout)
        for args in ((), ("--set", f"{PRICE}=20000", "--set", "discount=0.05"))
    ]
    changed_to = documents[1]["changed"]
    assert changed_to["set"] == [f"{PRICE}=20000", "discount=0.05"]
    assert changed_to["mean_cost_usd_before"] == pytest.approx(documents[0]["mean_cost_usd"])
    assert changed_to["mean_cost_usd"] == pytest.approx(documents[1]["mean_cost_usd"])
    assert documents[1]["mean_cost_usd"] != pytest.approx(documents[0]["mean_cost_usd"])
    before = [one["action"] for one in changed_to["verdicts_before"]]
    assert before == [one["action"] for one in documents[0]["verdicts"]]


def test_an_accelerator_may_come_on_offer(tmp_path: Path) -> None:
    """What is on offer only in the changed plan is shown as new."""
    path = tmp_path / "other.yaml"
    path.write_text(PLAN.replace(", price: 21400 USD, supply: 300", ""))
    text = flat(call(str(path), "--set", "accelerators.huawei-910c.price=21400 USD"))
    assert "not on offer -> " in text


def test_a_memo_holds_everything(file: str, tmp_path: Path) -> None:
    """`--out` writes page, Markdown and document, which is that of `--json`, and says where."""
    out = tmp_path / "deep" / "memo"
    result = call(file, "--out", str(out))
    assert str(out / "memo.html") in result.stdout.replace("\n", "")
    assert sorted(one.name for one in out.iterdir()) == ["memo.html", "memo.md", "plan.json"]
    document = json.loads((out / "plan.json").read_text())
    assert document["headline"] == json.loads(call(file, "--json").stdout)["headline"]
    assert document["headline"][0] in (out / "memo.html").read_text()


def test_the_memo_of_a_change_is_about_the_changed_plan(file: str, tmp_path: Path) -> None:
    """With `--set` and `--out` the memo tells what holds after the change."""
    out = tmp_path / "memo"
    call(file, "--set", f"{PRICE}=500000 USD", "--out", str(out))
    document = json.loads((out / "plan.json").read_text())
    assert document["verdicts"][0]["price_usd"] == 500_000
    assert document["changed"]["verdicts_before"][0]["price_usd"] == 27_000


def test_an_earlier_memo_is_replaced_whole(file: str, tmp_path: Path) -> None:
    """A second memo takes the place of the first; a plan that fails leaves the first there."""
    out = tmp_path / "memo"
    with fresh_folder(out, MEMO) as folder:
        (folder / "plan.json").write_text("first")
        (folder / "memo.md").write_text("first")
    failed = CliRunner().invoke(
        cli, ["plan", file, "--set", "demand.chat.unmet_per_hour=x", "--out", str(out)]
    )
    assert isinstance(failed.exception, InputError)
    assert (out / "memo.md").read_text() == "first"
    call(file, "--out", str(out))
    assert "first" not in {one.read_text() for one in out.iterdir()}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["memo", "plan.yaml"]


def interrupted(folder: Path) -> None:
    """Begin a memo and do not get to its end."""
    (folder / "plan.json").write_text("half")
    raise KeyboardInterrupt


def test_an_interrupted_memo_leaves_nothing(tmp_path: Path) -> None:
    """When a memo is interrupted nothing of it is seen."""
    with pytest.raises(KeyboardInterrupt), fresh_folder(tmp_path / "memo", MEMO) as folder:
        interrupted(folder)
    assert list(tmp_path.iterdir()) == []


def test_settings_are_read_one_after_the_other(file: str) -> None:
    """Each setting changes what the ones before left."""
    plan = changed(subject(file), [f"{PRICE}=1", f"{PRICE}=2", "risk.weight=0.5"])
    assert plan.spec.chips[0].offer is not None
    assert plan.spec.chips[0].offer.price_usd == 2
    assert plan.spec.risk.weight == 0.5
    assert plan.present()[PRICE] == 2


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


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--set", "accelerators.nvidia-h200-sxm.cost=1"], "accelerators.nvidia-h200-sxm.cost: "),
        (["--set", "risk.weight"], "write PATH=VALUE, such as risk.weight=0.3"),
        (["--set", "risk.weight=2"], "risk.weight"),
        (["--out", "{file}"], "is a file; name a directory"),
        (["--out", "{report}"], "holds summary.json, which is no part of an earlier memo"),
    ],
)
def test_wrong_input_gets_one_clear_line(
    file: str,
    tmp_path: Path,
    args: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake ends with exit code 2 and a line that names it."""
    with fresh_folder(tmp_path / "report", REPORT) as folder:
        (folder / "summary.json").write_text("{}")
    places = {"file": file, "report": str(tmp_path / "report")}
    assert words in failed(capsys, monkeypatch, file, *(arg.format(**places) for arg in args))


def test_limits_that_contradict_are_named(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan that cannot be kept ends with exit code 2 and names the limit, not the solver."""
    monkeypatch.setattr(sys, "argv", ["tieline", "plan", file, "--set", "regions.coast.space=0"])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert captured.out == ""
    assert "space" in captured.err
    assert "infeasible" not in captured.err.lower()


def test_a_missing_file_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan file that is not there is named."""
    assert "nowhere.yaml" in failed(capsys, monkeypatch, "nowhere.yaml")


def test_tables_fit_the_terminal(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 80 columns no line is longer, and nothing is cut."""
    monkeypatch.setenv("COLUMNS", "80")
    for args in ((), ("--set", f"{PRICE}=20000")):
        text = call(file, *args).stdout
        assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
        assert "…" not in text
