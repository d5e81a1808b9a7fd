"""
Golden invoices: every way to be taxed, in every kind of currency, of every shape, and credit notes over them.

Pure: orders and parties in, documents out, each with a name that says what it is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from narrows_server.invoices.crediting import credit_lines
from narrows_server.invoices.document import Numbered, Parties, TaxEvidence, assess, write_document
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.order import ExchangeRate, InvoiceOrder, StatementNote
from narrows_server.parties.party import Buyer, Seller
from narrows_server.parties.vat_id import METHOD, read_vat_id
from narrows_server.rating.lines import Kind, Line
from narrows_server.statements.figures import Figures

from ..server.billing import BERLIN, LONDON, NEW_YORK, PARIS, ZURICH, a_line, an_order

ISSUED_ON = date(2026, 12, 1)
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
BERLIN_AT_HOME = replace(BERLIN, id="narrows-gmbh", email="billing@narrows.example")
OSLO = Seller(
    id="narrows-as", name="Narrows AS", address=("Karl Johans gate 1",), postcode="0154", city="Oslo", country="NO",
    vat_id="NO995525828MVA", iban="NO9386011117947", base_currency="NOK",
)  # fmt: skip
UNREGISTERED = replace(BERLIN_AT_HOME, vat_id=None, tax_id="12/345/67890")
SELLERS = {
    "DE": BERLIN_AT_HOME,
    "FR": replace(PARIS, id="narrows-sas"),
    "GB": replace(LONDON, id="narrows-ltd"),
    "CH": replace(ZURICH, id="narrows-ag"),
    "NO": OSLO,
    "US": replace(NEW_YORK, id="narrows-inc"),
}
# Of real form, with the right check digits; who holds them does not matter here.
VAT_IDS = {
    "AT": "ATU13585627", "BE": "BE0428759497", "DE": "DE136695976", "DK": "DK13585628", "ES": "ESB58378431",
    "FI": "FI20774740", "FR": "FR40303265045", "GR": "EL094259216", "IE": "IE6433435F", "IT": "IT00743110157",
    "NL": "NL004495445B01", "PL": "PL8567346215", "SE": "SE556677889901", "GB": "GB980780684",
    "CH": "CHE107787577IVA", "NO": "NO995525828MVA",
}  # fmt: skip
FIGURES = Figures(
    baseline="libx265-medium",
    metric="ms_ssim",
    valued_in="EUR",
    delivered_bytes=812_345_678_901_234,
    baseline_bytes=1_104_790_123_401_678,
    saved_bytes=292_444_444_500_444,
    currency="EUR",
    delivered_minor=3_249_383,
    baseline_minor=4_419_160,
    value_minor=1_169_777,
    share_percent="25",
    share_minor=292_444,
    reason=None,
    has_usage=True,
)


def a_buyer(country: str = "DE", *, has_vat_id: bool = True, **members: Any) -> Buyer:
    """A customer in a country, with a VAT id of it where there is one."""
    buyer = Buyer(
        id="acme",
        name="Acme Streaming",
        address=("Hauptstraße 5", "Hof 2"),
        postcode="80331",
        city="München",
        country=country,
        email="accounts@acme.example",
        vat_id=VAT_IDS.get(country) if has_vat_id else None,
        language="de" if country in ("DE", "AT", "CH") else "en",
        reference="Kst. 4711",
    )
    return replace(buyer, **members)


def parties(seller: Seller, buyer: Buyer) -> Parties:
    """Both, with a check of the buyer's VAT id."""
    evidence = buyer.vat_id and TaxEvidence(
        vat_id=buyer.vat_id,
        country=read_vat_id(buyer.vat_id).country,
        checked_at="2026-11-23T08:00:00+00:00",
        method=METHOD,
        is_valid=True,
    )
    return Parties(seller=seller, buyer=buyer, evidence=evidence or None)


def an_invoice(
    *lines: Line,
    seller: Seller = BERLIN_AT_HOME,
    buyer: Buyer | None = None,
    number: str = "INV-2026-000001",
    **order: Any,
) -> dict[str, Any]:
    """The document of an invoice over *lines*, or over one share."""
    chosen: InvoiceOrder = an_order(*(lines or (a_line(292_444, text="25 % of 11,697.77 EUR saved"),)), **order)
    both = parties(seller, buyer or a_buyer())
    numbered = Numbered(number=number, issued_on=ISSUED_ON, due_on=date(2026, 12, 31))
    return write_document(numbered, chosen, both, assess(chosen, both))


def a_credit_note(
    invoice: dict[str, Any], parts: dict[int, int] | None = None, *, number: str = "CRN-2026-000001"
) -> dict[str, Any]:
    """The document of a first credit note over *invoice*."""
    credited = credit_lines(invoice, [], parts)
    return {
        **invoice,
        "kind": Document.CREDIT_NOTE.value,
        "number": number,
        "due_on": None,
        "credits": {
            "number": invoice["number"],
            "issued_on": invoice["issued_on"],
            "reason": "Deliveries counted twice",
        },
        "volumes": [],
        "lines": list(credited.lines),
        "taxes": [subtotal.to_dict() for subtotal in credited.subtotals],
        "net_minor": credited.net_minor,
        "tax_minor": credited.tax_minor,
        "total_minor": credited.total_minor,
        "reason": None,
    }


def golden() -> dict[str, dict[str, Any]]:
    """By name, every golden document that has an e-invoice."""
    documents: dict[str, dict[str, Any]] = {}
    for part in (_taxed(), _currencies(), _shapes()):
        for name, document in part:
            assert name not in documents
            documents[name] = document
    for name in CREDITED:
        documents[f"credit-note-over-{name}"] = a_credit_note(documents[name])
    mixed = documents["negative-lines"]
    documents["credit-note-in-part"] = a_credit_note(mixed, {1: 100_000, 2: -10_000})
    return documents


CREDITED = (
    "DE-to-DE", "DE-to-FR", "DE-to-US", "US-to-US", "GB-to-GB", "CH-to-CH", "in-JPY", "in-USD-with-tax-in-EUR",
    "two-rates", "many-lines", "cap",
)  # fmt: skip


def _taxed() -> Iterator[tuple[str, dict[str, Any]]]:
    pairs = [
        *(("DE", country) for country in VAT_IDS),
        ("DE", "US"), ("DE", "JP"),
        ("FR", "FR"), ("FR", "DE"), ("FR", "CH"), ("FR", "US"),
        ("GB", "GB"), ("GB", "DE"), ("GB", "US"),
        ("CH", "CH"), ("CH", "DE"),
        ("NO", "NO"), ("NO", "SE"),
        ("US", "US"), ("US", "DE"), ("US", "GB"),
    ]  # fmt: skip
    for seller, buyer in pairs:
        yield f"{seller}-to-{buyer}", an_invoice(seller=SELLERS[seller], buyer=a_buyer(buyer))
    yield "DE-to-FR-without-vat-id", an_invoice(buyer=a_buyer("FR", has_vat_id=False))
    yield "unregistered-seller", an_invoice(seller=UNREGISTERED)
    yield "two-rates", an_invoice(a_line(100_001), a_line(30_003, kind=Kind.CORRECTION, period="2020-09"))
    yield "tax-alone", an_invoice(a_line(10_000), a_line(-10_000, kind=Kind.CORRECTION, period="2020-09"))
    yield "old-rate-credited", an_invoice(a_line(100_000), a_line(-30_003, kind=Kind.CORRECTION, period="2020-09"))


def _currencies() -> Iterator[tuple[str, dict[str, Any]]]:
    for currency in ("USD", "GBP", "CHF", "SEK", "PLN", "HUF"):
        yield f"in-{currency}", an_invoice(a_line(123_457, currency=currency), buyer=a_buyer("US"))
    yield "in-JPY", an_invoice(a_line(123_457, currency="JPY"))
    yield "in-KRW", an_invoice(a_line(99, currency="KRW"), buyer=a_buyer("FR"))
    rate = ExchangeRate(currency="EUR", rate=Decimal("0.9217"), on=date(2026, 11, 30), source="ECB")
    yield "in-USD-with-tax-in-EUR", an_invoice(a_line(123_457, currency="USD"), exchange=rate)
    yen = ExchangeRate(currency="EUR", rate=Decimal("0.006123"), on=date(2026, 11, 30), source="ECB")
    yield "in-JPY-with-tax-in-EUR", an_invoice(a_line(123_457, currency="JPY"), exchange=yen)


def _shapes() -> Iterator[tuple[str, dict[str, Any]]]:
    statement = StatementNote(id="acme-1.2026-11", hash=HASH)
    yield "with-statement", an_invoice(figures=FIGURES, statement=statement)
    yield "one-cent", an_invoice(a_line(1))
    yield "huge", an_invoice(a_line(9_999_999_999_99))
    yield "nothing-due", an_invoice(a_line(0), figures=replace(FIGURES, share_minor=0, reason="no_savings"))
    yield "cap", an_invoice(a_line(500_000), a_line(-200_000, kind=Kind.CAP))
    yield (
        "floor-and-minimum",
        an_invoice(a_line(10), a_line(40, kind=Kind.FLOOR), a_line(50, kind=Kind.MINIMUM)),
    )
    yield "prepaid", an_invoice(a_line(500_000), a_line(-500_000, kind=Kind.CREDIT))
    yield "prepaid-in-part", an_invoice(a_line(500_000), a_line(-123_456, kind=Kind.CREDIT))
    yield "true-up", an_invoice(a_line(10_000), a_line(777_777, kind=Kind.TRUE_UP, period="2026"))
    yield "true-up-of-a-contracts-year", an_invoice(a_line(777_777, kind=Kind.TRUE_UP, period="2025-12/2026-11"))
    yield (
        "corrections",
        an_invoice(
            a_line(10_000),
            *(a_line((-1) ** n * 333 * n, kind=Kind.CORRECTION, period=f"2026-{n:02}") for n in range(1, 11)),
        ),
    )
    yield (
        "negative-lines",
        an_invoice(
            a_line(292_444),
            a_line(-50_000, kind=Kind.CAP),
            a_line(-12_345, kind=Kind.CREDIT),
            a_line(-99, kind=Kind.CORRECTION),
        ),
    )
    yield (
        "many-lines",
        an_invoice(
            *(
                a_line(1_000 + 37 * n, period=f"20{24 + n // 12:02}-{n % 12 + 1:02}", text=f"Tier {n + 1}")
                for n in range(35)
            )
        ),
    )
    yield "three-hundred-lines", an_invoice(*(a_line(99 + n, text=f"Tier {n + 1}") for n in range(300)))
    long_name = "Gesellschaft für die Übertragung außergewöhnlich großer Bildmengen in alle Welt mbH & Co. KG aA i. L."
    yield (
        "long-names",
        an_invoice(
            a_line(12_345, text="25 % of what was saved in every region, on every CDN, under all of the tariffs " * 4),
            buyer=a_buyer(
                name=long_name, address=tuple(f"{n}. Hinterhof, Aufgang {n}, {long_name[:40]}" for n in range(6))
            ),
        ),
    )
    yield (
        "markup-and-scripts",
        an_invoice(
            a_line(12_345, text="<b>&amp;</b> #panic() $x$ *y* \N{CYRILLIC CAPITAL LETTER ZHE}"),
            buyer=a_buyer(name='#eval("1") <Müller> & "Søn" \'Ωmega\''),
        ),
    )
    yield (
        "least-known",
        an_invoice(
            buyer=Buyer(id="x", name="X", country="DE"),
            contract=None,
            seller=replace(BERLIN_AT_HOME, iban=None, bic=None),
        ),
    )
    yield (
        "purchase-order",
        an_invoice(buyer=a_buyer("FR", purchase_order="PO-2026/17", electronic_address="0225:303265045")),
    )
    yield "english", an_invoice(buyer=a_buyer(language="en"), figures=FIGURES, statement=statement)
