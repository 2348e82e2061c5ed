"""Files that are no trace, or a broken one: one clear line each."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from tieline.model.errors import InputError
from tieline.traces.registry import FORMATS, read_trace

HEAD = "submit_s,duration_s,count\n"


def message(path: Path | str, format: str | None = None) -> str:  # noqa: A002 - as in read_trace
    """Give the error a file gets; it has one line."""
    with pytest.raises(InputError) as caught:
        read_trace(path, format)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0,x,1", "line 3, column duration_s: found 'x', expected a number"),
        ("0,,1", "line 3, column duration_s: found nothing, expected a number"),
        ("0", "line 3, column duration_s: found nothing, expected a number"),
        ("0,nan,1", "line 3, column duration_s: found 'nan', expected a number"),
        ("inf,1,1", "line 3, column submit_s: found 'inf', expected a number"),
        ("0,-1,1", "line 3, column duration_s: found '-1', expected at least 0"),
        ("0,1,0", "line 3, column count: found '0', expected at least 1"),
        ("0,1,1.5", "line 3, column count: found '1.5', expected a whole number"),
        ("0,1,2000000", "line 3, column count: found '2000000', expected at most 1,000,000"),
        ("0,1e10,1", "line 3, column duration_s: found '1e10', expected at most 3,155,760,000"),
        ("1709280000000,1,1", "line 3, column submit_s: found 1709280000000.0, expected seconds"),
        ("0,1,1,9", "line 3: has 4 fields, the header has 3"),
    ],
)
def test_a_bad_row_is_named(row: str, expected: str, tmp_path: Path) -> None:
    """The error names line and column, what was found and what is allowed."""
    path = tmp_path / "jobs.csv"
    path.write_text(f"{HEAD}0,1,1\n{row}\n0,1,1\n")
    assert expected in message(path)


def test_line_numbers_count_blank_lines(tmp_path: Path) -> None:
    """A line number is the one an editor shows."""
    path = tmp_path / "jobs.csv"
    path.write_text(f"{HEAD}0,1,1\n\n\n0,x,1\n")
    assert "line 5, column duration_s" in message(path)


def test_an_unknown_class_of_work_is_named(tmp_path: Path) -> None:
    """The classes of work are a closed list."""
    path = tmp_path / "jobs.csv"
    path.write_text("submit_s,duration_s,count,class\n0,1,1,training\n0,1,1,\n")
    assert "line 3, column class: found nothing, expected one of training, fine-" in message(path)


def test_run_times_hold_for_one_accelerator(tmp_path: Path) -> None:
    """A native file that names two accelerators is refused at the first row that differs."""
    path = tmp_path / "jobs.csv"
    path.write_text("submit_s,duration_s,count,accelerator\n0,1,1,a\n0,1,1,a\n0,1,1,b\n")
    assert "line 4, column accelerator: found 'b', expected a as in the first" in message(path)
    path.write_text("submit_s,duration_s,count,accelerator\n0,1,1,a\n0,1,1,\n")
    assert "line 3, column accelerator: found nothing, expected a as in" in message(path)


def test_a_file_that_fits_no_format_lists_them(tmp_path: Path) -> None:
    """The error shows the header that was found and all formats that are known."""
    path = tmp_path / "jobs.csv"
    path.write_text("when,how_long\n1,2\n")
    text = message(path)
    assert "its first line is 'when, how_long'" in text
    assert ", ".join(FORMATS) in text


@pytest.mark.parametrize("name", FORMATS)
def test_wrong_columns_under_a_named_format(name: str, tmp_path: Path) -> None:
    """Forced into a format it is not, a table is refused with what that format needs."""
    path = tmp_path / "jobs.csv"
    path.write_text("when,how_long\n1,2\n")
    assert {
        "sacct": "is not the header of sacct",
        "swf": "line 1: has 1 fields, the Standard Workload Format has 18",
    }.get(name, "no column ") in message(path, name)


def test_an_unknown_format_lists_the_known(tmp_path: Path) -> None:
    """A format that does not exist is refused with those that do."""
    path = tmp_path / "jobs.csv"
    path.write_text(f"{HEAD}0,1,1\n")
    with pytest.raises(InputError, match=r"unknown trace format 'csv'; known are native, helios"):
        read_trace(path, "csv")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not text in UTF-8"),
        (b"\0\1\2\3", "holds binary data"),
        (b"PK\x03\x04rest", "a zip archive: unpack it first"),
        (b"\xfd7zXZ\0", "an xz file"),
        (f"\ufeff{HEAD}0,1,1\n".encode("utf-16"), "UTF-16 text: save it as UTF-8"),
        (f"{HEAD}0,1,1\n".encode() + b"0,1,\xe9\n", "line 3: is not UTF-8"),
        (gzip.compress(HEAD.encode() * 1000)[:-9], "the compressed file ends too early"),
        (b"PAR1 and no more", "cannot be read as a table: parquet"),
        (b'{\n"submit_s": 1\n}\n', "line 1: is not JSON lines"),
        (b'{"submit_s": 1, "duration_s": 1, "count": 1}\n{"subm\n', "cannot be read as a table"),
        (b'{"submit_s": 1, "duration_s": [2], "count": 1}\n', "column duration_s: holds lists"),
        (b"submit_s,duration_s,count,count\n0,1,1,2\n", "line 1: column count stands twice"),
        (b'submit_s,duration_s,count\n"0,1,1\n', "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_said(content: bytes, expected: str, tmp_path: Path) -> None:
    """Each kind of file that is no trace gets its own words."""
    path = tmp_path / "jobs.csv"
    path.write_bytes(content)
    assert expected in message(path)


def test_an_archive_is_refused(traces: Path) -> None:
    """A tar archive inside gzip is named as such, not parsed."""
    assert "unpack an archive first" in message(
        traces / "pai2020_machines" / "pai_machine_spec.tar.gz"
    )


def test_a_truncated_zstd_file_is_refused(traces: Path, tmp_path: Path) -> None:
    """Half a download is never read as a smaller trace."""
    whole = (traces / "helios_venus_jobs" / "helios_trace.csv.zst").read_bytes()
    path = tmp_path / "half.csv.zst"
    for length in (5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "the compressed file ends too early" in message(path)


def test_places_that_are_no_file(tmp_path: Path) -> None:
    """A directory and a missing file are named with what they are."""
    assert "is a directory" in message(tmp_path)
    assert "no such file or directory" in message(tmp_path / "nothing.csv")


def test_zstd_and_plain_give_the_same(tmp_path: Path) -> None:
    """A zstd file is read like the plain one."""
    table = pl.DataFrame({"submit_s": [0, 5], "duration_s": [1.5, 2], "count": [1, 8]})
    plain, packed = tmp_path / "jobs.csv", tmp_path / "jobs.csv.zst"
    table.write_csv(plain)
    table.write_csv(packed, compression="zstd")
    one, other = read_trace(plain), read_trace(packed)
    assert one.duration_s.tolist() == other.duration_s.tolist() == [1.5, 2]
    assert one.name == other.name == "jobs"
