"""Where jobs and the event log are kept: the `Store` port on SQL databases.

`open_store` is all that most other layers need. It imports SQLAlchemy, so import this package
where a store is opened, not before.
"""

from typing import Final

from sqlalchemy.exc import DatabaseError

from tieline.control.ports import Store
from tieline.model.errors import InputError, StoreUnavailable
from tieline.store.address import connect, without_secret
from tieline.store.evidence import Evidence, evidence
from tieline.store.sql import SqlStore
from tieline.store.upgrade import upgrade

__all__: Final = ["Evidence", "evidence", "open_store", "without_secret"]


def open_store(url: str) -> Store:
    """Give the store behind a URL, made or brought to the newest schema where needed.

    Parameters
    ----------
    url
        `sqlite:///path/to/file.db` (four slashes for an absolute path), or `sqlite://` for
        one in memory that ends with the store; `postgresql://user@host:port/database` for an
        existing database of PostgreSQL.

    Raises
    ------
    InputError
        The URL is of an unknown form, the file cannot be opened, or what is in it is not
        Tieline's or of a newer Tieline. It is left as it was.
    StoreUnavailable
        The server does not answer or does not let us in; try again later.
    """
    database = connect(url)
    try:
        upgrade(database)
    except BaseException as error:
        database.close()
        if isinstance(error, StoreUnavailable) and database.shared:
            raise StoreUnavailable(f"store {database.shown}: {error}") from error.__cause__
        if isinstance(error, (InputError, StoreUnavailable)):
            raise InputError(f"store {database.shown}: {error}") from error.__cause__
        if isinstance(error, DatabaseError):
            raise InputError(f"store {database.shown}: {error.orig}") from error
        raise
    return SqlStore(database)
