"""The rows of one file on their way to a `Trace`: leave out, convert, check, finish.

A reader takes a table, counts what it leaves out, turns text into numbers, gives the columns
their Tieline names and calls `finish`. Everything works on whole columns.

    job_id  submit_s  duration_s  count  tenant  class  model  estimate_s  deadline_s
    accelerator  type  label  dataset

Only `submit_s`, `duration_s` and `count` are needed.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tieline.model.errors import InputError
from tieline.model.throughputs import ThroughputTable
from tieline.model.trace import Trace
from tieline.model.workload import WORKLOAD_CLASSES, Workload
from tieline.traces.source import LINE, Source

#: A gang larger than the largest cluster on earth is a mistake, not a job.
MAX_COUNT: Final = 1_000_000
#: A century [s]: longer run times and spans are milliseconds taken for seconds.
MAX_SECONDS: Final = 100 * 365.25 * 86_400
#: The only tenant of a file that names none.
NO_TENANT: Final = "all"
#: Where a file names tenants, the rows that name none.
BLANK_TENANT: Final = "(none)"
#: Types named in a note.
_MOST_TYPES: Final = 4
#: Class of work where the file does not say.
DEFAULT_CLASS: Final = "training"


class Rows:
    """The rows of a table with what was left out of them and what the user must know."""

    def __init__(self, source: Source, frame: pl.DataFrame) -> None:
        """Take a table with the line number of each row in the column `#`."""
        self.source = source
        self.frame = frame
        self.skipped: dict[str, int] = {}
        self.notes: list[str] = []

    def require(self, *columns: str) -> None:
        """Refuse the file unless it has all these columns."""
        missing = [name for name in columns if name not in self.frame.columns]
        if missing:
            found = [name for name in self.frame.columns if name != LINE]
            raise InputError(
                f"{self.source.path}: no column {', '.join(missing)}; needed are"
                f" {', '.join(columns)}, found are {', '.join(found) or 'none'}"
            )

    def has(self, column: str) -> bool:
        """Tell whether the table has a column."""
        return column in self.frame.columns

    def skip(self, where: pl.Expr, reason: str) -> None:
        """Leave out the rows where the condition holds and count them under the reason."""
        kept = self.frame.filter(~where.fill_null(value=False))
        left_out = self.frame.height - kept.height
        if left_out:
            self.skipped[reason] = self.skipped.get(reason, 0) + left_out
        self.frame = kept

    def count(self, where: pl.Expr) -> int:
        """Count the rows where the condition holds."""
        return int(self.frame.select(where.fill_null(value=False).sum()).item())

    def note(self, number: int, text: str) -> None:
        """Tell the user something about that many jobs; say nothing when there are none."""
        if number:
            self.notes.append(f"{number:,} {'job' if number == 1 else 'jobs'}: {text}")

    def numbers(
        self,
        *columns: str,
        minimum: float | None = None,
        maximum: float | None = None,
        whole: bool = False,
        optional: bool = False,
    ) -> None:
        """Turn columns into numbers.

        Parameters
        ----------
        columns
            Text or numbers. Blank, `nan` and `inf` count as missing.
        minimum, maximum
            Smallest and largest value allowed, if any.
        whole
            Refuse fractions.
        optional
            Allow missing values and leave them null.

        Raises
        ------
        InputError
            For the first row that breaks a rule, with its line, its column and its value.
        """
        for name in columns:
            before = self.frame[name]
            if before.dtype.is_nested():
                raise InputError(f"{self.source.path}, column {name}: holds lists, not numbers")
            text = before.cast(pl.String).str.strip_chars()
            value = (text if before.dtype == pl.String else before).cast(pl.Float64, strict=False)
            value = value.set(~value.is_finite().fill_null(value=True), None)
            blank = before.is_null() | text.str.to_lowercase().is_in(["", "nan"])
            wrong = value.is_null() & ~blank if optional else value.is_null()
            self.refuse(name, wrong, before, "a whole number" if whole else "a number")
            if whole:
                self.refuse(name, value != value.round(), before, "a whole number")
            if minimum is not None:
                self.refuse(name, value < minimum, before, f"at least {minimum:g}")
            if maximum is not None:
                self.refuse(name, value > maximum, before, f"at most {maximum:,.0f}")
            self.frame = self.frame.with_columns(value.alias(name))

    def moments(self, *columns: str, form: str, shown: str, optional: bool = False) -> None:
        """Turn columns of dates without time zone into seconds since 1970.

        Parameters
        ----------
        columns
            Text such as `2017-10-09 07:01:55`; whole seconds since 1970 are taken as they are.
        form, shown
            The format for `strptime`, and the same in words for the error.
        optional
            Allow null (a blank is wrong) and leave it null.
        """
        for name in columns:
            before = self.frame[name].cast(pl.String).str.strip_chars()
            date = before.str.to_datetime(form, strict=False, time_unit="us")
            seconds = date.dt.epoch("us") / 1e6
            raw = before.set(~before.str.contains(r"^\d{9,11}$").fill_null(value=False), None)
            seconds = seconds.fill_null(raw.cast(pl.Float64))
            wrong = seconds.is_null() & before.is_not_null() if optional else seconds.is_null()
            self.refuse(name, wrong, before, f"a time as {shown} or seconds since 1970")
            self.frame = self.frame.with_columns(seconds.alias(name))

    def refuse(self, column: str, wrong: pl.Series, found: pl.Series, expected: str) -> None:
        """Raise for the first row that is wrong, with its place, what is there, what may be."""
        first = wrong.fill_null(value=False).arg_true()
        if len(first):
            row = first[0]
            value = found[row]
            shown = "nothing" if value is None or value == "" else repr(value)
            raise InputError(
                f"{self.source.path}, {self.source.row_word} {self.frame[LINE][row]},"
                f" column {column}: found {shown}, expected {expected}"
            )

    def label(self, *columns: str) -> None:
        """Add `label`: equal for jobs that agree in these columns, null where the first is blank.

        Columns that the table does not have are passed over.
        """
        text = [pl.col(name).cast(pl.String).fill_null("") for name in columns if self.has(name)]
        if text:
            joined = pl.when(text[0] != "").then(pl.concat_str(text, separator="\0"))
            self.frame = self.frame.with_columns(joined.alias("label"))

    def finish(
        self,
        *,
        default_class: str | None = None,
        throughputs: ThroughputTable | None = None,
    ) -> Trace:
        """Check the columns with Tieline names, sort by submission and give the trace.

        Parameters
        ----------
        default_class
            Class of work where the table has no column `class`; None means `training` with
            a note that this is assumed.
        throughputs
            Measured speeds that belong to the jobs.

        Returns
        -------
        Trace
            Ties in submission keep the order of the file. Tenants, workloads and types are
            numbered in alphabetical order.
        """
        self._check()
        if not self.has("class"):
            if default_class is None:
                self.notes.append(
                    "The file does not say what the jobs compute; all are taken as training."
                )
            kind = pl.lit(default_class or DEFAULT_CLASS)
            self.frame = self.frame.with_columns(kind.alias("class"))
        frame = self.frame.sort("submit_s", maintain_order=True)
        tenants, tenant = _codes(_tenants(frame))
        workloads, workload = _workloads(frame["class"], _names(frame, "model"))
        accelerator = self._accelerator()
        types, job_type = _codes(_names(frame, "type"))
        datasets, dataset = _codes(_names(frame, "dataset"))
        if types and accelerator is None:
            shown = ", ".join(types[:_MOST_TYPES]) + (", ..." if len(types) > _MOST_TYPES else "")
            self.notes.append(
                f"Accelerators are in the file's words ({shown}); the option accelerator says"
                " which of the catalogue the run times hold for."
            )
        ids = frame["job_id"].cast(pl.String).fill_null("") if self.has("job_id") else ()
        estimates = None
        if self.has("estimate_s"):
            estimates = frame["estimate_s"].fill_null(np.nan).to_numpy().copy()
        submit_s, deadlines = frame["submit_s"].to_numpy(), None
        if self.has("deadline_s") and frame["deadline_s"].null_count() < frame.height:
            deadlines = frame["deadline_s"].fill_null(np.inf).to_numpy() - submit_s[0]
        return Trace(
            name=self.source.name,
            submit_s=submit_s - submit_s[0],
            duration_s=frame["duration_s"].to_numpy().copy(),
            count=frame["count"].cast(pl.Int32).to_numpy().copy(),
            tenant=tenant,
            workload=workload,
            tenants=tenants,
            workloads=workloads,
            job_ids=tuple(ids),
            accelerator=accelerator,
            types=types,
            job_type=job_type if types else None,
            estimate_s=estimates,
            deadline_s=deadlines,
            label=_labels(_names(frame, "label")),
            datasets=datasets,
            dataset=dataset if datasets else None,
            throughputs=throughputs,
            skipped=dict(self.skipped),
            notes=tuple(self.notes),
        )

    def _check(self) -> None:
        """Hold the columns that every trace has to the limits that every job keeps."""
        if self.frame.is_empty():
            why = "; ".join(f"{text}: {number:,}" for text, number in self.skipped.items())
            raise InputError(f"{self.source.path}: no job is left ({why or 'there are no rows'})")
        self.numbers("submit_s")
        self.numbers("duration_s", minimum=0, maximum=MAX_SECONDS)
        self.numbers("count", minimum=1, maximum=MAX_COUNT, whole=True)
        if self.has("estimate_s"):
            self.numbers("estimate_s", minimum=0, optional=True)
        if self.has("deadline_s"):
            self.numbers("deadline_s", optional=True)
        submit = self.frame["submit_s"]
        late = submit - submit.min() > MAX_SECONDS
        self.refuse("submit_s", late, submit, "seconds within 100 years of the first job")
        if self.has("class"):
            kind = self.frame["class"].cast(pl.String)
            unknown = ~kind.fill_null("").is_in(list(WORKLOAD_CLASSES))
            self.refuse("class", unknown, kind, f"one of {', '.join(WORKLOAD_CLASSES)}")

    def _accelerator(self) -> str | None:
        """Give the one catalogue id that all rows name, if any."""
        names = _names(self.frame, "accelerator")
        first: str | None = names[0]
        other = names.ne_missing(pl.Series([first], dtype=pl.String))
        self.refuse(
            "accelerator",
            other,
            names,
            f"{first or 'nothing'} as in the first row: the run times of one trace hold for one"
            " accelerator (names of other types go into the column type)",
        )
        return first


def _names(frame: pl.DataFrame, column: str) -> pl.Series:
    """Give a column of names, null where blank or where there is no such column."""
    if column not in frame.columns:
        return pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    names = frame[column].cast(pl.String)
    return names.set(names == "", None)


def _tenants(frame: pl.DataFrame) -> pl.Series:
    names = _names(frame, "tenant")
    return names.fill_null(NO_TENANT if names.null_count() == len(names) else BLANK_TENANT)


def _codes(names: pl.Series) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Give names in alphabetical order and the place of each row in them, -1 for null."""
    unique = names.drop_nulls().unique().sort()
    codes = names.cast(pl.Enum(unique)).to_physical().cast(pl.Int32).fill_null(-1)
    return tuple(unique), codes.to_numpy().copy()


def _labels(names: pl.Series) -> NDArray[np.int32] | None:
    """Give numbers for names in order of appearance, -1 for null; None where all are null."""
    if names.null_count() == len(names):
        return None
    first = names.drop_nulls().unique(maintain_order=True)
    codes = names.cast(pl.Enum(first)).to_physical().cast(pl.Int32).fill_null(-1)
    return codes.to_numpy().copy()


def _workloads(
    kinds: pl.Series, models: pl.Series
) -> tuple[tuple[Workload, ...], NDArray[np.int32]]:
    """Give the pairs of class and model in order and the place of each row in them."""
    pairs = pl.DataFrame({"class": kinds.cast(pl.String), "model": models})
    unique = pairs.unique().sort("class", "model", nulls_last=False).with_row_index("code")
    codes = pairs.join(
        unique, on=["class", "model"], how="left", nulls_equal=True, maintain_order="left"
    )["code"].cast(pl.Int32)
    workloads = tuple(Workload(kind, model) for _, kind, model in unique.iter_rows())
    return workloads, codes.to_numpy().copy()
