"""The memo of a plan: its words, its figures, its page."""

import json
import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from math import inf, isfinite
from pathlib import Path

import pytest

from tieline.model.accelerator import Accelerator
from tieline.model.network import Link, Region
from tieline.model.plan import (
    Assumption,
    Branch,
    Chip,
    Demand,
    ImportRatio,
    Offer,
    Outcome,
    PlanRegion,
    PlanSpec,
    Stock,
    Sweep,
)
from tieline.planning.findings import Findings, findings
from tieline.planning.frontier import Frontier, RiskPoint
from tieline.planning.information import Information
from tieline.planning.plan import Plan
from tieline.planning.sweep import Curve, Threshold
from tieline.planning.verdict import Trigger, Verdict
from tieline.reports.memo import words
from tieline.reports.memo.contents import contents
from tieline.reports.memo.document import comparison_document, memo_document
from tieline.reports.memo.markdown import markdown
from tieline.reports.memo.memo import write_memo
from tieline.reports.memo.verdict_words import verdict_lines

PRICE = "accelerators.far.price"


def chip(name: str, origin: str, offer: Offer) -> Chip:
    """Give an accelerator that is as fast as the reference."""
    model = Accelerator(name, name, "", origin, "cuda")
    return Chip(model, power_w=1000.0, rates={"decode": 1.0}, offer=offer)


def spec(far_usd: float = 20_000.0) -> PlanSpec:
    """Give two regions, an import that may be banned, and a dearer domestic model."""
    far = Offer("far", far_usd, lead=1, supply=(300.0,) * 4)
    near = Offer("near", 30_000.0, lead=1, supply=(200.0,) * 4)
    return PlanSpec(
        name="two <b>regions</b>",
        first=4 * 2027,
        quarters=4,
        regions=(
            PlanRegion(Region("east", electricity_usd_per_kwh=0.1), space=350.0),
            PlanRegion(Region("west", electricity_usd_per_kwh=0.05)),
        ),
        links=(Link(("east", "west"), 1e10, 0.01, 0.0),),
        chips=(chip("far", "US", far), chip("near", "CN", near)),
        demand=(Demand("chat", "decode", {"east": (400, 600, 900, 900)}, 4.0),),
        stock=(Stock("east", "far", 300.0),),
        domestic=frozenset({"CN"}),
        import_ratio=ImportRatio(1.0, base=500.0),
        branches=(
            Branch(
                "re-ban",
                1,
                (Outcome("banned", 0.25, ban=frozenset({"US"})), Outcome("open", 0.75)),
            ),
        ),
        sweeps=(Sweep(PRICE, (10_000.0, 20_000.0, 400_000.0), "price of far"),),
        assumptions=(Assumption(PRICE, "20000 USD", "a <newspaper>", "medium"),),
    )


@cache
def found() -> Findings:
    """Give the findings of that plan."""
    return findings(Plan(spec()), lambda _path, value: spec(value), {PRICE: 20_000.0})


def verdict(action: str, **values: object) -> Verdict:
    """Give a verdict on `far`, with nothing bought unless said."""
    plain: dict[str, object] = {
        "accelerator": "far",
        "action": action,
        "now": 0.0,
        "by_region": {},
        "by_tenant": {},
        "first_year": 0.0,
        "total": 0.0,
        "triggers": (),
        "price_usd": 12_000.0,
        "break_even_usd": None,
    }
    return Verdict(**(plain | values))  # type: ignore[arg-type]  # values of each field


def said(one: Verdict) -> str:
    """Give the sentence of one verdict."""
    (line,) = verdict_lines(found().result, [one])
    return line


def test_a_purchase_says_how_many_and_where() -> None:
    """`buy` says how many now, rounded, with the regions that get most, and what follows."""
    bought = verdict("buy", now=1234.0, total=1234.2, by_region={"west": 433.0, "east": 801.0})
    assert said(bought) == "Buy 1,230 far now (east 801, west 433), no more later."
    one = verdict("buy", now=9.0, total=59.0, by_region={"east": 9.0}, by_tenant={"a": 9.0})
    assert said(one) == "Buy 9 far now (all in east), 50 more by 2027Q4."


def test_waiting_says_for_what() -> None:
    """`wait` names quarter and answer, or says that it is the same whatever happens."""
    some = verdict("wait", triggers=(Trigger("2027Q2 open", 500.0, 0.75),))
    assert said(some) == "Wait with far: buy 500 in 2027Q2 if re-ban: open (75 % likely)."
    every = (Trigger("2027Q2 banned", 40.0, 0.25), Trigger("2027Q2 open", 41.0, 0.75))
    assert "buy 40 to 41 in 2027Q2 whatever happens" in said(verdict("wait", triggers=every))
    cheaper = replace(some, break_even_usd=9_100.0)
    assert said(cheaper).endswith("Now it pays only below 9,100 USD (price 12,000 USD).")


def test_no_purchase_says_at_which_price() -> None:
    """`do not buy` names the price below which it would pay, where there is one."""
    line = "Do not buy far: it pays below 9,100 USD (price 12,000 USD)."
    assert said(verdict("do not buy", break_even_usd=9_100.0)) == line
    assert "as a gift" in said(verdict("do not buy", break_even_usd=0.0))
    assert "cannot be ordered now" in said(verdict("do not buy"))
    assert "makes no difference" in said(verdict("do not buy", break_even_usd=11_999.0))


def test_purchases_stand_first() -> None:
    """What is bought now stands before what waits, and that before what is not bought.

    Among equals the order is that of the file.
    """
    ones = [verdict("do not buy"), verdict("wait"), verdict("buy", now=1.0), verdict("buy", now=2)]
    lines = verdict_lines(found().result, ones)
    assert [line.split()[0] for line in lines] == ["Buy", "Buy", "Wait", "Do"]
    assert lines[0].startswith("Buy 1 ")
    assert "Nothing is on offer" in verdict_lines(found().result, [])[0]


def test_the_value_of_information_is_said_honestly() -> None:
    """Next to nothing is called that; more is given in money and as a part of the cost."""
    known = found().information.known_usd
    (line,) = words.information(Information(known, 99.0, 99.0), 100_000.0)
    assert line.startswith("Uncertainty does not change the decision here")
    more = words.information(Information(known, 2_000.0, 50.0), 100_000.0)
    assert more[0] == "To know the future would save 2,000 USD, 2 % of the mean cost (EVPI)."
    assert "would do as well" in more[1]
    assert "no way out" in words.information(Information(known, 2_000.0, None), 1e5)[1]
    assert "one future only" in words.information(Information(known[:1], 0.0, 0.0), 1e5)[0]


def test_no_service_without_links_is_said() -> None:
    """Where no purchase makes up for missing links, the memo says so; else how many it takes."""
    pooled = found().pooling
    assert "No purchase reaches" in words.pooling(replace(pooled, alike=None))[-1]
    alike = replace(pooled.joined, ordered=pooled.joined.ordered + 120.0)
    assert words.pooling(replace(pooled, alike=alike))[-1].endswith("saves 120 of them.")


def test_a_break_even_comes_with_its_width() -> None:
    """A sweep says at which value a verdict turns, to the digits that are known."""
    turn = Threshold("far", "buy", "wait", 0.41875, 0.0078)
    curve = Curve(found().curves[0].sweep, 0.3, found().curves[0].points, (turn, turn), ())
    line = 'Above 0.419 ± 0.008 the verdict on far turns from "buy" to "wait".'
    assert words.sweep(curve) == [line, line]
    assert words.sweep(curve, most=1) == [line, "The appendix has one more change."]
    none = replace(curve, thresholds=(), left_out=(60_000.0,))
    assert words.sweep(none)[0].startswith("No verdict changes from 10,000 to 400,000")
    assert words.sweep(none)[1] == "The plan has no solution at 60,000."


def test_the_document_has_every_figure_of_the_findings() -> None:
    """The document holds what the findings hold, in full."""
    document, one = memo_document(found(), {PRICE: "USD"}), found()
    assert document["name"] == "two <b>regions</b>"
    assert document["quarters"] == ["2027Q1", "2027Q2", "2027Q3", "2027Q4"]
    assert [future["probability"] for future in document["futures"]] == [0.25, 0.75]
    assert document["mean_cost_usd"] == one.result.mean_usd
    assert [row["now"] for row in document["verdicts"]] == [v.now for v in one.verdicts]
    assert document["pooling"]["joined"]["ordered"] == one.pooling.joined.ordered
    assert document["delay"]["all_usd"] == one.delay.all_usd
    assert document["choices"][0]["ranges"]["0.01"] == list(one.choices[0].ranges[0.01])
    assert document["information"]["perfect_usd"] == one.information.perfect_usd
    assert set(document["regret"]["strategies"]) == set(one.regret.costs_usd)
    assert [row["usd"] for row in document["limit_prices"]] == [p.usd for p in one.limit_prices]
    assert document["import_ratio_usd"] == one.ratio_usd
    assert document["pool_prices"]["far"]["east"] == one.pool_prices[0, 0].tolist()
    assert document["sweeps"][0]["unit"] == "USD"
    assert len(document["sweeps"][0]["thresholds"]) == len(one.curves[0].thresholds) > 0
    assert document["frontier"]["flat"] == (one.frontier is not None and one.frontier.flat)
    assert document["assumptions"][0]["source"] == "a <newspaper>"
    now = sum(row["count"] for row in document["orders"] if row["node"] == "2027Q1")
    assert now == pytest.approx(sum(v.now for v in one.verdicts), abs=1.0)
    assert now > 0


def test_the_document_is_plain_json() -> None:
    """Every number is finite or null, every key is text, and it can be read back."""
    endless = replace(found().limit_prices[0], high=inf)
    document = memo_document(replace(found(), limit_prices=(endless,)))
    assert document["limit_prices"][0]["high"] is None
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text) == document
    result = found().result
    assert comparison_document(result, result, 0.5)["resolve_cpu_s"] == 0.5


def test_prices_of_capacity_last_for_the_whole_time() -> None:
    """A price-duration curve falls, and its shares end at 1."""
    for curve in memo_document(found())["price_duration"].values():
        assert curve["usd_per_hour"] == sorted(curve["usd_per_hour"], reverse=True)
        assert curve["share"][-1] == pytest.approx(1.0)


class _Tags(HTMLParser):
    """Collects tags that are open, and the addresses that a page names."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with the memo of the plan."""
    made = tmp_path_factory.mktemp("memo")
    write_memo(made, found(), memo_document(found()), {PRICE: "USD"})
    return made


def test_the_page_stands_alone(folder: Path) -> None:
    """The page is well-formed, and all that it shows is inside it."""
    text = (folder / "memo.html").read_text()
    page = _Tags()
    page.feed(text)
    assert page.open == []
    assert len(page.sources) >= 7
    assert all(one.startswith("data:image/svg+xml;base64,") for one in page.sources)
    assert "<script" not in text
    for one in page.sources:
        ET.fromstring(b64decode(one.partition(",")[2]))  # noqa: S314 - our own picture


def test_names_are_not_taken_for_markup(folder: Path) -> None:
    """Names with markup characters are shown as they are, on the page and in Markdown."""
    page, text = (folder / "memo.html").read_text(), (folder / "memo.md").read_text()
    assert "two &lt;b&gt;regions&lt;/b&gt;" in page
    assert "<b>regions" not in page
    assert "a &lt;newspaper&gt;" in page
    assert r"two \<b\>regions\</b\>" in text


def test_both_pages_say_the_same(folder: Path) -> None:
    """Verdicts, answers and assumptions stand on the page and in Markdown; Markdown has tables."""
    page, text = (folder / "memo.html").read_text(), (folder / "memo.md").read_text()
    for line in verdict_lines(found().result, found().verdicts):
        assert f"<p>{line}</p>" in page
        assert f"- **{line}**" in text
    for question, _ in words.answers(found()):
        assert f"<h2>{question}</h2>" in page
        assert f"## {question}" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 20
    assert len({row.count("|") - row.count(r"\|") for row in rows if "mean cost" in row}) == 1
    assert "medium" in text
    assert page.index("Appendix") > page.index("Where does the verdict change?")
    assert json.loads((folder / "plan.json").read_text()) == memo_document(found())


def test_a_flat_frontier_is_left_out() -> None:
    """The picture of risk is there when it says something, and only then."""
    careless, careful = RiskPoint(0.0, 100.0, 200.0, {}), RiskPoint(0.9, 110.0, 150.0, {})
    steep, flat = Frontier(0.1, (careless, careful)), Frontier(0.1, (careless, careless))
    assert contents(replace(found(), frontier=steep), {}).risk is not None
    assert "10 USD more" in words.risk(steep)[0]
    assert contents(replace(found(), frontier=flat), {}).risk is None
    assert "next to nothing" in words.risk(flat)[0]
    assert words.risk(None) == []


def test_equal_plans_give_equal_memos(folder: Path, tmp_path: Path) -> None:
    """The same findings give the same bytes."""
    write_memo(tmp_path, found(), memo_document(found()), {PRICE: "USD"})
    for file in ("memo.html", "memo.md", "plan.json"):
        assert (tmp_path / file).read_bytes() == (folder / file).read_bytes()


def test_every_picture_names_its_units() -> None:
    """Each picture with axes has a unit in brackets on one of them."""
    memo = contents(found(), {PRICE: "USD"})
    pictures = [memo.choice, memo.stock, memo.regret, *memo.sweeps, *memo.pictures]
    for one in pictures:
        assert one is not None
        text = re.sub(r"<[^>]+>", "", one.svg.decode())
        if one.title != "The futures, and when to buy":
            assert re.search(r"\[[^\]]+\]|reference", text), one.title


def test_a_plan_without_links_offers_or_risk_has_a_memo() -> None:
    """What a plan does not have is left out of its memo, and the rest is there."""
    base = spec()
    bare = replace(
        base,
        links=(),
        branches=(),
        sweeps=(),
        assumptions=(),
        import_ratio=None,
        chips=tuple(replace(one, offer=None) for one in base.chips),
    )
    one = findings(Plan(bare), lambda _path, _value: bare, {})
    memo = contents(one, {})
    assert memo.choice is None
    assert memo.risk is None
    assert memo.verdicts[0].startswith("Nothing is on offer")
    assert "names no sources" in memo.assumed
    assert "one future" in markdown(memo)
    assert all(isfinite(future["cost_usd"]) for future in memo_document(one)["futures"])
