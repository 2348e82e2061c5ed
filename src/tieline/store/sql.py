"""The store on SQL: each method is one transaction, each write one that others may share.

What a call promises stands at the `Store` port in `control/ports.py`.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import bindparam, select

from tieline.control.governance import Drain, Leader, Token
from tieline.control.lifecycle import Status
from tieline.control.ports import Change, JobRecord, News, StoredEvent
from tieline.model.errors import NotFoundError, NotLeader
from tieline.model.job import JobSpec
from tieline.store import leading, registers, rows, submissions
from tieline.store.database import Database
from tieline.store.group import GroupCommit
from tieline.store.ledger import Ledger
from tieline.store.records import job_id, job_seq
from tieline.store.schema import EVENTS, JOBS
from tieline.store.submissions import CANCEL_REQUESTED, SUBMITTED

_OPEN: Final = [status for status in Status if not status.ended]
_NEWS: Final = (
    select(EVENTS.c.event, EVENTS.c.data, *rows.RECORD)
    .join_from(EVENTS, JOBS, EVENTS.c.job == JOBS.c.seq, isouter=True)
    .where(EVENTS.c.seq > bindparam("position"))
    .where(EVENTS.c.event.in_((SUBMITTED, CANCEL_REQUESTED, registers.RESUMED)))
    .order_by(EVENTS.c.seq)
)
_OPEN_JOBS: Final = select(*rows.RECORD).where(JOBS.c.status.in_(_OPEN)).order_by(JOBS.c.seq)
_JOB: Final = select(*rows.RECORD).where(JOBS.c.seq == bindparam("this"))
_CANCELS: Final = (
    select(JOBS.c.seq)
    .where(JOBS.c.status.in_(_OPEN), JOBS.c.cancel_requested.is_not(None))
    .order_by(JOBS.c.cancel_requested)
)


class SqlStore:
    """The `Store` port on a database; `tieline.store.open_store` makes one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._write = GroupCommit(database)
        self._presence: dict[int, int] = {}
        """The sign of life of each epoch that began here."""

    # ------------------------------------------------------------------- leadership

    def lead(self, name: str, url: str, *, lease_s: float) -> int | None:
        """Become the leader and give the new epoch; None while another one leads."""
        with self._database.reading() as connection:
            if leading.is_led(connection, self._database, lease_s):
                return None
        # Shown before the row is seen: a leader without a sign of life is taken for dead.
        presence = secrets.randbits(62)
        self._database.appear(presence)
        epoch = None
        try:
            epoch = self._write(lambda ledger: leading.begin(ledger, name, url, lease_s, presence))
        finally:
            if epoch is None:
                self._database.vanish(presence)
        if epoch is not None:
            for earlier in list(self._presence):
                self._vanish(earlier)
            self._presence[epoch] = presence
        return epoch

    def renew(self, epoch: int) -> None:
        """Stay the leader.

        Raises
        ------
        NotLeader
            There is a later epoch, or this one has resigned.
        """
        try:
            self._write(lambda ledger: leading.renew(ledger, epoch))
        except NotLeader:
            self._vanish(epoch)
            raise

    def resign(self, epoch: int) -> None:
        """Let the next one lead at once. Idempotent; nothing happens in a later epoch."""
        self._write(lambda ledger: leading.resign(ledger, epoch))
        self._vanish(epoch)

    def _vanish(self, epoch: int) -> None:
        presence = self._presence.pop(epoch, None)
        if presence is not None:
            self._database.vanish(presence)

    def leader(self) -> Leader | None:
        """Give the present leader, however silent; None when nobody leads."""
        with self._database.reading() as connection:
            return leading.leader(connection, self._database)

    # ------------------------------------------------------------------------- jobs

    def add_jobs(
        self, specs: Sequence[JobSpec], *, now: float, key: str | None = None, by: str = ""
    ) -> list[JobRecord]:
        """Store jobs as queued and give them, in order; they survive a crash from here on.

        Raises
        ------
        ConflictError
            The key was used for other specs; nothing is stored.
        InputError
            The key or a tenant has a character that databases refuse.
        """
        if not specs:
            return []
        submissions.demand_storable(key or "", *{spec.tenant for spec in specs})
        return self._write(lambda ledger: submissions.add_jobs(ledger, specs, now, key, by))

    def request_cancel(self, job_id: str, *, now: float, by: str = "") -> JobRecord:
        """Note that a user wants the job's end. Idempotent; an ended job stays as it is.

        Raises
        ------
        NotFoundError
            No such job.
        """
        return self._write(lambda ledger: submissions.request_cancel(ledger, job_id, now, by))

    def news(self, position: int) -> News:
        """Give what users and operators ordered after `position`, in order; 0 is the start."""
        with self._database.reading() as connection:
            last = rows.last(connection, EVENTS)
            drained = registers.drains(connection.execute(registers.DRAINS_NOW))
            if last == position:
                return News(position, (), (), drained)
            found = connection.execute(_NEWS, {"position": position}).all()
        return News(
            position=last,
            submitted=tuple(rows.job_record(row[2:]) for row in found if row[0] == SUBMITTED),
            cancel=tuple(job_id(row[2]) for row in found if row[0] == CANCEL_REQUESTED),
            drained=drained,
            resumed=frozenset(
                json.loads(row[1])["site"] for row in found if row[0] == registers.RESUMED
            ),
        )

    def open_jobs(self) -> tuple[int, list[JobRecord]]:
        """Give the log position and every job that has not ended, by `seq`, in one snapshot."""
        with self._database.reading() as connection:
            position = rows.last(connection, EVENTS)
            return position, rows.job_records(connection.execute(_OPEN_JOBS))

    def pending_cancels(self) -> list[str]:
        """Give the ids of jobs whose end was asked for and that have not ended, as asked."""
        return [job_id(row.seq) for row in self._database.ask(_CANCELS)]

    def record(self, changes: Sequence[Change], *, epoch: int = 0) -> list[JobRecord]:
        """Apply all changes through the life-cycle table, or none; give the new records.

        Raises
        ------
        NotLeader
            Another epoch is the present one.
        ConflictError
            A version has moved on, or the table does not allow an event.
        NotFoundError
            No such job.
        """
        if not changes:
            return []

        def work(ledger: Ledger) -> list[JobRecord]:
            leading.demand(ledger, epoch)
            return submissions.record(ledger, changes)

        return self._write(work)

    def job(self, job_id: str) -> JobRecord:
        """Give one job.

        Raises
        ------
        NotFoundError
            No such job.
        """
        seq = job_seq(job_id)
        found = () if seq is None else self._database.ask(_JOB, {"this": seq})
        if not found:
            raise NotFoundError(f"there is no job {job_id!r}")
        return rows.job_record(found[0])

    def jobs(
        self,
        *,
        status: Sequence[Status] = (),
        tenant: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> list[JobRecord]:
        """Give at most `limit` jobs, newest first, with `seq` below `before` where given."""
        if tenant is not None and submissions.storable(tenant) != tenant:
            return []
        query = select(*rows.RECORD).order_by(JOBS.c.seq.desc()).limit(limit)
        if status:
            query = query.where(JOBS.c.status.in_(status))
        if tenant is not None:
            query = query.where(JOBS.c.tenant == tenant)
        if before is not None:
            query = query.where(JOBS.c.seq < before)
        return rows.job_records(self._database.ask(query))

    def events(
        self, job_id: str | None = None, *, after: int = 0, limit: int = 1000
    ) -> list[StoredEvent]:
        """Give at most `limit` events after the position, in order, of one job or of all."""
        query = select(EVENTS).where(EVENTS.c.seq > after).order_by(EVENTS.c.seq).limit(limit)
        if job_id is not None:
            seq = job_seq(job_id)
            if seq is None:
                return []
            query = query.where(EVENTS.c.job == seq)
        return [rows.event(row) for row in self._database.ask(query)]

    # ------------------------------------------------------------- sites and tokens

    def drain(self, site: str, *, now: float, by: str = "", reason: str = "") -> Drain:
        """Close a site to new work until `resume`. Idempotent: it stays as drained first."""
        submissions.demand_storable(site, by)
        return self._write(lambda ledger: registers.drain(ledger, Drain(site, now, by, reason)))

    def resume(self, site: str, *, now: float, by: str = "") -> None:
        """Open a site to new work: one that is drained, and one that is mistrusted."""
        submissions.demand_storable(site)
        self._write(lambda ledger: registers.resume(ledger, site, now, by))

    def drained(self) -> Mapping[str, Drain]:
        """Give all drained sites, by id."""
        return registers.drains(self._database.ask(registers.DRAINS_NOW))

    def add_token(self, token: Token, *, by: str = "") -> None:
        """Keep a token.

        Raises
        ------
        ConflictError
            There is one of that id.
        """
        self._write(lambda ledger: registers.add_token(ledger, token, by))

    def revoke_token(self, token_id: str, *, now: float, by: str = "") -> Token:
        """Make a token useless from now on, and give it. Idempotent.

        Raises
        ------
        NotFoundError
            There is no such token.
        """
        submissions.demand_storable(token_id)
        return self._write(lambda ledger: registers.revoke_token(ledger, token_id, now, by))

    def tokens(self) -> list[Token]:
        """Give all tokens, also expired and revoked ones, the newest first."""
        return [registers.token(row) for row in self._database.ask(registers.TOKENS_BY_AGE)]

    def token(self, token_id: str) -> Token | None:
        """Give one token, expired and revoked ones too; None when there is none."""
        if submissions.storable(token_id) != token_id:
            return None
        found = self._database.ask(registers.TOKEN, {"this": token_id})
        return registers.token(found[0]) if found else None

    def close(self) -> None:
        """Release files and connections. Idempotent."""
        self._database.close()
