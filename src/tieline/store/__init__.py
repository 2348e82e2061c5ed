"""Where jobs and the event log are kept: the `Store` port on SQL databases.

`open_store` is all that other layers need. It imports SQLAlchemy, so import this package
where a store is opened, not before.
"""

from typing import Final

from sqlalchemy.exc import DatabaseError

from tieline.control.ports import Store
from tieline.model.errors import InputError, StoreUnavailable
from tieline.store.database import connect
from tieline.store.sql import SqlStore
from tieline.store.upgrade import upgrade

__all__: Final = ["open_store"]


def open_store(url: str) -> Store:
    """Give the store behind a URL, made or brought to the newest schema where needed.

    Parameters
    ----------
    url
        `sqlite:///path/to/file.db` (four slashes for an absolute path), or `sqlite://` for
        one in memory that ends with the store.

    Raises
    ------
    InputError
        The URL is of an unknown form, the file cannot be opened, or what is in it is not
        Tieline's or of a newer Tieline. It is left as it was.
    """
    database = connect(url)
    try:
        upgrade(database)
    except BaseException as error:
        database.close()
        if isinstance(error, (InputError, StoreUnavailable)):
            raise InputError(f"store {url}: {error}") from error.__cause__
        if isinstance(error, DatabaseError):
            raise InputError(f"store {url}: {error.orig}") from error
        raise
    return SqlStore(database)
