"""Jobs that are stopped and go on later, and jobs of several sizes.

The status `stopping` is new too: an older Tieline must not open such a store.
"""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    """Add what an attempt was given, how often a job was stopped, and what was left of it."""
    op.add_column("jobs", sa.Column("count", sa.Integer))
    op.add_column("jobs", sa.Column("stops", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("left_s", sa.Double))
