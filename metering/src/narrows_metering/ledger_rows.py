"""
The rows of a ledger's tables as values, each held against what it claims. Read-only; `ledger` writes.
"""

from __future__ import annotations

import hashlib
from typing import Final

from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import decode_base64url
from sqlalchemy import Connection, column, func, select, table

from narrows_metering.canonical import read_json
from narrows_metering.chain import Head
from narrows_metering.errors import LedgerDamaged, LedgerRetired, ReceiptRefused, RecordRefused
from narrows_metering.receipt import Receipt
from narrows_metering.record import SEQUENCE_MAX, Record, genesis

LEDGER: Final = table("ledger", column("head_seq"), column("head_hash"))
RECORDS: Final = table("records", column("seq"), column("hash"), column("body"))
RECEIPTS: Final = table(
    "receipts", column("last_seq"), column("first_seq"), column("head_hash"), column("token"), column("digest")
)
PRUNED: Final = table("pruned", column("seq"), column("hash"))
RETIREMENT: Final = table("retirement", column("only_row"), column("own_seq"), column("successor"))

_WRITABLE_HEAD: Final = "SELECT head_seq, head_hash, (SELECT successor FROM retirement) FROM ledger"
_LIFECYCLE: Final = """SELECT seq FROM records WHERE substr(body, 1, 19) = x'7B226B696E64223A226C6966656379636C6522'
    ORDER BY seq DESC LIMIT ?"""  # As the index in `ledger_schema` has it, or SQLite does not use that.


def read_head(connection: Connection) -> Head:
    """The last record's number and hash, as the ledger states them."""
    return _link(*connection.execute(select(LEDGER)).one())


def writable_head(connection: Connection) -> Head:
    """What the next record has to continue. Raises LedgerRetired if there will be none."""
    seq, text, successor = connection.exec_driver_sql(_WRITABLE_HEAD).one()
    if successor is not None:
        raise LedgerRetired(str(successor))
    return _link(seq, text)


def read_pruned(connection: Connection) -> Head:
    """What the first record that is kept continues: the last one that was pruned, or the genesis."""
    return _link(*connection.execute(select(PRUNED)).one())


def read_latest_receipt(connection: Connection, *, skips_altered: bool) -> Receipt | None:
    """The last receipt, or the last that was not altered. Raises LedgerDamaged for one that was."""
    for row in connection.execute(select(RECEIPTS).order_by(RECEIPTS.c.last_seq.desc())):
        try:
            return stored_receipt(*row)
        except LedgerDamaged:
            if not skips_altered:
                raise
    return None


def read_acknowledged(connection: Connection) -> int:
    """The last record that a receipt says it covers; 0 while there is none."""
    last_seq = connection.execute(select(func.max(RECEIPTS.c.last_seq))).scalar_one()
    return number(last_seq or 0)


def read_last_seq(connection: Connection) -> int:
    """The highest number that a row has, whatever the head says."""
    return number(connection.execute(select(func.max(RECORDS.c.seq))).scalar_one() or 0)


def read_hash(connection: Connection, seq: int) -> str | None:
    """The hash of record *seq*, if it is there."""
    text = connection.execute(select(RECORDS.c.hash).where(RECORDS.c.seq == seq)).scalar_one_or_none()
    return None if text is None else str(text)


def newest_lifecycle(connection: Connection, limit: int) -> list[int]:
    """The numbers of the last records that the ledger holds about itself, newest first."""
    return [number(seq) for seq in connection.exec_driver_sql(_LIFECYCLE, (limit,)).scalars()]


def check_ends(connection: Connection, installation_id: str) -> None:
    """
    Check both ends: that the head is that of the last row and no receipt covers more, and that what was pruned ends
    where a receipt does. Raises LedgerDamaged.
    """
    head, pruned = read_head(connection), read_pruned(connection)
    beginning = genesis(installation_id)
    last = connection.execute(select(RECORDS.c.seq, RECORDS.c.hash).order_by(RECORDS.c.seq.desc()).limit(1)).first()
    seq, text = (pruned.seq, pruned.hash) if last is None else last
    if seq < head.seq:
        raise LedgerDamaged(seq + 1, f"missing from the file, whose head is {head.seq}")
    if seq > head.seq or text != head.hash:
        raise LedgerDamaged(head.seq + (seq > head.seq), "not what the head of the ledger says")
    acknowledged = read_acknowledged(connection)
    if acknowledged > head.seq:
        raise LedgerDamaged(head.seq + 1, f"missing, although a receipt covers up to {acknowledged}")
    first = connection.execute(select(func.min(RECORDS.c.seq))).scalar_one()
    if first is not None and first <= pruned.seq:
        raise LedgerDamaged(first, "there, although the records before it were pruned")
    if pruned.seq == 0:
        if pruned.hash != beginning:
            raise LedgerDamaged(1, "does not begin as a ledger of this installation does")
        return
    row = connection.execute(select(RECEIPTS).where(RECEIPTS.c.last_seq == pruned.seq)).first()
    if row is None or stored_receipt(*row).head_hash != pruned.hash:
        raise LedgerDamaged(pruned.seq + 1, "the records before it are gone, and no receipt covers them")


def stored_record(seq: object, record_hash: object, body: object) -> Record:
    """A row as a record. Its number and hash come from the row, so that `follow_chain` holds them against the body."""
    at = seq if type(seq) is int else None
    if not isinstance(body, bytes):
        raise LedgerDamaged(at, "its body is not a run of bytes")
    try:
        document = read_json(body)
        record = Record.from_dict({**document, "hash": record_hash} if isinstance(document, dict) else document)
    except (ValueError, RecordRefused) as error:
        raise LedgerDamaged(at, f"unreadable: {error}") from None
    if record.seq != seq:
        raise LedgerDamaged(at, f"its body says that it is record {record.seq}")
    return record


def stored_receipt(last_seq: object, first_seq: object, head_hash: object, token: object, digest: object) -> Receipt:
    """A row as the receipt that its token holds."""
    at = last_seq if type(last_seq) is int else None
    if not isinstance(token, str) or digest != digest_of(token):
        raise LedgerDamaged(at, "the receipt for it was altered")
    receipt = receipt_inside(token)
    if (receipt.last_seq, receipt.first_seq, receipt.head_hash) != (last_seq, first_seq, head_hash):
        raise LedgerDamaged(at, f"the receipt for it covers {receipt.first_seq} to {receipt.last_seq}, or others")
    return receipt


def receipt_inside(token: str) -> Receipt:
    """The receipt that *token* holds, for tokens whose signature was verified when they came."""
    try:
        claims = read_json(decode_base64url(token.split(".")[1], "the payload"))
    except (IndexError, ValueError, SignatureRefused) as error:
        raise ReceiptRefused(f"the token is malformed: {error}") from None
    if not isinstance(claims, dict):
        raise ReceiptRefused("the token holds no claims")
    return Receipt.from_claims(claims)


def digest_of(token: str) -> str:
    """What shows that a stored token was not altered."""
    return hashlib.sha256(token.encode()).hexdigest()


def number(value: object) -> int:
    """A record's number, or 0, as a column holds it: SQLite lets damage turn it into anything."""
    if type(value) is not int or not 0 <= value <= SEQUENCE_MAX:
        raise LedgerDamaged(None, "a number in the ledger is unreadable")
    return value


def _link(seq: object, text: object) -> Head:
    if type(text) is not str:
        raise LedgerDamaged(None, "the head of the ledger is unreadable")
    return Head(seq=number(seq), hash=text)
