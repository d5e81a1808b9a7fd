"""
A record: one fact of usage, sealed by a hash over its canonical bytes.

Each record carries the hash of the one before it, so a run of records can be checked by anyone, without keys.
Nothing here stores or sends a record (see `ledger` and `report`) or knows what a payload means (see `payload`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self

import orjson

from narrows_metering.canonical import INTEGER_MAX, canonical_json
from narrows_metering.errors import RecordRefused

SEQUENCE_MAX: Final = INTEGER_MAX
PAYLOAD_BYTES_MAX: Final = 65_536  # Canonical bytes; evidence with a full ladder needs about 1,000.
PAYLOAD_DEPTH_MAX: Final = 8
PAYLOAD_KEY_CHARACTERS_MAX: Final = 64

_STORED_START: Final = b'{"hash":"'  # The first of the members, sorted as RFC 8785 asks.
_STORED_HASH_END: Final = len(_STORED_START) + 64
_MEMBERS = frozenset({"seq", "prev", "time", "kind", "payload", "hash"})
_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_BYTES_PER_CHARACTER_MAX: Final = 6  # Canonical JSON at its widest: \u001f.


class Kind(StrEnum):
    """What a record is about."""

    ENCODE = "encode"
    EVIDENCE = "evidence"
    DELIVERY = "delivery"
    GAP = "gap"
    LIFECYCLE = "lifecycle"


_KINDS: Final = {str(kind): kind for kind in Kind}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """
    One link of a ledger. Make it with `seal`, read it with `from_dict`.

    Reading checks the shape, not the hash: whether `hash` is true and `prev` fits is what `chain.check_chain`
    decides, once, for a whole run.

    >>> now = datetime(2026, 11, 23, 8, tzinfo=UTC)
    >>> record = Record.seal(1, genesis("installation"), now, Kind.LIFECYCLE, {"event": "enrolled"})
    >>> record.hash == record.computed_hash()
    True
    """

    seq: int  # From 1, without gaps.
    prev: str  # Hash of the record before, or `genesis` of the installation.
    time: datetime  # Aware, UTC; the installation's clock.
    kind: Kind
    payload: dict[str, Any]  # Integers, strings, booleans, None, lists and dicts; never a float.
    hash: str  # SHA-256 of the canonical bytes, lower-case hex.
    _body: bytes | None = field(default=None, compare=False, repr=False)  # The canonical bytes, where they are at hand.

    @staticmethod
    def seal(seq: int, prev: str, time: datetime, kind: Kind, payload: Mapping[str, object]) -> Record:
        """Make the record that follows *prev*. Raises RecordRefused naming the payload member that is not allowed."""
        record, _ = Unsealed.check(kind, payload, time).seal(_check_sequence(seq), _check_hash(prev, "prev"))
        return record

    def canonical_bytes(self) -> bytes:
        """The bytes that are hashed: RFC 8785 JSON of everything but the hash."""
        return self._body or canonical_bytes(self.seq, self.prev, self.time, self.kind, self.payload)

    def computed_hash(self) -> str:
        """What `hash` has to be."""
        return hashlib.sha256(self.canonical_bytes()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """The record as it stands in reports and evidence files."""
        return {
            "seq": self.seq,
            "prev": self.prev,
            "time": time_to_text(self.time),
            "kind": str(self.kind),
            "payload": self.payload,
            "hash": self.hash,
        }

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Read `to_dict`'s result. Raises RecordRefused naming the member that is missing, foreign or malformed."""
        if not isinstance(document, dict):
            raise RecordRefused("a record is a JSON object")
        if document.keys() != _MEMBERS:
            name = min(str(key) for key in document.keys() ^ _MEMBERS)
            raise RecordRefused(f"{name[:64]}: {'missing' if name in _MEMBERS else 'not a member of a record'}")
        kind = document["kind"]
        if not isinstance(kind, str) or kind not in _KINDS:
            raise RecordRefused("kind: unknown")
        return cls(
            seq=_check_sequence(document["seq"]),
            prev=_check_hash(document["prev"], "prev"),
            time=time_from_text(document["time"]),
            kind=_KINDS[kind],
            payload=_checked_payload(document["payload"]),
            hash=_check_hash(document["hash"], "hash"),
        )

    @classmethod
    def from_stored(cls, text: bytes) -> Self:
        """
        Read the canonical JSON of a record that was checked with `from_dict` before it was stored.

        Nothing is checked again but what `computed_hash` makes visible: it is taken over the bytes of *text* itself, so
        a change of any of them breaks the chain. Raises RecordRefused for what cannot be such a text.
        """
        if not text.startswith(_STORED_START) or text[_STORED_HASH_END : _STORED_HASH_END + 2] != b'",':
            raise RecordRefused("not the canonical JSON of a record")
        try:
            members = orjson.loads(text)
            return cls(
                seq=members["seq"],
                prev=members["prev"],
                time=datetime.fromisoformat(members["time"]),
                kind=_KINDS[members["kind"]],
                payload=members["payload"],
                hash=members["hash"],
                _body=b"{" + text[_STORED_HASH_END + 2 :],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecordRefused(f"not the canonical JSON of a record: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsealed:
    """
    A record that lacks only its place in a chain. All checking and writing out is done, so that many threads can
    prepare records while one of them holds the ledger.
    """

    kind: Kind
    payload: dict[str, Any]
    time: datetime  # UTC.
    _before: str  # Canonical JSON up to the value of `prev`, …
    _after: str  # … and from behind the value of `seq`.

    @classmethod
    def check(cls, kind: Kind, payload: Mapping[str, object], time: datetime) -> Self:
        """Raises RecordRefused naming the payload member that is not allowed."""
        checked = _checked_members(payload)
        text = canonical_json(checked)
        if len(text) > PAYLOAD_BYTES_MAX:
            raise RecordRefused(f"payload: {len(text)} bytes, more than {PAYLOAD_BYTES_MAX}")
        # The members of a record, sorted as RFC 8785 asks: kind, payload, prev, seq, time.
        return cls(
            kind=Kind(kind),
            payload=checked,
            time=time if time.tzinfo is UTC else time.astimezone(UTC),
            _before=f'{{"kind":"{kind}","payload":{text.decode()},"prev":"',
            _after=f',"time":"{time_to_text(time)}"}}',
        )

    def seal(self, seq: int, prev: str) -> tuple[Record, bytes]:
        """The record that follows *prev*, and its canonical bytes."""
        body = f'{self._before}{prev}","seq":{seq}{self._after}'.encode()
        digest = hashlib.sha256(body).hexdigest()
        record = Record(seq=seq, prev=prev, time=self.time, kind=self.kind, payload=self.payload, hash=digest)
        return record, body


def genesis(installation_id: str) -> str:
    """The `prev` of an installation's first record, so that two ledgers cannot share a beginning."""
    return hashlib.sha256(f"narrows-ledger/1:{installation_id}".encode()).hexdigest()


def canonical_bytes(seq: int, prev: str, time: datetime, kind: Kind, payload: Mapping[str, object]) -> bytes:
    """Canonical JSON of a record without its hash; the members have been checked. Raises RecordRefused for the time."""
    document = {"seq": seq, "prev": prev, "time": time_to_text(time), "kind": str(kind), "payload": payload}
    return canonical_json(document)


def time_to_text(time: datetime) -> str:
    """RFC 3339 in UTC with six decimals: `2026-11-23T08:00:00.000000Z`. Raises RecordRefused if *time* is naive."""
    if time.tzinfo is None:
        raise RecordRefused("time: a time without a zone is not a moment")
    if time.tzinfo is not UTC:
        time = time.astimezone(UTC)
    return time.isoformat(timespec="microseconds")[:26] + "Z"


def time_from_text(text: object) -> datetime:
    """Read `time_to_text`'s result and nothing else. Raises RecordRefused."""
    if isinstance(text, str) and _TIME.fullmatch(text):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    raise RecordRefused("time: not of the form 2026-11-23T08:00:00.000000Z")


def _check_sequence(seq: object) -> int:
    if type(seq) is not int or not 1 <= seq <= SEQUENCE_MAX:
        raise RecordRefused("seq: not an integer from 1")
    return seq


def _check_hash(text: object, name: str) -> str:
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise RecordRefused(f"{name}: not 64 lower-case hex digits")
    return text


def _checked_payload(payload: object) -> dict[str, Any]:
    """A copy of *payload* that nobody else holds, with every rule checked."""
    checked = _checked_members(payload)
    # Python's own text of it is quick to make and, times six, never shorter than the canonical bytes.
    if len(repr(checked)) * _BYTES_PER_CHARACTER_MAX > PAYLOAD_BYTES_MAX:
        size = len(canonical_json(checked))
        if size > PAYLOAD_BYTES_MAX:
            raise RecordRefused(f"payload: {size} bytes, more than {PAYLOAD_BYTES_MAX}")
    return checked


def _checked_members(payload: object) -> dict[str, Any]:
    """A copy of *payload* that nobody else holds, with every rule checked but that of its size."""
    if not isinstance(payload, Mapping):
        raise RecordRefused("payload: not an object")
    checked: dict[str, Any] = _checked_value(payload, "payload", 1)
    return checked


def _checked_text(text: str, where: str) -> str:
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise RecordRefused(f"{where}: holds half of a surrogate pair") from None
    return text


def _checked_value(value: Any, where: str, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return _checked_text(value, where)
    if kind is bool or value is None:
        return value
    if kind is int:
        if not -INTEGER_MAX <= value <= INTEGER_MAX:
            raise RecordRefused(f"{where}: an integer beyond ±(2^53 − 1)")
        return value
    if depth > PAYLOAD_DEPTH_MAX:
        raise RecordRefused(f"{where}: nested deeper than {PAYLOAD_DEPTH_MAX}")
    if kind is dict or isinstance(value, Mapping):
        checked = {}
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii() or not 1 <= len(key) <= PAYLOAD_KEY_CHARACTERS_MAX:
                raise RecordRefused(f"{where}: a key that is not 1..{PAYLOAD_KEY_CHARACTERS_MAX} ASCII characters")
            # What most members are needs no call; it counts, because this runs for every record.
            if (type(item) is int and -INTEGER_MAX <= item <= INTEGER_MAX) or (type(item) is str and item.isascii()):
                checked[str.__str__(key)] = item
            else:
                checked[str.__str__(key)] = _checked_value(item, key, depth + 1)
        return checked
    if isinstance(value, list | tuple):
        return [_checked_value(item, where, depth + 1) for item in value]
    if isinstance(value, str):  # A StrEnum: its text is what is recorded.
        return _checked_text(str.__str__(value), where)
    raise RecordRefused(f"{where}: {kind.__name__} is not allowed in a record")
