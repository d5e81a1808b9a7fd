"""
The months of the record table on PostgreSQL: made ahead, and the partition watched that takes what fits in none.

The key of a divided table can't say that an installation has one record of each number. `record_end` does: a trigger
on `record` takes only what continues the number that is kept there.

A record belongs to the month of its own time, in UTC. One whose month has no partition lands in `record_default`,
from where it is moved once its month is made: months long ago after a rebuild from customers' ledgers, for instance.
What stays there was written by clocks that are years off. SQLite has one table, and nothing here concerns it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from narrows_server.database import try_alone

MONTHS_AHEAD: Final = 3
MONTHS_BEHIND_MAX: Final = 60  # How far back the time of a record is believed.
STRAYS_COUNTED: Final = 100_000
DEFAULT: Final = "record_default"
ENDS: Final = "record_end"
LOCK_SECONDS: Final = 2  # Intake waits for us meanwhile; whoever reads for longer (a backup) is not waited for.
_ADVISORY_LOCK: Final = 0x6E772D7061727473  # "nw-parts"


def prepare(session: Session, *, at: datetime) -> list[str]:
    """
    Make the partitions of the month of *at*, of those to come, and of every believable month in the default partition.

    Returns the names of those that were made. Safe to call from several processes: one of them does it. Raises what
    the database raises if the table could not be locked in `LOCK_SECONDS`; the next call tries again.
    """
    connection = session.connection()
    if connection.dialect.name != "postgresql" or not try_alone(session, _ADVISORY_LOCK):
        return []
    now = _number(at)
    stray = [month for month in _stray_months(connection) if now - MONTHS_BEHIND_MAX <= month <= now + MONTHS_AHEAD]
    wanted = {*range(now, now + MONTHS_AHEAD + 1), *stray}
    present = partitions(connection)
    missing = [month for month in sorted(wanted) if _name(month) not in present]
    if not missing:
        return []
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
    # A partition can't be made while the default one holds rows of it, and rows of records are never deleted: the
    # whole default partition is taken out, and its rows find their places anew.
    is_moving = bool(set(stray) & set(missing))
    if is_moving:
        connection.execute(text(f"ALTER TABLE record DETACH PARTITION {DEFAULT}"))
        connection.execute(text(f"ALTER TABLE {DEFAULT} RENAME TO record_moving"))
        connection.execute(text("ALTER INDEX IF EXISTS record_default_pkey RENAME TO record_moving_pkey"))
    for month in missing:
        connection.execute(text(f"CREATE TABLE {_name(month)} PARTITION OF record {_bounds(month)}"))
    if is_moving:
        connection.execute(text(f"CREATE TABLE {DEFAULT} PARTITION OF record DEFAULT"))
        _spread(connection, sorted(set(stray) & set(missing)))
    return [_name(month) for month in missing]


def _spread(connection: Connection, months: list[int]) -> None:
    """
    Put the rows of `record_moving` into *months*, and what belongs to none of them back into the default partition.

    Not through `record`, which would take them for records that came a second time.
    """
    columns = "installation_id, seq, recorded_at, kind, hash, delivered_bytes, document"
    others = " AND ".join(f"NOT ({_span(month)})" for month in months)
    for place, condition in [*((_name(month), _span(month)) for month in months), (DEFAULT, others)]:
        connection.execute(
            text(f"INSERT INTO {place} ({columns}) SELECT {columns} FROM record_moving WHERE {condition}")  # noqa: S608
        )
    connection.execute(text("DROP TABLE record_moving"))


def partitions(connection: Connection) -> frozenset[str]:
    """The names of all partitions, the default one included; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return frozenset()
    return frozenset(
        connection.scalars(
            text("SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = pg_class.oid WHERE relkind = 'r'")
        )
    )


def tables_of_its_own(connection: Connection) -> frozenset[str]:
    """Tables that only PostgreSQL has, and fills by itself when records are added: no model and no backup has them."""
    return partitions(connection) | ({ENDS} if connection.dialect.name == "postgresql" else frozenset())


def misplaced_ends(connection: Connection) -> int:
    """Of how many installations the last number is not the one that intake knows: nothing but a hand can do that."""
    if connection.dialect.name != "postgresql":
        return 0
    query = f"""
        SELECT count(*) FROM installation FULL JOIN {ENDS} ON installation.id = {ENDS}.installation_id
        WHERE coalesce(installation.head_seq, 0) <> coalesce({ENDS}.last_seq, 0)
    """  # noqa: S608
    return connection.scalar(text(query)) or 0


def stray_count(connection: Connection) -> int:
    """How many records are in the default partition, counted up to `STRAYS_COUNTED`."""
    if connection.dialect.name != "postgresql":
        return 0
    query = f"SELECT count(*) FROM (SELECT 1 FROM {DEFAULT} LIMIT {STRAYS_COUNTED}) AS strays"  # noqa: S608
    return connection.scalar(text(query)) or 0


def _stray_months(connection: Connection) -> list[int]:
    query = """
        SELECT DISTINCT CAST(extract(year FROM utc) * 12 + extract(month FROM utc) - 1 AS bigint)
        FROM (SELECT recorded_at AT TIME ZONE 'UTC' AS utc FROM record_default) AS strays
    """
    return list(connection.scalars(text(query)))


def _number(at: datetime) -> int:
    """Months since the year 0."""
    at = at.astimezone(UTC)
    return at.year * 12 + at.month - 1


def _name(month: int) -> str:
    return f"record_{month // 12:04}_{month % 12 + 1:02}"


def _bounds(month: int) -> str:
    return f"FOR VALUES FROM ('{_first(month)}') TO ('{_first(month + 1)}')"


def _span(month: int) -> str:
    return f"recorded_at >= '{_first(month)}' AND recorded_at < '{_first(month + 1)}'"


def _first(month: int) -> str:
    return f"{month // 12:04}-{month % 12 + 1:02}-01 00:00:00+00"
