"""YAML text and the reading of files: what is understood, and what is refused."""

import math
import os
import socket
from pathlib import Path

import pytest

from tieline.files import syntax
from tieline.files.problems import FileErrors
from tieline.files.syntax import MAX_BYTES, MAX_DEPTH, parse, read_document


def mistakes(text: str) -> list[str]:
    """Give the mistakes in YAML text, without the name of the file."""
    try:
        problems = parse(text, "file.yaml").problems
    except FileErrors as error:
        problems = error.problems
    return [str(problem).removeprefix("file.yaml:") for problem in problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("text", "text"),
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("Yes", True),
        ("on", True),
        ("FALSE", False),
        ("no", False),
        ("Off", False),
        ("5", 5),
        ("-5", -5),
        ("1_000", 1000),
        ("1_", "1_"),
        ("1_0_.5", "1_0_.5"),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("6214e9", 6214e9),
        ("-2.5E-1", -0.25),
        ("1e999", math.inf),
        ("-.inf", -math.inf),
        ("9" * 5000, math.inf),
        ('"no"', "no"),
        ("'103959'", "103959"),
        ("017", "017"),
        ("2:30:00", "2:30:00"),
        ("2026-12-01", "2026-12-01"),
        ("nan", "nan"),
        ("y", "y"),
        ("11cb48", "11cb48"),
        ("+", "+"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_unquoted_words(written: str, value: object) -> None:
    """Unquoted words are nothing, truth values, numbers or text; quoted ones are text."""
    data = parse(f"a: {written}", "file.yaml").data
    assert isinstance(data, dict)
    assert data["a"] == value
    assert type(data["a"]) is type(value)


def test_not_a_number_is_read() -> None:
    """The word for "not a number" is read as that, and refused by the fields."""
    data = parse("a: .nan", "file.yaml").data
    assert isinstance(data, dict)
    assert math.isnan(data["a"])


def test_keys_are_text() -> None:
    """A key is text, whatever it looks like."""
    assert parse("no: 1\n5: 2\n~: 3", "file.yaml").data == {"no": 1, "5": 2, "~": 3}


def test_json_is_yaml() -> None:
    """A JSON document is read as it is."""
    text = '{"a": [1, 2.5, true, null], "b": {"c": "\\u00e9\\n"}}'
    assert parse(text, "file.json").data == {"a": [1, 2.5, True, None], "b": {"c": "é\n"}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "1: empty; allowed: fields, such as `name: value`", id="empty"),
        pytest.param(
            "# nothing\n", "1: empty; allowed: fields, such as `name: value`", id="comment"
        ),
        pytest.param("- a\n", "1: only a list; allowed: fields, such as `name: value`", id="list"),
        pytest.param(
            "hello", "1: only 'hello'; allowed: fields, such as `name: value`", id="word"
        ),
        pytest.param("a: 1\nb:\n\t- c\n", "3: not YAML: a tab; indent with spaces", id="tab"),
        pytest.param(
            "a: 1\nb: c: d\n",
            "2: not YAML: mapping values are not allowed in this context; "
            "check quotes, colons and indentation here and above",
            id="two colons",
        ),
        pytest.param(
            "a: 1\nb: [1, 2\n",
            "3: not YAML: did not find expected ',' or ']'; "
            "check quotes, colons and indentation here and above",
            id="open bracket",
        ),
        pytest.param(
            "a: é\nb: \x07\n", "2: not YAML: control character 0x07; take it out", id="bell"
        ),
        pytest.param(
            "a: 1\n---\nb: 2\n",
            "2: a second document; allowed: one; several jobs are a list under `jobs:`",
            id="second document",
        ),
        pytest.param(
            "a: &x [1]\nb: *x\n", "2: alias *x; write it out: aliases are not read", id="alias"
        ),
        pytest.param(
            "a:\n  b: !!python/object:os.system x\n",
            "2: a.b: tag !!python/object:os.system; allowed: plain values, without tags",
            id="tag",
        ),
        pytest.param(
            "a: 1\n? [b]\n: 2\n", "2: a key that is not a word; allowed: `name: value`", id="key"
        ),
        pytest.param(
            "a:\n  - b: 1\n    c: 2\n    b: 3\n",
            "4: a[0].b: given a second time, first on line 2; allowed: once",
            id="key given twice",
        ),
        pytest.param(
            "a: " + "[" * 100_000,
            f"1: nested too deeply; allowed: at most {MAX_DEPTH} levels",
            id="deep list",
        ),
        pytest.param(
            "{a: " * 100_000,
            f"1: nested too deeply; allowed: at most {MAX_DEPTH} levels",
            id="deep fields",
        ),
    ],
)
def test_what_is_refused(text: str, expected: str) -> None:
    """What is not one plain document within the limits is refused, with its line."""
    assert mistakes(text) == [expected]


def test_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with more values than the limit is refused where it passes it."""
    monkeypatch.setattr(syntax, "MAX_VALUES", 10)
    assert mistakes("a: 1\n" + "b: [1, 2, 3, 4, 5, 6]\n") == []
    assert mistakes("a: 1\n" + "b: [1, 2, 3, 4, 5, 6]\nc: 1\nd: 2\n") == [
        "4: too many values; allowed: at most 10"
    ]


def test_alias_bomb_is_refused_at_once() -> None:
    """A file that would grow without end by its aliases is refused at the first of them."""
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert mistakes(f"l0: &l0 [x]\n{levels}") == [
        "2: alias *l0; write it out: aliases are not read"
    ]


def test_deepest_nesting() -> None:
    """As many levels as the limit says are read."""
    text = "a: " + "[" * (MAX_DEPTH - 1) + "1" + "]" * (MAX_DEPTH - 1)
    assert mistakes(text) == []
    assert mistakes(text.replace("1", "[1]")) != []


def refused(path: Path) -> str:
    """Give the words, without the path, with which a file is refused."""
    with pytest.raises(FileErrors) as raised:
        read_document(path)
    return str(raised.value).removeprefix(str(path))


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    assert refused(tmp_path / "none.yaml") == ": no such file; check the path"


def test_directory(tmp_path: Path) -> None:
    """A directory is no file."""
    assert refused(tmp_path) == ": a directory; allowed: a YAML file"


def test_socket_and_pipe(tmp_path: Path) -> None:
    """What is neither file nor directory is refused, and not waited for."""
    os.mkfifo(tmp_path / "pipe")
    expected = ": neither a file nor a directory; allowed: a YAML file"
    assert refused(tmp_path / "pipe") == expected
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(tmp_path / "s"))
        assert refused(tmp_path / "s") == expected


def test_no_permission(tmp_path: Path) -> None:
    """A file that may not be read is refused with the reason the system gives."""
    file = tmp_path / "secret.yaml"
    file.write_text("a: 1")
    file.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:  # who may read everything
            os.seteuid(65534)
        assert refused(file) == ": cannot be read: Permission denied; check the path"
    finally:
        os.seteuid(user)


def test_file_in_a_file(tmp_path: Path) -> None:
    """A path through a file is refused with the reason the system gives."""
    (tmp_path / "file").write_text("a: 1")
    assert refused(tmp_path / "file" / "x") == ": cannot be read: Not a directory; check the path"


@pytest.mark.parametrize("name", ["a\0b.yaml", "x" * 5000 + ".yaml"], ids=["nul", "long"])
def test_impossible_path(tmp_path: Path, name: str) -> None:
    """A path that no file can have is refused like any other."""
    assert "cannot be read: " in refused(tmp_path / name)


def test_huge_file_is_not_read(tmp_path: Path) -> None:
    """A file of 100 MB is refused by its size."""
    file = tmp_path / "huge.yaml"
    with file.open("wb") as stream:
        stream.truncate(100_000_000)
    assert refused(file) == ": 100,000,000 bytes; allowed: at most 16,777,216 (16 MiB)"
    assert MAX_BYTES == 16_777_216


def test_not_utf8(tmp_path: Path) -> None:
    """A file in another encoding is refused with the line of the first wrong byte."""
    file = tmp_path / "latin.yaml"
    file.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    assert refused(file) == ":2: byte 0xe9, which is not UTF-8; save it as UTF-8"


def test_byte_order_mark(tmp_path: Path) -> None:
    """The mark that some editors put at the beginning is passed over."""
    file = tmp_path / "mark.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_document(file).data == {"a": 1}
