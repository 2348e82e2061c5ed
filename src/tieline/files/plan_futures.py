"""The futures of a plan: how many there are, and what is wrong with the branches they come from.

Works on data as read, like `references`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Final, NamedTuple

from tieline.files.document import each, texts
from tieline.files.plan_values import quarter_of
from tieline.files.problems import Fault, Loc, listed, unknown_name
from tieline.files.references import text_of
from tieline.model.plan import Branch, Outcome, quarter_name

#: More futures than this fit into no memory as a tree.
MOST_FUTURES: Final = 10_000
#: Counts above this are not written out.
_COUNTABLE: Final = 10**12
#: How far the probabilities of a branch may be from 1: what rounding leaves of thirds.
_TOLERANCE: Final = 1e-9


class Span(NamedTuple):
    """The quarters of a plan."""

    first: int
    end: int
    """The quarter after the last."""


class _Placed(NamedTuple):
    """A branch in a file."""

    loc: Loc
    branch: Branch


def span_of(data: object) -> Span | None:
    """Give the quarters of a plan; None where they are not given well."""
    first = quarter_of(text_of(data, "from"))
    quarters = data.get("quarters") if isinstance(data, dict) else None
    if first is None or type(quarters) is not int or quarters < 1:
        return None
    return Span(first, first + quarters)


def futures(branches: Iterable[Branch]) -> int:
    """Give the number of futures: the leaves of the tree, of those with a probability above 0."""
    asked: dict[str | None, list[Branch]] = defaultdict(list)
    for branch in branches:
        asked[branch.after].append(branch)

    def after(outcome: str | None) -> int:
        return prod(
            sum(after(f"{branch.id}.{one.id}") for one in branch.outcomes if one.probability > 0)
            for branch in asked[outcome]
        )

    return after(None)


def future_faults(data: object) -> Iterator[Fault]:
    """Give what is wrong with the branches of a plan: in time, in number, with one another."""
    branches = list(_branches(data))
    by_outcome: dict[str, list[_Placed]] = defaultdict(list)
    for one in branches:
        for outcome in one.branch.outcomes:
            by_outcome[f"{one.branch.id}.{outcome.id}"].append(one)
    faults = [*_periods(data, branches), *_probabilities(branches), *_parents(data, by_outcome)]
    faults += _order(branches, {name: found[0] for name, found in by_outcome.items()})
    yield from faults
    count = 0 if faults else futures(one.branch for one in branches)
    if count > MOST_FUTURES:
        many = f"{count:,}" if count < _COUNTABLE else f"more than {_COUNTABLE:,}"
        allowed = (
            f"allowed: at most {MOST_FUTURES:,}; leave out branches, or put one after another"
        )
        yield Fault(("branches",), f"{many} futures", allowed)


def _branches(data: object) -> Iterator[_Placed]:
    """Give the branches that are complete: of others the schema says what they lack."""
    for loc, branch in each(data, "branches.*"):
        at = quarter_of(text_of(branch, "from"))
        outcomes = tuple(
            Outcome(text_of(outcome, "id"), _probability(outcome))
            for _, outcome in each(branch, "outcomes.*")
        )
        if at is not None and outcomes and text_of(branch, "id"):
            after = text_of(branch, "after") or None
            yield _Placed(loc, Branch(text_of(branch, "id"), at, outcomes, after))


def _probability(outcome: object) -> float:
    """Give the probability of an outcome; -1 where there is none that could be."""
    value = outcome.get("probability") if isinstance(outcome, dict) else None
    return value if isinstance(value, int | float) and 0 <= value <= 1 else -1.0


def _probabilities(branches: Iterable[_Placed]) -> Iterator[Fault]:
    for loc, branch in branches:
        values = [outcome.probability for outcome in branch.outcomes]
        if min(values) >= 0 and abs(sum(values) - 1) > _TOLERANCE:
            found = f"probabilities that sum to {sum(values):.10g}"
            yield Fault((*loc, "outcomes"), found, "allowed: a sum of 1")


def _periods(data: object, branches: Iterable[_Placed]) -> Iterator[Fault]:
    """Give the branches outside of the plan, or at its beginning."""
    span = span_of(data)
    if span is None:
        return
    first, last = span.first, span.end - 1
    for loc, branch in branches:
        if branch.at < first:
            what = "is before the plan begins"
        elif branch.at == first:
            what = "is the first quarter, which is decided before anything is known"
        elif branch.at > last:
            what = "is after the end of the plan"
        else:
            continue
        some = f"{quarter_name(first + 1)} to {quarter_name(last)}"
        allowed = f"allowed: {some if last > first else 'no branch in a plan of one quarter'}"
        yield Fault((*loc, "from"), f"{quarter_name(branch.at)} {what}", allowed)


def _parents(data: object, by_outcome: Mapping[str, list[_Placed]]) -> Iterator[Fault]:
    """Give the branches that come after no outcome, or after one of two."""
    known = {
        f"{text_of(branch, 'id')}.{name}"
        for _, branch in each(data, "branches.*")
        for _, name in texts(branch, "outcomes.*.id")
    }
    for loc, name in texts(data, "branches.*.after"):
        if name not in known:
            yield unknown_name(loc, "outcome", name, known)
        elif len(by_outcome.get(name, ())) > 1:
            yield Fault(loc, f"{name!r} names two outcomes", "give one of them another id")


def _order(branches: Iterable[_Placed], parent: Mapping[str, _Placed]) -> Iterator[Fault]:
    """Give the branches that wait for one another, and those that come before their parent."""
    in_circle: set[Loc] = set()
    for loc, branch in branches:
        before = parent.get(branch.after or "")
        if before is None or loc in in_circle:
            continue
        circle = _circle(loc, parent, before)
        if circle:
            in_circle.update(one.loc for one in circle)
            names = listed({one.branch.id for one in circle})
            found = f"waits for itself, by way of {names}"
            yield Fault((*loc, "after"), found, "name an outcome that comes earlier")
        elif branch.at <= before.branch.at:
            found = (
                f"{quarter_name(branch.at)} is not later than {quarter_name(before.branch.at)},"
                f" when {before.branch.id!r}, which it comes after, becomes known"
            )
            allowed = f"allowed: {quarter_name(before.branch.at + 1)} or later"
            yield Fault((*loc, "from"), found, allowed)


def _circle(loc: Loc, parent: Mapping[str, _Placed], before: _Placed | None) -> list[_Placed]:
    """Give the branches from one back to itself; none where the way back ends elsewhere."""
    seen: dict[Loc, _Placed] = {}
    while before is not None and before.loc not in seen:
        seen[before.loc] = before
        before = parent.get(before.branch.after or "")
    return list(seen.values()) if loc in seen else []
