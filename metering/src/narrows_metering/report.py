"""
Reports: a contiguous run of records on its way to the server, signed by the installation that made them.

The body is deterministic (canonical JSON, gzip without a time), so the same records give the same bytes. Anyone can
check a report with nothing but itself: the public key is inside, and the installation's id is its thumbprint. Whether
that installation is *known*, and whether its chain continues, is the server's question.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import (
    TOKEN_BYTES_MAX,
    Typ,
    public_key_from_text,
    public_key_to_text,
    sign_detached,
    thumbprint,
    verify_detached,
)

from narrows_metering.canonical import canonical_json, read_json
from narrows_metering.chain import check_chain, head_before
from narrows_metering.errors import ChainBroken, RecordRefused, ReportRefused, ReportUnreadable
from narrows_metering.receipt import INSTALLATION_ID, NONCE, Receipt, read_receipt
from narrows_metering.record import Record

if TYPE_CHECKING:
    from narrows_metering.ledger import Ledger

__all__ = [
    "REPORT_BYTES_MAX",
    "REPORT_JSON_BYTES_MAX",
    "REPORT_RECORDS_MAX",
    "Receipt",
    "Report",
    "check_report",
    "decode_report",
    "encode_report",
    "next_report",
    "read_receipt",
    "sign_report",
]

FORMAT: Final = "narrows-report/1"
REPORT_JSON_BYTES_MAX: Final = 8 * 2**20  # Decompressed.
REPORT_BYTES_MAX: Final = REPORT_JSON_BYTES_MAX + 2**16  # As sent; gzip adds a little to what does not shrink.
REPORT_RECORDS_MAX: Final = 5_000
SDK_CHARACTERS_MAX: Final = 64

_MEMBERS = frozenset({"format", "installation_id", "public_key", "license_token", "sdk", "nonce_previous", "records"})
_GZIP_WINDOW: Final = 31  # zlib's number for: gzip framing, 32 KiB window.
_ENVELOPE_BYTES_MAX: Final = 2 * TOKEN_BYTES_MAX  # Everything of a report but its records, generously.


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Records of one installation, in order and without gaps, with what the server needs to place them."""

    installation_id: str  # RFC 7638 thumbprint of `public_key`.
    public_key: str  # The installation's, as `narrows_licensing.signature.public_key_to_text` writes it.
    license_token: str  # The license in use; enrols the installation with its customer.
    sdk: str  # Build of the SDK.
    nonce_previous: str | None  # From the latest receipt; None before the first.
    records: tuple[Record, ...]


def encode_report(report: Report) -> bytes:
    """The body to send; equal reports give equal bytes. Raises ReportUnreadable if it exceeds a limit."""
    text = _canonical(report)
    if len(text) > REPORT_JSON_BYTES_MAX:
        raise ReportUnreadable(f"{len(text)} bytes of JSON, more than {REPORT_JSON_BYTES_MAX}")
    return gzip.compress(text, mtime=0)


def decode_report(body: bytes) -> Report:
    """
    Read `encode_report`'s result, from anyone: sizes are checked before memory is spent.

    Raises ReportUnreadable naming the member. Checks neither signature nor chain; see `check_report`.
    """
    text = _decompress(body)
    try:
        document = read_json(text)
    except ValueError as error:
        raise ReportUnreadable(f"not JSON: {error}") from None
    if not isinstance(document, dict) or document.keys() != _MEMBERS or document["format"] != FORMAT:
        raise ReportUnreadable(f"format: not {FORMAT} with its members")
    records = document["records"]
    if not isinstance(records, list) or not 1 <= len(records) <= REPORT_RECORDS_MAX:
        raise ReportUnreadable(f"records: not a list of 1..{REPORT_RECORDS_MAX}")
    nonce = document["nonce_previous"]
    if nonce is not None and (not isinstance(nonce, str) or not NONCE.fullmatch(nonce)):
        raise ReportUnreadable("nonce_previous: malformed")
    report = Report(
        installation_id=_text(document, "installation_id", 43),
        public_key=_text(document, "public_key", 43),
        license_token=_text(document, "license_token", TOKEN_BYTES_MAX),
        sdk=_text(document, "sdk", SDK_CHARACTERS_MAX),
        nonce_previous=nonce,
        records=tuple(_record(index, entry) for index, entry in enumerate(records)),
    )
    if not INSTALLATION_ID.fullmatch(report.installation_id):
        raise ReportUnreadable("installation_id: malformed")
    # One meaning, one text: rules out repeated members and everything else that parsers may read differently.
    if _canonical(report) != text:
        raise ReportUnreadable("the JSON is not canonical (RFC 8785)")
    return report


def sign_report(body: bytes, key: Ed25519PrivateKey) -> str:
    """The detached signature of *body* by the installation's key."""
    return sign_detached(body, typ=Typ.REPORT, key=key)


def check_report(body: bytes, signature: str) -> Report:
    """
    The report in *body*, once its signature, its identity and its chain hold.

    Raises ReportUnreadable for bytes that are no report, ReportRefused for one that does not hold together.
    """
    report = decode_report(body)
    try:
        key = public_key_from_text(report.public_key)
        if thumbprint(key) != report.installation_id:
            raise ReportRefused("installation_id: not the thumbprint of the public key")
        verify_detached(signature, body, typ=Typ.REPORT, keys={report.installation_id: key})
    except SignatureRefused as refused:
        raise ReportRefused(f"signature: {refused}") from refused
    before = head_before(report.records[0], report.installation_id)
    try:
        check_chain(report.records, prev=before.hash, first_seq=before.seq + 1)
    except ChainBroken as broken:
        raise ReportRefused(str(broken)) from broken
    return report


def next_report(
    ledger: Ledger,
    *,
    key: Ed25519PrivateKey,
    license_token: str,
    sdk: str,
    limit: int = REPORT_RECORDS_MAX,
    after: int | None = None,
) -> tuple[bytes, str] | None:
    """
    Body and signature for the oldest records without a receipt, at most *limit*; None if there are none. *after*
    begins behind that record instead, for a server that has lost what it acknowledged.

    Takes fewer where their size asks for it, and none that a successor of this installation reports. Calling again
    before a receipt comes gives a report that begins with the same records. Raises RecordsPruned if *after* lies before
    what is kept, LedgerDamaged as `Ledger.records` does.
    """
    start = ledger.acknowledged() if after is None else after
    limit = min(limit, REPORT_RECORDS_MAX, ledger.own_seq() - start)
    if limit < 1:
        return None
    receipt = ledger.latest_receipt()
    records, size = [], _ENVELOPE_BYTES_MAX
    for record in ledger.records(start, limit):
        size += len(canonical_json(record.to_dict())) + 1
        if size > REPORT_JSON_BYTES_MAX:
            break
        records.append(record)
    body = encode_report(
        Report(
            installation_id=ledger.installation_id,
            public_key=public_key_to_text(key.public_key()),
            license_token=license_token,
            sdk=sdk,
            nonce_previous=receipt.nonce if receipt else None,
            records=tuple(records),
        )
    )
    return body, sign_report(body, key)


def _canonical(report: Report) -> bytes:
    return canonical_json(
        {
            "format": FORMAT,
            "installation_id": report.installation_id,
            "public_key": report.public_key,
            "license_token": report.license_token,
            "sdk": report.sdk,
            "nonce_previous": report.nonce_previous,
            "records": [record.to_dict() for record in report.records],
        }
    )


def _decompress(body: bytes) -> bytes:
    if len(body) > REPORT_BYTES_MAX:
        raise ReportUnreadable(f"{len(body)} bytes, more than {REPORT_BYTES_MAX}")
    inflater = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        text = inflater.decompress(body, REPORT_JSON_BYTES_MAX + 1)
    except zlib.error as error:
        raise ReportUnreadable(f"not gzip: {error}") from None
    if len(text) > REPORT_JSON_BYTES_MAX:
        raise ReportUnreadable(f"more than {REPORT_JSON_BYTES_MAX} bytes of JSON")
    if not inflater.eof or inflater.unused_data:
        raise ReportUnreadable("not gzip: cut short, or followed by something else")
    return text


def _text(document: dict[str, object], name: str, characters_max: int) -> str:
    text = document[name]
    if not isinstance(text, str) or not text.isascii() or not 1 <= len(text) <= characters_max:
        raise ReportUnreadable(f"{name}: not 1..{characters_max} ASCII characters")
    return text


def _record(index: int, entry: object) -> Record:
    try:
        return Record.from_dict(entry)
    except RecordRefused as refused:
        raise ReportUnreadable(f"records[{index}].{refused}") from None
