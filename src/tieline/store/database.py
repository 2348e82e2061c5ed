"""What the store asks of a database: transactions, a clock, and signs of life.

Writers are one at a time, so rows become visible in the order of their numbers: whoever
reads the log up to position n has seen everything up to n. Only `sqlite` and `postgres` know
which database it is.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Connection, Row, Select


class Database(Protocol):
    """Connections to one database, safe to use from several threads.

    Its methods raise `StoreUnavailable` for whatever the database cannot do now.
    """

    @property
    def shown(self) -> str:
        """Give the URL without secrets."""

    @property
    def shared(self) -> bool:
        """Whether processes on other machines may use it, and it may be away."""

    def ask(
        self, query: Select[Any], parameters: Mapping[str, object] | None = None
    ) -> Sequence[Row[Any]]:
        """Give the rows of one query, which is quicker than a transaction for it."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection that sees one state of the database, not blocked by writers."""

    def writing(self) -> AbstractContextManager[Connection]:
        """Give the only writer's connection; all is durable after the block, or nothing is."""

    def prepare(self) -> None:
        """Set up the database, once it is known to be ours.

        Raises
        ------
        InputError
            It is not fit for a store.
        """

    def now(self, connection: Connection) -> float:
        """Give the UTC epoch by the clock of the database [s]."""

    def appear(self, presence: int) -> None:
        """Show under a number that this process is there, until `vanish` or its end. Idempotent.

        A sign that was lost, with its connection, is given again.
        """

    def vanish(self, presence: int) -> None:
        """Take the sign back. Idempotent."""

    def is_there(self, connection: Connection, presence: int) -> bool:
        """Tell, while writing, whether anybody shows that number."""

    def close(self) -> None:
        """Close every connection and take all signs back. Idempotent."""
