"""
What is the matter with this server: each check says what it looked at, what it found and what to do.

Everything is looked at even where something is wrong already, and nothing is changed.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from narrows_server import schema
from narrows_server.audit import AuditRow, verify_chain
from narrows_server.database import Database, reason_of
from narrows_server.errors import ServerError
from narrows_server.keyring import open_keyring
from narrows_server.settings import Settings
from narrows_server.transparency.models import PendingLeaf
from narrows_server.usage.partitions import misplaced_ends, stray_count

BUNDLE_ENDS_SOON: Final = timedelta(days=90)
FREE_BYTES_MIN: Final = 2**30
FREE_SHARE_MIN: Final = 0.05


class Outcome(StrEnum):
    """How a check ended."""

    GOOD = "good"
    NOTICE = "notice"  # Should be seen to some day soon.
    BAD = "bad"  # Something does not work, or somebody could do harm.


SIGNS: Final = {Outcome.GOOD: "✓", Outcome.NOTICE: "!", Outcome.BAD: "✗"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    outcome: Outcome
    detail: str
    todo: str | None = None


def examine(settings: Settings, *, at: datetime) -> list[Finding]:
    """All findings, in the order of what depends on what."""
    findings = [*_home(settings), *_keys(settings, at)]
    database = Database(settings.database_url)
    try:
        findings += _database(database, at)
    finally:
        database.close()
    return [*findings, _address(settings), _disk(settings)]


def _home(settings: Settings) -> Iterator[Finding]:
    if not settings.home.is_dir():
        yield Finding(
            check="state folder", outcome=Outcome.BAD, detail=f"{settings.home} is missing", todo="narrows-server init"
        )
        return
    open_files = [path for path in _secrets(settings) if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]
    if open_files:
        yield Finding(
            check="state folder",
            outcome=Outcome.BAD,
            detail=f"others may read {', '.join(path.name for path in open_files)}",
            todo=f"chmod -R go= {settings.keys}",
        )
    else:
        yield Finding(check="state folder", outcome=Outcome.GOOD, detail=str(settings.home))
    if settings.root_keys.is_dir() and any(settings.root_keys.glob("*.pem")):
        yield Finding(
            check="root keys",
            outcome=Outcome.NOTICE,
            detail=f"they are on this machine, in {settings.root_keys}",
            todo="move them to an offline machine: no server needs them",
        )
    else:
        yield Finding(check="root keys", outcome=Outcome.GOOD, detail="not on this machine")


def _keys(settings: Settings, at: datetime) -> Iterator[Finding]:
    try:
        bundle = open_keyring(settings).bundle
    except (ServerError, OSError, ValueError) as error:
        yield Finding(
            check="keys", outcome=Outcome.BAD, detail=str(error), todo="restore a backup, or: narrows-server init"
        )
        return
    yield Finding(check="keys", outcome=Outcome.GOOD, detail="each opens, and is in the trust bundle")
    left = bundle.expires_at - at
    outcome = Outcome.BAD if left <= timedelta(0) else Outcome.NOTICE if left < BUNDLE_ENDS_SOON else Outcome.GOOD
    yield Finding(
        check="trust bundle",
        outcome=outcome,
        detail=f"version {bundle.version}, until {bundle.expires_at:%Y-%m-%d}",
        todo=None if outcome is Outcome.GOOD else "let the roots sign a new one: narrows-server keys bundle",
    )


def _database(database: Database, at: datetime) -> Iterator[Finding]:
    kind = database.engine.dialect.name
    try:
        schema.require_current(database)
    except ServerError as error:
        yield Finding(check="database", outcome=Outcome.BAD, detail=str(error), todo="narrows-server init")
        return
    except SQLAlchemyError as error:
        detail = f"{kind}: {reason_of(error)}"
        yield Finding(check="database", outcome=Outcome.BAD, detail=detail, todo="start it, or mend its URL")
        return
    yield Finding(check="database", outcome=Outcome.GOOD, detail=f"{kind}, schema up to date")
    with database.snapshot() as session:
        chain = verify_chain(session)
        newest = session.scalar(select(func.max(AuditRow.at)))
        waiting = session.scalar(select(func.count()).select_from(PendingLeaf)) or 0
        strays = stray_count(session.connection())
        misplaced = misplaced_ends(session.connection())
    yield Finding(
        check="audit trail",
        outcome=Outcome.GOOD if chain.fault is None else Outcome.BAD,
        detail=chain.fault or f"{chain.length:,} links verify, head {chain.head[:16]}…",
        todo=None if chain.fault is None else "find out who changed the database; compare with a backup",
    )
    yield Finding(
        check="transparency log",
        outcome=Outcome.NOTICE if waiting else Outcome.GOOD,
        detail=f"{waiting:,} reports wait for their place" if waiting else "every report has its place",
        todo="look again in a minute: a running server gives them theirs" if waiting else None,
    )
    if kind == "postgresql":
        yield Finding(
            check="record numbers",
            outcome=Outcome.BAD if misplaced else Outcome.GOOD,
            detail=f"of {misplaced:,} installations the last record is not where intake left it"
            if misplaced
            else "every installation's records end where intake left them",
            todo="the books were changed by hand: restore the newest backup" if misplaced else None,
        )
        yield Finding(
            check="months",
            outcome=Outcome.NOTICE if strays else Outcome.GOOD,
            detail=f"{strays:,} records are of a month without a partition"
            if strays
            else "every record is in its month",
            todo="a running server moves what is at most five years old within the hour; the rest was written by "
            "clocks that are years off"
            if strays
            else None,
        )
    is_behind = newest is not None and newest > at
    later = f", but something was done at {newest:%Y-%m-%d %H:%M}" if is_behind else ""
    yield Finding(
        check="clock",
        outcome=Outcome.BAD if is_behind else Outcome.GOOD,
        detail=f"{at:%Y-%m-%d %H:%M} UTC{later}",
        todo="set the clock; licenses and receipts carry its time" if is_behind else None,
    )


def _address(settings: Settings) -> Finding:
    url = settings.public_url
    if url is None:
        return Finding(
            check="public address",
            outcome=Outcome.NOTICE,
            detail="licenses name no server to report to",
            todo="set NARROWS_SERVER_PUBLIC_URL",
        )
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or parts.hostname in {"127.0.0.1", "localhost", "::1"}
    return Finding(
        check="public address",
        outcome=Outcome.GOOD if is_safe else Outcome.BAD,
        detail=url,
        todo=None if is_safe else "use https: put a reverse proxy with TLS in front",
    )


def _disk(settings: Settings) -> Finding:
    usage = shutil.disk_usage(settings.home if settings.home.exists() else Path("/"))
    is_short = usage.free < FREE_BYTES_MIN or usage.free < FREE_SHARE_MIN * usage.total
    return Finding(
        check="disk",
        outcome=Outcome.NOTICE if is_short else Outcome.GOOD,
        detail=f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GiB are free",
        todo="make room: a full disk takes no reports" if is_short else None,
    )


def _secrets(settings: Settings) -> list[Path]:
    keys = list(settings.keys.rglob("*")) if settings.keys.is_dir() else []
    return [path for path in (*keys, settings.admin_key) if path.is_file()]
