"""Paths into a plan file, such as `accelerators.nvidia-h200-sxm.price`: to look, and to change.

Names stand between dots; an entry of a list goes by its `id`, or by its number from 0. A field
that the file leaves out can be set where its schema has it: the groups it stands in are made.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any, Final, cast, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel

from tieline.files.document import Document, Fields, Items, each
from tieline.files.plan_fields import PlanFields
from tieline.files.plan_values import Money, money_of
from tieline.files.problems import Loc, field_name, shown, unknown
from tieline.files.references import text_of
from tieline.files.schema import Place, fields, place
from tieline.files.syntax import resolve
from tieline.model.errors import InputError

Value = str | float | None
"""What can be set; None is the empty value of YAML, as if the field were left out."""

#: Where the probability of an outcome stands: branches, which, outcomes, which, probability.
_PROBABILITY_DEPTH: Final = 5
#: Longer text of a value is cut.
_LONGEST: Final = 80


class PathError(InputError):
    """A path leads nowhere, or to what cannot be set."""

    code = "path"

    def __init__(self, path: str, found: str, allowed: str) -> None:
        """Keep what was found and what is allowed apart, for reports that show both."""
        super().__init__(f"{path}: {found}; {allowed}")
        self.found = found
        self.allowed = allowed


def setting(text: str) -> tuple[str, Value]:
    """Give path and value of text such as `risk.weight=0.3`, the value read as in a file.

    Raises
    ------
    InputError
        No `=`, or nothing before it.
    """
    path, equals, word = text.partition("=")
    if not equals or not path.strip():
        raise InputError(f"{shown(text)} sets nothing; write PATH=VALUE, such as risk.weight=0.3")
    word = word.strip()
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
        return path.strip(), word[1:-1]
    value = resolve(word)
    return path.strip(), value if isinstance(value, str | int | float) else None


def with_value(document: Document, path: str, value: Value) -> Document:
    """Give the document with one value replaced; the old one is left as it is.

    A number where money stands keeps the currency that stands there. With the probability of an
    outcome, those of the others in its branch change so that all sum to 1: in proportion, or
    equally where all others are 0. Whether the value is allowed is found when the plan is read.

    Raises
    ------
    PathError
        The path leads nowhere, or to more than one value.
    """
    loc, here = value_place(document.data, path)
    for depth, part in enumerate(loc):
        group = part_at(document.data, loc[:depth])
        if isinstance(part, str) and group is not None and not isinstance(group, dict):
            where = field_name(loc[:depth]) or "the file"
            raise PathError(path, f"{where} is {shown(group)}", "needed there: fields")
    data = _replaced(document.data, loc, _as_written(document.data, loc, here, value))
    if len(loc) == _PROBABILITY_DEPTH and (loc[0], loc[-1]) == ("branches", "probability"):
        data = _rescaled(data, loc)
    return replace(document, data=data)


def value_at(document: Document, path: str) -> object:
    """Give what stands at a place, as in the file; the default of the field where nothing does.

    Raises
    ------
    PathError
        The path leads nowhere.
    """
    loc = located(document.data, path)
    found, here = part_at(document.data, loc), _place(loc)
    if found is not None or here.field is None or here.field.is_required():
        return found
    default = here.field.get_default()
    if isinstance(default, BaseModel):
        return default.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return str(default) if isinstance(default, Money) else default


def value_place(data: object, path: str) -> tuple[Loc, Place]:
    """Give the place of one value that a path names, and what the schema says of it.

    Raises
    ------
    PathError
        There is no such place, or it has room for more than one value.
    """
    loc = located(data, path)
    here = _place(loc)
    if _is_group(here):
        names = ", ".join(fields(here.type))  # type: ignore[arg-type] # a group is a model
        raise PathError(path, "a group of fields", f"name one of them: {names}")
    if get_origin(here.type) in {list, dict} and not _is_series(here):
        raise PathError(path, "more than one value", "name one of them")
    return loc, here


def located(data: object, path: str) -> Loc:
    """Give the place that a path names, whether or not the file says anything there.

    Raises
    ------
    PathError
        There is no such place: no such field, or no entry of that id or number.
    """
    loc: Loc = ()
    rest: str | None = path
    while rest is not None:
        here = _place(loc)
        known = _parts(here, part_at(data, loc))
        part = _longest(rest, known)
        if part is not None:
            loc = (*loc, known[part])
            rest = rest[len(part) + 1 :] if len(rest) > len(part) else None
        elif get_origin(here.type) is dict:
            loc, rest = (*loc, rest), None  # a new name, dots and all
        else:
            raise PathError(path, *_nowhere(loc, here, rest, known))
    return loc


def part_at(data: object, loc: Loc) -> object:
    """Give what stands at a place in data; None where nothing does."""
    for part in loc:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def text_at(data: object, loc: Loc) -> str:
    """Give what stands at a place as it was written, on one line, cut where it is long."""
    text = _flow(part_at(data, loc[:-1]), loc[-1])
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def refused(loc: Loc, number: float) -> str:
    """Say what is allowed at the place of a value, where a number is not; empty where it is."""
    here = _place((*loc, 0)) if _is_series(_place(loc)) else _place(loc)
    whole = isinstance(number, int) or number.is_integer()
    right = (
        here.type is float or (here.type is int and whole) or (here.type is Money and number >= 0)
    )
    right = right and all(_keeps(number, limit) for limit in here.metadata)
    return "" if right else f"allowed: {here.allowed}"


def _keeps(number: float, limit: object) -> bool:
    """Say whether a number is within a limit; what is no limit is kept by all."""
    if isinstance(limit, Ge):
        return number >= cast("float", limit.ge)
    if isinstance(limit, Gt):
        return number > cast("float", limit.gt)
    return not isinstance(limit, Le) or number <= cast("float", limit.le)


def _is_series(here: Place) -> bool:
    """Say whether a number or a list of numbers may stand there."""
    return get_origin(here.type) is list and float in get_args(get_args(here.type)[0])[:1]


def _place(loc: Loc) -> Place:
    return place(PlanFields, loc) or Place(None, (), None)


def _is_group(here: Place) -> bool:
    return isinstance(here.type, type) and issubclass(here.type, BaseModel)


def _parts(here: Place, value: object) -> Mapping[str, str | int]:
    """Give the parts below a place: what a path calls them, and what they are in the data."""
    if _is_group(here):
        return {name: name for name in fields(here.type)}  # type: ignore[arg-type] # as above
    if isinstance(value, dict):
        return {str(name): name for name in value}
    if not isinstance(value, list):
        return {}
    numbered = {str(index): index for index in range(len(value))}
    return numbered | {text_of(one, "id"): n for n, one in enumerate(value) if text_of(one, "id")}


def _longest(rest: str, known: Mapping[str, object]) -> str | None:
    """Give the name that a path begins with; ids may have dots, so the longest of several."""
    found = [name for name in known if rest == name or rest.startswith(f"{name}.")]
    return max(found, key=len, default=None)


def _nowhere(loc: Loc, here: Place, rest: str, known: Mapping[str, str | int]) -> tuple[str, str]:
    """Say that a path leads on to nothing, and what was perhaps meant."""
    name = rest.partition(".")[0]
    if _is_group(here):
        return unknown("field", name, known)
    if get_origin(here.type) is not list:
        return f"nothing lies below {field_name(loc)}", "end the path there"
    ids = [one for one in known if not one.isdecimal()]
    return unknown(f"entry of {field_name(loc)}", name, ids or known)


def _as_written(data: object, loc: Loc, here: Place, value: Value) -> Value:
    """Give a value as it would stand in the file."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    if here.type is Money:
        default = here.field.get_default() if here.field else None
        money = money_of(part_at(data, loc)) or default
        return str(Money(value, money.currency)) if isinstance(money, Money) else value
    if here.type is int and not isinstance(value, int) and value.is_integer():
        return int(value)
    return value


def _replaced(data: object, loc: Loc, value: object) -> object:
    """Give the data with another value at a place; what is not on the way there is shared."""
    part, rest = loc[0], loc[1:]
    made = _copied(data)
    before = part_at(made, (part,))
    if rest and before is None:
        before = Fields(made.line) if isinstance(made, Fields) else {}
    made[part] = _replaced(before, rest, value) if rest else value
    if isinstance(made, Fields | Items):
        made.mark(part, made.lines.get(part, made.line), None)
        made.plain.pop(part, None)
    return made


def _copied(data: object) -> Any:  # noqa: ANN401 - a list or a dictionary, by the part
    """Give a copy of one group or list, which notes its lines apart from the first."""
    made = {} if data is None else copy(data)
    if isinstance(made, Fields | Items):
        made.lines, made.plain = dict(made.lines), dict(made.plain)
    return made


def _rescaled(data: object, loc: Loc) -> object:
    """Give the data with the probabilities of the other outcomes of a branch summing to the rest.

    Left as they are where one of them is no probability: that is a mistake of its own.
    """
    found = dict(each(part_at(data, loc[:3]), "*.probability", loc[:3]))
    shares = {
        at: one for at, one in found.items() if isinstance(one, int | float) and 0 <= one <= 1
    }
    if len(shares) < len(found):
        return data
    chosen = shares.pop(loc)
    total = sum(shares.values())
    for at, share in shares.items():
        part = share / total if total else 1 / len(shares)
        data = _replaced(data, at, part * (1 - chosen))
    return data


def _flow(holder: object, part: str | int) -> str:
    """Give a part of a group or list on one line, each word as it was written."""
    value = part_at(holder, (part,))
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_flow(value, name)}' for name in value)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_flow(value, index) for index in range(len(value)))}]"
    written = holder.plain.get(part) if isinstance(holder, Fields | Items) else None
    return written or str(value)
