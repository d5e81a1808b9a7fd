"""
Putting a backup back: into an empty state folder and an empty database, also of another kind than it came from.

It is restored at its own revision of the schema and brought up to date afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, Table, func, inspect, select, text

from narrows_server import schema
from narrows_server.audit import verify_chain
from narrows_server.database import Database
from narrows_server.errors import Invalid
from narrows_server.keyring import write_private
from narrows_server.operation.archive import (
    REVISION_TABLE,
    ROWS_AT_ONCE,
    Manifest,
    Progress,
    check,
    from_json,
    members,
    tables_of,
)
from narrows_server.settings import Settings
from narrows_server.usage.partitions import prepare

LINE_BYTES_MAX: Final = 2**28
# Tables in which every server in use has rows, and a fresh one has none.
_USED_TABLES: Final = ("customer", "audit", "installation")


def restore(source: Path, settings: Settings, *, progress: Progress = lambda table, rows: None) -> Manifest:
    """
    Put the backup *source* back into an empty state folder and an empty database, and check what is there then.

    Raises `Invalid` if the backup is damaged, or the folder or the database holds something; then nothing was changed.
    What is interrupted left no rows: it can be run again.
    """
    manifest = check(source)
    if settings.trust_bundle.exists():
        raise Invalid(f"{settings.home} holds a server already; restore into an empty folder")
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(settings.database_url)
    try:
        _require_empty(database)
        schema.upgrade(database, to=manifest.revision)
        with database.engine.connect() as connection, connection.begin():
            _load(connection, source, manifest, progress)
        schema.upgrade(database)
        with database.transaction() as session:
            prepare(session, at=manifest.made_at)
        with database.snapshot() as session:
            chain = verify_chain(session, known_head=manifest.audit_head)
        if chain.fault is not None:
            raise Invalid(f"the audit trail of the backup does not verify: {chain.fault}")
    finally:
        database.close()
    # The folder comes last: with a trust bundle in it, the server would take itself for complete.
    _place_files(source, settings)
    return manifest


def _require_empty(database: Database) -> None:
    with database.engine.connect() as connection:
        if not inspect(connection).has_table(REVISION_TABLE):
            return
        for table in tables_of(connection):
            if table.name in _USED_TABLES and connection.execute(select(table).limit(1)).first() is not None:
                raise Invalid(f"the database holds rows in {table.name}; restore into an empty database")


def _load(connection: Connection, source: Path, manifest: Manifest, progress: Progress) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    tables = {table.name: table for table in tables_of(connection)}
    missing = sorted({*manifest.rows} - {*tables})
    if missing:
        raise Invalid(f"the database of revision {manifest.revision} has no table {missing[0]}")
    order = {f"tables/{table.name}.ndjson": table for table in tables.values()}
    for table in tables.values():
        # Migrations may have put rows of their own into a fresh database; the backup has them as they were.
        if connection.execute(select(func.count()).select_from(table)).scalar_one():
            connection.execute(table.delete())
    loaded: dict[str, int] = {}
    # The archive has the tables in the order of their references.
    for entry, content in members(source):
        found = order.get(entry.name)
        if found is None:
            continue
        count = 0
        for batch in _referred_first(found, _batches(found, content)):
            connection.execute(found.insert(), batch)
            count += len(batch)
            progress(found.name, count)
        loaded[found.name] = count
        if not is_sqlite:
            _continue_sequence(connection, found)
    for name, expected in manifest.rows.items():
        if loaded.get(name, 0) != expected:
            raise Invalid(f"table {name}: {loaded.get(name, 0)} rows were read, {expected} were backed up")


def _referred_first(table: Table, batches: Iterator[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    """
    The same rows, those that others of the same table refer to first: a credit note after the invoice that it credits.

    Only of such a table are keys remembered; rows that refer to nothing come as they are read.
    """
    references = [
        (column.name, key.column.name)
        for column in table.columns
        for key in column.foreign_keys
        if key.column.table is table
    ]
    if not references:
        yield from batches
        return
    seen: set[tuple[str, Any]] = set()
    waiting: list[dict[str, Any]] = []

    def can_go(row: dict[str, Any]) -> bool:
        return all(row[column] is None or (target, row[column]) in seen for column, target in references)

    for batch in batches:
        waiting += batch
        while ready := [row for row in waiting if can_go(row)]:
            waiting = [row for row in waiting if not can_go(row)]
            seen.update((target, row[target]) for row in ready for _, target in references)
            yield ready
    if waiting:
        raise Invalid(f"table {table.name}: {len(waiting)} rows refer to rows that are not in the backup")


def _batches(table: Table, lines: IO[bytes]) -> Iterator[list[dict[str, Any]]]:
    kinds = {column.name: column.type.python_type for column in table.columns}
    batch: list[dict[str, Any]] = []
    while line := lines.readline(LINE_BYTES_MAX + 1):
        if len(line) > LINE_BYTES_MAX:
            raise Invalid(f"table {table.name}: a row has more than {LINE_BYTES_MAX} bytes")
        batch.append({name: from_json(value, kinds[name]) for name, value in json.loads(line).items()})
        if len(batch) == ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _continue_sequence(connection: Connection, table: Table) -> None:
    """New rows are numbered after those that were restored."""
    for column in table.primary_key.columns:
        owned = connection.execute(
            text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": f'"{table.name}"', "column": column.name}
        ).scalar()
        if owned is not None:
            highest = connection.execute(select(func.max(column))).scalar()
            if highest is not None:
                connection.execute(text("SELECT setval(:sequence, :value)"), {"sequence": owned, "value": highest})


def _place_files(source: Path, settings: Settings) -> None:
    for entry, content in members(source):
        inside = Path(entry.name).relative_to("home") if entry.name.startswith("home/") else None
        if inside is None:
            continue
        path = settings.home / inside
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, content.read())
