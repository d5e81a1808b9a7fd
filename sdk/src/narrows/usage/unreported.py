"""Usage that waits for a receipt: since when, and how much. What a license may set a limit to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from narrows_metering.record import Kind, Record

if TYPE_CHECKING:
    from narrows_metering.ledger import Ledger

_USAGE = {Kind.ENCODE, Kind.DELIVERY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreported:
    """*since* is when the oldest usage without a receipt was recorded, None if there is none."""

    since: datetime | None
    bytes_waiting: int


def unreported_usage(ledger: Ledger) -> Unreported:
    """What this installation has recorded and has no receipt for, without what is never billed."""
    since: datetime | None = None
    waiting = 0
    for record in ledger.records(max(ledger.acknowledged(), ledger.pruned().seq)):
        if record.kind in _USAGE and not record.payload.get("development"):
            since = since or record.time
            waiting += _bytes(record)
    return Unreported(since=since, bytes_waiting=waiting)


def _bytes(record: Record) -> int:
    count = record.payload.get("bytes")
    return count if isinstance(count, int) else 0
