"""All that a store holds at one moment, for an audit: it writes nothing and stops nobody."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, func, select
from sqlalchemy.exc import DatabaseError

from tieline.control.audit import KeptJob, Registers
from tieline.control.ports import StoredEvent
from tieline.model.errors import InputError
from tieline.store.address import existing
from tieline.store.records import job_seq, spec_from_json
from tieline.store.rows import RECORD, event, job_record
from tieline.store.schema import DRAINS, EVENTS, JOBS, LEADER, TOKENS
from tieline.store.upgrade import demand_current

#: Lines of the log read at a time.
_LINES: Final = 5000
#: Jobs read at a time, with their lines.
_JOBS: Final = 1000

_LOG: Final = (
    select(EVENTS).where(EVENTS.c.seq > bindparam("after")).order_by(EVENTS.c.seq).limit(_LINES)
)
_SPEC: Final = select(JOBS.c.spec).where(JOBS.c.seq == bindparam("this"))
_SOME_JOBS: Final = select(*RECORD, JOBS.c.cancel_requested).where(
    JOBS.c.seq > bindparam("after"), JOBS.c.seq <= bindparam("to")
)
_THEIR_LINES: Final = (
    select(EVENTS)
    .where(EVENTS.c.job > bindparam("after"), EVENTS.c.job <= bindparam("to"))
    .order_by(EVENTS.c.job, EVENTS.c.seq)
)


class Evidence:
    """One state of the database, read in pages."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lines(self) -> Iterator[StoredEvent]:
        """Give the whole log, in order."""
        after = 0
        while page := self._connection.execute(_LOG, {"after": after}).all():
            yield from map(_line, page)
            after = page[-1].seq

    def jobs(self) -> Iterator[tuple[KeptJob | None, Sequence[StoredEvent]]]:
        """Give each job by number, with its lines of the log; None where only lines are left."""
        ends = (func.max(JOBS.c.seq), func.max(EVENTS.c.job))
        most = max(self._connection.execute(select(end)).scalar() or 0 for end in ends)
        for after in range(0, most, _JOBS):
            span = {"after": after, "to": after + _JOBS}
            rows = self._connection.execute(_SOME_JOBS, span)
            kept = {row.seq: job for row in rows if (job := _kept(row))}
            lines: dict[int, list[StoredEvent]] = {}
            for row in self._connection.execute(_THEIR_LINES, span):
                lines.setdefault(row.job, []).append(_line(row))
            for seq in sorted(kept.keys() | lines.keys()):
                yield kept.get(seq), lines.get(seq, ())

    def size(self, job_id: str) -> int:
        """Give how many accelerators a job asks for; 0 for one that is not there."""
        spec = self._connection.execute(_SPEC, {"this": job_seq(job_id)}).scalar()
        return 0 if spec is None else spec_from_json(spec).count

    def registers(self) -> Registers:
        """Give what the other tables have."""
        epoch = self._connection.execute(select(LEADER.c.epoch)).scalar()
        sites = self._connection.execute(select(DRAINS.c.site)).scalars()
        tokens = self._connection.execute(select(TOKENS.c.id, TOKENS.c.revoked_at))
        return Registers(
            epoch=epoch or 0,
            drained=frozenset(sites),
            tokens={row.id: row.revoked_at is not None for row in tokens},
        )


def _kept(row: Row[*tuple[Any, ...]]) -> KeptJob | None:
    """Give the job in a row; None when somebody has made it unreadable."""
    try:
        record = job_record(row[:-1])
    except (ValueError, KeyError, TypeError):
        return None
    return KeptJob(record, sha256(row.spec.encode()).hexdigest(), row.cancel_requested)


def _line(row: Row[Any]) -> StoredEvent:
    """Give the line in a row; where somebody has made it unreadable, one that no hash fits."""
    with suppress(ValueError):
        line = event(row)
        if isinstance(line.data, dict) and isinstance(line.at, float):
            return line
    return StoredEvent(row.seq, 0.0, "", str(row.event), {"unreadable": str(row.data)}, row.hash)


@contextmanager
def evidence(url: str) -> Iterator[Evidence]:
    """Give all that the store behind a URL holds now; it goes on being used meanwhile.

    Raises
    ------
    InputError
        The URL is of an unknown form, or there is no store of this version behind it.
    StoreUnavailable
        It does not answer.
    """
    with closing(existing(url)) as database, database.reading() as connection:
        try:
            demand_current(connection)
        except InputError as error:
            raise InputError(f"store {database.shown}: {error}") from None
        except DatabaseError as error:
            raise InputError(f"store {database.shown}: {error.orig}") from error
        yield Evidence(connection)
