"""
The invoice on paper: PDF/A-3b by typst, from the document alone.

The same document gives the same bytes on every machine: the fonts are those inside typst, and the only date in the
file is the invoice's own.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from importlib.resources import as_file, files
from typing import Any

import typst
from narrows_metering.statement import NoShare

from narrows_server import wording

_VOLUMES = {
    "baseline": "The baseline would have delivered",
    "delivered": "Delivered with Narrows",
    "saved": "Saved",
}
_METRICS = {"ms_ssim": "MS-SSIM", "psnr": "PSNR"}
_REASONS = {
    NoShare.NO_DELIVERIES: "No deliveries were reported for this month.",
    NoShare.NO_EVIDENCE: "None of the deliveries of this month has usable evidence of the baseline at equal quality. "
    "The statement lists each of them with its reason.",
    NoShare.NO_SAVINGS: "Under your tariff the delivered traffic was not cheaper than the baseline’s would have been.",
    NoShare.BELOW_MINOR_UNIT: "Our share of the savings is less than the smallest unit of the currency.",
}


def render(document: dict[str, Any]) -> bytes:
    """The PDF of an invoice's *document*."""
    issued_on = date.fromisoformat(document["issued_on"])
    with as_file(files("narrows_server.invoices") / "invoice.typ") as template:
        return typst.compile(
            template,
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"invoice": json.dumps(_texts(document))},
            pdf_standards=["a-3b"],
            timestamp=datetime(issued_on.year, issued_on.month, issued_on.day, tzinfo=UTC),
        )


def _texts(document: dict[str, Any]) -> dict[str, Any]:
    """Every text of the page, finished: the template computes nothing."""
    vendor, customer, contract = document["seller"], document["buyer"], document["contract"]
    currency = document["currency"]
    issued_on = date.fromisoformat(document["issued_on"])
    month = wording.month(document["period"]["first_day"][:7])
    metric = _METRICS.get(contract["metric"], contract["metric"])
    is_due = document["total_minor"] > 0
    return {
        "title": f"Invoice {document['number']}",
        "number": document["number"],
        "date": {"year": issued_on.year, "month": issued_on.month, "day": issued_on.day},
        "vendor": {"name": vendor["name"], "imprint": " · ".join(_party_lines(vendor, with_name=True))},
        "customer": {"name": customer["name"], "lines": _party_lines(customer, with_name=False)},
        "facts": [
            {"label": "Invoice number", "text": document["number"]},
            {"label": "Date", "text": wording.day(issued_on)},
            {"label": "Due", "text": wording.day(date.fromisoformat(document["due_on"])) if is_due else "nothing due"},
            {"label": "Period", "text": _period(document["period"])},
            {"label": "Contract", "text": contract["id"]},
            {"label": "Customer", "text": customer["id"]},
        ],
        "heading": f"Bandwidth savings in {month}",
        "subheading": f"Compared with {contract['baseline']} at equal {metric}, valued under the tariff "
        f"“{contract['tariff']}”.",
        "volumes": [
            {
                "label": _VOLUMES[volume["kind"]],
                "volume": wording.gigabytes(volume["bytes"]),
                "bytes": f"{wording.exact(volume['bytes'])} bytes",
                "amount": wording.money(volume["minor"], currency),
            }
            for volume in document["volumes"]
        ],
        "lines": [
            {
                "label": line["text"],
                "amount": wording.money(line["net_minor"], currency),
            }
            for line in document["lines"]
        ],
        "total": wording.money(document["total_minor"], currency),
        "reason": _REASONS[NoShare(document["reason"])] if document["reason"] else "",
        "payment": [f"IBAN {vendor['iban']}", f"Please quote {document['number']}."]
        if is_due and vendor["iban"]
        else [],
        "statement": [f"statement {document['statement']['id']}", f"sha256    {document['statement']['hash']}"],
    }


def _party_lines(party: dict[str, Any], *, with_name: bool) -> list[str]:
    optional = (party["tax_id"] and f"Tax ID {party['tax_id']}", party["email"] if with_name else None)
    return [*([party["name"]] if with_name else []), *party["address"], *(text for text in optional if text)]


def _period(period: dict[str, str]) -> str:
    first, last = date.fromisoformat(period["first_day"]), date.fromisoformat(period["last_day"])
    return f"{first.day} – {wording.day(last)}"
