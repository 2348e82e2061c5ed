"""From the URL of a store to its database."""

import re
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from tieline.model.errors import InputError
from tieline.store.database import Database
from tieline.store.sqlite import SqliteDatabase

_FORMS: Final = (
    "`sqlite:///path/to/file.db`, `sqlite://` for one in memory, or "
    "`postgresql://user@host:port/database`"
)
_POSTGRES: Final = ("postgresql", "postgresql+psycopg")
#: What the URL of a PostgreSQL database may say after `?`, in the words of libpq.
_OPTIONS: Final = frozenset(
    ("host", "passfile", "sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs")
)
#: The part of a URL, well-formed or not, in which a password may stand.
_SECRET: Final = re.compile(r"(://[^/?#@:]*):.*@")


def connect(url: str) -> Database:
    """Give the database behind a URL; a file is made when it is absent.

    Raises
    ------
    InputError
        The URL is of an unknown form, or its folder does not exist.
    """
    parsed = _parsed(url)
    if parsed.drivername in _POSTGRES:
        _check_postgres(parsed)
        # Imported here because whoever keeps jobs in a file does without it.
        from tieline.store.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(parsed)
    shown = parsed.render_as_string()
    if parsed.drivername != "sqlite":
        raise InputError(f"store {shown}: unknown kind `{parsed.drivername}`; write {_FORMS}")
    if parsed.host or parsed.query or parsed.database == "":
        raise InputError(f"store {shown}: no path to a file in it; write {_FORMS}")
    return SqliteDatabase(parsed)


def existing(url: str) -> Database:
    """Give the database behind a URL, which must be there.

    Raises
    ------
    InputError
        The URL is of an unknown form, or there is no such file.
    """
    parsed = _parsed(url)
    if parsed.drivername == "sqlite" and not Path(parsed.database or "").is_file():
        raise InputError(
            f"store {parsed.render_as_string()}: there is no such file; check the path"
        )
    return connect(url)


def without_secret(url: str) -> str:
    """Give the URL as it may be shown and noted: a password in it is replaced by `***`."""
    try:
        return make_url(url).render_as_string()
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        return _SECRET.sub(r"\1:***@", url)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(f"store {without_secret(url)}: not a URL; write {_FORMS}") from None


def _check_postgres(url: URL) -> None:
    shown = url.set(query={}).render_as_string()
    if not url.database:
        raise InputError(f"store {shown}: no database in it; write {_FORMS}")
    unknown = sorted(url.query.keys() - _OPTIONS)
    if unknown:
        mend = "put it in PGPASSWORD or a pgpass file" if "password" in unknown else "leave it out"
        allowed = ", ".join(sorted(_OPTIONS))
        raise InputError(f"store {shown}: no place for `{unknown[0]}`: {mend}; allowed: {allowed}")
