"""
Which records are one fact under several names.

An installation that the server contradicts goes on as another, and seals the records that it still had to report anew.
Two copies of one machine may both do so, and both carry what they recorded before they were separated. Such a ledger
begins by saying which chain it continues, so each of its records also has the hash that it would have had there: by it
the copies are recognised. Pure; who then counts what is `usage`'s business.
"""

from __future__ import annotations

from narrows_metering.chain import Head
from narrows_metering.payload import Event, Lifecycle, read_lifecycle
from narrows_metering.record import Kind, Record


class Descent:
    """Follows the records of one installation, in order and from any of them on."""

    def __init__(self) -> None:
        self._line: Head | None = None  # Where the chain that is continued stands; None if there is none.

    def keys(self, record: Record) -> tuple[str, ...]:
        """
        The hashes by which *record*, the next one, is known: two records that share one are the same fact.

        The second, where there is one, is what it had been called had the ledger before not been contradicted.
        """
        if record.seq == 1:
            self._line = _continued(record)
            return (record.hash,)
        if self._line is None:
            return (record.hash,)
        if record.kind is Kind.GAP:
            self._line = None  # Numbers are missing here, and with them the way back.
            return (record.hash,)
        before = self._line
        sealed = Record.seal(before.seq + 1, before.hash, record.time, record.kind, record.payload)
        self._line = Head(seq=sealed.seq, hash=sealed.hash)
        return record.hash, sealed.hash


def _continued(first: Record) -> Head | None:
    """The end of the chain that a ledger with this *first* record continues."""
    event = read_lifecycle(first.payload) if first.kind is Kind.LIFECYCLE else None
    if not isinstance(event, Lifecycle) or event.event is not Event.REIDENTIFIED:
        return None
    if event.previous_seq is None or event.previous_hash is None:
        return None
    return Head(seq=event.previous_seq, hash=event.previous_hash)
