"""
The invoice as a document: what is hashed, kept and printed.

Everything that the paper shows is in here, so a later change of an address or a tariff's name changes no old invoice.
"""

from __future__ import annotations

import calendar
import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Any

import rfc8785

from narrows_server.customers.models import Contract
from narrows_server.customers.service import party_of
from narrows_server.invoices.party import Vendor
from narrows_server.statements.figures import Figures

FORMAT = "narrows-invoice/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """What an invoice gets when it is issued."""

    number: str
    issued_on: date
    due_on: date


def write_document(
    numbered: Numbered, contract: Contract, figures: Figures, *, vendor: Vendor, statement_id: str, statement_hash: str
) -> dict[str, Any]:
    """The document of an invoice over the share of one statement. Amounts are integers in minor units."""
    period = statement_id.rpartition(".")[2]
    year, month = int(period[:4]), int(period[5:])
    return {
        "format": FORMAT,
        "number": numbered.number,
        "issued_on": numbered.issued_on.isoformat(),
        "due_on": numbered.due_on.isoformat(),
        "currency": figures.currency,
        "vendor": vendor.to_dict(),
        "customer": {"id": contract.customer_id, **party_of(contract.customer).to_dict()},
        "contract": {
            "id": contract.id,
            "baseline": contract.baseline_id,
            "metric": contract.metric,
            "tariff": contract.tariff.name,
            "terms_days": contract.terms_days,
        },
        "period": {
            "first_day": f"{period}-01",
            "last_day": f"{period}-{calendar.monthrange(year, month)[1]}",
        },
        "volumes": [
            {"kind": "baseline", "bytes": figures.baseline_bytes, "minor": figures.baseline_minor},
            {"kind": "delivered", "bytes": figures.delivered_bytes, "minor": figures.delivered_minor},
            {"kind": "saved", "bytes": figures.saved_bytes, "minor": figures.value_minor},
        ],
        "lines": [{"kind": "share", "percent": figures.share_percent, "minor": figures.share_minor}],
        "total_minor": figures.share_minor,
        "reason": figures.reason,
        "statement": {"id": statement_id, "hash": statement_hash},
    }


def canonical(document: dict[str, Any]) -> str:
    """The text that is kept: canonical JSON (RFC 8785)."""
    return rfc8785.dumps(document).decode()


def content_hash(text: str) -> str:
    """SHA-256 of a kept document, lower-case hex."""
    return hashlib.sha256(text.encode()).hexdigest()
