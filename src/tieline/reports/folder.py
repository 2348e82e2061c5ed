"""A directory of results that is there whole or not at all."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tieline.model.errors import InputError


class Kind(NamedTuple):
    """What a directory is made of; one with anything else in it is never replaced."""

    what: str
    files: re.Pattern[str]
    """The names of its files."""
    mark: str
    """The file that it always has."""


REPORT: Final = Kind(
    "report",
    re.compile(r"report\.html|summary\.json|(jobs|prices)_[\w.-]+\.parquet"),
    "summary.json",
)
MEMO: Final = Kind("memo", re.compile(r"memo\.html|memo\.md|plan\.json"), "plan.json")


@contextmanager
def fresh_folder(wanted: Path, kind: Kind = REPORT) -> Iterator[Path]:
    """Give an empty directory that takes the name `wanted` once the block has ended well.

    When the block fails or is interrupted nothing is left of it, and what was at `wanted`
    stays as it was. An earlier one of the same kind is replaced.

    Raises
    ------
    InputError
        `wanted` is a file, holds something other than that kind, or cannot be written.
    """
    wanted = wanted.resolve()
    _refuse_foreign(wanted, kind)
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{wanted.name}-", dir=wanted.parent))
    except OSError as error:
        raise InputError(f"--out {wanted}: {(error.strerror or str(error)).lower()}") from error
    try:
        made = scratch / "made"
        made.mkdir()
        yield made
        _refuse_foreign(wanted, kind)
        _replace(wanted, made, scratch / "earlier")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_foreign(wanted: Path, kind: Kind) -> None:
    if not wanted.exists():
        return
    if not wanted.is_dir():
        raise InputError(f"--out {wanted}: is a file; name a directory")
    try:
        held = sorted(entry.name for entry in wanted.iterdir())
    except OSError as error:
        raise InputError(f"--out {wanted}: {(error.strerror or str(error)).lower()}") from error
    foreign = [name for name in held if not kind.files.fullmatch(name)]
    if foreign or (held and kind.mark not in held):
        other = foreign[0] if foreign else held[0]
        raise InputError(
            f"--out {wanted}: holds {other}, which is no part of an earlier {kind.what}; name an"
            " empty or a new directory"
        )


def _replace(wanted: Path, made: Path, earlier: Path) -> None:
    """Put `made` in the place of `wanted`, which is absent or moves to `earlier`."""
    if not wanted.exists():
        made.rename(wanted)
        return
    wanted.rename(earlier)
    try:
        made.rename(wanted)
    except BaseException:
        earlier.rename(wanted)
        raise
