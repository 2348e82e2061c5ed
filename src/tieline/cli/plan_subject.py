"""The plan that `tieline plan` is about: its file, what `--set` changes, what sweeps vary.

Where demand comes from recorded jobs, it is scaled after each of these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

from tieline.files.document import Document
from tieline.files.plan import plan_from
from tieline.files.plan_paths import setting, value_at, with_value
from tieline.files.plan_values import money_of
from tieline.files.syntax import read_document
from tieline.model.plan import PlanSpec
from tieline.planning.load import Load, with_load


@dataclass(frozen=True)
class Subject:
    """A plan and the document it stands in."""

    name: str
    """For a plan that does not name itself."""
    document: Document
    spec: PlanSpec
    load: Load | None = None
    """What its demand is scaled to; None: demand is as in the document."""

    def spec_at(self, path: str, value: float) -> PlanSpec:
        """Give the plan with another value at a path."""
        return _spec(with_value(self.document, path, value), self.name, self.load)

    def present(self) -> Mapping[str, float]:
        """Give the number that stands at the path of each sweep; nan where none does."""
        return {one.path: _number(value_at(self.document, one.path)) for one in self.spec.sweeps}

    def units(self) -> Mapping[str, str]:
        """Give the currency of each sweep that varies money, by its path."""
        found = {one.path: value_at(self.document, one.path) for one in self.spec.sweeps}
        money = {path: money_of(value) for path, value in found.items()}
        return {path: one.currency for path, one in money.items() if one is not None}


def subject(file: str, load: Load | None = None) -> Subject:
    """Give the plan of a file, its demand scaled to a load.

    Raises
    ------
    FileErrors
        The file cannot be read or has mistakes.
    InputError
        The load has work that the plan has no demand for.
    """
    path = Path(file)
    document = read_document(path)
    return Subject(path.stem, document, _spec(document, path.stem, load), load)


def changed(base: Subject, settings: Sequence[str]) -> Subject:
    """Give the plan with every `PATH=VALUE` set, one after the other.

    Raises
    ------
    InputError
        A setting is none, or its path leads nowhere, or the plan has mistakes with it.
    """
    document = base.document
    for text in settings:
        document = with_value(document, *setting(text))
    return replace(base, document=document, spec=_spec(document, base.name, base.load))


def _spec(document: Document, name: str, load: Load | None) -> PlanSpec:
    spec = plan_from(document, name=name)
    return spec if load is None else with_load(spec, load)


def _number(value: object) -> float:
    """Give the number that stands in a file: plain, money, or the first of a list."""
    if isinstance(value, list):
        return _number(value[0]) if value else nan
    money = money_of(value)
    if money is not None:
        return money.amount
    return float(value) if isinstance(value, int | float) else nan
