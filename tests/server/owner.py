"""What whoever owns the database can do to it: switch the triggers off that refuse changes, and change it."""

from __future__ import annotations

import os
from pathlib import Path

from narrows_server.database import Database
from narrows_server.settings import Settings
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session


def unguard(connection: Connection | Session, *tables: str) -> None:
    """Let rows of *tables* be changed and deleted."""
    where = connection.connection() if isinstance(connection, Session) else connection
    for table in tables:
        if where.dialect.name != "sqlite":
            where.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            continue
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
        for name in where.scalars(text(triggers), {"table": table}).all():
            where.execute(text(f"DROP TRIGGER {name}"))


def forget_the_revision(home: Path) -> None:
    """Leave nothing that says which revision the tables of the server in *home* are of."""
    database = Database(Settings.read(os.environ, home=home).database_url)
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    database.close()
