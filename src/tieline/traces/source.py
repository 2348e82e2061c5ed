"""One trace file on disk: its bytes, its lines, its table; every fault is one clear line.

Plain, gzip and zstd files look the same from here. Nothing in this module knows a format.
"""

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import polars as pl

from tieline.model.errors import InputError

#: Column that carries the line number of a row (the row number in Parquet and JSON lines).
LINE: Final = "#"
#: Larger files are refused before they fill the memory [bytes].
MAX_BYTES: Final = 4 * 2**30
#: Lines looked at to tell one format from another.
HEAD_LINES: Final = 200

_SUFFIXES: Final = (".zst", ".gz", ".csv", ".parquet", ".jsonl", ".ndjson", ".txt", ".swf")
_FOREIGN: Final = {
    b"PK\x03\x04": "a zip archive: unpack it first",
    b"\xfd7zXZ": "an xz file: unpack it first, or compress it with zstd or gzip",
    b"BZh": "a bzip2 file: unpack it first, or compress it with zstd or gzip",
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
}


@dataclass(frozen=True)
class Source:
    """A file that has been read, before anyone knows what is in it."""

    path: Path
    data: bytes

    @classmethod
    def open(cls, path: str | Path) -> "Source":
        """Read a file whole.

        Raises
        ------
        InputError
            The file is missing, a directory, empty, too large, or of a kind that is never
            a trace.
        """
        path = Path(path)
        try:
            size = path.stat().st_size
            if path.is_dir():
                raise InputError(f"{path}: is a directory; name one trace file in it")
            if size > MAX_BYTES:
                raise InputError(
                    f"{path}: has {size / 2**30:.1f} GiB, at most {MAX_BYTES / 2**30:.0f} GiB"
                    " are read; cut it into parts"
                )
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        if not data.strip():
            raise InputError(f"{path}: is empty; a trace has a header line and at least one job")
        for magic, found in _FOREIGN.items():
            if data.startswith(magic):
                raise InputError(f"{path}: is {found}")
        return cls(path, data)

    @property
    def name(self) -> str:
        """Give the file's name without the endings of format and compression."""
        name = self.path.name
        while name.lower().endswith(_SUFFIXES):
            name = name[: name.rindex(".")]
        return name or self.path.name

    @property
    def is_parquet(self) -> bool:
        """Tell whether the file is Parquet."""
        return self.data.startswith(b"PAR1")

    @property
    def is_json_lines(self) -> bool:
        """Tell whether the first line holds a JSON object."""
        return bool(self.head) and self.head[0].startswith("{")

    @property
    def row_word(self) -> str:
        """Give the word for what `#` counts."""
        return "row" if self.is_parquet or self.is_json_lines else "line"

    @cached_property
    def head(self) -> tuple[str, ...]:
        """The first lines that are not blank, stripped; none for Parquet."""
        if self.is_parquet:
            return ()
        lines = self._lines(HEAD_LINES)["text"]
        if lines.str.contains("\0", literal=True).any():
            raise InputError(f"{self.path}: holds binary data; unpack an archive first")
        return tuple(text for text in lines.str.strip_chars() if text)

    def columns(self, separator: str = ",") -> tuple[str, ...]:
        """Give the names in the header, or nothing when there is no header of that kind."""
        try:
            if self.is_parquet:
                return tuple(pl.read_parquet_schema(self.data))
            if self.is_json_lines:
                return tuple(json.loads(self.head[0]))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._explained(error, separator) from error
        except ValueError as error:
            raise InputError(
                f"{self.path}, line 1: is not JSON lines (one whole object on each line)"
            ) from error
        header = next(csv.reader(self.head[:1], delimiter=separator), [])
        return tuple(name.strip() for name in header)

    def lines(self) -> pl.DataFrame:
        """Give every line as `#` (its number) and `text`."""
        return self._lines(None)

    def table(self, separator: str = ",", *, names: tuple[str, ...] | None = None) -> pl.DataFrame:
        """Give the file as a table of text (typed for Parquet and JSON lines) with `#`.

        Parameters
        ----------
        separator
            Between the fields of a text file. A `|` table has no quotes, others may.
        names
            Names of the columns of a file without a header line.
        """
        try:
            if self.is_parquet:
                return pl.read_parquet(self.data).with_row_index(LINE, offset=1)
            if self.is_json_lines:
                frame = pl.read_ndjson(self.data, infer_schema_length=None)
                return frame.with_row_index(LINE, offset=1)
            frame = pl.read_csv(
                self.data,
                separator=separator,
                quote_char=None if separator == "|" else '"',
                has_header=names is None,
                new_columns=names,
                infer_schema=False,
                row_index_name=LINE,
                row_index_offset=2 if names is None else 1,
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._explained(error, separator) from error
        frame = frame.rename({name: name.strip() for name in frame.columns})
        twice = [name for name in frame.columns if "_duplicated_" in name]
        if twice:
            name = twice[0].rsplit("_duplicated_", 1)[0]
            raise InputError(f"{self.path}, line 1: column {name or '(no name)'} stands twice")
        fields = [name for name in frame.columns if name != LINE]
        return frame.filter(~pl.all_horizontal(pl.col(fields).fill_null("") == ""))

    def _lines(self, limit: int | None) -> pl.DataFrame:
        try:
            lines = pl.read_lines(
                self.data,
                name="text",
                n_rows=limit,
                row_index_name=LINE,
                row_index_offset=1,
            )
            return lines.with_columns(pl.col("text").str.strip_prefix("\ufeff"))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise self._explained(error, ",") from error

    def _explained(self, error: Exception, separator: str) -> InputError:
        """Turn a fault of the table reader into one line that names the place."""
        text = str(error).split("\n", 1)[0]
        if "incomplete frame" in text or "unexpected end of file" in text:
            return InputError(
                f"{self.path}: the compressed file ends too early; copy or download it again"
            )
        if "utf8" in text or "utf-8" in text:
            return self._not_utf8()
        if "more fields" in text:
            return self._ragged(separator)
        return InputError(f"{self.path}: cannot be read as a table: {text}")

    def _not_utf8(self) -> InputError:
        lossy = pl.read_csv(
            self.data,
            separator="\x1f",
            quote_char=None,
            has_header=False,
            new_columns=["text"],
            infer_schema=False,
            encoding="utf8-lossy",
            row_index_name=LINE,
            row_index_offset=1,
            truncate_ragged_lines=True,
        )
        bad = lossy.filter(pl.col("text").str.contains("\ufffd", literal=True))
        if bad.is_empty() or lossy["text"].str.contains("\0", literal=True).any():
            return InputError(f"{self.path}: is not text in UTF-8, Parquet, zstd or gzip")
        return InputError(
            f"{self.path}, line {bad[LINE][0]}: is not UTF-8; convert the file, for example"
            " with `iconv -f LATIN1 -t UTF-8`"
        )

    def _ragged(self, separator: str) -> InputError:
        """Name the first line with more fields than the header; only on the way out."""
        quoted = separator != "|"
        reader = csv.reader(
            self._lines(None)["text"],
            delimiter=separator,
            quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        )
        expected = len(next(reader, []))
        for fields in reader:
            if len(fields) > expected:
                return InputError(
                    f"{self.path}, line {reader.line_num}: has {len(fields)} fields, the header"
                    f" has {expected}; a `{separator}` inside a field breaks the row (leave the"
                    " column with free text out)"
                )
        return InputError(f"{self.path}: rows have more fields than the header")
