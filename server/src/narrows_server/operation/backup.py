"""
Taking a backup of a whole server in one file, in one snapshot of the database and while it serves.

Root keys are never in a backup; other keys are, unless it is asked not to be, as they are kept: encrypted or not.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, Table, select, text

from narrows_server.audit import GENESIS
from narrows_server.database import Database
from narrows_server.errors import Invalid
from narrows_server.operation.archive import (
    MANIFEST,
    REVISION_TABLE,
    ROWS_AT_ONCE,
    Manifest,
    Progress,
    tables_of,
    to_json,
)
from narrows_server.settings import Settings


def back_up(
    settings: Settings,
    database: Database,
    target: Path,
    *,
    at: datetime,
    with_keys: bool = True,
    progress: Progress = lambda table, rows: None,
) -> Manifest:
    """
    Write a backup to *target*, complete under its name or not there, readable by its owner only.

    Raises `Invalid` if *target* exists or cannot be written.
    """
    if target.exists():
        raise Invalid(f"{target} exists; a backup is never overwritten")
    draft = target.with_name(f".{target.name}.partial")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive:
            manifest = _write_members(archive, settings, database, at=at, with_keys=with_keys, progress=progress)
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        draft.replace(target)
    except OSError as error:
        raise Invalid(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _write_members(
    archive: tarfile.TarFile,
    settings: Settings,
    database: Database,
    *,
    at: datetime,
    with_keys: bool,
    progress: Progress,
) -> Manifest:
    members: dict[str, tuple[int, str]] = {}
    rows: dict[str, int] = {}

    def add(name: str, content: IO[bytes], size: int, digest: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode, entry.mtime = size, 0o600, int(at.timestamp())
        archive.addfile(entry, content)
        members[name] = (size, digest)

    for path in _state_files(settings, with_keys=with_keys):
        content = path.read_bytes()
        name = f"home/{path.relative_to(settings.home).as_posix()}"
        add(name, io.BytesIO(content), len(content), hashlib.sha256(content).hexdigest())

    with _frozen(database) as connection:
        revision = connection.execute(text(f"SELECT version_num FROM {REVISION_TABLE}")).scalar_one()  # noqa: S608
        for table in tables_of(connection):
            # A table may be larger than the memory: it goes through a file of which tar can ask the size.
            with tempfile.SpooledTemporaryFile(max_size=2**24) as lines:
                digest, count = hashlib.sha256(), 0
                for line in _lines(connection, table):
                    lines.write(line)
                    digest.update(line)
                    count += 1
                    if count % ROWS_AT_ONCE == 0:
                        progress(table.name, count)
                size = lines.tell()
                lines.seek(0)
                add(f"tables/{table.name}.ndjson", lines, size, digest.hexdigest())
            rows[table.name] = count
            progress(table.name, count)
        audit_head = _audit_head(connection)
    manifest = Manifest(
        made_at=at, revision=revision, audit_head=audit_head, rows=rows, members=members, has_keys=with_keys
    )
    content = manifest.to_json()
    entry = tarfile.TarInfo(MANIFEST)
    entry.size, entry.mode, entry.mtime = len(content), 0o600, int(at.timestamp())
    archive.addfile(entry, io.BytesIO(content))
    return manifest


def _state_files(settings: Settings, *, with_keys: bool) -> Iterator[Path]:
    """The files of the state folder that a server needs to go on, in a fixed order."""
    for path in sorted(settings.home.rglob("*")):
        inside = path.relative_to(settings.home)
        is_key = inside.parts[0] == settings.keys.name
        is_database = path.suffix in {".sqlite", ".sqlite-wal", ".sqlite-shm"}
        # Partial files and the note where a server listens say nothing about tomorrow.
        is_passing = inside.name.startswith(".") or path == settings.address
        if path.is_file() and not is_database and not is_passing:
            if path.is_relative_to(settings.root_keys) or (is_key and not with_keys) or path == settings.admin_key:
                continue
            yield path


def _lines(connection: Connection, table: Table) -> Iterator[bytes]:
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(
        select(table).order_by(*table.primary_key.columns)
    )
    for row in rows.mappings():
        document = {name: to_json(value) for name, value in row.items()}
        yield json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _frozen(database: Database) -> AbstractContextManager[Connection]:
    """A connection whose every read sees the same moment."""
    if database.engine.dialect.name == "sqlite":
        return database.engine.execution_options(narrows_read_only=True).begin()
    return database.engine.execution_options(isolation_level="REPEATABLE READ").begin()


def _audit_head(connection: Connection) -> str:
    head = connection.execute(text("SELECT hash FROM audit_link ORDER BY position DESC LIMIT 1")).scalar()
    return str(head) if head is not None else GENESIS
