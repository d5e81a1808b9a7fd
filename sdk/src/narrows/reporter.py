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
from narrows.usage import Meter, translated
from narrows.version import VERSION


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What one call sent: records, reports, and the last receipt (None if there was nothing to send)."""

    record_count: int
    report_count: int
    receipt: Receipt | None


def report_usage(
    meter: Meter, client: MeteringClient, *, license_token: str, receipt_keys: Mapping[str, Ed25519PublicKey]
) -> Reported:
    """
    Send all unacknowledged records, report by report, and keep the receipts.

    Raises ReportRejected and UsageError as `MeteringClient.send_report` does; what was acknowledged before stays so.
    """
    records = reports = 0
    receipt: Receipt | None = None
    with translated():
        while True:
            upcoming = next_report(meter.ledger, key=meter.installation.key, license_token=license_token, sdk=VERSION)
            if upcoming is None:
                return Reported(record_count=records, report_count=reports, receipt=receipt)
            body, signature = upcoming
            before = meter.ledger.acknowledged()
            token = client.send_report(body, signature)
            receipt = read_receipt(token, receipt_keys)
            meter.ledger.acknowledge(token, receipt)
            records += meter.ledger.acknowledged() - before
            reports += 1
