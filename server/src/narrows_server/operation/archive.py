"""
What a backup is made of: a gzipped tar (POSIX.1-2001) of the state folder's files and of every table as JSON lines.

Its last member, `manifest.json`, has the size and SHA-256 of each other one and the number of rows, so that a file that
was cut off or changed is refused before anything is touched. Tables are read and written as the database itself
describes them, not as this release knows them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, MetaData, Table

from narrows_server import __version__
from narrows_server.errors import Invalid
from narrows_server.usage.partitions import tables_of_its_own

FORMAT: Final = "narrows-server-backup/1"
MANIFEST: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 2**24
ROWS_AT_ONCE: Final = 1_000
REVISION_TABLE: Final = "alembic_version"

Progress = Callable[[str, int], None]  # The name of a table, and how many of its rows are done.


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is in a backup, and that it is all there."""

    made_at: datetime
    revision: str  # Of the database's schema.
    audit_head: str  # The newest link of the audit chain.
    rows: Mapping[str, int]  # By table.
    members: Mapping[str, tuple[int, str]]  # Bytes and SHA-256 (hex), by name in the archive.
    has_keys: bool

    def to_json(self) -> bytes:
        document = {
            "format": FORMAT,
            "server_version": __version__,
            "made_at": self.made_at.isoformat(),
            "revision": self.revision,
            "audit_head": self.audit_head,
            "has_keys": self.has_keys,
            "rows": dict(self.rows),
            "members": {name: {"bytes": size, "sha256": digest} for name, (size, digest) in self.members.items()},
        }
        return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """Read `to_json`'s result. Raises `Invalid`."""
        try:
            document = json.loads(content)
            if document["format"] != FORMAT:
                raise Invalid(f"the backup has the format {document['format']!r}, and this release reads {FORMAT!r}")
            return cls(
                made_at=datetime.fromisoformat(document["made_at"]),
                revision=str(document["revision"]),
                audit_head=str(document["audit_head"]),
                rows={str(name): int(count) for name, count in document["rows"].items()},
                members={
                    str(name): (int(one["bytes"]), str(one["sha256"])) for name, one in document["members"].items()
                },
                has_keys=bool(document["has_keys"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Invalid("the manifest of the backup cannot be read") from error


def check(source: Path) -> Manifest:
    """
    Read a whole backup and compare every member with the manifest. Raises `Invalid` naming the first that differs.
    """
    seen: dict[str, tuple[int, str]] = {}
    manifest: Manifest | None = None
    with reading(source):
        for entry, content in members(source):
            if entry.name == MANIFEST:
                if entry.size > MANIFEST_BYTES_MAX:
                    raise Invalid(
                        f"the manifest of {source} has {entry.size} bytes; at most {MANIFEST_BYTES_MAX} are read"
                    )
                manifest = Manifest.from_json(content.read())
                continue
            digest = hashlib.sha256()
            while block := content.read(2**20):
                digest.update(block)
            seen[entry.name] = (entry.size, digest.hexdigest())
    if manifest is None:
        raise Invalid(f"{source} ends before its manifest: it is not complete")
    for name in sorted({*seen, *manifest.members}):
        if seen.get(name) != manifest.members.get(name):
            raise Invalid(f"{name} in {source} is not what was backed up")
    return manifest


def members(source: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Each regular file of the archive, in order. Raises `Invalid` for anything else in it."""
    with tarfile.open(source, mode="r|gz") as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isfile() else None
            if content is None or ".." in Path(entry.name).parts or entry.name.startswith("/"):
                raise Invalid(f"{entry.name!r} in {source} is not a file of a backup")
            yield entry, content


@contextmanager
def reading(source: Path) -> Iterator[None]:
    """What the archive's readers raise, as `Invalid`."""
    try:
        yield
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise Invalid(f"{source} cannot be read as a backup: {error}") from error


def tables_of(connection: Connection) -> list[Table]:
    """Every table as the database describes it, those that others refer to first."""
    own = tables_of_its_own(connection)  # The rows of parts are read and written as the whole table's.
    described = MetaData()
    described.reflect(bind=connection, only=lambda name, _: name not in own)
    return [table for table in described.sorted_tables if table.name != REVISION_TABLE]


def to_json(value: object) -> object:
    if isinstance(value, datetime):
        return (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    return value


def from_json(value: Any, kind: type) -> object:
    if value is None:
        return None
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is date:
        return date.fromisoformat(value)
    if kind is bytes:
        return base64.b64decode(value)
    if kind is bool:
        return bool(value)
    return value
