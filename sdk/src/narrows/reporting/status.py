"""
How usage stands on this machine: what was recorded, what is acknowledged, and how reporting fares.

Only looks. A damaged ledger is a state to show here, not an error.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from narrows_metering import errors as metering
from narrows_metering.ledger import Ledger

from narrows.errors import LedgerDamaged
from narrows.installation import Installation
from narrows.reporting.attempts import read_attempts
from narrows.settings import Settings
from narrows.shown import Shown
from narrows.usage.machine import open_meter, open_retired
from narrows.usage.succession import ledger_path


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierUsage:
    """An installation that lived here before and has records without a receipt."""

    installation: str
    records: int  # Its own to report.
    acknowledged: int
    unreported: int
    damage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageStatus(Shown):
    """
    The state of usage on this machine, as `usage_status` returns it. Numbers are None where the ledger is damaged.

    *unreported* counts the records without a receipt of this installation and of *earlier* ones. *next_attempt* is
    None where nothing has to be waited for.
    """

    ledger: Path
    installation: str
    records: int | None  # The number of the last record: the head.
    head_hash: str | None
    acknowledged: int | None
    unreported: int | None
    last_receipt: datetime | None  # The server's clock.
    last_attempt: datetime | None
    last_success: datetime | None
    last_error: str | None
    failed_attempts: int  # In a row.
    next_attempt: datetime | None
    earlier: tuple[EarlierUsage, ...]
    damage: str | None
    reserve_bytes: int  # Held on the disk for the record of a running encode; 0 until the first one starts.


def usage_status(settings: Settings | None = None) -> UsageStatus:
    """
    Say how usage stands on this machine, without a network and without changing anything.

    >>> status = narrows.usage_status()
    >>> print(status.unreported, "records wait;", status.last_error or "reporting works")

    Raises UsageError if the state folder can't be read.
    """
    settings = settings or Settings.read()
    attempts = read_attempts(settings.state_folder)
    records = acknowledged = unreported = None
    head_hash = damage = last_receipt = None
    try:
        with open_meter(settings) as meter:
            head, acknowledged = meter.ledger.head(), meter.ledger.acknowledged()
            records, head_hash, unreported = head.seq, head.hash, head.seq - acknowledged
            receipt = meter.ledger.latest_receipt()
            last_receipt = receipt.time if receipt else None
            installation, path = meter.installation.id, meter.ledger.path
    except LedgerDamaged as error:
        installation, damage = Installation.open(settings.state_folder).id, str(error)
        path = ledger_path(settings.state_folder, installation)
    with open_retired(settings) as retired:
        earlier = tuple(found for one in retired if (found := _earlier(one.ledger)) is not None)
    if unreported is not None:
        unreported += sum(one.unreported for one in earlier)
    return UsageStatus(
        ledger=path,
        installation=installation,
        records=records,
        head_hash=head_hash,
        acknowledged=acknowledged,
        unreported=unreported,
        last_receipt=last_receipt,
        last_attempt=attempts.last_attempt_at,
        last_success=attempts.last_success_at,
        last_error=attempts.last_error,
        failed_attempts=attempts.failure_count,
        next_attempt=attempts.next_attempt_at,
        earlier=earlier,
        damage=damage,
        reserve_bytes=_size(path.with_name(f"{path.name}-reserve")),
    )


def _earlier(ledger: Ledger) -> EarlierUsage | None:
    """What is open in a retired ledger; None if it is all acknowledged."""
    own = acknowledged = 0
    damage = None
    try:
        own, acknowledged = ledger.own_seq(), ledger.acknowledged()
    except metering.MeteringError as error:
        damage = str(error)
    if damage is None and own <= acknowledged:
        return None
    return EarlierUsage(
        installation=ledger.installation_id,
        records=own,
        acknowledged=acknowledged,
        unreported=max(0, own - acknowledged),
        damage=damage,
    )


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
