"""A hash chain over the event log, events that are not about a job, leader, drains and tokens.

SQLite cannot take a NOT NULL away, so the log is copied, and every line gets its hash on the way.
"""

import json
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from tieline.control.chain import START, line_hash
from tieline.control.ports import StoredEvent

revision: Final = "0003"
down_revision: Final = "0002"

_SEQ: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
#: Lines copied at a time.
_PAGE: Final = 1000

#: Per dialect: the guards of the log as in 0001; they went with the table that they stood at.
_GUARDS: Final = {
    "sqlite": (
        """CREATE TRIGGER events_final BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END""",
        """CREATE TRIGGER events_kept BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the event log is append-only'); END""",
        """CREATE TRIGGER events_dense BEFORE INSERT ON events
        WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events)
        BEGIN SELECT RAISE(ABORT, 'the event log has no gaps'); END""",
    ),
    "postgresql": (
        """CREATE TRIGGER events_final BEFORE UPDATE OR DELETE OR TRUNCATE ON events
        EXECUTE FUNCTION tieline_refuse('the event log is append-only')""",
        """CREATE TRIGGER events_dense AFTER INSERT ON events REFERENCING NEW TABLE AS fresh
        EXECUTE FUNCTION tieline_dense()""",
    ),
}


def upgrade() -> None:
    """Give every line of the log its hash, and add the new tables."""
    chained = op.create_table(
        "events_chained",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("job", sa.BigInteger, sa.ForeignKey("jobs.seq")),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    _copy(chained)
    op.drop_table("events")
    op.rename_table("events_chained", "events")
    op.create_index("events_by_job", "events", ["job", "seq"])
    for statement in _GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)
    op.create_table(
        "leader",
        sa.Column(
            "one", sa.Integer, sa.CheckConstraint("one = 1"), primary_key=True, autoincrement=False
        ),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("renewed_at", sa.Double, nullable=False),
        sa.Column("presence", sa.BigInteger),
    )
    op.create_table(
        "drains",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )


def _copy(chained: sa.Table) -> None:
    """Copy the log, each line with its hash."""
    connection = op.get_bind()
    query = sa.text(
        "SELECT seq, at, job, event, data FROM events WHERE seq > :last ORDER BY seq LIMIT :page"
    )
    last, head = 0, START
    while rows := connection.execute(query, {"last": last, "page": _PAGE}).mappings().all():
        lines: list[dict[str, Any]] = []
        for row in rows:
            job = f"job-{row['job']:06d}"
            line = StoredEvent(row["seq"], row["at"], job, row["event"], json.loads(row["data"]))
            head = line_hash(head, line)
            lines.append({**row, "hash": head})
        connection.execute(chained.insert(), lines)
        last = lines[-1]["seq"]
