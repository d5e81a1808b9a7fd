"""
The audit pack: everything behind one invoice in one file, for an auditor with no access to anything of ours.

What is in it is checked with `narrows-recompute` and `sha256sum` on a machine without a network. The same state of the
books at the same moment gives the same bytes: names are sorted, and every entry bears the day of the invoice.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from narrows_licensing.signature import thumbprint
from narrows_metering.canonical import canonical_json
from narrows_metering.endorsement import Signer, endorse
from narrows_metering.evidence import write_evidence
from sqlalchemy.orm import Session

from narrows_server.contracts.repository import list_versions
from narrows_server.contracts.service import require_tariff
from narrows_server.errors import NotMergedYet
from narrows_server.exports.tables import journal_csv
from narrows_server.invoices import cii, einvoice, pdf, ubl
from narrows_server.invoices import repository as invoices
from narrows_server.invoices.models import Invoice
from narrows_server.invoices.service import document_of, require_invoice
from narrows_server.journal.repository import list_entries_of_invoices
from narrows_server.keyring import Keyring
from narrows_server.parties.repository import list_checks
from narrows_server.statements.service import evidence, require_statement
from narrows_server.transparency import service as transparency
from narrows_server.usage.repository import list_receipts

_LOG_PROOF: Final = "narrows-log-proof/1"  # What `narrows usage proof --file` reads.
_README: Final = """\
Audit pack of invoice {number}
{underline}

  invoice/     the invoice and the credit notes over it: the document as it is kept (.json), as e-invoice of
               EN 16931 (.cii.xml, .ubl.xml), and on paper (.pdf, with the .cii.xml inside)
  contract/    every version of the contract, and the tariffs that they name
  statement/   the savings statement that the invoice was written from, signed by us
  evidence/    the records of your own installations that the statement was drawn up from
  proofs/      that each of your receipts is in the log of all reports (RFC 9162), under a signed head
  keys/        the trust bundle with our public keys, and the roots that signed it
  tax/         how your VAT id was checked, and when
  journal.csv  what was posted of the invoice, its credit notes and payments, debits and credits

How to check it, on a machine of your own without a network:

  1. Nothing is missing or changed:                 sha256sum --check SHA256SUMS
  2. Every number of the statement follows from     narrows-recompute statement/{statement}.json \\
     your records, and we signed it:                    --evidence evidence --signed-by {key}
     (pip install narrows-metering brings it; exit code 0 means that every value agrees)
  3. The statement is the one on the invoice:       the SHA-256 that step 2 prints is `statement.hash` in
                                                    invoice/{number}.json
  4. Your receipts are in the log:                  narrows usage proof --file proofs/log-proof.json
  5. The invoice is the one in our books:           sha256sum invoice/{number}.json gives
                                                    {content_hash}
  6. Debits equal credits in journal.csv, and the receivable is the invoice less its credit notes and payments.
"""


def write(session: Session, number: str, *, keyring: Keyring, at: datetime) -> bytes:
    """The pack of the invoice *number*, as a zip. Raises `NotFound`."""
    invoice = require_invoice(session, number)
    notes = invoices.list_credit_notes(session, invoice.id)
    document = document_of(invoice)
    files: dict[str, bytes] = {}
    for issued in (invoice, *notes):
        files |= _papers(issued)
    files |= _contract(session, document)
    if document["statement"]:
        files |= _statement(session, document["statement"]["id"], keyring, at)
    files["keys/trust-bundle.json"] = _json(keyring.bundle_document)
    files["keys/roots.json"] = keyring.roots.to_json().encode()
    checks = [
        {
            "vat_id": check.vat_id,
            "checked_at": check.checked_at.isoformat(),
            "method": check.method,
            "is_valid": check.is_valid,
            "consultation_number": check.consultation_number,
            "detail": check.detail,
        }
        for check in list_checks(session, invoice.customer_id)
    ]
    files["tax/vat-id-checks.json"] = _json(checks)
    touched = [invoice, *notes]
    posted = list_entries_of_invoices(session, [one.id for one in touched], [one.number or "" for one in touched])
    files["journal.csv"] = journal_csv(posted).encode()
    files["README.txt"] = _README.format(
        number=number,
        underline="=" * (len(number) + 22),
        statement=document["statement"]["id"] if document["statement"] else "–",
        key=thumbprint(keyring.receipt.public_key()),
        content_hash=invoice.content_hash,
    ).encode()
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    files["SHA256SUMS"] = sums.encode()
    return _zip(f"audit-{number.replace('/', '-')}", files, date.fromisoformat(document["issued_on"]))


def _papers(invoice: Invoice) -> dict[str, bytes]:
    document = document_of(invoice)
    name = f"invoice/{document['number'].replace('/', '-')}"
    files = {f"{name}.json": (invoice.document or "").encode(), f"{name}.pdf": pdf.render(document)}
    if einvoice.why_none(document) is None:
        files |= {f"{name}.cii.xml": cii.write(document), f"{name}.ubl.xml": ubl.write(document)}
    return files


def _contract(session: Session, document: dict[str, Any]) -> dict[str, bytes]:
    if not document["contract"]:
        return {}
    contract_id = document["contract"]["id"]
    files: dict[str, bytes] = {}
    for version in list_versions(session, contract_id):
        files[f"contract/{contract_id}.v{version.number}.json"] = version.document.encode()
        tariff = require_tariff(session, version.tariff_id)
        files[f"contract/tariff-{tariff.id}.json"] = tariff.document.encode()
    return files


def _statement(session: Session, statement_id: str, keyring: Keyring, at: datetime) -> dict[str, bytes]:
    statement = json.loads(require_statement(session, statement_id).document)
    signed = endorse(statement, Signer.VENDOR, keyring.receipt)
    files = {f"statement/{statement_id}.json": canonical_json(signed) + b"\n"}
    records = evidence(session, statement)
    with tempfile.TemporaryDirectory() as folder:
        for installation_id, found in records.items():
            write_evidence(Path(folder), installation_id, found)
        files |= {f"evidence/{path.name}": path.read_bytes() for path in sorted(Path(folder).iterdir())}
    files["proofs/log-proof.json"] = _json(_log_proof(session, records, keyring, at))
    return files


def _log_proof(session: Session, installations: Iterable[str], keyring: Keyring, at: datetime) -> dict[str, Any]:
    """The proof that each receipt of these installations is in the log, under a head that is signed now."""
    head = transparency.sign_head(session, keyring, at=at)
    claims: list[dict[str, Any]] = []
    for installation_id in sorted(installations):
        for receipt in list_receipts(session, installation_id):
            try:
                found = transparency.prove_inclusion(
                    session,
                    installation_id=installation_id,
                    first_seq=receipt.first_seq,
                    last_seq=receipt.last_seq,
                )
            except NotMergedYet as pending:
                claims.append({"receipt": receipt.token, "answer": pending.detail})
                continue
            path = [digest.hex() for digest in found.path]
            claims.append(
                {
                    "receipt": receipt.token,
                    "leaf_index": found.leaf_index,
                    "tree_size": found.tree_size,
                    "path": path,
                }
            )
    return {"format": _LOG_PROOF, "tree_head": head, "previous_head": None, "consistency": [], "claims": claims}


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


def _zip(folder: str, files: dict[str, bytes], day: date) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as pack:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{folder}/{name}", date_time=(day.year, day.month, day.day, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, also where this runs on another system: the bytes are the same.
            pack.writestr(entry, files[name])
    return out.getvalue()
