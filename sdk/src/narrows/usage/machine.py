"""
Usage on this machine: opens its meter and the ledgers of those before it, and goes on after a conflict or damage.

Everything here is local. What is sent, and when, is `reporter`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from narrows_metering import errors as metering
from narrows_metering.ledger import RETENTION, Ledger
from narrows_metering.payload import DETAIL_CHARACTERS_MAX, Event, GapReason

from narrows.installation import Installation, earlier_ids
from narrows.settings import Settings
from narrows.usage.meter import (
    Meter,
    open_current,
    open_retired_ledger,
    translated,
    translated_files,
    utc_now,
    witness_of,
)
from narrows.usage.succession import Handover, cede, hand_over, hand_over_unwritable, ledger_path

__all__ = [
    "Meter",
    "Recovered",
    "Retired",
    "open_meter",
    "open_retired",
    "prune",
    "recover",
    "reidentify",
    "translated",
]


@contextmanager
def open_meter(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Iterator[Meter]:
    """The installation's identity and ledger, made at first use; raises UsageError and LedgerDamaged."""
    with translated_files(settings.state_folder):
        meter = Meter(settings.state_folder, clock)
    try:
        with translated():
            yield meter
    finally:
        meter.close()


@dataclass(frozen=True, slots=True)
class Retired:
    """An installation that has a successor, and its ledger: `next_report` gives what is still its own to report."""

    installation: Installation
    ledger: Ledger


@contextmanager
def open_retired(settings: Settings) -> Iterator[tuple[Retired, ...]]:
    """
    The earlier installations of this state folder that left a ledger.

    Their last records may never have been acknowledged, and a server that lost its database needs them again.
    """
    folder = settings.state_folder
    with translated(), ExitStack() as opened:
        earlier = list[Retired]()
        seen = set[str]()
        while fresh := sorted(earlier_ids(folder) - seen):
            for installation_id in fresh:
                seen.add(installation_id)
                with suppress(metering.LedgerUnavailable):  # Somebody has moved it away.
                    ledger = opened.enter_context(open_retired_ledger(folder, installation_id))
                    earlier.append(Retired(Installation.open_earlier(folder, installation_id), ledger))
        yield tuple(earlier)


def reidentify(settings: Settings, *, installation_id: str, first_seq: int, at: datetime) -> None:
    """
    Go on as another installation, because the server holds other records than *installation_id*'s from *first_seq* on.

    The new ledger begins with a LIFECYCLE record and those records, sealed anew; the records before stay the old
    installation's. An earlier installation's records move in the same way. Returns at once if this has been done.
    Nothing is lost if it is interrupted: whoever opens the state folder next finishes it.

    Raises UsageError if it can't be done now, LedgerDamaged for a damaged ledger.
    """
    folder, own_seq = settings.state_folder, first_seq - 1

    def handover(ledger: Ledger) -> Handover:
        event = {"event": Event.REIDENTIFIED, "previous_installation": installation_id, "previous_seq": own_seq}
        with suppress(metering.RecordsPruned):
            # Another copy of this machine may carry the same records: by this they will be known to be the same.
            event["previous_hash"] = ledger.head_at(own_seq).hash
        return Handover(event=event, at=at, own_seq=own_seq, carries=True)

    with translated_files(folder), suppress(metering.LedgerRetired):  # Then somebody else has done it.
        current = open_current(folder)
        with current.ledger:
            if current.installation.id == installation_id:
                hand_over(folder, current.installation, current.ledger, handover(current.ledger))
                return
        with open_retired(settings) as earlier:
            for one in earlier:
                if one.installation.id == installation_id and one.ledger.own_seq() > own_seq:
                    cede(folder, one.installation, one.ledger, handover(one.ledger))


def prune(settings: Settings, meter: Meter, *, at: datetime) -> int:
    """
    Remove the records, also of earlier installations, whose receipt is older than the retention; returns how many.

    A clock that runs ahead removes nothing early: the time that counts is the server's, as far as it is known. Raises
    UsageError and LedgerDamaged; earlier ledgers that are damaged are left as they are.
    """
    latest = meter.ledger.latest_receipt()
    if latest is None:
        return 0
    known = min(at, latest.time)
    removed = meter.prune(known)
    with open_retired(settings) as earlier:
        for one in earlier:
            with suppress(metering.MeteringError):
                removed += one.ledger.prune(known - RETENTION)
    return removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of a damaged ledger. Its good records are still reported; the new one names those that are lost."""

    damage: str
    set_aside: Path
    good_seq: int  # The last record that can be trusted.
    last_seq: int | None  # The last that there was; None where nobody knows.


def recover(settings: Settings, *, at: datetime) -> Recovered | None:
    """
    Go on after damage: under a new name, with a new ledger whose first records say what happened and what is lost.

    The damaged file stays as it is, and its good records are reported under the old name; nothing is repaired. Returns
    None if the ledger is fine, raises UsageError if it can't be done now. Stop running encoders first: one that still
    holds the damaged file may write into it until this is done.
    """
    folder = settings.state_folder
    with translated_files(folder), suppress(metering.LedgerRetired):
        try:
            with open_current(folder).ledger as ledger:
                ledger.verify()
            return None
        except metering.LedgerDamaged as damage:
            installation = Installation.open(folder)
            return _recover(folder, installation, str(damage), at)
    return None


def _recover(folder: Path, installation: Installation, damage: str, at: datetime) -> Recovered:
    path = ledger_path(folder, installation.id)
    seen = witness_of(path).seen()
    seen_seq = seen.seq if seen else 0
    with ExitStack() as opened:
        old: Ledger | None = None
        good_seq, held_seq = 0, 0 if not path.exists() else None
        if path.exists():
            old = opened.enter_context(Ledger.open_damaged(path, installation_id=installation.id))
            with suppress(metering.LedgerDamaged):
                good_seq = old.good_seq()
            with suppress(metering.LedgerDamaged):
                held_seq = old.last_seq()
        last_seq = max(held_seq or 0, seen_seq)
        is_older_copy = held_seq == good_seq < seen_seq
        event = {
            "event": Event.RESTORED if is_older_copy else Event.RECOVERED,
            "previous_installation": installation.id,
            "previous_seq": good_seq,
            "detail": damage[:DETAIL_CHARACTERS_MAX],
        }
        handover = Handover(
            event=event,
            at=at,
            own_seq=good_seq,
            carries=False,
            reason=GapReason.LOST if is_older_copy else GapReason.DAMAGED,
            detail=damage,
            last_seq=last_seq,
        )
        try:
            if old is None:
                raise metering.LedgerDamaged(None, damage)
            hand_over(folder, installation, old, handover)
        except metering.LedgerDamaged:
            hand_over_unwritable(folder, installation, handover)
    return Recovered(damage=damage, set_aside=path, good_seq=good_seq, last_seq=last_seq or None)
