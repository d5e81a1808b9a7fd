"""
The invoice as UBL 2.1: an Invoice, or a CreditNote.

Sources: EN 16931-1:2017 for the business terms, CEN/TS 16931-3-2 for their places in UBL, OASIS UBL 2.1 for the order
of elements.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any, Final

from narrows_server.invoices import einvoice
from narrows_server.invoices.einvoice import Tree, amount
from narrows_server.invoices.models import Kind
from narrows_server.tax.treatment import Category

_OASIS: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
_NAMESPACES: Final = einvoice.register(
    {
        "ubl": f"{_OASIS}Invoice-2",
        "cn": f"{_OASIS}CreditNote-2",
        "cac": f"{_OASIS}CommonAggregateComponents-2",
        "cbc": f"{_OASIS}CommonBasicComponents-2",
    }
)


def write(document: Mapping[str, Any]) -> bytes:
    """The UBL of an invoice's *document*. Raises `Invalid` for one that has no e-invoice."""
    einvoice.require_possible(document)
    is_invoice = document["kind"] == Kind.INVOICE
    name = "Invoice" if is_invoice else "CreditNote"
    root = ET.Element(f"{{{_OASIS}{name}-2}}{name}")
    tree = Tree(root, _NAMESPACES)
    _header(tree, document, is_invoice=is_invoice)
    _references(tree, document)
    shows_vat_ids = einvoice.shows_vat_ids(document)
    _party(tree.add("cac:AccountingSupplierParty"), document["seller"], shows_vat_id=shows_vat_ids)
    _party(tree.add("cac:AccountingCustomerParty"), document["buyer"], shows_vat_id=shows_vat_ids)
    tree.add("cac:Delivery").add("cbc:ActualDeliveryDate", document["period"]["last_day"])
    _payment(tree, document)
    _taxes(tree, document)
    total = tree.add("cac:LegalMonetaryTotal")
    for tag, member in (
        ("LineExtensionAmount", "net_minor"),
        ("TaxExclusiveAmount", "net_minor"),
        ("TaxInclusiveAmount", "total_minor"),
        ("PayableAmount", "total_minor"),
    ):
        _money(total, f"cbc:{tag}", document[member], document["currency"])
    for line in document["lines"]:
        _line(tree.add(f"cac:{name}Line"), line, document, is_invoice=is_invoice)
    return einvoice.serialise(root)


def _header(tree: Tree, document: Mapping[str, Any], *, is_invoice: bool) -> None:
    tree.add("cbc:CustomizationID", einvoice.GUIDELINE)
    tree.add("cbc:ID", document["number"])
    tree.add("cbc:IssueDate", document["issued_on"])
    if is_invoice:
        tree.add_if("cbc:DueDate", document["due_on"])
    tree.add(f"cbc:{'Invoice' if is_invoice else 'CreditNote'}TypeCode", einvoice.type_code(document))
    for note in einvoice.notes(document):
        tree.add("cbc:Note", note)
    tree.add("cbc:DocumentCurrencyCode", document["currency"])
    in_seller_currency = einvoice.tax_in_seller_currency(document)
    if in_seller_currency:
        tree.add("cbc:TaxCurrencyCode", in_seller_currency[0])
    tree.add_if("cbc:BuyerReference", document["buyer"]["reference"])
    period = tree.add("cac:InvoicePeriod")
    period.add("cbc:StartDate", document["period"]["first_day"])
    period.add("cbc:EndDate", document["period"]["last_day"])


def _references(tree: Tree, document: Mapping[str, Any]) -> None:
    order, credited = document["buyer"]["purchase_order"], document["credits"]
    if order:
        tree.add("cac:OrderReference").add("cbc:ID", order)
    if credited and credited["number"]:
        reference = tree.add("cac:BillingReference").add("cac:InvoiceDocumentReference")
        reference.add("cbc:ID", credited["number"])
        reference.add("cbc:IssueDate", credited["issued_on"])
    if document["contract"]:
        tree.add("cac:ContractDocumentReference").add("cbc:ID", document["contract"]["id"])
    if document["statement"]:
        statement = tree.add("cac:AdditionalDocumentReference")
        statement.add("cbc:ID", document["statement"]["id"])
        statement.add("cbc:DocumentDescription", f"Savings statement, SHA-256 {document['statement']['hash']}")


def _party(node: Tree, stated: Mapping[str, Any], *, shows_vat_id: bool) -> None:
    party = node.add("cac:Party")
    electronic = einvoice.electronic_address(stated)
    if electronic:
        party.add("cbc:EndpointID", electronic[1], schemeID=electronic[0])
    if stated["id"]:
        party.add("cac:PartyIdentification").add("cbc:ID", stated["id"])
    address = party.add("cac:PostalAddress")
    street, further, rest, *_ = [*einvoice.address_lines(stated), "", "", ""]
    address.add_if("cbc:StreetName", street)
    address.add_if("cbc:AdditionalStreetName", further)
    address.add_if("cbc:CityName", stated["city"])
    address.add_if("cbc:PostalZone", stated["postcode"])
    if rest:
        address.add("cac:AddressLine").add("cbc:Line", rest)
    address.add("cac:Country").add("cbc:IdentificationCode", stated["country"])
    if stated["vat_id"] and shows_vat_id:
        _tax_scheme(party, stated["vat_id"], "VAT")
    if "iban" in stated and stated["tax_id"]:  # Only a seller's: the buyer has no place for it.
        _tax_scheme(party, stated["tax_id"], "TAX")
    legal = party.add("cac:PartyLegalEntity")
    legal.add("cbc:RegistrationName", stated["name"])
    legal.add_if("cbc:CompanyID", stated.get("registration"))
    if stated["email"]:
        contact = party.add("cac:Contact")
        contact.add("cbc:Name", stated["name"])
        contact.add("cbc:ElectronicMail", stated["email"])


def _tax_scheme(party: Tree, company_id: str, scheme: str) -> None:
    node = party.add("cac:PartyTaxScheme")
    node.add("cbc:CompanyID", company_id)
    node.add("cac:TaxScheme").add("cbc:ID", scheme)


def _payment(tree: Tree, document: Mapping[str, Any]) -> None:
    means, seller = einvoice.payment_means(document), document["seller"]
    if means:
        payment = tree.add("cac:PaymentMeans")
        payment.add("cbc:PaymentMeansCode", means)
        payment.add("cbc:PaymentID", document["number"])
        account = payment.add("cac:PayeeFinancialAccount")
        account.add("cbc:ID", seller["iban"])
        if seller["bic"]:
            account.add("cac:FinancialInstitutionBranch").add("cbc:ID", seller["bic"])
    tree.add("cac:PaymentTerms").add("cbc:Note", einvoice.payment_terms(document))


def _taxes(tree: Tree, document: Mapping[str, Any]) -> None:
    currency = document["currency"]
    total = tree.add("cac:TaxTotal")
    _money(total, "cbc:TaxAmount", document["tax_minor"], currency)
    for subtotal in document["taxes"]:
        node = total.add("cac:TaxSubtotal")
        _money(node, "cbc:TaxableAmount", subtotal["base_minor"], currency)
        _money(node, "cbc:TaxAmount", subtotal["tax_minor"], currency)
        _category(node.add("cac:TaxCategory"), subtotal)
    in_seller_currency = einvoice.tax_in_seller_currency(document)
    if in_seller_currency:
        node = tree.add("cac:TaxTotal")
        node.add("cbc:TaxAmount", in_seller_currency[1], currencyID=in_seller_currency[0])


def _line(node: Tree, line: Mapping[str, Any], document: Mapping[str, Any], *, is_invoice: bool) -> None:
    currency = document["currency"]
    node.add("cbc:ID", str(line["id"]))
    tag = "cbc:InvoicedQuantity" if is_invoice else "cbc:CreditedQuantity"
    node.add(tag, einvoice.quantity(line), unitCode=einvoice.ONE)
    _money(node, "cbc:LineExtensionAmount", line["net_minor"], currency)
    days = einvoice.line_days(line)
    if days:
        period = node.add("cac:InvoicePeriod")
        period.add("cbc:StartDate", days[0].isoformat())
        period.add("cbc:EndDate", days[1].isoformat())
    item = node.add("cac:Item")
    item.add_if("cbc:Description", line["text"])
    item.add("cbc:Name", einvoice.name(line, document))
    _category(item.add("cac:ClassifiedTaxCategory"), line)
    _money(node.add("cac:Price"), "cbc:PriceAmount", abs(line["net_minor"]), currency)


def _category(node: Tree, taxed: Mapping[str, Any]) -> None:
    """Category, rate and reason; outside of VAT there is no rate (BR-O-05)."""
    node.add("cbc:ID", taxed["category"])
    if taxed["category"] != Category.NONE:
        node.add("cbc:Percent", taxed["rate"])
    node.add_if("cbc:TaxExemptionReasonCode", taxed.get("reason_code"))
    node.add_if("cbc:TaxExemptionReason", taxed.get("reason"))
    node.add("cac:TaxScheme").add("cbc:ID", "VAT")


def _money(node: Tree, tag: str, minor: int, currency: str) -> None:
    node.add(tag, amount(minor, currency), currencyID=currency)
