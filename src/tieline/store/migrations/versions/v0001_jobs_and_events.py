"""Jobs, the append-only event log, idempotency keys."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None

_SEQ: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

#: Per dialect: what was submitted and what is in the log stay as they are, and the log has no
#: gaps. The check on insert also stops INSERT OR REPLACE, which deletes without the trigger.
_GUARDS: Final = {
    "sqlite": (
        """CREATE TRIGGER jobs_submitted BEFORE UPDATE OF seq, spec, tenant, submitted_at ON jobs
        BEGIN SELECT RAISE(ABORT, 'what was submitted cannot change'); END""",
        """CREATE TRIGGER jobs_kept BEFORE DELETE ON jobs
        BEGIN SELECT RAISE(ABORT, 'a job cannot be deleted'); END""",
        """CREATE TRIGGER events_final BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END""",
        """CREATE TRIGGER events_kept BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END""",
        """CREATE TRIGGER events_dense BEFORE INSERT ON events
        WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the event log has no gaps'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION tieline_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$""",
        """CREATE FUNCTION tieline_dense() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (SELECT max(seq) <> (SELECT max(seq) FROM events)
                    OR min(seq) + count(*) <> max(seq) + 1
                    OR min(seq) <> 1 AND NOT EXISTS
                        (SELECT 1 FROM events WHERE events.seq = min(fresh.seq) - 1)
                FROM fresh) THEN
                RAISE EXCEPTION 'the event log has no gaps' USING ERRCODE = 'restrict_violation';
            END IF;
            RETURN NULL;
        END $$""",
        """CREATE TRIGGER jobs_submitted BEFORE UPDATE OF seq, spec, tenant, submitted_at ON jobs
        EXECUTE FUNCTION tieline_refuse('what was submitted cannot change')""",
        """CREATE TRIGGER jobs_kept BEFORE DELETE OR TRUNCATE ON jobs
        EXECUTE FUNCTION tieline_refuse('a job cannot be deleted')""",
        """CREATE TRIGGER events_final BEFORE UPDATE OR DELETE OR TRUNCATE ON events
        EXECUTE FUNCTION tieline_refuse('the event log is append-only')""",
        """CREATE TRIGGER events_dense AFTER INSERT ON events REFERENCING NEW TABLE AS fresh
        EXECUTE FUNCTION tieline_dense()""",
    ),
}


def upgrade() -> None:
    """Create the first tables and their guards."""
    op.create_table(
        "jobs",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("submitted_at", sa.Double, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("pool", sa.Text),
        sa.Column("placed_at", sa.Double),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("exit_code", sa.Integer),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("cancel_requested", sa.BigInteger),
        sa.Index("jobs_by_status", "status", "seq"),
        sa.Index("jobs_by_tenant", "tenant", "seq"),
    )
    op.create_table(
        "events",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("job", sa.BigInteger, sa.ForeignKey("jobs.seq"), nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Index("events_by_job", "job", "seq"),
    )
    op.create_table(
        "submissions",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("first_job", sa.BigInteger, sa.ForeignKey("jobs.seq"), nullable=False),
        sa.Column("jobs", sa.Integer, nullable=False),
    )
    for statement in _GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)
