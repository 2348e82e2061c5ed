"""Brings a database to the newest schema, or refuses it."""

from typing import Final

from sqlalchemy import Connection, Text, column, inspect, select, table

from tieline.model.errors import InputError
from tieline.store.database import Database
from tieline.store.schema import REVISION, VERSION_TABLE

_SCRIPTS: Final = "tieline.store:migrations"
_REVISION: Final = column("version_num", Text)


def upgrade(database: Database) -> None:
    """Apply the migrations that are missing, in one transaction and under the writer's lock.

    Several processes may call it at once: the first does the work. A process that dies on
    the way leaves the database as it was.

    Raises
    ------
    InputError
        The database is another program's, or a newer Tieline's.
    """
    with database.reading() as connection:
        found = _revision(connection)
    database.prepare()
    if found != REVISION:
        _migrate(database)


def demand_current(connection: Connection) -> None:
    """Refuse a database that is not a store of the newest schema.

    Raises
    ------
    InputError
        It is empty, another program's, or of another version.
    """
    found = _revision(connection)
    if found is None:
        raise InputError("there is no store in it")
    if found != REVISION:
        raise InputError(
            f"its schema is {found}, and this version reads {REVISION}: start the control plane "
            "of this version on it once, or use the version that it is of"
        )


def _migrate(database: Database) -> None:
    # Imported here because it takes as long as all the rest of opening a store.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.writing() as connection:
        found = _revision(connection)
        if found is not None and found not in known:
            raise InputError(
                f"its schema {found} is of a newer Tieline, this one knows up to {REVISION}; "
                "use the newer Tieline, or another store"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    """Give the schema revision of the database; None when it is empty.

    Raises
    ------
    InputError
        It has tables, but not ours.
    """
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE in tables:
        return connection.execute(select(_REVISION).select_from(table(VERSION_TABLE))).scalar()
    if tables:
        raise InputError(
            f"it is another program's database (tables {', '.join(tables[:3])}); name another one"
        )
    return None
