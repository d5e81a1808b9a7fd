"""
Invoices as FOCUS 1.2 cost and usage rows, for the customer's FinOps tools beside those of their CDN.

Source: FinOps Open Cost and Usage Specification 1.2 (focus.finops.org): every mandatory column, and those conditional
ones that we can fill. A row for each line of an invoice and for its tax, credit notes with their sign turned: the
column BilledCost of an invoice adds up to its total. CSV, UTF-8, decimals with a point, times in UTC; null is empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from narrows_metering.tariff import BYTES_PER_GB
from sqlalchemy.orm import Session

from narrows_server.invoices import repository as invoices
from narrows_server.invoices.einvoice import amount
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.periods import period_days
from narrows_server.invoices.service import document_of
from narrows_server.rating.lines import Kind

VERSION: Final = "1.2"
COLUMNS: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency",
    "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
    "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "EffectiveCost",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName",
    "PublisherName", "ResourceId", "ResourceName", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId",
    "SubAccountId",
)  # fmt: skip
_CATEGORIES: Final = {
    Kind.SHARE: "Usage",
    Kind.FLOOR: "Purchase",
    Kind.MINIMUM: "Purchase",
    Kind.TRUE_UP: "Purchase",
    Kind.CAP: "Credit",
    Kind.CREDIT: "Credit",
    Kind.CORRECTION: "Usage",
}


def write(
    session: Session,
    *,
    customer_id: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
) -> str:
    """The rows of what was issued in these days, to one customer or to all."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    for invoice in invoices.list_issued(session, first_day=first_day, last_day=last_day):
        if customer_id in (None, invoice.customer_id):
            writer.writerows(rows_of(document_of(invoice)))
    return out.getvalue()


def rows_of(document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The rows of one invoice or credit note."""
    sign = 1 if document["kind"] == Document.INVOICE else -1
    measured = _measured_line(document)
    for line in document["lines"]:
        kind = Kind(line["kind"])
        is_usage = _CATEGORIES[kind] == "Usage"
        is_correction = kind is Kind.CORRECTION or sign < 0
        yield {
            **_common(document, line["period"]),
            **_cost(sign * line["net_minor"], document),
            "ChargeCategory": _CATEGORIES[kind],
            "ChargeClass": "Correction" if is_correction else "",
            "ChargeDescription": line["text"],
            "ChargeFrequency": "Usage-Based" if is_usage else "Recurring",
            "PricingCategory": "Standard",
            "PricingQuantity": str(sign),
            "PricingUnit": "Count",
            "SkuId": f"narrows-{kind.value}",
            **(_usage(document) if line["id"] == measured else {}),
        }
    for tax in document["taxes"]:
        if tax["tax_minor"]:
            yield {
                **_common(document, document["period"]["last_day"][:7]),
                **_cost(sign * tax["tax_minor"], document),
                "ChargeCategory": "Tax",
                "ChargeClass": "Correction" if sign < 0 else "",
                "ChargeDescription": f"VAT {tax['rate']} %",
                "ChargeFrequency": "Recurring",
            }


def _measured_line(document: Mapping[str, Any]) -> int | None:
    """The line that the delivered bytes are told with, once."""
    if not document["volumes"]:
        return None
    return next((line["id"] for line in document["lines"] if line["kind"] == Kind.SHARE), None)


def _usage(document: Mapping[str, Any]) -> dict[str, str]:
    delivered = next(row["bytes"] for row in document["volumes"] if row["kind"] == "delivered")
    return {"ConsumedQuantity": str(Decimal(delivered) / BYTES_PER_GB), "ConsumedUnit": "GB"}


def _cost(minor: int, document: Mapping[str, Any]) -> dict[str, str]:
    """One cost under four names: we have no list price, and nothing is paid for in advance here."""
    cost = amount(minor, document["currency"])
    return dict.fromkeys(("BilledCost", "EffectiveCost", "ContractedCost", "ListCost"), cost)


def _common(document: Mapping[str, Any], period: str) -> dict[str, str]:
    seller, buyer, contract = document["seller"], document["buyer"], document["contract"]
    billed = tuple(date.fromisoformat(document["period"][name]) for name in ("first_day", "last_day"))
    charged = period_days(period) or (billed[0], billed[1])
    return {
        "BillingAccountId": buyer["id"],
        "BillingAccountName": buyer["name"],
        "BillingAccountType": "Customer",
        "BillingCurrency": document["currency"],
        "BillingPeriodStart": _moment(billed[0]),
        "BillingPeriodEnd": _moment(billed[1] + timedelta(days=1)),
        "ChargePeriodStart": _moment(charged[0]),
        "ChargePeriodEnd": _moment(charged[1] + timedelta(days=1)),
        "InvoiceId": document["number"],
        "InvoiceIssuerName": seller["name"],
        "ProviderName": "Narrows",
        "PublisherName": "Narrows",
        "ServiceCategory": "Media",
        "ServiceSubcategory": "Media Streaming",
        "ServiceName": "Narrows video codec",
        "SubAccountId": contract["id"] if contract else "",
    }


def _moment(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
