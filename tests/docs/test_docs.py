"""The pages are complete, their links lead somewhere, and what they name exists."""

import re
import runpy
import shlex
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tieline.engines.local.engine import PASSED_VARIABLES
from tieline.model.reasons import NEVER, Reason
from tieline.scheduling.registry import DEFAULT_POLICY, POLICIES
from tieline.traces.download import PUBLIC
from tieline.traces.registry import FORMATS

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "src").rglob("README.md")),
]
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
TEMPLATE = ROOT / "docs" / "adr" / "template.md"
REFERENCE = runpy.run_path(str(ROOT / "scripts" / "cli_reference.py"))

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
#: Words of a page that stand for files: with a folder and an ending, and no placeholder in it.
FILE = re.compile(r"(?:[\w.-]+/)+[\w.*-]+\.(?:py|md|csv|yaml|toml|svg|sh)")
#: Fewest words of a page that says something.
LEAST_WORDS = 40


def name(page: Path) -> str:
    """Give a page's path as it stands in the project."""
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name)


def text(page: Path) -> str:
    """Give the text of a page, with its blocks of code."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """Give the blocks of code in these languages."""
    yield from (body for language, body in FENCE.findall(text(page)) if language in languages)


def shell_lines(page: Path) -> Iterator[str]:
    """Give the commands of a page: lines of `sh`, and those after `$` of `console`."""
    for body in blocks(page, "sh", "console"):
        for line in body.replace("\\\n", " ").splitlines():
            yield line.removeprefix("$ ")


def commands(page: Path) -> Iterator[list[str]]:
    """Give the words after `tieline` of each command in a page's blocks."""
    for line in shell_lines(page):
        if line.startswith("tieline "):
            yield shlex.split(line, comments=True)[1:]


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as they are made for the web."""
    plain = FENCE.sub("", text(page))
    heads = re.findall(r"^#+ (.+)$", plain, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def table_keys(page: Path, head: str) -> list[str]:
    """Give what stands in code in the first column of the table that begins with `head`."""
    _, _, rest = text(page).partition(f"\n| {head} |")
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    return [found[1] for row in rows if (found := re.match(r"\| `([^`]+)` \|", row))]


@every_page
def test_page_says_something(page: Path) -> None:
    """A page begins with its title, has text under it, and promises nothing for later."""
    content = text(page)
    assert content.startswith("# ")
    assert len(content.split()) >= LEAST_WORDS
    assert not re.search(r"\b(?:TODO|TBD|FIXME|coming soon)\b", content)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every link inside the project leads to a file that is there, and to a heading in it."""
    broken = []
    for target in LINK.findall(FENCE.sub("", text(page))):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        goal = (page.parent / file).resolve() if file else page
        inside = goal.is_relative_to(ROOT) and goal.exists()
        if not inside or (anchor and anchor not in anchors(goal)):
            broken.append(target)
    assert broken == []


def test_every_page_can_be_reached() -> None:
    """Every page of docs/ can be reached from the README by links."""
    reached, left = {README}, [README]
    while left:
        page = left.pop()
        for target in LINK.findall(FENCE.sub("", text(page))):
            goal = (page.parent / target.partition("#")[0]).resolve()
            if goal.suffix == ".md" and goal.is_file() and goal not in reached:
                reached.add(goal)
                left.append(goal)
    docs = {page for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert sorted(map(name, docs - reached)) == []


@every_page
def test_files_exist(page: Path) -> None:
    """A file that a page names exists: from the project, from the package, or beside the page."""
    roots = (ROOT, ROOT / "src" / "tieline", ROOT / "src" / "tieline" / "scheduling", page.parent)
    words = [word for code in CODE.findall(text(page)) for word in code.split()]
    words += [word for line in shell_lines(page) for word in line.split()]
    gone = [
        word
        for word in words
        if FILE.fullmatch(word)
        and not re.search(r"[A-Z]{3,}(?!DME)", word)
        and not any(any(root.glob(word)) for root in roots)
        and not word.startswith("report/")
    ]
    assert gone == []


@every_page
def test_tests_exist(page: Path) -> None:
    """A test file that a page names exists."""
    named = {code for code in CODE.findall(text(page)) if re.fullmatch(r"test_[\w*]+\.py", code)}
    assert [one for one in named if not any((ROOT / "tests").rglob(one))] == []


@every_page
def test_commands_can_be_given(page: Path) -> None:
    """Every `tieline` command in a block of a page has a form that the command line takes."""
    known = REFERENCE["commands"]()
    for words in commands(page):
        parts = 1 if words[0] in known else 2
        command: click.Command = known[" ".join(words[:parts])].command
        with command.make_context(words[0], words[parts:]):
            pass


@every_page
def test_commands_in_prose_exist(page: Path) -> None:
    """Every `tieline NAME` in the text names a command or an option of it."""
    groups = {command.partition(" ")[0] for command in REFERENCE["commands"]()}
    spoken = {
        code.split()[1]
        for code in CODE.findall(FENCE.sub("", text(page)))
        if code.startswith("tieline ")
    }
    assert spoken - groups - {"COMMAND", "--debug", "--version"} == set()


@every_page
def test_make_targets_exist(page: Path) -> None:
    """Every `make NAME` that a page names is in the Makefile."""
    targets = set(re.findall(r"^(\w+):", text(ROOT / "Makefile"), re.MULTILINE))
    spoken = [*CODE.findall(text(page)), *shell_lines(page)]
    named = {found[1] for one in spoken if (found := re.match(r"make (\w+)", one))}
    assert named <= targets


def test_command_line_reference() -> None:
    """The page has every command as its help has it: run scripts/cli_reference.py."""
    page = text(ROOT / "docs" / "reference" / "cli.md")
    assert REFERENCE["updated"](page) == page
    written = re.findall(r"<!-- command: ([a-z ]+) -->", page)
    assert sorted(written) == sorted(REFERENCE["commands"]())
    assert re.findall(r"^## ([a-z][a-z ]*)$", page, re.MULTILINE) == written


def test_every_policy_is_explained() -> None:
    """The page on scheduling has a row for every policy and names the default one."""
    page = ROOT / "docs" / "explanation" / "scheduling.md"
    assert table_keys(page, "policy") == list(POLICIES)
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (.*) \|$", text(page), re.MULTILINE)
    orders = {policy: order for policy, order, _ in rows if policy in POLICIES}
    assert orders == {policy.name: policy.order for policy in POLICIES.values()}
    assert [policy for policy, _, rule in rows if rule.endswith("the default")] == [DEFAULT_POLICY]


def test_every_reason_is_explained() -> None:
    """The page on scheduling has a row for every reason, and says whether waiting cures it."""
    page = text(ROOT / "docs" / "explanation" / "scheduling.md")
    cured = dict(re.findall(r"^\| `([A-Z_]+)` \| (yes|no) \|", page, re.MULTILINE))
    expected = {
        reason.name: "no" if reason & (NEVER | Reason.HOME) else "yes" for reason in Reason
    }
    assert cured == expected


def test_every_trace_format_is_explained() -> None:
    """The page on trace readers has a row for every format."""
    page = ROOT / "docs" / "how-to" / "add-a-trace-reader.md"
    assert sorted(table_keys(page, "format")) == sorted(FORMATS)


def test_every_public_trace_is_credited() -> None:
    """The README credits the authors of every trace that can be downloaded."""
    credited = " ".join(text(README).split())
    assert [one.file for one in PUBLIC.values() if one.cite.split(",")[0] not in credited] == []


def test_layers_are_those_that_are_checked() -> None:
    """The page on the architecture shows the layers that import-linter holds the code to."""
    project = tomllib.loads(text(ROOT / "pyproject.toml"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    shown = next(blocks(ROOT / "docs" / "explanation" / "architecture.md", "text"))
    assert shown.splitlines() == layers


def test_what_a_command_is_told_is_explained() -> None:
    """The page on engines names every variable that the wrapper sets for a command."""
    page = text(ROOT / "src" / "tieline" / "engines" / "README.md")
    source = "".join(text(file) for file in (ROOT / "src" / "tieline" / "engines").rglob("*.py"))
    told = set(re.findall(r'"(TIELINE_\w+)"', source)) - set(PASSED_VARIABLES)
    assert told == set(re.findall(r"`(TIELINE_\w+)`", page))


@pytest.mark.parametrize("page", ADRS, ids=name)
def test_decision_has_the_form(page: Path) -> None:
    """A decision has the parts of the template, a date and a number that is in the list."""
    parts = re.findall(r"^## (.+)$", text(TEMPLATE), re.MULTILINE)
    assert re.findall(r"^## (.+)$", text(page), re.MULTILINE) == parts
    number = ADRS.index(page) + 1
    assert page.name.startswith(f"{number:04d}-")
    assert text(page).startswith(f"# {number}. ")
    assert re.search(r"^Date: \d{4}-\d\d-\d\d\. Status: \w+", text(page), re.MULTILINE)
    assert f"[{number}]({page.name})" in text(page.with_name("README.md"))


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=name)
def test_picture_is_whole(picture: Path) -> None:
    """A picture is well formed, says in words what it shows, and has colours for the dark."""
    tree = ET.parse(picture).getroot()  # noqa: S314 - our own file
    spoken = {child.tag.rpartition("}")[2]: child.text for child in tree}
    assert spoken.get("title")
    assert spoken.get("desc")
    assert "prefers-color-scheme: dark" in text(picture)
