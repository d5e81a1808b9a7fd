"""
The DATEV "Buchungsstapel" (EXTF): invoices, credit notes and payments of one German entity, for its tax adviser.

Source: DATEV developer portal, "DATEV-Format", format description "Buchungsstapel": header version 700, format category
21, format version 13: one header of 31 fields, the headings of 125 columns, a row for each booking. Windows-1252, CRLF,
semicolons, texts in quotes, decimal commas, days as DDMM. Accounts are those of SKR 03 and SKR 04 that carry their tax
themselves, so rows are gross and have no tax key; a row is debited or credited from the point of view of its first
account.

Amounts in another currency need the exchange rate of their invoice. Nothing here decides about tax: the rates and
categories are those of the invoices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any, Final

from narrows_metering.money import exponent
from sqlalchemy.orm import Session

from narrows_server.customers.repository import list_customers
from narrows_server.errors import Invalid
from narrows_server.invoices import repository as invoices
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.service import document_of
from narrows_server.parties.service import require_entity
from narrows_server.payments import repository as payments
from narrows_server.payments.models import Kind
from narrows_server.tax.treatment import Category

ENCODING: Final = "cp1252"
FIRST_DEBTOR: Final = 10_000
_HEADER_FIELDS: Final = 31
_TEXT_CHARACTERS_MAX: Final = 60


class Chart(StrEnum):
    """The chart of accounts (Sachkontenrahmen)."""

    SKR03 = "03"
    SKR04 = "04"


# Revenue by category and rate, and the bank. Rates without an account of their own are refused, not guessed.
_ACCOUNTS: Final[dict[Chart, dict[tuple[Category, str] | str, str]]] = {
    Chart.SKR03: {
        (Category.STANDARD, "19"): "8400",
        (Category.STANDARD, "16"): "8340",
        (Category.REVERSE_CHARGE, "0"): "8336",
        (Category.EXPORT, "0"): "8338",
        (Category.NONE, "0"): "8200",
        "bank": "1200",
    },
    Chart.SKR04: {
        (Category.STANDARD, "19"): "4400",
        (Category.STANDARD, "16"): "4340",
        (Category.REVERSE_CHARGE, "0"): "4336",
        (Category.EXPORT, "0"): "4338",
        (Category.NONE, "0"): "4200",
        "bank": "1800",
    },
}
_NUMBERED: Final = tuple(
    f"{name} {number}" for number in range(1, 9) for name in ("Beleginfo - Art", "Beleginfo - Inhalt")
)
_FURTHER: Final = tuple(
    f"{name} {number}" for number in range(1, 21) for name in ("Zusatzinformation - Art", "Zusatzinformation - Inhalt")
)
COLUMNS: Final = (
    "Umsatz (ohne Soll/Haben-Kz)", "Soll/Haben-Kennzeichen", "WKZ Umsatz", "Kurs", "Basis-Umsatz", "WKZ Basis-Umsatz",
    "Konto", "Gegenkonto (ohne BU-Schlüssel)", "BU-Schlüssel", "Belegdatum", "Belegfeld 1", "Belegfeld 2", "Skonto",
    "Buchungstext", "Postensperre", "Diverse Adressnummer", "Geschäftspartnerbank", "Sachverhalt", "Zinssperre",
    "Beleglink", *_NUMBERED, "KOST1 - Kostenstelle", "KOST2 - Kostenstelle", "Kost-Menge",
    "EU-Land u. UStID (Bestimmung)", "EU-Steuersatz (Bestimmung)", "Abw. Versteuerungsart", "Sachverhalt L+L",
    "Funktionsergänzung L+L", "BU 49 Hauptfunktionstyp", "BU 49 Hauptfunktionsnummer", "BU 49 Funktionsergänzung",
    *_FURTHER, "Stück", "Gewicht", "Zahlweise", "Forderungsart", "Veranlagungsjahr", "Zugeordnete Fälligkeit",
    "Skontotyp", "Auftragsnummer", "Buchungstyp", "USt-Schlüssel (Anzahlungen)", "EU-Land (Anzahlungen)",
    "Sachverhalt L+L (Anzahlungen)", "EU-Steuersatz (Anzahlungen)", "Erlöskonto (Anzahlungen)", "Herkunft-Kz",
    "Buchungs GUID", "KOST-Datum", "SEPA-Mandatsreferenz", "Skontosperre", "Gesellschaftername", "Beteiligtennummer",
    "Identifikationsnummer", "Zeichnernummer", "Postensperre bis", "Bezeichnung SoBil-Sachverhalt",
    "Kennzeichen SoBil-Buchung", "Festschreibung", "Leistungsdatum", "Datum Zuord. Steuerperiode", "Fälligkeit",
    "Generalumkehr (GU)", "Steuersatz", "Land", "Abrechnungsreferenz", "BVV-Position", "EU-Land u. UStID (Ursprung)",
    "EU-Steuersatz (Ursprung)", "Abw. Skontokonto",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the adviser has to tell us, and the days."""

    entity_id: str
    adviser: int  # Beraternummer, 1001 to 9999999.
    client: int  # Mandantennummer, 1 to 99999.
    chart: Chart
    first_day: date
    last_day: date


def write(session: Session, batch: Batch, *, at: datetime) -> bytes:
    """
    The file of *batch*. Raises `NotFound` and `Invalid`, also for a rate or a currency that cannot be booked.

    *at* is the moment that the header names; the rest is decided by the days alone.
    """
    _check(session, batch)
    rows = [*_sales(session, batch), *_money(session, batch)]
    lines = [_header(batch, at), ";".join(COLUMNS), *(_row(fields) for fields in rows)]
    # A letter that the format does not have becomes a question mark; what counts is in the numbers.
    return "".join(f"{line}\r\n" for line in lines).encode(ENCODING, errors="replace")


def debtor_numbers(session: Session) -> dict[str, int]:
    """By customer, the account of its receivables: counted in the order in which customers were added."""
    customers = sorted(list_customers(session), key=lambda one: (one.created_at, one.id))
    return {customer.id: FIRST_DEBTOR + position for position, customer in enumerate(customers)}


def _check(session: Session, batch: Batch) -> None:
    require_entity(session, batch.entity_id)
    if not 1001 <= batch.adviser <= 9_999_999 or not 1 <= batch.client <= 99_999:
        raise Invalid("the number of the adviser has 4 to 7 digits from 1001 on, that of the client 1 to 5")
    if batch.last_day < batch.first_day or batch.first_day.year != batch.last_day.year:
        raise Invalid("a batch lies within one year: its rows name days without their year")


def _header(batch: Batch, at: datetime) -> str:
    fields = [
        '"EXTF"', "700", "21", '"Buchungsstapel"', "13", f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03}", "", '"NS"',
        '"Narrows"', '""', str(batch.adviser), str(batch.client), f"{batch.first_day.year}0101", "4",
        f"{batch.first_day:%Y%m%d}", f"{batch.last_day:%Y%m%d}", _quoted(f"Narrows {batch.first_day:%m/%Y}", 30), '""',
        "1", "0", "0", '"EUR"', "", '""', "", "", f'"{batch.chart.value}"', "", "", '""', '""',
    ]  # fmt: skip
    assert len(fields) == _HEADER_FIELDS
    return ";".join(fields)


def _sales(session: Session, batch: Batch) -> Iterator[dict[str, str]]:
    accounts, debtors = _ACCOUNTS[batch.chart], debtor_numbers(session)
    issued = invoices.list_issued(
        session, entity_id=batch.entity_id, first_day=batch.first_day, last_day=batch.last_day
    )
    for invoice in issued:
        document = document_of(invoice)
        for tax in document["taxes"]:
            minor = tax["base_minor"] + tax["tax_minor"]
            account = accounts.get((Category(tax["category"]), tax["rate"]))
            if account is None:
                raise Invalid(f"{invoice.number}: no account for {tax['category']} at {tax['rate']} %")
            if minor:
                is_debit = (minor > 0) == (invoice.kind == Document.INVOICE)
                yield {
                    **_amount(abs(minor), document),
                    "Soll/Haben-Kennzeichen": '"S"' if is_debit else '"H"',
                    "Konto": str(debtors[invoice.customer_id]),
                    "Gegenkonto (ohne BU-Schlüssel)": account,
                    "Belegdatum": _day(document["issued_on"]),
                    "Belegfeld 1": _quoted(invoice.number or "", 36),
                    "Buchungstext": _quoted(document["buyer"]["name"], _TEXT_CHARACTERS_MAX),
                    "Leistungsdatum": _whole_day(document["period"]["last_day"]),
                    **({"Fälligkeit": _whole_day(document["due_on"])} if document["due_on"] else {}),
                }


def _money(session: Session, batch: Batch) -> Iterator[dict[str, str]]:
    bank, debtors = _ACCOUNTS[batch.chart]["bank"], debtor_numbers(session)
    for payment in payments.list_payments(session):
        if payment.entity_id != batch.entity_id or payment.kind == Kind.CREDIT:
            continue
        if batch.first_day <= payment.received_on <= batch.last_day:
            paid = {"number": payment.id, "currency": payment.currency, "exchange": None}
            yield {
                **_amount(abs(payment.amount_minor), paid),
                "Soll/Haben-Kennzeichen": '"S"' if payment.amount_minor > 0 else '"H"',
                "Konto": bank,
                "Gegenkonto (ohne BU-Schlüssel)": str(debtors[payment.customer_id]),
                "Belegdatum": _day(payment.received_on.isoformat()),
                "Belegfeld 1": _quoted(payment.reference or payment.id, 36),
                "Buchungstext": _quoted(f"Zahlung {payment.customer_id}", _TEXT_CHARACTERS_MAX),
            }


def _amount(minor: int, document: Mapping[str, Any]) -> dict[str, str]:
    """Amount and currency, and for other currencies than the euro the amount in euros and its rate."""
    currency, exchange = document["currency"], document["exchange"]
    major = Decimal(minor).scaleb(-exponent(currency)).quantize(Decimal("0.01"), ROUND_HALF_UP)
    stated = {"Umsatz (ohne Soll/Haben-Kz)": _comma(major), "WKZ Umsatz": f'"{currency}"'}
    if currency == "EUR":
        return stated
    if exchange is None or exchange["currency"] != "EUR":
        raise Invalid(f"{document['number']} is in {currency}, and its rate to the euro is not known")
    euros = (major * Decimal(exchange["rate"])).quantize(Decimal("0.01"), ROUND_HALF_UP)
    # DATEV's rate is how much of the currency one euro is.
    per_euro = (1 / Decimal(exchange["rate"])).quantize(Decimal("0.000001"), ROUND_HALF_UP)
    return {**stated, "Kurs": _comma(per_euro), "Basis-Umsatz": _comma(euros), "WKZ Basis-Umsatz": '"EUR"'}


def _row(fields: Mapping[str, str]) -> str:
    assert fields.keys() <= set(COLUMNS)
    return ";".join(fields.get(column, "") for column in COLUMNS)


def _comma(value: Decimal) -> str:
    return str(value).replace(".", ",")


def _day(day: str) -> str:
    return f"{day[8:10]}{day[5:7]}"


def _whole_day(day: str) -> str:
    return f"{day[8:10]}{day[5:7]}{day[:4]}"


def _quoted(text: str, characters_max: int) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)[:characters_max]
    return '"' + plain.replace('"', '""') + '"'
