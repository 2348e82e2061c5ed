"""A directory of results that is there whole or not at all."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tieline.model.errors import InputError

#: What a report is made of; a directory with anything else in it is never replaced.
_OURS: Final = re.compile(r"report\.html|summary\.json|(jobs|prices)_[\w.-]+\.parquet")
_MARK: Final = "summary.json"


@contextmanager
def fresh_folder(wanted: Path) -> Iterator[Path]:
    """Give an empty directory that takes the name `wanted` once the block has ended well.

    When the block fails or is interrupted nothing is left of it, and what was at `wanted`
    stays as it was. An earlier report is replaced.

    Raises
    ------
    InputError
        `wanted` is a file, holds something other than a report, or cannot be written.
    """
    wanted = wanted.resolve()
    _refuse_foreign(wanted)
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{wanted.name}-", dir=wanted.parent))
    except OSError as error:
        raise InputError(f"--out {wanted}: {(error.strerror or str(error)).lower()}") from error
    try:
        made = scratch / "made"
        made.mkdir()
        yield made
        _refuse_foreign(wanted)
        _replace(wanted, made, scratch / "earlier")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _refuse_foreign(wanted: Path) -> None:
    if not wanted.exists():
        return
    if not wanted.is_dir():
        raise InputError(f"--out {wanted}: is a file; name a directory")
    try:
        held = sorted(entry.name for entry in wanted.iterdir())
    except OSError as error:
        raise InputError(f"--out {wanted}: {(error.strerror or str(error)).lower()}") from error
    foreign = [name for name in held if not _OURS.fullmatch(name)]
    if foreign or (held and _MARK not in held):
        other = foreign[0] if foreign else held[0]
        raise InputError(
            f"--out {wanted}: holds {other}, which is no part of an earlier report; name an empty"
            " or a new directory"
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
