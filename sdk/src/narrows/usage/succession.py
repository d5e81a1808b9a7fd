"""
How one installation hands over to the next in the same state folder: after a conflict, and after damage.

A successor has a key and a ledger of its own; the asset key stays, for asset ids are the customer's. It is prepared in
files that nobody looks at. One commit then decides: a row in the old ledger that retires it in the successor's favour,
or, where the old ledger can't be written any more, a note beside it. Whoever opens the state folder afterwards puts
the prepared files in place, so it does not matter who was interrupted where.

An open SQLite file must never be renamed, and somebody may have the old ledger open: it keeps its name for ever, and
the new one gets one of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_metering.errors import LedgerDamaged, LedgerRetired, RecordsPruned
from narrows_metering.ledger import Entry, Ledger
from narrows_metering.ledger_reader import PAGE_RECORDS
from narrows_metering.ledger_schema import sync_folder
from narrows_metering.payload import DETAIL_CHARACTERS_MAX, GapReason
from narrows_metering.record import Kind

from narrows.installation import Installation, earlier_key_path, key_path, write_secret

_FIRST_LEDGER: Final = "ledger.sqlite"
_SUCCEEDS: Final = "succeeds"  # Drafts of whoever takes over; only one ever does.
_RELIEVES: Final = "relieves"  # Drafts of whoever takes records of a retired ledger; there may be several.


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """
    What a successor's ledger begins with: a LIFECYCLE record of *event*, then – if it *carries* – the old ledger's
    records behind *own_seq*, then a GAP record for those that can't be read, up to *last_seq* or the old one's head.
    """

    event: Mapping[str, object]
    at: datetime
    own_seq: int  # The last record that stays the old installation's.
    carries: bool
    reason: GapReason = GapReason.DAMAGED
    detail: str = ""
    last_seq: int = 0  # The last record that is known to have been there.


@dataclass(frozen=True, slots=True)
class _Drafts:
    """The files of a successor before it is decided that it is one, named after both. *by* says how it becomes one."""

    state_folder: Path
    old_id: str
    new_id: str
    by: str

    @property
    def ledger(self) -> Path:
        return self.state_folder / f".{self.by}-{self.old_id}-{self.new_id}.sqlite"

    @property
    def key(self) -> Path:
        return self.ledger.with_suffix(".key")

    def remove(self) -> None:
        for leftover in self.state_folder.glob(f".{self.by}-{self.old_id}-{self.new_id}.*"):
            leftover.unlink(missing_ok=True)


def ledger_path(state_folder: Path, installation_id: str) -> Path:
    """Where the ledger of an installation is: the first of a state folder has a name of its own."""
    named = state_folder / f"ledger-{installation_id}.sqlite"
    return named if named.exists() else state_folder / _FIRST_LEDGER


def noted_successor(state_folder: Path, installation_id: str) -> tuple[str, int] | None:
    """Who succeeds an installation whose damaged ledger can't say so, and the last record that stays its own."""
    try:
        note = json.loads(_note_path(state_folder, installation_id).read_bytes())
    except FileNotFoundError:
        return None
    return str(note["successor"]), int(note["own_seq"])


def hand_over(state_folder: Path, installation: Installation, old: Ledger, handover: Handover) -> None:
    """
    Give *installation* a successor that goes on from its ledger *old*. Its files are in place when this returns.

    Raises LedgerRetired if somebody else was faster, LedgerDamaged if *old* can't be written, and what metering raises
    when there is no room: then everything is as it was.
    """
    successor, drafts = _prepared(state_folder, installation, _SUCCEEDS)
    is_complete = False
    try:
        with Ledger.open(drafts.ledger, installation_id=successor.id) as new:
            position = _begin(old, new, handover)
            with old.retiring(successor=successor.id, own_seq=handover.own_seq) as last_seq:
                _complete(old, new, handover, position, last_seq)
                new.fold()
                new.close()
                is_complete = True  # From here on nobody but the disk knows whether it is decided.
    finally:
        if not is_complete:
            drafts.remove()
    finish(state_folder, installation.id, successor.id)


def cede(state_folder: Path, installation: Installation, old: Ledger, handover: Handover) -> None:
    """
    Move the records behind the handover's `own_seq` of a *retired* ledger to a further installation, which reports
    them and does nothing else. Raises as `hand_over` does.
    """
    successor, drafts = _prepared(state_folder, installation, _RELIEVES)
    is_complete = False
    try:
        with Ledger.open(drafts.ledger, installation_id=successor.id) as new:
            position = _begin(old, new, handover)
            with old.ceding(successor=successor.id, own_seq=handover.own_seq) as last_seq:
                _complete(old, new, handover, position, last_seq)
                with new.retiring(successor=str(old.successor()), own_seq=new.head().seq):
                    pass
                new.fold()
                new.close()
                is_complete = True
    finally:
        if not is_complete:
            drafts.remove()
    finish(state_folder, installation.id, successor.id)


def hand_over_unwritable(state_folder: Path, installation: Installation, handover: Handover) -> None:
    """
    Give *installation* a successor although its ledger can't be told: what is in it is not carried.

    Raises as `hand_over` does.
    """
    successor, drafts = _prepared(state_folder, installation, _SUCCEEDS)
    is_complete = False
    try:
        with Ledger.open(drafts.ledger, installation_id=successor.id) as new:
            new.append(Kind.LIFECYCLE, handover.event, time=handover.at)
            _name_gap(new, handover, handover.own_seq + 1, handover.last_seq or None)
            new.fold()
        is_complete = True
        note = json.dumps({"successor": successor.id, "own_seq": handover.own_seq}).encode()
        partial = drafts.ledger.with_suffix(".note")
        write_secret(partial, note)
        try:
            os.link(partial, _note_path(state_folder, installation.id))
        except FileExistsError:
            is_complete = False
            raise LedgerRetired("another") from None
        finally:
            partial.unlink()
        sync_folder(state_folder)
    finally:
        if not is_complete:
            drafts.remove()
    finish(state_folder, installation.id, successor.id)


def finish(state_folder: Path, old_id: str, new_id: str) -> None:
    """
    Put the files of the decided successor *new_id* in place, as far as nobody has. Raises OSError.

    Several processes may do so at the same time: each step is one move, and what has moved is not there any more.
    """
    for by in (_SUCCEEDS, _RELIEVES):
        drafts = _Drafts(state_folder, old_id, new_id, by)
        with suppress(FileNotFoundError):
            drafts.ledger.rename(state_folder / f"ledger-{new_id}.sqlite")
            sync_folder(state_folder)  # Whoever finds the key has to find the ledger.
        if not drafts.key.exists():
            continue
        with suppress(FileNotFoundError):
            if by == _RELIEVES:
                drafts.key.rename(earlier_key_path(state_folder, new_id))
            else:
                with suppress(FileExistsError):
                    os.link(key_path(state_folder), earlier_key_path(state_folder, old_id))
                drafts.key.replace(key_path(state_folder))
            sync_folder(state_folder)
    _Drafts(state_folder, old_id, "*", _SUCCEEDS).remove()  # Of those who came too late; their turn is over.


def _prepared(state_folder: Path, installation: Installation, by: str) -> tuple[Installation, _Drafts]:
    successor = Installation(Ed25519PrivateKey.generate(), installation.asset_key)
    drafts = _Drafts(state_folder, installation.id, successor.id, by)
    write_secret(drafts.key, successor.key.private_bytes_raw())
    return successor, drafts


def _begin(old: Ledger, new: Ledger, handover: Handover) -> int:
    """Write the first record, and carry most of the others while nobody has to wait; returns the next one's number."""
    new.append(Kind.LIFECYCLE, handover.event, time=handover.at)
    position = handover.own_seq + 1
    return _carry(old, new, handover, position, old.own_seq()) if handover.carries else position


def _complete(old: Ledger, new: Ledger, handover: Handover, position: int, last_seq: int) -> None:
    """Carry what was appended meanwhile, and name what can't be read."""
    if handover.carries:
        position = _carry(old, new, handover, position, last_seq)
    last_seq = max(last_seq, handover.last_seq)
    if position <= last_seq:
        _name_gap(new, handover, position, last_seq)


def _carry(old: Ledger, new: Ledger, handover: Handover, position: int, last_seq: int) -> int:
    """Seal records *position* to *last_seq* anew, as far as they are good; returns the number of the next."""
    entries = list[Entry]()
    try:
        for record in old.records(position - 1, max(0, last_seq - position + 1)):
            entries.append(Entry(kind=record.kind, payload=record.payload, time=record.time))
            if len(entries) == PAGE_RECORDS:
                position += len(new.append_all(entries))
                entries.clear()
    except RecordsPruned as pruned:
        _name_gap(new, handover, position, pruned.first_kept_seq - 1, GapReason.PRUNED)
        return _carry(old, new, handover, pruned.first_kept_seq, last_seq)
    except LedgerDamaged:
        pass  # What comes after the good records is named as a gap.
    return position + len(new.append_all(entries))


def _name_gap(
    new: Ledger, handover: Handover, first_seq: int, last_seq: int | None, reason: GapReason | None = None
) -> None:
    payload = {
        "reason": reason or handover.reason,
        "installation": handover.event["previous_installation"],
        "first_seq": first_seq,
        "last_seq": last_seq,
        "detail": "" if reason else handover.detail[:DETAIL_CHARACTERS_MAX],
    }
    new.append(Kind.GAP, payload, time=handover.at)


def _note_path(state_folder: Path, installation_id: str) -> Path:
    return state_folder / f"successor-of-{installation_id}.json"
