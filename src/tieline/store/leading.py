"""Who leads: one row with the epoch, and a sign of life that ends with the leader's process.

The epoch is checked in the transaction of each write of the leader, under the writers' lock: one
that slept while another took over finds that out before it has written anything, whatever its
clock says. The lease only decides when a leader that is there but silent may be overtaken.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from tieline.control.governance import Leader
from tieline.model.errors import NotLeader
from tieline.store.database import Database
from tieline.store.ledger import Ledger
from tieline.store.schema import LEADER

BEGAN: Final = "leader-began"

_ROW: Final = select(LEADER)


def leader(connection: Connection, database: Database) -> Leader | None:
    """Give the present leader, however silent; None when nobody leads."""
    row = _row(connection)
    if row is None or row.presence is None:
        return None
    silent_s = max(0.0, database.now(connection) - row.renewed_at)
    return Leader(row.epoch, row.name, row.url, silent_s)


def is_led(connection: Connection, database: Database, lease_s: float) -> bool:
    """Tell whether there is a leader that must not be overtaken.

    Where the clock was set back it cannot be told; `begin` sees to that.
    """
    row = _row(connection)
    if row is None or row.presence is None:
        return False
    if not database.is_there(connection, row.presence):
        return False
    silent_s = database.now(connection) - row.renewed_at
    return bool(0 <= silent_s < lease_s)


def begin(ledger: Ledger, name: str, url: str, lease_s: float, presence: int) -> int | None:
    """Begin a new epoch and give it; None while there is a leader."""
    now = ledger.database.now(ledger.connection())
    row = _row(ledger.connection())
    if row is not None and row.renewed_at > now:
        # The clock was set back. From now on it tells again how long the leader is silent.
        _put(ledger, row, {"renewed_at": now})
    if is_led(ledger.connection(), ledger.database, lease_s):
        return None
    epoch = 1 if row is None else row.epoch + 1
    values = {"epoch": epoch, "name": name, "url": url, "renewed_at": now, "presence": presence}
    _put(ledger, row, values)
    ledger.log(now, None, BEGAN, {"epoch": epoch, "name": name})
    return int(epoch)


def renew(ledger: Ledger, epoch: int) -> None:
    """Note that the leader of this epoch is awake, and have its sign of life shown.

    Raises
    ------
    NotLeader
        There is a later epoch, or this one has resigned.
    """
    row = demand(ledger, epoch)
    if row is None:
        raise NotLeader("nobody has ever led this store")
    ledger.database.appear(row.presence)
    _put(ledger, row, {"renewed_at": ledger.database.now(ledger.connection())})


def resign(ledger: Ledger, epoch: int) -> None:
    """End the epoch, if it is the present one."""
    row = _row(ledger.connection())
    if row is not None and row.epoch == epoch:
        _put(ledger, row, {"presence": None})


def demand(ledger: Ledger, epoch: int) -> Row[Any] | None:
    """Refuse whoever does not lead; 0 is right where nobody has ever led.

    Raises
    ------
    NotLeader
        Another epoch is the present one, or this one has resigned.
    """
    row = _row(ledger.connection())
    if row is None and epoch == 0:
        return None
    if row is None or row.epoch != epoch:
        found = "nobody has ever led" if row is None else f"{row.name} began epoch {row.epoch}"
        raise NotLeader(f"epoch {epoch} is not the present one: {found}")
    if row.presence is None:
        raise NotLeader(f"epoch {epoch} is over: {row.name} has resigned")
    return row


def _row(connection: Connection) -> Row[Any] | None:
    return connection.execute(_ROW).first()


def _put(ledger: Ledger, row: Row[Any] | None, values: Mapping[str, object]) -> None:
    if row is None:
        ledger.connection().execute(LEADER.insert(), {"one": 1, **values})
    else:
        ledger.connection().execute(LEADER.update(), dict(values))
