"""Every table of this server, and bringing a database up to them. The statements themselves are in `migrations`."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData

from narrows_server import audit, auth
from narrows_server.customers import models as customers
from narrows_server.database import Base, Database
from narrows_server.errors import NotInitialised
from narrows_server.invoices import models as invoices
from narrows_server.journal import models as journal
from narrows_server.leases import models as leases
from narrows_server.licenses import models as licenses
from narrows_server.parties import models as parties
from narrows_server.payments import models as payments
from narrows_server.statements import models as statements
from narrows_server.transparency import models as transparency
from narrows_server.usage import models as usage

# Importing them is what registers the tables.
MODULES_WITH_TABLES = (
    audit,
    auth,
    customers,
    invoices,
    journal,
    leases,
    licenses,
    parties,
    payments,
    statements,
    transparency,
    usage,
)
TABLES: MetaData = Base.metadata


def upgrade(database: Database, *, to: str = "head") -> bool:
    """Bring *database* to the newest revision, or *to* an older one; True unless it was at the newest already."""
    config = _config()
    with database.engine.begin() as connection:
        before = MigrationContext.configure(connection).get_current_revision()
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return before != _newest(config)


def downgrade(database: Database, *, to: str) -> None:
    """Take *database* back to an older revision, which loses what only newer ones can hold."""
    config = _config()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, to)


def require_current(database: Database) -> None:
    """Raise `NotInitialised` unless *database* is at the newest revision."""
    with database.engine.connect() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    newest = _newest(_config())
    if revision != newest:
        raise NotInitialised(f"the database is at revision {revision}, not {newest}; run: narrows-server init")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _newest(config: Config) -> str | None:
    return ScriptDirectory.from_config(config).get_current_head()
