"""One writing transaction: the next numbers of jobs and events, and the lines of the log.

There is one writer at a time, so the next number is the largest plus one: numbers have no gaps
and appear in order. They are read once in a transaction. New jobs and lines are written together
and as late as possible, because a transaction may be that of many calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select

from tieline.control.chain import Head, line_hash
from tieline.control.ports import StoredEvent
from tieline.store.database import Database
from tieline.store.records import job_id, to_json
from tieline.store.schema import EVENTS, JOBS, SUBMISSIONS

_NEW_JOBS: Final = JOBS.insert()
_NEW_LINES: Final = EVENTS.insert()
_NEW_SUBMISSIONS: Final = SUBMISSIONS.insert()
_LAST_LINE: Final = EVENTS.c.seq == select(func.max(EVENTS.c.seq)).scalar_subquery()
_LAST: Final = select(
    select(func.max(JOBS.c.seq)).scalar_subquery().label("job"),
    select(EVENTS.c.seq).where(_LAST_LINE).scalar_subquery().label("line"),
    select(EVENTS.c.hash).where(_LAST_LINE).scalar_subquery().label("hash"),
)

Fields = Mapping[str, object]


class _Ends(NamedTuple):
    """Where jobs and log end."""

    job: int
    head: Head


@dataclass(slots=True)
class _Rows:
    """Rows that are not in the database yet."""

    jobs: list[Fields] = field(default_factory=list)
    submissions: dict[str, Fields] = field(default_factory=dict)
    lines: list[Fields] = field(default_factory=list)

    def settle(self, connection: Connection) -> None:
        """Write what others may look for; the log can wait."""
        if self.jobs:
            connection.execute(_NEW_JOBS, self.jobs)
            self.jobs = []
        if self.submissions:
            connection.execute(_NEW_SUBMISSIONS, list(self.submissions.values()))
            self.submissions = {}

    def take(self, later: "_Rows") -> None:
        """Put the rows of a later call behind these."""
        self.jobs += later.jobs
        self.submissions |= later.submissions
        self.lines += later.lines


class Ledger:
    """What writes work with, one after another; it ends with the transaction."""

    def __init__(self, connection: Connection, database: Database, *, shared: bool) -> None:
        """Begin with what the database has.

        Parameters
        ----------
        shared
            Whether several calls write, each of which may fail alone.
        """
        self.database: Final = database
        self._connection = connection
        self._shared = shared
        self._known: _Ends | None = None
        self._before: _Ends | None = None
        self._earlier = _Rows()
        self._own = _Rows()
        self._apart = False

    # ---------------------------------------------------------------------- one call

    def connection(self) -> Connection:
        """Give the connection to a call that reads or changes rows itself.

        From here on the call can be undone without the calls before it.
        """
        if self._shared and not self._apart:
            self._earlier.settle(self._connection)
            self._connection.exec_driver_sql("SAVEPOINT apart")
            self._apart = True
        self._own.settle(self._connection)
        return self._connection

    def under_key(self, query: Select[Any], key: str) -> Sequence[Row[Any]]:
        """Give the rows of a query for the submission of a key."""
        if key in self._earlier.submissions:
            self._earlier.settle(self._connection)
        return self._connection.execute(query, {"key": key}).all()

    def add_jobs(self, rows: Sequence[Fields]) -> None:
        """Add jobs with the numbers that `next_job` leads to."""
        job, head = self._ends()
        self._known = _Ends(job + len(rows), head)
        self._own.jobs += rows

    def add_submission(self, key: str, row: Fields) -> None:
        """Add what a key gave."""
        self._own.submissions[key] = row

    def next_job(self) -> int:
        """Give the number of the next job."""
        return self._ends().job + 1

    def log(self, at: float, job: int | None, event: str, data: Fields) -> int:
        """Append a line to the event log and give its number.

        Parameters
        ----------
        job
            Number of the job it is about, if any.
        """
        last, head = self._ends()
        about = "" if job is None else job_id(job)
        line = StoredEvent(head.seq + 1, at, about, event, data)
        head = Head(line.seq, line_hash(head.hash, line))
        row = {"seq": line.seq, "at": at, "job": job, "event": event, "data": to_json(data)}
        self._own.lines.append({**row, "hash": head.hash})
        self._known = _Ends(last, head)
        return line.seq

    def _ends(self) -> _Ends:
        if self._known is None:
            row = self._connection.execute(_LAST).one()
            head = Head() if row.line is None else Head(row.line, row.hash)
            self._known = _Ends(row.job or 0, head)
        return self._known

    # -------------------------------------------------------------------- all of them

    def keep(self) -> None:
        """Keep what the present call wrote, and let the next one begin."""
        if self._apart:
            self._connection.exec_driver_sql("RELEASE SAVEPOINT apart")
        self._earlier.take(self._own)
        self._next_call()

    def undo(self) -> None:
        """Undo what the present call wrote, and let the next one begin."""
        if self._apart:
            self._connection.exec_driver_sql("ROLLBACK TO SAVEPOINT apart")
            self._connection.exec_driver_sql("RELEASE SAVEPOINT apart")
        self._known = self._before
        self._next_call()

    def _next_call(self) -> None:
        self._own, self._apart, self._before = _Rows(), False, self._known

    def flush(self) -> None:
        """Write all that is not written yet, as the last thing before the commit."""
        self._earlier.settle(self._connection)
        if self._earlier.lines:
            self._connection.execute(_NEW_LINES, self._earlier.lines)
