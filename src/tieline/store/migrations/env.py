"""Run by Alembic around the migrations, on the connection and transaction of `store.upgrade`."""

from alembic import context

from tieline.store.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
context.run_migrations()
