"""
The meter: this machine's installation with its open ledger, and the diary that the ledger keeps of itself.

Follows when the installation gets a successor (see `succession`), so that a running encoder never loses its record.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from narrows_licensing.policy import CLOCK_TOLERANCE
from narrows_metering import errors as metering
from narrows_metering.ledger import RETENTION, Entry, Ledger
from narrows_metering.ledger_reader import TAIL_RECORDS
from narrows_metering.payload import Event, Lifecycle, read_lifecycle
from narrows_metering.record import Kind, Record, time_to_text
from narrows_metering.reserve import Reserve
from narrows_metering.witness import Witness

from narrows.errors import LedgerDamaged, UsageError
from narrows.installation import Installation, key_path
from narrows.usage.succession import finish, ledger_path, noted_successor
from narrows.version import VERSION

_LIFECYCLE_READ: Final = 8  # The last events that are looked at for the SDK that wrote them.


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


@contextmanager
def translated() -> Iterator[None]:
    """Map what metering raises to UsageError and its kinds."""
    try:
        yield
    except metering.LedgerDamaged as error:
        raise LedgerDamaged(
            f"the usage ledger is damaged: {error}. Nothing was changed. Next step: `narrows usage recover` sets it "
            "aside, keeps what is good for the next report, and goes on with a new one.",
            sequence=error.sequence,
        ) from error
    except metering.MeteringError as error:
        raise UsageError(str(error)) from error


@contextmanager
def translated_files(folder: Path) -> Iterator[None]:
    """`translated`, and what goes wrong with the other files of the state folder."""
    try:
        with translated():
            yield
    except OSError as error:
        raise UsageError(f"can't keep usage records in {folder}: {error}") from error


class Meter:
    """
    The installation and its open ledger. Make it with `open_meter`.

    Another process may give the installation a successor at any time (see `reidentify`): `append` and `append_all`
    notice, and write into the successor's ledger instead. `installation` and `ledger` then are the successor's.
    """

    def __init__(self, state_folder: Path, clock: Callable[[], datetime]) -> None:
        self._state_folder = state_folder
        self._clock = clock
        self._following = threading.RLock()
        self._opened = ExitStack()
        self._current = open_current(state_folder)
        self._opened.callback(self._current.ledger.close)
        self._keep_diary()

    @property
    def installation(self) -> Installation:
        """Who records and signs here now."""
        return self._current.installation

    @property
    def ledger(self) -> Ledger:
        """The installation's ledger. To append to it, use the meter."""
        return self._current.ledger

    def close(self) -> None:
        """Close the ledger, and those before it."""
        self._opened.close()

    def append(self, kind: Kind, payload: Mapping[str, object], *, time: datetime) -> Record:
        """Append one record and return it once it is on the disk. Raises UsageError if nothing could be written."""
        (record,) = self.append_all([Entry(kind=kind, payload=payload, time=time)])
        return record

    def append_all(self, entries: Iterable[Entry]) -> tuple[Record, ...]:
        """Append all *entries* or none, with one wait for the disk. Raises as `append` does."""
        wanted = tuple(entries)
        with translated():
            while True:
                # A retired ledger refuses by itself; a damaged one that was replaced may not.
                if _stamp(self._state_folder) not in (None, self._current.stamp):
                    self.follow()
                try:
                    return self._current.ledger.append_all(wanted)
                except metering.LedgerRetired:
                    self.follow()

    def follow(self) -> bool:
        """Go on with the installation's successor, if it has one; returns whether it has."""
        with self._following, translated_files(self._state_folder):
            if not self._has_successor():
                return False
            current = open_current(self._state_folder)
            if current.installation.id == self.installation.id:
                current.ledger.close()
                self._current = Current(self.installation, self.ledger, current.stamp)
                return False
            # The old ledger stays open: another thread may be reading it.
            self._opened.callback(current.ledger.close)
            self._current = current
            self._keep_diary()
            return True

    def _has_successor(self) -> bool:
        """Whether anything here says so: opening a ledger anew costs much more than asking."""
        if _stamp(self._state_folder) in (None, self._current.stamp):
            noted = noted_successor(self._state_folder, self.installation.id)
            return noted is not None or self.ledger.successor() is not None
        return True

    def require_room(self) -> None:
        """See to it that the record of an encode that starts now will find room. Raises UsageError before it starts."""
        with translated():
            self.ledger.require_room()

    def prune(self, at: datetime) -> int:
        """Remove the records whose receipt is older than the retention, 400 days; returns how many."""
        with translated():
            return self.ledger.prune(at - RETENTION)

    def latest_time_seen(self) -> datetime | None:
        """
        The latest time that this machine is known to have lived through: the ratchet against a wound-back clock.

        Whatever has a receipt was there before it: the receipt's time counts, and no longer what was written under a
        clock that ran ahead. So a machine whose clock was wrong for a while is right again with its next report.
        """
        receipt = self.ledger.latest_receipt()
        acknowledged = 0 if receipt is None else receipt.last_seq
        after = max(acknowledged, self.ledger.pruned().seq, self.ledger.head().seq - TAIL_RECORDS)
        # What the ledger writes about itself, it also writes under a wrong clock.
        times = [record.time for record in self.ledger.records(after) if record.kind is not Kind.LIFECYCLE]
        times += [event.latest_time_seen for event in self._events(acknowledged) if event.latest_time_seen]
        if receipt is not None:
            times.append(receipt.time)
        return max(times, default=None)

    def _events(self, after: int = 0) -> list[Lifecycle]:
        """The last events of the ledger's life behind record *after*, newest first."""
        records = self.ledger.lifecycle(_LIFECYCLE_READ)
        read = [read_lifecycle(record.payload) for record in records if record.seq > after]
        return [event for event in read if isinstance(event, Lifecycle)]

    def _keep_diary(self) -> None:
        """Write down what has changed since the ledger was opened last. Where nothing can be written, later will do."""
        with suppress(metering.LedgerUnavailable, metering.LedgerRetired):
            while True:
                head = self.ledger.head()
                news = self._news(self._clock())
                if not news or self.ledger.append_after(head, news) is not None:
                    return

    def _news(self, now: datetime) -> list[Entry]:
        events, payloads = self._events(), list[dict[str, object]]()
        sdk = next((event.sdk for event in events if event.sdk), None)
        if sdk is None and self.ledger.pruned().seq == 0:
            payloads.append({"event": Event.ENROLLED, "sdk": VERSION})
        elif sdk != VERSION:
            payloads.append({"event": Event.SDK_CHANGED, "sdk": VERSION, "previous_sdk": sdk})
        seen = self.latest_time_seen()
        is_known = any(event.event is Event.CLOCK_SET_BACK and event.latest_time_seen == seen for event in events)
        if seen is not None and now < seen - CLOCK_TOLERANCE and not is_known:
            payloads.append({"event": Event.CLOCK_SET_BACK, "latest_time_seen": time_to_text(seen)})
        return [Entry(kind=Kind.LIFECYCLE, payload=payload, time=now) for payload in payloads]


@dataclass(frozen=True, slots=True)
class Current:
    """The installation of a state folder, its ledger, and the stamp of its key file."""

    installation: Installation
    ledger: Ledger
    stamp: tuple[int, int] | None


def open_current(folder: Path) -> Current:
    """Open the ledger of the installation that has no successor, and finish what others began on the way there."""
    while True:
        stamp = _stamp(folder)
        installation = Installation.open(folder)
        noted = noted_successor(folder, installation.id)
        if noted is None:
            path = ledger_path(folder, installation.id)
            try:
                ledger = Ledger.open(
                    path,
                    installation_id=installation.id,
                    witness=witness_of(path),
                    reserve=Reserve(path.with_name(f"{path.name}-reserve")),
                )
            except metering.LedgerDamaged:
                successor = _successor_of_damaged(path, installation.id)
                if successor is None:
                    raise
            else:
                successor = ledger.successor()
                if successor is None:
                    return Current(installation, ledger, stamp or _stamp(folder))
                ledger.close()
        else:
            successor, _ = noted
        finish(folder, installation.id, successor)
        if _stamp(folder) == stamp:
            raise UsageError(f"the files of the installation {successor} are missing in {folder}")


def _successor_of_damaged(path: Path, installation_id: str) -> str | None:
    with suppress(metering.MeteringError), Ledger.open_damaged(path, installation_id=installation_id) as ledger:
        return ledger.successor()
    return None


def open_retired_ledger(folder: Path, installation_id: str) -> Ledger:
    """The ledger of an installation that has a successor, whatever state it is in."""
    path = ledger_path(folder, installation_id)
    noted = noted_successor(folder, installation_id)
    if noted is None and path.exists():
        try:
            ledger = Ledger.open(path, installation_id=installation_id)
            successor = ledger.successor()
            if successor is not None:
                finish(folder, installation_id, successor)
            return ledger
        except metering.LedgerDamaged:
            pass
    return Ledger.open_damaged(path, installation_id=installation_id, own_seq=noted[1] if noted else None)


def witness_of(path: Path) -> Witness:
    return Witness(path.with_name(f"{path.name}-witness"))


def _stamp(folder: Path) -> tuple[int, int] | None:
    """Changes when the installation does."""
    try:
        status = key_path(folder).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
