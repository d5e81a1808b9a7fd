"""
What CII and UBL have in common: the business terms (BT) of EN 16931-1 that our documents fill, and what they cannot.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from narrows_metering.money import exponent

from narrows_server.errors import Invalid
from narrows_server.invoices.models import Kind
from narrows_server.invoices.periods import period_days
from narrows_server.invoices.texts import texts_in
from narrows_server.tax.treatment import Category

GUIDELINE: Final = "urn:cen.eu:en16931:2017"
DECIMALS_MAX: Final = 2  # BR-DEC-*.
ONE: Final = "C62"  # UN/ECE Recommendation 20: one piece.
SUPPORTING_DOCUMENT: Final = "916"  # UNTDID 1001.
CREDIT_TRANSFER, SEPA_CREDIT_TRANSFER = "30", "58"  # UNTDID 4461.
_TYPE_CODES: Final = {Kind.INVOICE: "380", Kind.CREDIT_NOTE: "381"}  # UNTDID 1001.
_NOT_XML: Final = "\ufffe\uffff"
_SEPA: Final = (
    "AD AT BE BG CH CY CZ DE DK EE ES FI FR GB GI GR HR HU IE IS IT LI LT LU LV MC MT NL NO PL PT RO SE SI SK SM VA"
)


def why_none(document: Mapping[str, Any]) -> str | None:
    """Why a document has no e-invoice of EN 16931; None if it has one."""
    if exponent(document["currency"]) > DECIMALS_MAX:
        return f"EN 16931 knows two decimals, and {document['currency']} has more"
    for name in ("seller", "buyer"):
        if not document[name]["country"]:
            return f"the {name}'s country is not known"
    if not document["lines"]:
        return "an e-invoice has at least one line"
    return None


def require_possible(document: Mapping[str, Any]) -> None:
    """Raise `Invalid` for a document that has no e-invoice."""
    reason = why_none(document)
    if reason is not None:
        raise Invalid(f"{document['number']} has no e-invoice: {reason}")


def type_code(document: Mapping[str, Any]) -> str:
    """BT-3."""
    return _TYPE_CODES[Kind(document["kind"])]


def amount(minor: int, currency: str) -> str:
    """Minor units as a decimal number, exactly."""
    decimals = exponent(currency)
    whole, fraction = divmod(abs(minor), 10**decimals)
    return f"{'-' if minor < 0 else ''}{whole}" + (f".{fraction:0{decimals}}" if decimals else "")


def quantity(line: Mapping[str, Any]) -> str:
    """BT-129: 1, or −1 for a deduction, because a price is never negative (BR-27)."""
    return "-1" if line["net_minor"] < 0 else "1"


def name(line: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """BT-153, in the buyer's language."""
    return texts_in(document["buyer"]["language"]).line(dict(line))


def line_days(line: Mapping[str, Any]) -> tuple[date, date] | None:
    """BT-134 and BT-135."""
    return period_days(line["period"])


def notes(document: Mapping[str, Any]) -> list[str]:
    """BT-22: why it is a credit note, why nothing is due, what the tax is in the seller's own currency."""
    texts = texts_in(document["buyer"]["language"])
    said = []
    if document["credits"]:
        said.append(document["credits"]["reason"])
    if document["reason"]:
        said.append(texts.reason(document["reason"]))
    return said


def shows_vat_ids(document: Mapping[str, Any]) -> bool:
    """Whether VAT ids may be named at all: not where the sale is outside of VAT (BR-O-02)."""
    return all(tax["category"] != Category.NONE for tax in document["taxes"])


def payment_means(document: Mapping[str, Any]) -> str | None:
    """BT-81, or None where the seller has no account or nothing is to be paid."""
    iban = document["seller"]["iban"]
    if document["kind"] != Kind.INVOICE or not iban or not document["total_minor"]:
        return None
    return SEPA_CREDIT_TRANSFER if document["currency"] == "EUR" and iban[:2] in _SEPA.split() else CREDIT_TRANSFER


def payment_terms(document: Mapping[str, Any]) -> str:
    """BT-20."""
    texts = texts_in(document["buyer"]["language"])
    if document["kind"] == Kind.CREDIT_NOTE:
        return texts["credited_how"]
    if not document["total_minor"]:
        return texts["nothing_due"]
    due = texts.money(document["total_minor"], document["currency"])
    return texts.say("pay_by", amount=due, day=texts.day(date.fromisoformat(document["due_on"])))


def tax_in_seller_currency(document: Mapping[str, Any]) -> tuple[str, str] | None:
    """BT-6 and BT-111: the currency of the seller's tax return, and the whole tax in it."""
    minor = tax_minor_in_seller_currency(document)
    if minor is None:
        return None
    currency = document["exchange"]["currency"]
    return currency, amount(minor, currency)


def tax_minor_in_seller_currency(document: Mapping[str, Any]) -> int | None:
    """The whole tax at the exchange rate of the document, half up; None where there is no rate."""
    exchange = document["exchange"]
    if exchange is None or exchange["currency"] == document["currency"]:
        return None
    major = Decimal(document["tax_minor"]).scaleb(-exponent(document["currency"])) * Decimal(exchange["rate"])
    return int(major.scaleb(exponent(exchange["currency"])).quantize(Decimal(1), ROUND_HALF_UP))


def electronic_address(party: Mapping[str, Any]) -> tuple[str, str] | None:
    """BT-34 or BT-49 with its scheme: what was set, else the e-mail address (EM)."""
    chosen = party.get("electronic_address")
    if chosen and ":" in chosen:
        scheme, _, address = chosen.partition(":")
        return scheme, address
    return ("EM", party["email"]) if party["email"] else None


def address_lines(party: Mapping[str, Any]) -> list[str]:
    """Street and what belongs to it, in the three lines that there are."""
    lines = list(party["address"])
    return lines if len(lines) <= 3 else [*lines[:2], ", ".join(lines[2:])]


def register(namespaces: Mapping[str, str]) -> Mapping[str, str]:
    """Have these prefixes written everywhere. Once, at import: the registry is shared by all threads."""
    for prefix, uri in namespaces.items():
        ET.register_namespace(prefix, uri)
    return namespaces


class Tree:
    """Elements under one root, appended in the order in which they are named; prefixes as the standard writes them."""

    def __init__(self, root: ET.Element, namespaces: Mapping[str, str]) -> None:
        self._element = root
        self._namespaces = namespaces

    def add(self, tag: str, text: str | None = None, **attributes: str) -> Tree:
        """A new last child `prefix:Name`, with *text* in it."""
        child = ET.SubElement(self._element, self.qualified(tag), attributes)
        if text is not None:
            child.text = _clean(text)
        return Tree(child, self._namespaces)

    def add_if(self, tag: str, text: str | None, **attributes: str) -> None:
        """The same, unless there is no text."""
        if text:
            self.add(tag, text, **attributes)

    def qualified(self, tag: str) -> str:
        prefix, _, local = tag.partition(":")
        return f"{{{self._namespaces[prefix]}}}{local}"


def serialise(root: ET.Element) -> bytes:
    """The document's bytes; the same tree gives the same ones."""
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _clean(text: str) -> str:
    """*text* without what XML cannot hold: control characters, surrogates."""
    return "".join(c for c in text if c in "\t\n" or (c >= " " and not 0xD800 <= ord(c) < 0xE000 and c not in _NOT_XML))
