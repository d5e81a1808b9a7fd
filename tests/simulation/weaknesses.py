"""
The product with one of its defences taken out at a time, to show that the simulation would notice.

A simulation that finds nothing proves something only if it finds what is known to be there. Each weakness here puts a
stand-in, as somebody in a hurry would have written it, in the place of one check or one promise. That is done by
replacing the name in its module: the defence is the code under test, so no argument could switch it off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows.reporting import reporter
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import Typ, public_key_from_text, verify_detached
from narrows_metering import descent, ledger_reader, ledger_rows
from narrows_metering import ledger as ledger_module
from narrows_metering.chain import check_chain
from narrows_metering.errors import ChainBroken, ReportUnreadable
from narrows_metering.receipt import Receipt
from narrows_metering.report import Report, decode_report
from narrows_server import database as database_module
from narrows_server.audit import Occasion
from narrows_server.errors import ReportNotRead, ReportNotTrusted
from narrows_server.keyring import Keyring
from narrows_server.usage import service
from narrows_server.usage.arrival import Arrival
from narrows_server.usage.service import Accepted
from sqlalchemy import text
from sqlalchemy.orm import Session

from .disk import Disk
from .server import NAIVE_TABLE, ServerDied


@contextmanager
def _replaced(owner: Any, name: str, stand_in: object) -> Iterator[None]:
    original = getattr(owner, name)  # Raises where the defence has moved: then this has to move too.
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        setattr(owner, name, original)


def no_signature_check() -> AbstractContextManager[None]:
    """The server believes every report whose chain holds."""

    def read_report(body: bytes, signature: str) -> Arrival:
        report = _decoded(body)
        try:
            check_chain(report.records, prev=report.records[0].prev, first_seq=report.records[0].seq)
        except ChainBroken as broken:
            raise ReportNotTrusted(str(broken)) from broken
        return Arrival.of(report)

    return _replaced(service, "read_report", read_report)


def no_chain_check() -> AbstractContextManager[None]:
    """The server believes every report that is signed."""

    def read_report(body: bytes, signature: str) -> Arrival:
        report = _decoded(body)
        try:
            keys = {report.installation_id: public_key_from_text(report.public_key)}
            verify_detached(signature, body, typ=Typ.REPORT, keys=keys)
        except SignatureRefused as refused:
            raise ReportNotTrusted(str(refused)) from refused
        return Arrival.of(report)

    return _replaced(service, "read_report", read_report)


def _decoded(body: bytes) -> Report:
    try:
        return decode_report(body)
    except ReportUnreadable as unreadable:
        raise ReportNotRead(str(unreadable)) from unreadable


def no_primary_key() -> AbstractContextManager[None]:
    """The server writes down what it receives, as often as it receives it."""
    original = service.take_in

    def take_in(session: Session, arrival: Arrival, *, keyring: Keyring, occasion: Occasion) -> object:
        outcome = original(session, arrival, keyring=keyring, occasion=occasion)
        if isinstance(outcome, Accepted):
            session.execute(text(f"CREATE TABLE IF NOT EXISTS {NAIVE_TABLE} (kind TEXT, number INTEGER)"))
            for record in arrival.records:
                row = {"kind": record.kind.value, "number": record.payload.get("bytes")}
                session.execute(text(f"INSERT INTO {NAIVE_TABLE} VALUES (:kind, :number)"), row)
        return outcome

    return _replaced(service, "take_in", take_in)


def receipt_before_commit() -> AbstractContextManager[None]:
    """The server gives its receipt without waiting for the database."""

    @contextmanager
    def transaction(self: database_module.Database) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            session.begin()
            yield session
            try:
                session.commit()
            except ServerDied:
                session.rollback()

    return _replaced(database_module.Database, "transaction", transaction)


def no_wait_for_the_disk() -> AbstractContextManager[None]:
    """The ledger's waits for the disk do nothing: `synchronous=OFF`."""

    def sync(self: Disk, inode: int) -> int:
        return 0

    return _replaced(Disk, "sync", sync)


def append_before_commit() -> AbstractContextManager[None]:
    """`append` answers first and writes with the next call."""
    original = ledger_module.Ledger.append_all
    waiting: dict[int, tuple[Any, ...]] = {}

    def append_all(self: ledger_module.Ledger, entries: Any) -> Any:
        earlier, waiting[id(self)] = waiting.get(id(self), ()), tuple(entries)
        return original(self, earlier)

    return _replaced(ledger_module.Ledger, "append_all", append_all)


def no_hash_check_on_disk() -> AbstractContextManager[None]:
    """The ledger hands out what it reads."""
    return _replaced(ledger_reader, "follow_chain", lambda records, head: iter(records))


def receipts_not_verified() -> AbstractContextManager[None]:
    """The SDK believes every receipt that fits."""

    def read_receipt(token: str, keys: dict[str, Ed25519PublicKey]) -> Receipt:
        return ledger_rows.receipt_inside(token)

    return _replaced(reporter, "read_receipt", read_receipt)


def contradictions_overlooked() -> AbstractContextManager[None]:
    """The server takes a known number for a known record."""
    return _replaced(service, "_find_contradiction", lambda *_: None)


def descent_forgotten() -> AbstractContextManager[None]:
    """Whoever counts takes records that two copies carry for two facts."""
    return _replaced(descent.Descent, "keys", lambda _, record: (record.hash,))


WEAKNESSES: Final[dict[str, tuple[Callable[[], AbstractContextManager[None]], tuple[str, ...]]]] = {
    # By what is switched off: the switch, and the families of seeds in which it has to show.
    "signature of reports": (no_signature_check, ("network",)),
    "chain of reports": (no_chain_check, ("network",)),
    "primary key": (no_primary_key, ("network",)),
    "receipt after commit": (receipt_before_commit, ("network",)),
    "waiting for the disk": (no_wait_for_the_disk, ("disk",)),
    "append after commit": (append_before_commit, ("network",)),
    "hashes on disk": (no_hash_check_on_disk, ("disk",)),
    "signature of receipts": (receipts_not_verified, ("network",)),
    "contradictions": (contradictions_overlooked, ("copies", "copies again")),
    "descent of records": (descent_forgotten, ("copies", "copies again")),
}
