"""The tables, as they are at revision `REVISION`.

    jobs          what was submitted (never changes) and where the job is now
    events        the append-only log: seq 1, 2, 3, ... without gaps, in order of commit
    submissions   idempotency key -> the run of jobs it gave
    leader        one row: who leads, or led last
    drains        sites that are closed to new work
    tokens        digests of the secrets that open the API

`jobs` holds what replaying `events` through the life-cycle table gives; both are written in
one transaction. Each event carries the hash of itself and of the one before (`control.chain`).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
)

#: Newest migration; `tests/unit/test_migrations.py` holds it and the tables to the scripts.
REVISION: Final = "0003"

#: Not Alembic's default name, so that another program's database is told apart.
VERSION_TABLE: Final = "tieline_schema"

METADATA: Final = MetaData()

# SQLite takes only INTEGER, which has 64 bits there, as its row id.
_SEQ: Final = BigInteger().with_variant(Integer(), "sqlite")

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("spec", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("version", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("pool", Text),
    Column("placed_at", Double),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("exit_code", Integer),
    Column("detail", Text, nullable=False),
    # The log position of the first request; null when nobody asked.
    Column("cancel_requested", BigInteger),
    # Accelerators of the present attempt; null while the job waits, and in attempts of old.
    Column("count", Integer),
    Column("stops", Integer, nullable=False, server_default="0"),
    Column("left_s", Double),
    Index("jobs_by_status", "status", "seq"),
    Index("jobs_by_tenant", "tenant", "seq"),
)

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("seq", _SEQ, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    # Null where the event is not about a job.
    Column("job", BigInteger, ForeignKey("jobs.seq")),
    Column("event", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Index("events_by_job", "job", "seq"),
)

SUBMISSIONS: Final = Table(
    "submissions",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("first_job", BigInteger, ForeignKey("jobs.seq"), nullable=False),
    Column("jobs", Integer, nullable=False),
)

LEADER: Final = Table(
    "leader",
    METADATA,
    Column("one", Integer, CheckConstraint("one = 1"), primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("renewed_at", Double, nullable=False),
    # Number under which the leader shows that it is there; null once it has resigned.
    Column("presence", BigInteger),
)

DRAINS: Final = Table(
    "drains",
    METADATA,
    Column("site", Text, primary_key=True),
    Column("at", Double, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

TOKENS: Final = Table(
    "tokens",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("tenant", Text),
    Column("digest", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("revoked_at", Double),
)
