"""
Fields of an e-invoice, each broken on its own: the official rules must notice every one.

A mutation names the golden document that it breaks, the elements, and what is put there: a text, or nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lxml import etree

_NAMESPACES: Final = {
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "rsm": "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """One field, broken in one way."""

    term: str  # The business term and what is wrong with it.
    document: str
    path: str  # XPath of the elements; the first of them is changed.
    text: str | None  # What is put there; None takes the element away.

    def apply(self, xml: bytes) -> bytes:
        """*xml* with the field broken. Raises LookupError where there is no such field to break."""
        tree = etree.fromstring(xml)
        found = tree.xpath(self.path, namespaces=_NAMESPACES)
        if not found:
            raise LookupError(f"{self.term}: {self.path}")
        if self.text is None:
            found[0].getparent().remove(found[0])
        else:
            found[0].text = self.text
        broken: bytes = etree.tostring(tree, xml_declaration=True, encoding="utf-8")
        return broken


def _cii(term: str, path: str, text: str | None, document: str = "DE-to-DE") -> Mutation:
    return Mutation(term=term, document=document, path=path, text=text)


_LINE = "//ram:IncludedSupplyChainTradeLineItem"
_SELLER, _BUYER = "//ram:SellerTradeParty", "//ram:BuyerTradeParty"
_SETTLEMENT = "//ram:ApplicableHeaderTradeSettlement"
_TAX = f"{_SETTLEMENT}/ram:ApplicableTradeTax"
_TOTALS = "//ram:SpecifiedTradeSettlementHeaderMonetarySummation"
CII: Final = (
    _cii("BT-24 guideline missing", "//ram:GuidelineSpecifiedDocumentContextParameter/ram:ID", None),
    _cii("BT-1 number missing", "//rsm:ExchangedDocument/ram:ID", None),
    _cii("BT-3 type of no invoice", "//rsm:ExchangedDocument/ram:TypeCode", "999"),
    _cii("BT-2 day missing", "//rsm:ExchangedDocument/ram:IssueDateTime", None),
    _cii("BT-5 currency of no country", "//ram:InvoiceCurrencyCode", "XXZ"),
    _cii("BT-27 seller's name missing", f"{_SELLER}/ram:Name", None),
    _cii("BT-40 seller's country missing", f"{_SELLER}//ram:CountryID", None),
    _cii("BT-40 seller's country unknown", f"{_SELLER}//ram:CountryID", "QQ"),
    _cii("BT-31 seller's VAT id missing", f"{_SELLER}/ram:SpecifiedTaxRegistration", None),
    _cii("BT-31 seller's VAT id without a country", f"{_SELLER}/ram:SpecifiedTaxRegistration/ram:ID", "136695976"),
    _cii("BT-44 buyer's name missing", f"{_BUYER}/ram:Name", None),
    _cii("BT-55 buyer's country missing", f"{_BUYER}//ram:CountryID", None),
    _cii("BT-48 buyer's VAT id missing", f"{_BUYER}/ram:SpecifiedTaxRegistration", None, "DE-to-FR"),
    _cii("BT-126 line without an id", f"{_LINE}//ram:LineID", None),
    _cii("BT-153 line without a name", f"{_LINE}//ram:Name", None),
    _cii("BT-129 line without a quantity", f"{_LINE}//ram:BilledQuantity", None),
    _cii("BT-146 negative price", f"{_LINE}//ram:ChargeAmount", "-2924.44"),
    _cii("BT-131 line total wrong", f"{_LINE}//ram:LineTotalAmount", "2924.45"),
    _cii("BT-131 line total with three decimals", f"{_LINE}//ram:LineTotalAmount", "2924.440"),
    _cii("BT-151 line of another category", f"{_LINE}//ram:CategoryCode", "E"),
    _cii("BT-152 line of another rate", f"{_LINE}//ram:RateApplicablePercent", "7"),
    _cii("BT-84 account missing", f"{_SETTLEMENT}//ram:IBANID", None),
    _cii("BT-81 means of payment unknown", f"{_SETTLEMENT}/ram:SpecifiedTradeSettlementPaymentMeans/ram:TypeCode", "0"),
    _cii("BT-116 base wrong", f"{_TAX}/ram:BasisAmount", "2900.00"),
    _cii("BT-117 tax wrong", f"{_TAX}/ram:CalculatedAmount", "600.00"),
    _cii("BT-118 category wrong", f"{_TAX}/ram:CategoryCode", "Z"),
    _cii("BT-119 rate of zero in the standard category", f"{_TAX}/ram:RateApplicablePercent", "0"),
    _cii("BT-120 and 121 no reason for no tax", f"{_TAX}/ram:ExemptionReasonCode/..", None, "DE-to-FR"),
    _cii("BT-121 reason of no list", f"{_TAX}/ram:ExemptionReasonCode", "VATEX-NONE", "DE-to-FR"),
    _cii("BT-119 rate outside of VAT", f"{_TAX}/ram:CategoryCode", "S", "US-to-US"),
    _cii("BT-106 sum of lines wrong", f"{_TOTALS}/ram:LineTotalAmount", "2924.43"),
    _cii("BT-109 total without VAT wrong", f"{_TOTALS}/ram:TaxBasisTotalAmount", "2924.45"),
    _cii("BT-110 total of VAT wrong", f"{_TOTALS}/ram:TaxTotalAmount", "555.65"),
    _cii("BT-112 total with VAT wrong", f"{_TOTALS}/ram:GrandTotalAmount", "3480.09"),
    _cii("BT-115 amount due wrong", f"{_TOTALS}/ram:DuePayableAmount", "3480.00"),
    _cii("BT-73 period turned round", f"{_SETTLEMENT}/ram:BillingSpecifiedPeriod//udt:DateTimeString", "20270101"),
    _cii(
        "BT-111 tax in the seller's currency missing",
        f"{_TOTALS}/ram:TaxTotalAmount[2]",
        None,
        "in-USD-with-tax-in-EUR",
    ),
)

_PARTY = "/*/cac:AccountingSupplierParty/cac:Party"
UBL: Final = tuple(
    Mutation(term=term, document=document, path=path, text=text)
    for term, document, path, text in (
        ("BT-24 guideline missing", "DE-to-DE", "/*/cbc:CustomizationID", None),
        ("BT-1 number missing", "DE-to-DE", "/*/cbc:ID", None),
        ("BT-3 type of no invoice", "DE-to-DE", "/*/cbc:InvoiceTypeCode", "999"),
        ("BT-5 currency of no country", "DE-to-DE", "/*/cbc:DocumentCurrencyCode", "XXZ"),
        ("BT-27 seller's name missing", "DE-to-DE", f"{_PARTY}//cbc:RegistrationName", None),
        ("BT-40 seller's country missing", "DE-to-DE", f"{_PARTY}//cbc:IdentificationCode", None),
        ("BT-31 seller's VAT id missing", "DE-to-DE", f"{_PARTY}/cac:PartyTaxScheme", None),
        ("BT-117 tax wrong", "DE-to-DE", "//cac:TaxSubtotal/cbc:TaxAmount", "600.00"),
        ("BT-116 base wrong", "DE-to-DE", "//cac:TaxSubtotal/cbc:TaxableAmount", "2900.00"),
        ("BT-110 total of VAT wrong", "DE-to-DE", "/*/cac:TaxTotal/cbc:TaxAmount", "555.65"),
        ("BT-106 sum of lines wrong", "DE-to-DE", "//cac:LegalMonetaryTotal/cbc:LineExtensionAmount", "2924.43"),
        ("BT-112 total with VAT wrong", "DE-to-DE", "//cac:LegalMonetaryTotal/cbc:TaxInclusiveAmount", "3480.09"),
        ("BT-115 amount due wrong", "DE-to-DE", "//cac:LegalMonetaryTotal/cbc:PayableAmount", "3480.00"),
        ("BT-131 line total wrong", "DE-to-DE", "//cac:InvoiceLine/cbc:LineExtensionAmount", "2924.45"),
        ("BT-151 line of another category", "DE-to-DE", "//cac:ClassifiedTaxCategory/cbc:ID", "E"),
        ("BT-84 account missing", "DE-to-DE", "//cac:PayeeFinancialAccount/cbc:ID", None),
        ("BT-121 reason of no list", "DE-to-FR", "//cac:TaxCategory/cbc:TaxExemptionReasonCode", "VATEX-NONE"),
        ("BT-25 no number of the invoice", "credit-note-over-cap", "//cac:InvoiceDocumentReference/cbc:ID", None),
    )
)  # fmt: skip
