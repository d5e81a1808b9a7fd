"""Every table of this server, and bringing a database up to them. The statements themselves are in `migrations`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, MetaData, inspect, text

from narrows_server import audit, idempotency
from narrows_server.access import models as access
from narrows_server.alerts import models as alerts
from narrows_server.contracts import models as contracts
from narrows_server.customers import models as customers
from narrows_server.database import Base, Database
from narrows_server.errors import NotInitialised
from narrows_server.invoices import models as invoices
from narrows_server.journal import models as journal
from narrows_server.leases import models as leases
from narrows_server.licenses import models as licenses
from narrows_server.parties import models as parties
from narrows_server.payments import models as payments
from narrows_server.people import models as people
from narrows_server.proposals import models as proposals
from narrows_server.rating import models as rating
from narrows_server.statements import models as statements
from narrows_server.transparency import models as transparency
from narrows_server.usage import models as usage
from narrows_server.webhooks import models as webhooks

if TYPE_CHECKING:
    from alembic.config import Config

# Importing them is what registers the tables.
MODULES_WITH_TABLES = (
    access,
    alerts,
    audit,
    contracts,
    customers,
    idempotency,
    invoices,
    journal,
    leases,
    licenses,
    parties,
    people,
    proposals,
    payments,
    rating,
    statements,
    transparency,
    usage,
    webhooks,
)
TABLES: MetaData = Base.metadata
_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database, *, to: str = "head") -> bool:
    """Bring *database* to the newest revision, or *to* an older one; True unless it was at the newest already."""
    from alembic import command  # Late: only `init` and a restore take it, and it is slow to load.

    config = _config()
    with _remodelling(database) as connection:
        before = _revision(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return before != newest_revision()


def downgrade(database: Database, *, to: str) -> None:
    """Take *database* back to an older revision, which loses what only newer ones can hold."""
    from alembic import command

    config = _config()
    with _remodelling(database) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, to)


@contextmanager
def _remodelling(database: Database) -> Iterator[Connection]:
    """
    A transaction in which SQLite lets a table be replaced that others refer to; what refers is checked at its end.

    The procedure of https://sqlite.org/lang_altertable.html, section 7; the pragma has no effect within a transaction.
    """
    with database.engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        driver = connection.connection.dbapi_connection
        assert driver is not None
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                assert not broken, f"a migration left references to nothing: {broken[:3]}"
        finally:
            driver.execute("PRAGMA foreign_keys=ON")


def require_current(database: Database) -> None:
    """Raise `NotInitialised` unless *database* is at the newest revision."""
    with database.engine.connect() as connection:
        revision = _revision(connection)
    newest = newest_revision()
    if revision != newest:
        raise NotInitialised(f"the database is at revision {revision}, not {newest}; run: narrows-server init")


@cache
def newest_revision() -> str:
    """The last migration, by its file's name: asked by every command and at every probe."""
    return max(path.name for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py")).partition("_")[0]


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if revision is None else str(revision)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
