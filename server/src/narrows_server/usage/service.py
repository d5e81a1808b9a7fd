"""
Taking in a report: every record once, in order, or not at all.

A report proves itself: the installation's signature, and inside it a license that we signed. Contradictions and gaps
are expected outcomes and come back as values, because both leave a row behind that must be committed.

Nothing that a statement says may depend on when or how often a record came: a server that lost its database must
come to the same statements from the customers' ledgers.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from narrows_licensing.errors import LicensingError
from narrows_licensing.license import License
from narrows_licensing.signature import Typ, verify
from narrows_metering.chain import merkle_root
from narrows_metering.errors import MeteringError, ReportUnreadable
from narrows_metering.receipt import Receipt
from narrows_metering.record import Kind, genesis
from narrows_metering.report import REPORT_RECORDS_MAX, check_report
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.database import Database
from narrows_server.errors import ReportNotRead, ReportNotTrusted
from narrows_server.keyring import Keyring
from narrows_server.signing import sign_token
from narrows_server.transparency import service as transparency
from narrows_server.usage import repository
from narrows_server.usage.arrival import Arrival, read_good_report
from narrows_server.usage.enrolment import enrol, find_installation
from narrows_server.usage.models import Fork, Installation, IssuedReceipt, OpenGap

NONCE_BYTES = 16
TOTAL_MAX = 2**63 - 1  # What a database's integer holds. Totals are for people; nobody delivers nine exabytes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """We hold every record of the report; the receipt says so."""

    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """
    Record *seq* contradicts what this installation reported before. Nothing of the report was counted.

    It is the first that does so, unless there is an *expected_seq*: then the records before the report contradict
    ours already, and only a report that begins further back, there, can show which one is the first.
    """

    seq: int
    expected_seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The report begins too late. Nothing of it was counted."""

    expected_seq: int  # The first record that we lack.
    first_seq: int  # The first record of the report.


def receive(
    database: Database, body: bytes, signature: str, *, keyring: Keyring, at: datetime
) -> Accepted | Conflict | Gap:
    """
    Take in one report from the network or from a file: the whole of it, in a transaction of its own.

    The answer is returned after the commit, so nobody hears of a receipt that could still be lost. Raises
    `ReportNotRead` and `ReportNotTrusted`.
    """
    # Everything that needs no database comes before the transaction: SQLite has one writer at a time.
    arrival = read_report(body, signature)
    occasion = Occasion(actor=f"installation:{arrival.installation_id}", at=at)
    with database.transaction() as session:
        return take_in(session, arrival, keyring=keyring, occasion=occasion)


def read_report(body: bytes, signature: str) -> Arrival:
    """
    The report in *body*, if its signature and its own chain hold. Needs no database.

    Raises `ReportNotRead` for bytes that are no report, `ReportNotTrusted` for one that does not prove itself.
    """
    try:
        return read_good_report(body, signature) or Arrival.of(check_report(body, signature))
    except ReportUnreadable as error:
        raise ReportNotRead(str(error)) from error
    except (MeteringError, LicensingError) as error:
        raise ReportNotTrusted(str(error)) from error


def take_in(session: Session, arrival: Arrival, *, keyring: Keyring, occasion: Occasion) -> Accepted | Conflict | Gap:
    """
    Add what is new in a report and answer with a receipt for all of it.

    The same report again gets the same receipt and changes nothing; a part that we hold already must be equal to it.
    Raises `ReportNotTrusted` if the license inside is not ours, or not this installation's.
    """
    license = _read_license(arrival, keyring)
    installation = find_installation(session, arrival, license)
    head_seq = installation.head_seq if installation else 0
    head_hash = installation.head_hash if installation else genesis(arrival.installation_id)
    if arrival.first_seq > head_seq + 1:
        _note_gap(session, arrival, license, occasion)
        return Gap(expected_seq=head_seq + 1, first_seq=arrival.first_seq)

    contradiction = _find_contradiction(session, arrival, head_seq)
    if contradiction is None and arrival.first_seq == head_seq + 1 and arrival.prev != head_hash:
        # What differs is the record before, at the latest; this one is merely the first that we can show.
        contradiction = Conflict(seq=arrival.first_seq, expected_seq=max(1, arrival.first_seq - REPORT_RECORDS_MAX))
    if contradiction is not None:
        _keep_fork(session, arrival, contradiction.seq, occasion)
        return contradiction

    if installation is None:
        installation = enrol(session, arrival, license, occasion)
    if arrival.last_seq > head_seq:
        _add(session, installation, arrival, license, occasion)
        # With new records in it, nobody can have a receipt for this run yet.
        return Accepted(receipt=_issue_receipt(session, arrival, keyring, occasion))
    issued = repository.get_receipt(session, arrival.installation_id, arrival.first_seq, arrival.last_seq)
    return Accepted(receipt=issued.token if issued else _issue_receipt(session, arrival, keyring, occasion))


def _read_license(arrival: Arrival, keyring: Keyring) -> License:
    """The license in a report. It may have expired or been revoked since: usage is counted all the same."""
    try:
        return License.from_claims(verify(arrival.license_token, typ=Typ.LICENSE, keys=keyring.license_keys()))
    except LicensingError as error:
        raise ReportNotTrusted(f"the license in the report is not one of ours: {error}") from error


def _find_contradiction(session: Session, arrival: Arrival, head_seq: int) -> Conflict | None:
    """The first record of a report that is not what we hold under its number, if there is one."""
    if arrival.first_seq > head_seq:
        return None
    stored = repository.stored_hashes(
        session, arrival.installation_id, first_seq=arrival.first_seq - 1, last_seq=min(head_seq, arrival.last_seq)
    )
    for seq, record_hash in enumerate(arrival.hashes, start=arrival.first_seq):
        if seq > head_seq:
            break
        if stored[seq] != record_hash:
            is_first = seq > arrival.first_seq or seq == 1 or stored[seq - 1] == arrival.prev
            return Conflict(seq=seq, expected_seq=None if is_first else max(1, seq - REPORT_RECORDS_MAX))
    return None


def _keep_fork(session: Session, arrival: Arrival, seq: int, occasion: Occasion) -> None:
    """Keep a contradicting record aside, once. It is shown to people and counted nowhere."""
    place = seq - arrival.first_seq
    if repository.get_fork(session, arrival.installation_id, seq, arrival.hashes[place]) is not None:
        return
    session.add(
        Fork(
            installation_id=arrival.installation_id,
            seq=seq,
            hash=arrival.hashes[place],
            seen_at=occasion.at,
            document=arrival.documents[place],
        )
    )
    audit.write(session, occasion, "installation.forked", arrival.installation_id, seq=seq)


def _note_gap(session: Session, arrival: Arrival, license: License, occasion: Occasion) -> None:
    """Remember what is missing until it is here; a later report can only make it more."""
    last_missing = arrival.first_seq - 1
    gap = repository.get_gap(session, arrival.installation_id)
    if gap is not None:
        gap.last_missing = max(gap.last_missing, last_missing)
        return
    session.add(
        OpenGap(
            installation_id=arrival.installation_id,
            customer_id=license.customer_id,
            contract_id=license.metering.contract_id,
            last_missing=last_missing,
            seen_at=occasion.at,
        )
    )
    audit.write(session, occasion, "usage.gap_seen", arrival.installation_id, last_missing=last_missing)


def _add(session: Session, installation: Installation, arrival: Arrival, license: License, occasion: Occasion) -> None:
    """Store the records behind the installation's head, and move the head."""
    first_seq = installation.head_seq + 1
    known = first_seq - arrival.first_seq
    repository.add_records(session, arrival, first_seq=first_seq)
    delivered_bytes = sum(count or 0 for count in arrival.delivered[known:])
    installation.head_seq, installation.head_hash = arrival.last_seq, arrival.hashes[-1]
    installation.encode_count += arrival.kinds[known:].count(Kind.ENCODE)
    installation.delivered_bytes = min(installation.delivered_bytes + delivered_bytes, TOTAL_MAX)
    installation.reported_at = occasion.at
    installation.sdk = arrival.sdk
    installation.license_id = license.license_id
    audit.write(session, occasion, "usage.accepted", installation.id, first=first_seq, last=arrival.last_seq)
    if repository.close_gap(session, installation.id, head_seq=arrival.last_seq):
        audit.write(session, occasion, "usage.gap_filled", installation.id, complete_to=arrival.last_seq)


def _issue_receipt(session: Session, arrival: Arrival, keyring: Keyring, occasion: Occasion) -> str:
    """A receipt for exactly these records, and its place in the queue of the transparency log."""
    receipt = Receipt(
        installation_id=arrival.installation_id,
        first_seq=arrival.first_seq,
        last_seq=arrival.last_seq,
        head_hash=arrival.hashes[-1],
        merkle_root=merkle_root(arrival.hashes),
        nonce=secrets.token_urlsafe(NONCE_BYTES),
        time=occasion.at,
    )
    token = sign_token(receipt.claims(), typ=Typ.RECEIPT, key=keyring.receipt)
    session.add(
        IssuedReceipt(
            installation_id=arrival.installation_id,
            first_seq=arrival.first_seq,
            last_seq=arrival.last_seq,
            issued_at=occasion.at,
            token=token,
        )
    )
    transparency.queue(session, receipt)
    return token
