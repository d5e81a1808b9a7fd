"""
The invoice on paper: PDF/A-3b by typst, from the document alone, with the e-invoice inside where there is one.

The same document gives the same bytes on every machine: the fonts are those inside typst, and the only date in the
file is the invoice's own. The template computes nothing; every text of the page is finished here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import as_file, files
from typing import Any

import typst
from babel.core import Locale
from narrows_metering.money import exponent
from segno import helpers

from narrows_server.invoices import cii, einvoice, facturx
from narrows_server.invoices.models import Kind
from narrows_server.invoices.texts import Texts, texts_in
from narrows_server.tax.treatment import Category

PROGRAM = "narrows-recompute"
_EPC_NAME_CHARACTERS = 70
_EPC_AMOUNT_MAX = 99_999_999_999  # Cents: EPC069-12 has room for 999,999,999.99.


def render(document: Mapping[str, Any]) -> bytes:
    """The PDF of an invoice's or credit note's *document*; one without a number is shown as a draft."""
    issued_on = date.fromisoformat(document["issued_on"])
    xml = None if einvoice.why_none(document) or not document["number"] else cii.write(document)
    with as_file(files("narrows_server.invoices") / "invoice.typ") as template:
        pdf: bytes = typst.compile(
            template,
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={
                "page": json.dumps(page(document)),
                "xml": xml.decode() if xml else "",
                "xml_name": facturx.FILE_NAME,
                "xml_relationship": facturx.RELATIONSHIP,
            },
            pdf_standards=["a-3b"],
            timestamp=datetime(issued_on.year, issued_on.month, issued_on.day, tzinfo=UTC),
        )
    return facturx.describe(pdf) if xml else pdf


def page(document: Mapping[str, Any]) -> dict[str, Any]:
    """Every text of the paper, finished."""
    texts = texts_in(document["buyer"]["language"])
    issued_on = date.fromisoformat(document["issued_on"])
    kind = texts[document["kind"]]
    return {
        "language": texts.language,
        "title": f"{kind} {document['number']}".strip(),
        "kind": kind if document["number"] else f"{kind} ({texts['draft']})",
        "date": {"year": issued_on.year, "month": issued_on.month, "day": issued_on.day},
        "seller": document["seller"]["name"],
        "sender": " · ".join([document["seller"]["name"], *_place(document["seller"], document["buyer"])]),
        "to": texts["to"],
        "buyer": [document["buyer"]["name"], *_place(document["buyer"], document["seller"])],
        "facts": _facts(document, texts),
        "heading": _heading(document, texts),
        "subheading": _subheading(document, texts),
        "volumes": _volumes(document, texts),
        "columns": [
            texts["position"], texts["service"], texts["vat"], f"{texts['amount']} ({document['currency']})"
        ],
        "lines": [_line(line, document, texts) for line in document["lines"]],
        "sums": _sums(document, texts),
        "total": {
            "label": texts["total_due" if document["kind"] == Kind.INVOICE else "total_credited"],
            "amount": texts.money(document["total_minor"], document["currency"]),
        },
        "notes": _notes(document, texts),
        "payment": _payment(document, texts),
        "check": _check(document, texts),
        "imprint": _imprint(document["seller"], texts),
        "page": texts["page"],
        "page_of": texts["page_of"],
    }  # fmt: skip


def _facts(document: Mapping[str, Any], texts: Texts) -> list[dict[str, str]]:
    buyer, credited, contract = document["buyer"], document["credits"], document["contract"]
    facts = [
        ("number", document["number"] or "–"),
        ("date", texts.day(date.fromisoformat(document["issued_on"]))),
    ]
    if credited and credited["number"]:
        facts.append(("of_invoice", credited["number"]))
        facts.append(("of_date", texts.day(date.fromisoformat(credited["issued_on"]))))
    if document["due_on"]:
        due = texts.day(date.fromisoformat(document["due_on"])) if document["total_minor"] else texts["nothing_due"]
        facts.append(("due", due))
    period = (date.fromisoformat(document["period"][name]) for name in ("first_day", "last_day"))
    facts.append(("period", texts.days(*period)))
    if contract:
        facts.append(("contract", contract["id"]))
    facts.append(("customer", buyer["id"]))
    if buyer["vat_id"]:
        facts.append(("customer_vat_id", buyer["vat_id"]))
    facts += [(name, buyer[name]) for name in ("reference", "purchase_order") if buyer[name]]
    return [{"label": texts[label], "text": text} for label, text in facts]


def _heading(document: Mapping[str, Any], texts: Texts) -> str:
    credited = document["credits"]
    if credited is None:
        return texts.say("heading", month=texts.period(document["period"]["last_day"][:7]))
    if credited["number"] is None:
        return texts["surplus_heading"]
    return texts.say("credit_heading", number=credited["number"])


def _subheading(document: Mapping[str, Any], texts: Texts) -> str:
    contract = document["contract"]
    if document["credits"]:
        return f"{texts['reason']}: {document['credits']['reason']}"
    if not contract or not contract["baseline"]:
        return ""
    return texts.say(
        "comparison",
        baseline=contract["baseline"],
        metric=texts.metric(contract["metric"]),
        tariff=contract["tariff"] or "–",
    )


def _volumes(document: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    return {
        "columns": [texts["volumes"], texts["volume"], texts["volume_cost"]],
        "rows": [
            [texts[row["kind"]], texts.gigabytes(row["bytes"]), texts.money(row["minor"], row["currency"])]
            for row in document["volumes"]
        ],
    }


def _line(line: Mapping[str, Any], document: Mapping[str, Any], texts: Texts) -> dict[str, str]:
    has_rate = line["category"] == Category.STANDARD
    return {
        "position": str(line["id"]),
        "label": texts.line(dict(line)),
        "text": line["text"],
        "vat": f"{texts.rate(line['rate'])}\N{NO-BREAK SPACE}%" if has_rate else "–",
        "amount": texts.amount(line["net_minor"], document["currency"]),
    }


def _sums(document: Mapping[str, Any], texts: Texts) -> list[dict[str, str]]:
    currency = document["currency"]
    sums = [{"label": texts["net"], "amount": texts.amount(document["net_minor"], currency)}]
    for tax in document["taxes"]:
        base = texts.money(tax["base_minor"], currency)
        has_rate = tax["category"] == Category.STANDARD
        label = texts.say("vat_on", rate=texts.rate(tax["rate"]), base=base) if has_rate else texts["no_vat_on"]
        sums.append(
            {
                "label": label if has_rate else label.format(base=base),
                "amount": texts.amount(tax["tax_minor"], currency),
            }
        )
    return [*sums, {"label": texts["total"], "amount": texts.amount(document["total_minor"], currency)}]


def _notes(document: Mapping[str, Any], texts: Texts) -> list[str]:
    categories = {tax["category"] for tax in document["taxes"]}
    notes = [texts[category] for category in sorted(categories - {Category.STANDARD})]
    exchange, minor = document["exchange"], einvoice.tax_minor_in_seller_currency(document)
    if exchange and minor is not None:
        notes.append(
            texts.say(
                "tax_in",
                amount=texts.money(minor, exchange["currency"]),
                currency=document["currency"],
                rate=exchange["rate"].replace(".", "," if texts.language == "de" else "."),
                other=exchange["currency"],
                source=exchange["source"],
                day=texts.day(date.fromisoformat(exchange["on"])),
            )
        )
    if document["reason"]:
        notes.append(f"{texts['why_nothing']} {texts.reason(document['reason'])}")
    return notes


def _payment(document: Mapping[str, Any], texts: Texts) -> dict[str, Any] | None:
    seller = document["seller"]
    if document["kind"] == Kind.CREDIT_NOTE:
        return {"title": texts["payment"], "sentence": texts["credited_how"], "rows": [], "qr": "", "scan": ""}
    if not document["total_minor"] or not (seller["iban"] or seller["payment"]):
        return None
    rows = [["", line] for line in seller["payment"]]
    if seller["iban"]:
        rows = [["IBAN", _grouped(seller["iban"])], *([["BIC", seller["bic"]]] if seller["bic"] else []), *rows]
    if seller["bank"]:
        rows.append(["", seller["bank"]])
    rows.append([texts["pay_reference"], document["number"] or "–"])
    return {
        "title": texts["payment"],
        "sentence": einvoice.payment_terms(document),
        "rows": rows,
        "qr": _epc_code(document),
        "scan": texts["scan"],
    }


def _epc_code(document: Mapping[str, Any]) -> str:
    """The QR code of a SEPA credit transfer (EPC069-12) as SVG; "" where there is none to make."""
    seller, minor = document["seller"], document["total_minor"]
    is_sepa = einvoice.payment_means(document) == einvoice.SEPA_CREDIT_TRANSFER
    if not is_sepa or not document["number"] or minor > _EPC_AMOUNT_MAX:
        return ""
    code = helpers.make_epc_qr(
        name=seller["name"][:_EPC_NAME_CHARACTERS],
        iban=seller["iban"],
        bic=seller["bic"],
        amount=Decimal(minor).scaleb(-exponent("EUR")),
        text=document["number"],
    )
    svg: str = code.svg_inline(scale=4, border=0)
    return svg


def _check(document: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    statement = document["statement"]
    embedded = texts["embedded"] if document["number"] and not einvoice.why_none(document) else ""
    before, _, after = texts["checked"].partition("{program}")
    return {
        "title": texts["check"],
        "before": before if statement else "",
        "program": PROGRAM if statement else "",
        "after": after if statement else "",
        "embedded": embedded,
        "hashes": [f"{statement['id']}", f"sha256 {statement['hash']}"] if statement else [],
    }


def _imprint(seller: Mapping[str, Any], texts: Texts) -> list[list[str]]:
    """Three columns of small print: who, registered where, paid where."""
    identity = [
        seller["registration"],
        seller["vat_id"] and f"{texts['vat_id']} {seller['vat_id']}",
        seller["tax_id"] and f"{texts['tax_id']} {seller['tax_id']}",
        seller["email"],
    ]
    account = [
        seller["bank"],
        seller["iban"] and f"IBAN {_grouped(seller['iban'])}",
        seller["bic"] and f"BIC {seller['bic']}",
    ]
    columns = [[seller["name"], *_place(seller, None)], identity, account]
    return [[text for text in column if text] for column in columns]


def _place(party: Mapping[str, Any], seen_from: Mapping[str, Any] | None) -> list[str]:
    """The lines of an address below the name; with the country where the other party is in another one."""
    town = " ".join(text for text in (party["postcode"], party["city"]) if text)
    abroad = party["country"] if seen_from is not None and party["country"] != seen_from["country"] else None
    return [*party["address"], *(text for text in (town, abroad and _country(abroad)) if text)]


def _country(code: str) -> str:
    """In capitals and in English, as the Universal Postal Union has it."""
    return str(Locale("en").territories.get(code, code)).upper()


def _grouped(iban: str) -> str:
    """In fours, as people read it (ISO 13616)."""
    return "\N{NO-BREAK SPACE}".join(iban[at : at + 4] for at in range(0, len(iban), 4))
