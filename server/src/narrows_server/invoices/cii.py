"""
The invoice as UN/CEFACT Cross Industry Invoice, in the profile EN 16931 of Factur-X 1.0 (ZUGFeRD 2).

Sources: EN 16931-1:2017 for the business terms, CEN/TS 16931-3-3 for their places in CII, the Factur-X 1.0 profile for
what may stand there. Elements come in the order of the schema.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from narrows_server.invoices import einvoice
from narrows_server.invoices.einvoice import Tree, amount
from narrows_server.tax.treatment import Category

_NAMESPACES: Final = einvoice.register(
    {
        "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
        "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
        "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
        "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    }
)
_YYYYMMDD: Final = "102"  # UNTDID 2379.


def write(document: Mapping[str, Any]) -> bytes:
    """The CII of an invoice's *document*. Raises `Invalid` for one that has no e-invoice."""
    einvoice.require_possible(document)
    root = ET.Element(f"{{{_NAMESPACES['rsm']}}}CrossIndustryInvoice")
    tree = Tree(root, _NAMESPACES)
    context = tree.add("rsm:ExchangedDocumentContext")
    context.add("ram:GuidelineSpecifiedDocumentContextParameter").add("ram:ID", einvoice.GUIDELINE)
    _header(tree.add("rsm:ExchangedDocument"), document)
    transaction = tree.add("rsm:SupplyChainTradeTransaction")
    for line in document["lines"]:
        _line(transaction.add("ram:IncludedSupplyChainTradeLineItem"), line, document)
    _agreement(transaction.add("ram:ApplicableHeaderTradeAgreement"), document)
    # The day on which the period of supply ends (BT-72): the element must be there, and must not be empty.
    delivery = transaction.add("ram:ApplicableHeaderTradeDelivery").add("ram:ActualDeliverySupplyChainEvent")
    _day(delivery.add("ram:OccurrenceDateTime"), document["period"]["last_day"])
    _settlement(transaction.add("ram:ApplicableHeaderTradeSettlement"), document)
    return einvoice.serialise(root)


def _header(header: Tree, document: Mapping[str, Any]) -> None:
    header.add("ram:ID", document["number"])
    header.add("ram:TypeCode", einvoice.type_code(document))
    _day(header.add("ram:IssueDateTime"), document["issued_on"])
    for note in einvoice.notes(document):
        header.add("ram:IncludedNote").add("ram:Content", note)


def _line(item: Tree, line: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    currency = document["currency"]
    item.add("ram:AssociatedDocumentLineDocument").add("ram:LineID", str(line["id"]))
    product = item.add("ram:SpecifiedTradeProduct")
    product.add("ram:Name", einvoice.name(line, document))
    product.add_if("ram:Description", line["text"])
    price = item.add("ram:SpecifiedLineTradeAgreement").add("ram:NetPriceProductTradePrice")
    price.add("ram:ChargeAmount", amount(abs(line["net_minor"]), currency))
    delivery = item.add("ram:SpecifiedLineTradeDelivery")
    delivery.add("ram:BilledQuantity", einvoice.quantity(line), unitCode=einvoice.ONE)
    settlement = item.add("ram:SpecifiedLineTradeSettlement")
    tax = settlement.add("ram:ApplicableTradeTax")
    tax.add("ram:TypeCode", "VAT")
    _category(tax, line)
    days = einvoice.line_days(line)
    if days:
        _period(settlement.add("ram:BillingSpecifiedPeriod"), *days)
    total = settlement.add("ram:SpecifiedTradeSettlementLineMonetarySummation")
    total.add("ram:LineTotalAmount", amount(line["net_minor"], currency))


def _agreement(agreement: Tree, document: Mapping[str, Any]) -> None:
    seller, buyer, contract = document["seller"], document["buyer"], document["contract"]
    shows_vat_ids = einvoice.shows_vat_ids(document)
    agreement.add_if("ram:BuyerReference", buyer["reference"])
    _party(agreement.add("ram:SellerTradeParty"), seller, shows_vat_id=shows_vat_ids)
    _party(agreement.add("ram:BuyerTradeParty"), buyer, shows_vat_id=shows_vat_ids)
    if buyer["purchase_order"]:
        order = agreement.add("ram:BuyerOrderReferencedDocument")
        order.add("ram:IssuerAssignedID", buyer["purchase_order"])
    if contract:
        agreement.add("ram:ContractReferencedDocument").add("ram:IssuerAssignedID", contract["id"])
    if document["statement"]:
        statement = agreement.add("ram:AdditionalReferencedDocument")
        statement.add("ram:IssuerAssignedID", document["statement"]["id"])
        statement.add("ram:TypeCode", einvoice.SUPPORTING_DOCUMENT)
        statement.add("ram:Name", f"Savings statement, SHA-256 {document['statement']['hash']}")


def _party(node: Tree, party: Mapping[str, Any], *, shows_vat_id: bool) -> None:
    node.add_if("ram:ID", party["id"])
    node.add("ram:Name", party["name"])
    if party.get("registration"):
        node.add("ram:SpecifiedLegalOrganization").add("ram:ID", party["registration"])
    if party["email"]:
        contact = node.add("ram:DefinedTradeContact")
        contact.add("ram:PersonName", party["name"])
        contact.add("ram:EmailURIUniversalCommunication").add("ram:URIID", party["email"])
    address = node.add("ram:PostalTradeAddress")
    address.add_if("ram:PostcodeCode", party["postcode"])
    for tag, line in zip(("LineOne", "LineTwo", "LineThree"), einvoice.address_lines(party), strict=False):
        address.add_if(f"ram:{tag}", line)
    address.add_if("ram:CityName", party["city"])
    address.add("ram:CountryID", party["country"])
    electronic = einvoice.electronic_address(party)
    if electronic:
        node.add("ram:URIUniversalCommunication").add("ram:URIID", electronic[1], schemeID=electronic[0])
    if party["vat_id"] and shows_vat_id:
        node.add("ram:SpecifiedTaxRegistration").add("ram:ID", party["vat_id"], schemeID="VA")
    if "iban" in party and party["tax_id"]:  # Only a seller's: the buyer has no place for it.
        node.add("ram:SpecifiedTaxRegistration").add("ram:ID", party["tax_id"], schemeID="FC")


def _settlement(settlement: Tree, document: Mapping[str, Any]) -> None:
    currency, seller = document["currency"], document["seller"]
    in_seller_currency = einvoice.tax_in_seller_currency(document)
    settlement.add("ram:PaymentReference", document["number"])
    if in_seller_currency:
        settlement.add("ram:TaxCurrencyCode", in_seller_currency[0])
    settlement.add("ram:InvoiceCurrencyCode", currency)
    means = einvoice.payment_means(document)
    if means:
        payment = settlement.add("ram:SpecifiedTradeSettlementPaymentMeans")
        payment.add("ram:TypeCode", means)
        payment.add("ram:PayeePartyCreditorFinancialAccount").add("ram:IBANID", seller["iban"])
        if seller["bic"]:
            payment.add("ram:PayeeSpecifiedCreditorFinancialInstitution").add("ram:BICID", seller["bic"])
    for subtotal in document["taxes"]:
        tax = settlement.add("ram:ApplicableTradeTax")
        tax.add("ram:CalculatedAmount", amount(subtotal["tax_minor"], currency))
        tax.add("ram:TypeCode", "VAT")
        tax.add_if("ram:ExemptionReason", subtotal["reason"])
        tax.add("ram:BasisAmount", amount(subtotal["base_minor"], currency))
        _category(tax, subtotal)
    period = document["period"]
    _period(
        settlement.add("ram:BillingSpecifiedPeriod"),
        date.fromisoformat(period["first_day"]),
        date.fromisoformat(period["last_day"]),
    )
    terms = settlement.add("ram:SpecifiedTradePaymentTerms")
    terms.add("ram:Description", einvoice.payment_terms(document))
    if document["due_on"]:
        _day(terms.add("ram:DueDateDateTime"), document["due_on"])
    _totals(settlement.add("ram:SpecifiedTradeSettlementHeaderMonetarySummation"), document, in_seller_currency)
    credited = document["credits"]
    if credited and credited["number"]:
        reference = settlement.add("ram:InvoiceReferencedDocument")
        reference.add("ram:IssuerAssignedID", credited["number"])
        day = credited["issued_on"].replace("-", "")
        reference.add("ram:FormattedIssueDateTime").add("qdt:DateTimeString", day, format=_YYYYMMDD)


def _totals(totals: Tree, document: Mapping[str, Any], in_seller_currency: tuple[str, str] | None) -> None:
    currency = document["currency"]
    net, tax, total = (amount(document[f"{name}_minor"], currency) for name in ("net", "tax", "total"))
    totals.add("ram:LineTotalAmount", net)
    totals.add("ram:TaxBasisTotalAmount", net)
    totals.add("ram:TaxTotalAmount", tax, currencyID=currency)
    if in_seller_currency:
        totals.add("ram:TaxTotalAmount", in_seller_currency[1], currencyID=in_seller_currency[0])
    totals.add("ram:GrandTotalAmount", total)
    totals.add("ram:DuePayableAmount", total)


def _category(tax: Tree, taxed: Mapping[str, Any]) -> None:
    """Category, reason and rate; outside of VAT there is no rate (BR-O-05)."""
    tax.add("ram:CategoryCode", taxed["category"])
    tax.add_if("ram:ExemptionReasonCode", taxed.get("reason_code"))
    if taxed["category"] != Category.NONE:
        tax.add("ram:RateApplicablePercent", taxed["rate"])


def _period(period: Tree, first_day: date, last_day: date) -> None:
    _day(period.add("ram:StartDateTime"), first_day.isoformat())
    _day(period.add("ram:EndDateTime"), last_day.isoformat())


def _day(node: Tree, day: str) -> None:
    node.add("udt:DateTimeString", day.replace("-", ""), format=_YYYYMMDD)
