"""
A report as intake works on it: checked, and its records as columns that can be written as they are.

`read_good_report` is `narrows_metering.report.check_report` several times faster: each record is parsed once and
written out once, and the bytes that were sent are what is hashed and stored. It lets through nothing that the other
refuses, and judges only what is evidently good. What makes it hesitate goes to `check_report`, which alone says no,
and says why.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

import orjson
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import TOKEN_BYTES_MAX, Typ, public_key_from_text, thumbprint, verify_detached
from narrows_metering.canonical import INTEGER_MAX, canonical_json, read_json
from narrows_metering.receipt import INSTALLATION_ID, NONCE
from narrows_metering.record import (
    PAYLOAD_BYTES_MAX,
    PAYLOAD_DEPTH_MAX,
    PAYLOAD_KEY_CHARACTERS_MAX,
    SEQUENCE_MAX,
    Kind,
    Record,
    genesis,
    time_to_text,
)
from narrows_metering.report import (
    FORMAT,
    REPORT_BYTES_MAX,
    REPORT_JSON_BYTES_MAX,
    REPORT_RECORDS_MAX,
    SDK_CHARACTERS_MAX,
    Report,
)

_MEMBERS: Final = frozenset(
    {"format", "installation_id", "public_key", "license_token", "sdk", "nonce_previous", "records"}
)
_RECORD_MEMBERS: Final = frozenset({"seq", "prev", "time", "kind", "payload", "hash"})
_KINDS: Final = frozenset(str(kind) for kind in Kind)
_SCALARS: Final = frozenset({str, int, bool, type(None)})
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_GZIP_WINDOW: Final = 31
# Under the conditions that are checked here this is RFC 8785: ASCII names, integers within ±(2^53 − 1), no floats.
_CANONICAL: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_HASHED_FROM: Final = len('{"hash":"') + 64 + len('",')  # A record is hashed without its hash, its first member.


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A report whose signature, identity and chain hold. The columns have one entry per record, in order."""

    installation_id: str
    public_key: str
    license_token: str
    sdk: str
    first_seq: int
    prev: str  # Hash of the record before `first_seq`.
    kinds: list[str]
    times: list[str]  # RFC 3339, in UTC, as the records have it.
    hashes: list[str]
    delivered: list[int | None]  # Bytes of a delivery, for overviews.
    documents: list[str]  # Each record's canonical JSON.

    @property
    def last_seq(self) -> int:
        return self.first_seq + len(self.hashes) - 1

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The records as objects; intake itself needs none of them."""
        return tuple(Record.from_dict(read_json(document)) for document in self.documents)

    @classmethod
    def of(cls, report: Report) -> Arrival:
        """The columns of a *report* that `check_report` has let through."""
        first = report.records[0]
        return cls(
            installation_id=report.installation_id,
            public_key=report.public_key,
            license_token=report.license_token,
            sdk=report.sdk,
            first_seq=first.seq,
            prev=first.prev,
            kinds=[str(record.kind) for record in report.records],
            times=[time_to_text(record.time) for record in report.records],
            hashes=[record.hash for record in report.records],
            delivered=[_delivered_bytes(str(record.kind), record.payload) for record in report.records],
            documents=[canonical_json(record.to_dict()).decode() for record in report.records],
        )


def read_good_report(body: bytes, signature: str) -> Arrival | None:
    """The report in *body* if everything about it is as it must be; None if anything may not be."""
    try:
        text = _decompress(body)
        arrival = _read_document(orjson.loads(text), text)
        key = public_key_from_text(arrival.public_key)
        _require(thumbprint(key) == arrival.installation_id)
        verify_detached(signature, body, typ=Typ.REPORT, keys={arrival.installation_id: key})
    except (_Doubt, zlib.error, ValueError, TypeError, SignatureRefused):
        return None
    return arrival


class _Doubt(Exception):
    """Something is not evidently good."""


def _decompress(body: bytes) -> bytes:
    _require(len(body) <= REPORT_BYTES_MAX)
    inflater = zlib.decompressobj(wbits=_GZIP_WINDOW)
    text = inflater.decompress(body, REPORT_JSON_BYTES_MAX + 1)
    _require(len(text) <= REPORT_JSON_BYTES_MAX and inflater.eof and not inflater.unused_data)
    return text


def _read_document(document: Any, text: bytes) -> Arrival:
    _require(type(document) is dict and document.keys() == _MEMBERS and document["format"] == FORMAT)
    records = document.pop("records")
    _require(type(records) is list and 1 <= len(records) <= REPORT_RECORDS_MAX)
    for name, characters_max in (("public_key", 43), ("license_token", TOKEN_BYTES_MAX), ("sdk", SDK_CHARACTERS_MAX)):
        value = document[name]
        _require(type(value) is str and value.isascii() and 1 <= len(value) <= characters_max)
    installation_id, nonce = document["installation_id"], document["nonce_previous"]
    _require(type(installation_id) is str and INSTALLATION_ID.fullmatch(installation_id) is not None)
    _require(nonce is None or (type(nonce) is str and NONCE.fullmatch(nonce) is not None))

    first_seq, prev = _beginning(records[0], installation_id)
    kinds, times, hashes, delivered, encoded = [], [], [], [], []
    head = prev
    for seq, record in enumerate(records, start=first_seq):
        _require(type(record) is dict and record.keys() == _RECORD_MEMBERS)
        kind, payload, time, digest = record["kind"], record["payload"], record["time"], record["hash"]
        _require(type(record["seq"]) is int and record["seq"] == seq and record["prev"] == head)
        _require(type(kind) is str and kind in _KINDS)
        _require(type(time) is str and _TIME.fullmatch(time) is not None)
        datetime.fromisoformat(time)
        _check_value(payload, 1)
        canonical = orjson.dumps(record, option=_CANONICAL)
        # The whole record for its payload: what is that small is certainly small enough.
        _require(len(canonical) <= PAYLOAD_BYTES_MAX)
        _require(sha256(b"{" + canonical[_HASHED_FROM:]).hexdigest() == digest)
        head = digest
        kinds.append(kind)
        times.append(time)
        hashes.append(digest)
        delivered.append(_delivered_bytes(kind, payload))
        encoded.append(canonical)

    # One meaning, one text: the body must be exactly what writes itself out again, member by member.
    sdk = orjson.dumps(document.pop("sdk"))
    before = orjson.dumps(document, option=_CANONICAL)[:-1] + b',"records":['
    _require(text == b"".join((before, b",".join(encoded), b'],"sdk":', sdk, b"}")))
    return Arrival(
        installation_id=installation_id,
        public_key=document["public_key"],
        license_token=document["license_token"],
        sdk=orjson.loads(sdk),
        first_seq=first_seq,
        prev=prev,
        kinds=kinds,
        times=times,
        hashes=hashes,
        delivered=delivered,
        documents=b"\n".join(encoded).decode().split("\n"),  # Canonical JSON has no line breaks.
    )


def _beginning(first: Any, installation_id: str) -> tuple[int, str]:
    _require(type(first) is dict)
    seq, prev = first.get("seq"), first.get("prev")
    _require(type(seq) is int and 1 <= seq <= SEQUENCE_MAX - REPORT_RECORDS_MAX)
    _require(type(prev) is str and _HASH.fullmatch(prev) is not None)
    _require(seq > 1 or prev == genesis(installation_id))
    return seq, prev


def _check_value(payload: Any, depth: int) -> None:
    """What `narrows_metering.record` asks of a payload. How large its integers are, orjson checks when it writes."""
    _require(depth <= PAYLOAD_DEPTH_MAX)
    if type(payload) is dict:
        names = "".join(payload)
        _require(names.isascii() and "" not in payload)
        _require(len(names) <= PAYLOAD_KEY_CHARACTERS_MAX or max(map(len, payload)) <= PAYLOAD_KEY_CHARACTERS_MAX)
        values = payload.values()
    else:
        _require(type(payload) is list and depth > 1)
        values = payload
    for value in values:
        if type(value) not in _SCALARS:
            _check_value(value, depth + 1)


def _delivered_bytes(kind: str, payload: dict[str, Any]) -> int | None:
    count = payload.get("bytes") if kind == Kind.DELIVERY else None
    return count if type(count) is int and 0 <= count <= INTEGER_MAX else None


def _require(is_good: bool) -> None:
    if not is_good:
        raise _Doubt
