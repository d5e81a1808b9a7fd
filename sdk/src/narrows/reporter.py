"""
Unsent records → server → receipts. Never in the path of an encode, never drops a record.

What has not been acknowledged stays in the ledger, and the next report begins with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows_metering.receipt import Receipt, read_receipt
from narrows_metering.report import next_report

from narrows.client import MeteringClient
from narrows.errors import ReportRejected
from narrows.usage import Meter, translated
from narrows.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What one call sent: records, reports, and the last receipt (None if there was nothing to send)."""

    record_count: int
    report_count: int
    receipt: Receipt | None


def report_usage(
    meter: Meter,
    client: MeteringClient,
    *,
    license_token: str,
    receipt_keys: Mapping[str, Ed25519PublicKey],
    again: bool = False,
) -> Reported:
    """
    Send all unacknowledged records, report by report, and keep the receipts; with *again* all there are.

    Where the server says that it lacks earlier ones, because its database was lost or restored, they are sent again.
    Raises ReportRejected and UsageError as `MeteringClient.send_report` does; what was acknowledged before stays so.
    """
    records = reports = 0
    receipt: Receipt | None = None
    sent = 0 if again else None  # The last record that this call knows the server to hold, where the ledger says more.
    with translated():
        while True:
            ledger = meter.ledger
            upcoming = next_report(
                ledger, key=meter.installation.key, license_token=license_token, sdk=VERSION, after=sent
            )
            if upcoming is None:
                return Reported(record_count=records, report_count=reports, receipt=receipt)
            start = ledger.acknowledged() if sent is None else sent
            try:
                token = client.send_report(*upcoming)
            except ReportRejected as rejected:
                if rejected.expected_seq is None or not 1 <= rejected.expected_seq <= start:
                    raise
                sent = rejected.expected_seq - 1
                continue
            receipt = read_receipt(token, receipt_keys)
            ledger.acknowledge(token, receipt)
            sent = None if sent is None or receipt.last_seq >= ledger.acknowledged() else receipt.last_seq
            records += receipt.last_seq - receipt.first_seq + 1
            reports += 1
