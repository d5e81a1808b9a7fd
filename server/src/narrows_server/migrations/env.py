"""Runs migrations over the connection that `schema.upgrade` hands in; there is no offline mode and no alembic.ini."""

from __future__ import annotations

from alembic import context
from narrows_server.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite can; alembic's default for it is not to.
)
with context.begin_transaction():
    context.run_migrations()
