"""
One database: SQLite in the state folder by default, PostgreSQL by URL.

Holds the engine, the two kinds of session and the column types; no table and no query. Whoever opens a
`transaction` commits it, and that is the request or the command, never a service.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, MetaData, create_engine, event, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

_READ_ONLY = "narrows_read_only"
BUSY_TIMEOUT_SECONDS = 30
POOL_KEPT = 10
POOL_MAX = 40  # As many threads as a web server answers requests with: none of them waits for a connection.
# For a database that is gone without a word: libpq's own limits are hours. What the URL says comes first.
PATIENCE = {
    "connect_timeout": 10,  # In seconds, until it has let us in.
    "tcp_user_timeout": 30_000,  # In milliseconds, until what was sent is acknowledged.
    "keepalives_idle": 30,  # In seconds: a connection on which nothing comes is asked for a sign of life,
    "keepalives_interval": 10,  # and again,
    "keepalives_count": 3,  # before it is given up.
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC `datetime`; a naive one is a bug and refused. SQLite has no time zones, so they are put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """What `paging` reads the text of a cursor as."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime must not reach the database")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The declarative base of every table; constraint names are fixed so that migrations can address them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def try_alone(session: Session, key: int) -> bool:
    """
    Whether this transaction is the only one that does what *key* stands for; if not, another is doing it right now.

    By an advisory lock of PostgreSQL, which ends with the transaction. SQLite has one writer anyway.
    """
    if session.connection().dialect.name != "postgresql":
        return True
    return bool(session.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": key}))


def reason_of(error: SQLAlchemyError) -> str:
    """What the database, or the way to it, said; in one line, without the statement."""
    return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]


class Database:
    """The engine and its sessions. Close it when done; every thread may share it."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that may write: committed at the end of the block, rolled back if it raises."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def alone(self, key: int) -> Iterator[bool]:
        """
        Whether this block is the only one, in any process, that does what *key* stands for, until it ends.

        On PostgreSQL by `try_alone`, with a connection of its own, so that the block may open what sessions it likes.
        On SQLite, which one process serves, it always is.
        """
        if self.engine.dialect.name != "postgresql":
            yield True
            return
        with self.transaction() as session:
            yield try_alone(session, key)

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session for reading that never waits for a writer."""
        with Session(self.engine.execution_options(**{_READ_ONLY: True}), autoflush=False) as session:
            yield session

    def close(self) -> None:
        self.engine.dispose()


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        chosen = make_url(url).query
        return create_engine(
            url,
            pool_pre_ping=True,
            pool_size=POOL_KEPT,
            max_overflow=POOL_MAX - POOL_KEPT,
            connect_args={name: value for name, value in PATIENCE.items() if name not in chosen},
        )
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver's own idea of when a transaction begins is switched off: it would begin at the first write,
    # after the reads on which the write depends.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    is_read_only = connection.get_execution_options().get(_READ_ONLY, False)
    # A writer takes the lock before it reads, so that what it decides on cannot change under it.
    connection.exec_driver_sql("BEGIN DEFERRED" if is_read_only else "BEGIN IMMEDIATE")
