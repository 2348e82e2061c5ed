"""The types of fields, and what pydantic says about wrong values in plain words.

A type is written once: what it allows stands in its `Kind`, from which come the words about a
wrong value and the column of the reference page.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Final, NamedTuple, TypeVar, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from tieline.files.document import MAX_MISTAKES, Document, Fields, Items
from tieline.files.problems import Fault, Loc, shown, unknown
from tieline.model.units import QuantityError, parse_bytes, parse_duration
from tieline.model.workload import WORKLOAD_CLASSES

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: The names of what only Tieline sets are refused, but for those of a job of an array.
_VARIABLE: Final = re.compile(
    r"(?!TIELINE_(?!ARRAY_(?:INDEX|SIZE)\Z))[A-Za-z_][A-Za-z0-9_]{0,199}"
)
#: Most characters of a name.
LONGEST_NAME: Final = 200
_LONGEST_COMMAND: Final = 2**16
#: The epoch, from which time is counted.
_FIRST: Final = datetime.fromtimestamp(0, UTC)
#: The value has another form than the field's `Kind` says.
_NO_FORM: Final = PydanticCustomError("form", "has another form")
#: What pydantic ends a place with when it means a key, not its value.
_KEY: Final = "[key]"

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field may hold, in words."""

    words: str
    detail: str = ""
    """What else must be so, for those who got it wrong."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What the number of a field counts."""

    name: str


class Model(BaseModel):
    """A group of fields: nothing unknown, nothing converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def refusal(found: str, allowed: str) -> PydanticCustomError:
    """Give the error that a validator raises when it knows the words itself."""
    return PydanticCustomError("refused", "refused", {"found": found, "allowed": allowed})


def one_of(kind: str, names: tuple[str, ...]) -> AfterValidator:
    """Allow these names only, and suggest the nearest for another."""

    def validate(name: str) -> str:
        if name not in names:
            raise refusal(*unknown(kind, name, names))
        return name

    return AfterValidator(validate)


def matching(check: Callable[[str], object]) -> AfterValidator:
    """Allow text that passes the check."""

    def validate(text: str) -> str:
        if not check(text):
            raise _NO_FORM
        return text

    return AfterValidator(validate)


def _quantity(parse: Callable[[object], float]) -> BeforeValidator:
    """Read a quantity; a wrong one says itself what is allowed."""

    def validate(value: object) -> float:
        try:
            return parse(value)
        except QuantityError as error:
            raise refusal(error.found, f"allowed: {error.allowed}") from None

    return BeforeValidator(validate, json_schema_input_type=float | str)


def _epoch(value: object) -> float:
    """Give the UTC epoch [s] of an ISO time with a zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None or moment.tzinfo is None or moment < _FIRST:
            raise _NO_FORM
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise _NO_FORM from None


def iso_time(epoch: float) -> str:
    """Give the ISO time, in UTC, of an epoch [s]."""
    return datetime.fromtimestamp(epoch, UTC).isoformat()


def _distinct(names: list[str]) -> list[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise refusal(f"{shown(name)} given twice", "allowed: once")
        seen.add(name)
    return names


Id = Annotated[
    str,
    matching(_ID.fullmatch),
    Kind("an id", "letters, digits, `.`, `_` and `-`, at most 64, the first a letter or digit"),
]
Text = Annotated[
    str,
    matching(lambda text: text.isprintable() and len(text) <= LONGEST_NAME),
    Kind("text", f"on one line, at most {LONGEST_NAME} characters"),
]
Command = Annotated[
    str,
    matching(lambda text: text.strip() and "\0" not in text and len(text) <= _LONGEST_COMMAND),
    Kind("a shell command", "not empty, at most 64 KiB"),
]
Variable = Annotated[
    str,
    matching(_VARIABLE.fullmatch),
    Kind("a variable name", "letters, digits and `_`, not beginning with `TIELINE_`"),
]
Value = Annotated[
    str,
    matching(lambda text: "\0" not in text and len(text) <= _LONGEST_COMMAND),
    Kind("text", "at most 64 KiB"),
]
Flag = Annotated[bool, Kind("true or false")]
Whole = Annotated[int, Kind("a whole number")]
Number = Annotated[float, Kind("a number")]
Duration = Annotated[
    float, _quantity(parse_duration), Kind("a duration such as 90s, 2h or 1h30m"), Unit("s")
]
Size = Annotated[
    float, _quantity(parse_bytes), Kind("a size such as 500GB or 1.5TiB"), Unit("bytes")
]
Moment = Annotated[
    float,
    BeforeValidator(_epoch, json_schema_input_type=str),
    PlainSerializer(iso_time),
    Kind("an ISO time with its zone, such as 2026-12-01T08:00+08:00"),
]
Class = Annotated[str, one_of("workload class", WORKLOAD_CLASSES), Kind("a workload class")]
Ids = Annotated[list[Id], AfterValidator(_distinct), Kind("a list of ids")]


class Place(NamedTuple):
    """What the schema says about one place in the data."""

    type: object
    metadata: tuple[object, ...]
    field: FieldInfo | None
    """None for an entry of a list or mapping."""

    @property
    def kind(self) -> Kind:
        """What stands there."""
        kinds = [part for part in self.metadata if isinstance(part, Kind)]
        return kinds[-1] if kinds else Kind("fields, such as `name: value`")

    @property
    def unit(self) -> str:
        """What its number counts; empty without unit."""
        return next((part.name for part in self.metadata if isinstance(part, Unit)), "")

    @property
    def allowed(self) -> str:
        """What may stand there, with its limits and unit."""
        kind = f"{self.kind.words}: {self.kind.detail}" if self.kind.detail else self.kind.words
        return " ".join(filter(None, (kind, self.limits, self.limits and self.unit)))

    @property
    def limits(self) -> str:
        """The least and the most, in words; empty without limits."""
        words = []
        for part in self.metadata:
            if isinstance(part, Ge):
                words.append(f"from {part.ge:,}")
            elif isinstance(part, Gt):
                words.append(f"above {part.gt:,}")
            elif isinstance(part, Le):
                words.append(f"to {part.le:,}")
        return " ".join(words)


def place(model: type[BaseModel], loc: Loc) -> Place | None:
    """Give what the schema says about a place; None where it knows none."""
    here = Place(model, (), None)
    for number, part in enumerate(loc):
        kind, arguments = here.type, get_args(here.type)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            info = fields(kind).get(str(part))
            if info is None:
                return None
            here = _unwrapped(info.annotation, tuple(info.metadata), info)
        elif arguments:
            wanted = 0 if loc[-1] == _KEY and number == len(loc) - 2 else -1
            here = _unwrapped(arguments[wanted], (), None)
        elif part == _KEY:
            return here
        else:
            return None
    return here


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Give the fields of a model by the name they have in a file."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def validated(model: type[T], document: Document, also: Callable[[object], Iterable[Fault]]) -> T:
    """Give the data as a model.

    Parameters
    ----------
    model
        What it should be.
    document
        The data.
    also
        Gives further faults of the data, whether or not it has the right form. What it finds
        where the form is wrong already is left out.

    Raises
    ------
    FileErrors
        There are mistakes of either kind, or were when the document was read.
    """
    try:
        result = model.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)[:MAX_MISTAKES]
        faults = [_fault(model, document.data, detail) for detail in details]
        wrong = {fault.loc for fault in faults}
        more = (fault for fault in also(document.data) if fault.loc not in wrong)
        document.demand(chain(faults, more))
        raise
    document.demand(also(document.data))
    return result


def _unwrapped(kind: object, metadata: tuple[object, ...], info: FieldInfo | None) -> Place:
    """Take `Annotated` and `| None` off a type."""
    while get_args(kind):
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            metadata = (*more, *metadata)
        elif type(None) in get_args(kind):
            kind = next(one for one in get_args(kind) if one is not type(None))
        else:
            break
    return Place(kind, metadata, info)


def _fault(model: type[BaseModel], data: object, error: ErrorDetails) -> Fault:
    """Say in plain words what pydantic found."""
    loc = tuple(part for part in error["loc"] if part != _KEY)
    if error["type"] == "refused":
        return Fault(loc, error["ctx"]["found"], error["ctx"]["allowed"])
    if error["type"] == "extra_forbidden":
        group = place(model, loc[:-1])
        known = fields(group.type) if group else {}  # type: ignore[arg-type] # only models forbid
        return Fault(loc, *unknown("field", str(loc[-1]), known))
    here = place(model, error["loc"]) or Place(None, (), None)
    if error["type"] == "missing":
        meaning = here.field.description if here.field else None
        return Fault(loc, "missing", f"needed: {meaning or here.allowed}")
    is_key = error["loc"][-1:] == (_KEY,)
    written = None if is_key else _written(data, loc)
    return Fault(loc, *_wrong(error["input"], written, here))


def _wrong(value: object, written: str | None, here: Place) -> tuple[str, str]:
    """Say what is wrong with a value, and how to write what was perhaps meant."""
    text = written or shown(value)
    if here.type is str and isinstance(value, bool | int | float):
        what = "truth value" if isinstance(value, bool) else "number"
        return f"the {what} {text}", f'write "{text}", with quotes, if it is text'
    if here.type is int and isinstance(value, float) and value.is_integer():
        return text, f"write {value:.0f}: allowed is {here.allowed}"
    return text, f"allowed: {here.allowed}"


def _written(data: object, loc: Loc) -> str | None:
    """Give the word in the file, where the value looks otherwise."""
    for part in loc[:-1]:
        data = data[part]  # type: ignore[index] # pydantic has been there
    return data.plain.get(loc[-1]) if isinstance(data, Fields | Items) and loc else None
