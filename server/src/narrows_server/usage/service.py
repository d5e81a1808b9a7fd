"""
Taking in a report: every record once, in order, or not at all.

A report proves itself: the installation's signature, and inside it a license that we signed. Contradictions and gaps
are expected outcomes and come back as values, because the first of them leaves a row behind that must be committed.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from narrows_licensing.errors import LicensingError
from narrows_licensing.license import License
from narrows_licensing.signature import Typ, verify
from narrows_metering.chain import merkle_root
from narrows_metering.errors import MeteringError, ReportUnreadable
from narrows_metering.record import Record, genesis
from narrows_metering.report import Receipt, Report, check_report
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.customers.repository import lock_customer
from narrows_server.errors import ReportNotRead, ReportNotTrusted
from narrows_server.keyring import Keyring
from narrows_server.licenses.repository import get_license
from narrows_server.signing import sign_token
from narrows_server.usage import repository
from narrows_server.usage.models import Fork, Installation, IssuedReceipt

NONCE_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """We hold every record of the report; the receipt says so."""

    receipt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Record *seq* contradicts what this installation reported before. Nothing of the report was counted."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The report begins too late. Nothing of it was counted."""

    expected_seq: int  # The first record that we lack.
    first_seq: int  # The first record of the report.


def read_report(body: bytes, signature: str) -> Report:
    """
    The report in *body*, if its signature and its own chain hold. Needs no database.

    Raises `ReportNotRead` for bytes that are no report, `ReportNotTrusted` for one that does not prove itself.
    """
    try:
        report = check_report(body, signature)
    except ReportUnreadable as error:
        raise ReportNotRead(str(error)) from error
    except (MeteringError, LicensingError) as error:
        raise ReportNotTrusted(str(error)) from error
    if not report.records:
        raise ReportNotRead("the report has no records")
    return report


def take_in(session: Session, report: Report, *, keyring: Keyring, occasion: Occasion) -> Accepted | Conflict | Gap:
    """
    Add what is new in *report* and answer with a receipt for all of it.

    The same report again gets the same receipt and changes nothing; a part that we hold already must be equal to it.
    Raises `ReportNotTrusted` if the license inside is not ours, or not this installation's.
    """
    license = _read_license(session, report, keyring)
    records = report.records
    installation = _find_installation(session, report, license)
    head_seq = installation.head_seq if installation else 0
    head_hash = installation.head_hash if installation else genesis(report.installation_id)
    if records[0].seq > head_seq + 1:
        return Gap(expected_seq=head_seq + 1, first_seq=records[0].seq)
    known = [record for record in records if record.seq <= head_seq]
    fresh = records[len(known) :]

    contradiction = _find_contradiction(session, report.installation_id, known)
    if contradiction is None and fresh and fresh[0].prev != head_hash:
        contradiction = fresh[0]
    if contradiction is not None:
        _keep_fork(session, report.installation_id, contradiction, occasion)
        return Conflict(seq=contradiction.seq)

    if installation is None:
        installation = _enrol(session, report, license, occasion)
    if fresh:
        repository.add_records(session, installation.id, fresh)
        installation.head_seq, installation.head_hash = fresh[-1].seq, fresh[-1].hash
        installation.reported_at = occasion.at
        installation.sdk = report.sdk
        installation.license_id = license.license_id
        audit.write(session, occasion, "usage.accepted", installation.id, first=fresh[0].seq, last=fresh[-1].seq)
    return Accepted(receipt=_receipt(session, installation.id, records, keyring, occasion))


def _read_license(session: Session, report: Report, keyring: Keyring) -> License:
    """The license in *report*. It may have expired or been revoked since: usage is counted all the same."""
    try:
        license = License.from_claims(verify(report.license_token, typ=Typ.LICENSE, keys=keyring.license_keys()))
    except LicensingError as error:
        raise ReportNotTrusted(f"the license in the report is not one of ours: {error}") from error
    if get_license(session, license.license_id) is None:
        raise ReportNotTrusted(f"license {license.license_id} is signed by us but not in our books")
    return license


def _find_installation(session: Session, report: Report, license: License) -> Installation | None:
    """The installation, its row locked; None if this is its first report."""
    installation = repository.lock_installation(session, report.installation_id)
    if installation is None:
        # Two first reports at once: the second waits here, and then finds what the first has enrolled.
        lock_customer(session, license.customer_id)
        installation = repository.lock_installation(session, report.installation_id)
    if installation is None:
        return None
    if (installation.customer_id, installation.contract_id) != (license.customer_id, license.metering.contract_id):
        raise ReportNotTrusted(
            f"installation {installation.id} belongs to contract {installation.contract_id}; the license in the "
            f"report is for {license.metering.contract_id}. Use a new installation for another contract"
        )
    return installation


def _enrol(session: Session, report: Report, license: License, occasion: Occasion) -> Installation:
    installation = Installation(
        id=report.installation_id,
        customer_id=license.customer_id,
        contract_id=license.metering.contract_id,
        license_id=license.license_id,
        public_key=report.public_key,
        sdk=report.sdk,
        enrolled_at=occasion.at,
        reported_at=occasion.at,
        head_seq=0,
        head_hash=genesis(report.installation_id),
    )
    session.add(installation)
    session.flush()
    audit.write(session, occasion, "installation.enrolled", installation.id, license=license.license_id)
    return installation


def _find_contradiction(session: Session, installation_id: str, known: Sequence[Record]) -> Record | None:
    """The first of *known* that is not what we hold under its number."""
    if not known:
        return None
    stored = repository.stored_hashes(session, installation_id, first_seq=known[0].seq, last_seq=known[-1].seq)
    return next((record for record in known if stored[record.seq] != record.hash), None)


def _keep_fork(session: Session, installation_id: str, record: Record, occasion: Occasion) -> None:
    """Keep a contradicting record aside, once. It is shown to people and counted nowhere."""
    if repository.get_fork(session, installation_id, record) is not None:
        return
    session.add(
        Fork(
            installation_id=installation_id,
            seq=record.seq,
            hash=record.hash,
            seen_at=occasion.at,
            document=repository.record_document(record),
        )
    )
    audit.write(session, occasion, "installation.forked", installation_id, seq=record.seq)


def _receipt(
    session: Session, installation_id: str, records: Sequence[Record], keyring: Keyring, occasion: Occasion
) -> str:
    first_seq, last_seq = records[0].seq, records[-1].seq
    issued = repository.get_receipt(session, installation_id, first_seq, last_seq)
    if issued is not None:
        return issued.token
    receipt = Receipt(
        installation_id=installation_id,
        first_seq=first_seq,
        last_seq=last_seq,
        head_hash=records[-1].hash,
        merkle_root=merkle_root([record.hash for record in records]),
        nonce=secrets.token_urlsafe(NONCE_BYTES),
        time=occasion.at,
    )
    token = sign_token(receipt.claims(), typ=Typ.RECEIPT, key=keyring.receipt)
    session.add(
        IssuedReceipt(
            installation_id=installation_id,
            first_seq=first_seq,
            last_seq=last_seq,
            issued_at=occasion.at,
            token=token,
        )
    )
    return token
