"""Reads YAML into plain data that knows its lines, within limits that keep it safe.

YAML as people mean it: one document; keys are text; no aliases and no tags. Unquoted words are
read as YAML 1.2 does, with `yes`, `no`, `on` and `off` as truth values for those who are used
to 1.1. What would be read in two ways by two readers is text here, never a guess.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

import yaml

from tieline.files.document import MAX_MISTAKES, Document, Fields, Items
from tieline.files.problems import FileErrors, Loc, Problem, field_name, shown

#: Larger files are refused before they are read [bytes].
MAX_BYTES: Final = 16 * 2**20
#: Values in a file: fields and list entries together.
MAX_VALUES: Final = 500_000
#: Lists and groups of fields inside one another.
MAX_DEPTH: Final = 32

_CONSTANTS: Final[Mapping[str, bool | None]] = {"": None, "~": None} | {
    written: value
    for word, value in {
        "null": None,
        "true": True,
        "yes": True,
        "on": True,
        "false": False,
        "no": False,
        "off": False,
    }.items()
    for written in (word, word.title(), word.upper())
}
_TAGS: Final = "tag:yaml.org,2002:"
_INTEGER: Final = re.compile(
    r"[-+]?(?:0|[1-9](?:_?[0-9]){0,400}|0x[0-9a-fA-F]{1,300}|0o[0-7]{1,300})"
)
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
)
_SPECIAL: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def read_document(path: Path) -> Document:
    """Give the data of a YAML file.

    Raises
    ------
    FileErrors
        The file cannot be read, is too large, is not YAML or is not a group of fields.
    """
    return parse(_read(path), str(path))


def parse(text: str, file: str) -> Document:
    """Give the data of YAML text; `file` is the name that mistakes are reported under.

    Raises
    ------
    FileErrors
        Not YAML, not a group of fields, or past a limit. A key that is given twice is among
        the document's problems.
    """
    reader = _Reader(text, file)
    try:
        data = reader.document()
    except yaml.YAMLError as error:
        reader.refuse(*_syntax(error, text))
    return Document(file, data, tuple(reader.problems))


def resolve(text: str) -> object:
    """Give what an unquoted word stands for: a truth value, nothing, a number, or text.

    A number with a leading zero (`017`) is text: readers do not agree on its value.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0].isalpha():
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text) or _SPECIAL.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".nan", "nan").lower())
    return text


class _Reader:
    """Puts parser events together."""

    def __init__(self, text: str, file: str) -> None:
        """Begin at the top of the text."""
        self.file: Final = file
        self.problems: list[Problem] = []
        self._events: Final = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
        self._values = 0

    def refuse(self, line: int, found: str, allowed: str) -> NoReturn:
        """End with this mistake and those noted before."""
        self._note(line, found, allowed)
        raise FileErrors(self.problems)

    def document(self) -> Fields:
        """Give the only document of the text."""
        data: object = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    allowed = "allowed: one; several jobs are a list under `jobs:`"
                    self.refuse(_line(event), "a second document", allowed)
            elif isinstance(event, yaml.NodeEvent):
                data = self._value(event, ())
        if not isinstance(data, Fields):
            found = "empty" if data is None else f"only {shown(data)}"
            self.refuse(1, found, "allowed: fields, such as `name: value`")
        return data

    def _value(self, event: yaml.Event, loc: Loc) -> object:
        """Give the value that begins with the event. Recursive, no deeper than the limit."""
        line = _line(event)
        self._values += 1
        if self._values > MAX_VALUES:
            self.refuse(line, "too many values", f"allowed: at most {MAX_VALUES:,}")
        if len(loc) > MAX_DEPTH:
            self.refuse(line, "nested too deeply", f"allowed: at most {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            self.refuse(line, f"alias *{event.anchor}", "write it out: aliases are not read")
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            self._note(
                line,
                f"tag {event.tag.replace(_TAGS, '!!')}",
                "allowed: plain values, without tags",
                loc,
            )
        if isinstance(event, yaml.MappingStartEvent):
            return self._fields(line, loc)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._items(line, loc)
        return _scalar(event)

    def _items(self, line: int, loc: Loc) -> Items:
        items = Items(line)
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            value = self._value(event, (*loc, len(items)))
            items.mark(len(items), _line(event), _written(event, value))
            items.append(value)
        return items

    def _fields(self, line: int, loc: Loc) -> Fields:
        fields = Fields(line)
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                self.refuse(line, "a key that is not a word", "allowed: `name: value`")
            key, begin = event.value, next(self._events)
            value = self._value(begin, (*loc, key))
            if key in fields:
                found = f"given a second time, first on line {fields.lines[key]}"
                self._note(line, found, "allowed: once", (*loc, key))
            else:
                fields.mark(key, line, _written(begin, value))
                fields[key] = value
        return fields

    def _note(self, line: int, found: str, allowed: str, loc: Loc = ()) -> None:
        self.problems.append(Problem(self.file, line, field_name(loc), found, allowed))
        if len(self.problems) >= MAX_MISTAKES:
            raise FileErrors(self.problems)


def _line(event: yaml.Event) -> int:
    """Give the line an event begins on, counted from 1."""
    mark = event.start_mark
    return mark.line + 1 if mark else 1


def _scalar(event: yaml.Event) -> object:
    if not isinstance(event, yaml.ScalarEvent):
        raise TypeError(event)  # the parser gives a scalar wherever no container begins
    return resolve(event.value) if event.implicit[0] else event.value


def _written(event: yaml.Event, value: object) -> str | None:
    """Give the text of an unquoted word that was read as something that looks otherwise."""
    if isinstance(value, str) or not isinstance(event, yaml.ScalarEvent):
        return None
    text: str = event.value
    return text if str(value) != text else None


def _read(path: Path) -> str:
    """Give the text of a file, or say why not."""

    def refuse(found: str, allowed: str, line: int | None = None) -> NoReturn:
        raise FileErrors([Problem(str(path), line, "", found, allowed)])

    try:
        if path.is_dir():
            refuse("a directory", "allowed: a YAML file")
        if path.exists() and not path.is_file():
            refuse("neither a file nor a directory", "allowed: a YAML file")
        size = path.stat().st_size
        if size > MAX_BYTES:
            refuse(f"{size:,} bytes", f"allowed: at most {MAX_BYTES:,} (16 MiB)")
        data = path.read_bytes()
    except FileNotFoundError:
        refuse("no such file", "check the path")
    except (OSError, ValueError) as error:
        refuse(f"cannot be read: {getattr(error, 'strerror', None) or error}", "check the path")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        refuse(f"byte 0x{data[error.start]:02x}, which is not UTF-8", "save it as UTF-8", line)


def _syntax(error: yaml.YAMLError, text: str) -> tuple[int, str, str]:
    """Give line, cause and mend of what the YAML parser did not like."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.encode()[: error.position].count(b"\n") + 1
        return line, f"not YAML: control character {error.character:#04x}", "take it out"
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    here = text.splitlines()[line - 1 : line]
    if here and here[0].lstrip(" ").startswith("\t"):
        return line, "not YAML: a tab", "indent with spaces"
    cause = getattr(error, "problem", None) or error
    return line, f"not YAML: {cause}", "check quotes, colons and indentation here and above"
