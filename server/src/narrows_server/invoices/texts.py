"""
The words, numbers and dates of an invoice in the customer's language.

For people: nothing is ever read back from here. Amounts are exact before they come; babel only places separators and
marks, because left to itself it rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from babel.core import Locale
from babel.dates import format_date, format_skeleton
from babel.numbers import format_decimal
from narrows_metering.money import exponent
from narrows_metering.statement import NoShare
from narrows_metering.tariff import BYTES_PER_GB

from narrows_server.invoices.periods import period_days
from narrows_server.rating.lines import Kind

_WORDS: Final[dict[str, dict[str, str]]] = {
    "en": {
        "invoice": "Invoice",
        "credit_note": "Credit note",
        "statement_of_account": "Statement of account",
        "draft": "Draft",
        "to": "Bill to",
        "number": "Number",
        "date": "Date",
        "due": "Due",
        "period": "Period of supply",
        "contract": "Contract",
        "customer": "Customer",
        "reference": "Your reference",
        "purchase_order": "Your order",
        "customer_vat_id": "Your VAT ID",
        "of_invoice": "For invoice",
        "of_date": "of",
        "reason": "Reason",
        "nothing_due": "nothing due",
        "heading": "Bandwidth savings in {month}",
        "credit_heading": "Correction of invoice {number}",
        "surplus_heading": "Correction of earlier months",
        "comparison": "Compared with {baseline} at equal {metric}, valued under the tariff “{tariff}”.",
        "volumes": "Bandwidth",
        "volume": "Volume",
        "volume_cost": "Cost under your tariff",
        "baseline": "The baseline would have delivered",
        "delivered": "Delivered with Narrows",
        "saved": "Saved",
        "position": "No.",
        "service": "Service",
        "vat": "VAT",
        "amount": "Net amount",
        "net": "Total without VAT",
        "vat_on": "VAT {rate} % on {base}",
        "no_vat_on": "No VAT on {base}",
        "total": "Total with VAT",
        "total_due": "Amount due",
        "total_credited": "Amount credited",
        "tax_in": "The VAT is {amount} at 1 {currency} = {rate} {other} ({source}, {day}).",
        "AE": "Reverse charge: the recipient of the service owes the VAT (Article 196 of Directive 2006/112/EC).",
        "G": "Not taxable in the seller’s country: the recipient of the service is established outside it.",
        "O": "Not subject to VAT.",
        "why_nothing": "Why nothing is due.",
        "payment": "Payment",
        "pay_by": "Please transfer {amount} by {day}.",
        "pay_reference": "Reference",
        "scan": "Scan to pay",
        "credited_how": "We set this amount off against what is open, or transfer it to you on request.",
        "check": "How to check this document",
        "checked": "Every number above follows from the records of your own installations. With the savings statement "
        "and its evidence, {program} repeats the account on your own machine.",
        "embedded": "The invoice as data (EN 16931, Factur-X) is embedded in this file as factur-x.xml.",
        "vat_id": "VAT ID",
        "tax_id": "Tax no.",
        "page": "Page",
        "page_of": "of",
        "account_period": "From {first} to {last}",
        "account_day": "Date",
        "account_what": "What",
        "account_owed": "Owed",
        "account_paid": "Paid or credited",
        "account_balance": "Balance",
        "opening": "Balance before",
        "closing": "Balance",
        "in_your_favour": "in your favour",
        "payment_received": "Payment",
        "payment_refund": "Paid back",
        "payment_reversal": "Payment returned",
        "open_items": "Open invoices",
        "open_amount": "Open",
        "days_overdue": "Days overdue",
        "share": "Share of savings",
        "floor": "Up to the floor",
        "minimum": "Up to the minimum",
        "cap": "Beyond the cap",
        "prepaid_credit": "Paid from prepaid credit",
        "true_up": "True-up",
        "correction": "Correction",
    },
    "de": {
        "invoice": "Rechnung",
        "credit_note": "Rechnungskorrektur",
        "statement_of_account": "Kontoauszug",
        "draft": "Entwurf",
        "to": "Rechnung an",
        "number": "Nummer",
        "date": "Datum",
        "due": "Fällig am",
        "period": "Leistungszeitraum",
        "contract": "Vertrag",
        "customer": "Kunde",
        "reference": "Ihr Zeichen",
        "purchase_order": "Ihre Bestellung",
        "customer_vat_id": "Ihre USt-IdNr.",
        "of_invoice": "Zu Rechnung",
        "of_date": "vom",
        "reason": "Grund",
        "nothing_due": "nichts zu zahlen",
        "heading": "Eingesparte Bandbreite im {month}",
        "credit_heading": "Korrektur der Rechnung {number}",
        "surplus_heading": "Korrektur früherer Monate",
        "comparison": "Verglichen mit {baseline} bei gleichem {metric}, bewertet nach dem Tarif „{tariff}“.",
        "volumes": "Bandbreite",
        "volume": "Menge",
        "volume_cost": "Kosten nach Ihrem Tarif",
        "baseline": "Mit dem Vergleichscodec wären ausgeliefert worden",
        "delivered": "Mit Narrows ausgeliefert",
        "saved": "Eingespart",
        "position": "Pos.",
        "service": "Leistung",
        "vat": "USt.",
        "amount": "Nettobetrag",
        "net": "Summe ohne Umsatzsteuer",
        "vat_on": "{rate} % Umsatzsteuer auf {base}",
        "no_vat_on": "Ohne Umsatzsteuer auf {base}",
        "total": "Summe mit Umsatzsteuer",
        "total_due": "Zu zahlen",
        "total_credited": "Gutschriftbetrag",
        "tax_in": "Die Umsatzsteuer beträgt {amount} bei 1 {currency} = {rate} {other} ({source}, {day}).",
        "AE": "Steuerschuldnerschaft des Leistungsempfängers (Artikel 196 der Richtlinie 2006/112/EG; Reverse charge).",
        "G": "Nicht im Inland steuerbar: Der Leistungsempfänger ist außerhalb ansässig.",
        "O": "Ohne Umsatzsteuer.",
        "why_nothing": "Warum nichts zu zahlen ist.",
        "payment": "Zahlung",
        "pay_by": "Bitte überweisen Sie {amount} bis zum {day}.",
        "pay_reference": "Verwendungszweck",
        "scan": "Zum Bezahlen scannen",
        "credited_how": "Wir verrechnen den Betrag mit offenen Rechnungen oder überweisen ihn auf Wunsch zurück.",
        "check": "So prüfen Sie dieses Dokument",
        "checked": "Jede Zahl folgt aus den Aufzeichnungen Ihrer eigenen Installationen. Mit der Sparabrechnung und "
        "ihren Belegen rechnet {program} alles auf Ihrem eigenen Rechner nach.",
        "embedded": "Die Rechnung als Daten (EN 16931, Factur-X) ist in dieser Datei als factur-x.xml enthalten.",
        "vat_id": "USt-IdNr.",
        "tax_id": "Steuernr.",
        "page": "Seite",
        "page_of": "von",
        "account_period": "Vom {first} bis {last}",
        "account_day": "Datum",
        "account_what": "Vorgang",
        "account_owed": "Soll",
        "account_paid": "Haben",
        "account_balance": "Saldo",
        "opening": "Saldo zuvor",
        "closing": "Saldo",
        "in_your_favour": "zu Ihren Gunsten",
        "payment_received": "Zahlung",
        "payment_refund": "Rückzahlung",
        "payment_reversal": "Rücklastschrift",
        "open_items": "Offene Rechnungen",
        "open_amount": "Offen",
        "days_overdue": "Tage überfällig",
        "share": "Anteil an der Ersparnis",
        "floor": "Bis zum Sockelbetrag",
        "minimum": "Bis zum Mindestbetrag",
        "cap": "Über dem Höchstbetrag",
        "prepaid_credit": "Aus Guthaben bezahlt",
        "true_up": "Jahresausgleich",
        "correction": "Korrektur",
    },
}
_REASONS: Final[dict[str, dict[NoShare, str]]] = {
    "en": {
        NoShare.NO_DELIVERIES: "No deliveries were reported for this month.",
        NoShare.NO_EVIDENCE: "None of the deliveries of this month has usable evidence of the baseline at equal "
        "quality. The statement lists each of them with its reason.",
        NoShare.NO_SAVINGS: "Under your tariff the delivered traffic was not cheaper than the baseline’s would have "
        "been.",
        NoShare.BELOW_MINOR_UNIT: "Our share of the savings is less than the smallest unit of the currency.",
    },
    "de": {
        NoShare.NO_DELIVERIES: "Für diesen Monat wurden keine Auslieferungen gemeldet.",
        NoShare.NO_EVIDENCE: "Zu keiner Auslieferung dieses Monats gibt es einen verwertbaren Vergleich bei gleicher "
        "Qualität. Die Sparabrechnung nennt zu jeder den Grund.",
        NoShare.NO_SAVINGS: "Nach Ihrem Tarif war das Ausgelieferte nicht günstiger als der Vergleich.",
        NoShare.BELOW_MINOR_UNIT: "Unser Anteil an der Ersparnis ist kleiner als die kleinste Einheit der Währung.",
    },
}
_METRICS: Final = {"ms_ssim": "MS-SSIM", "psnr": "PSNR"}
_MINUS: Final = "\N{MINUS SIGN}"
_NARROW_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Texts:
    """Everything that is said in one language."""

    language: str

    def __getitem__(self, name: str) -> str:
        return _WORDS[self.language][name]

    def say(self, name: str, **values: str) -> str:
        """The sentence called *name* with *values* in it."""
        return self[name].format(**values)

    def money(self, minor: int, currency: str) -> str:
        """`1,234.56 EUR`, `1.234,56 EUR`: with the decimals that the currency has."""
        return f"{self.amount(minor, currency)}\N{NO-BREAK SPACE}{currency}"

    def amount(self, minor: int, currency: str) -> str:
        """The same without the currency, for columns under one."""
        decimals = exponent(currency)
        pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
        text = format_decimal(Decimal(abs(minor)).scaleb(-decimals), pattern, locale=self._locale)
        return f"{_MINUS if minor < 0 else ''}{text}"

    def rate(self, rate: str) -> str:
        """A number of per cent: `25.5`, `25,5`."""
        return str(format_decimal(Decimal(rate), "#,##0.####", locale=self._locale))

    def gigabytes(self, count: int) -> str:
        """`1,234.568 GB` of 10⁹ bytes, to the megabyte."""
        rounded = (Decimal(abs(count)) / BYTES_PER_GB).quantize(Decimal("0.001"))
        text = format_decimal(rounded, "#,##0.000", locale=self._locale)
        return f"{_MINUS if count < 0 else ''}{text}\N{NO-BREAK SPACE}GB"

    def day(self, when: date) -> str:
        """`1 December 2026`, `1. Dezember 2026`."""
        if self.language == "en":
            return f"{when.day} {format_date(when, 'MMMM yyyy', locale='en')}"
        return format_date(when, "long", locale=self._locale)

    def short_day(self, when: date) -> str:
        """`1 Dec 2026`, `01.12.2026`: for columns."""
        return format_date(when, "d MMM yyyy" if self.language == "en" else "dd.MM.yyyy", locale=self._locale)

    def days(self, first: date, last: date) -> str:
        """A period, shortened where both days are of one month."""
        if (first.year, first.month) == (last.year, last.month):
            return f"{first.day}{'' if self.language == 'en' else '.'} – {self.day(last)}"
        return f"{self.day(first)} – {self.day(last)}"

    def period(self, period: str) -> str:
        """`November 2026` for "2026-11", `November 2026 – October 2027` for both ends; a year as it is."""
        bounds = period_days(period)
        if bounds is None or "-" not in period:
            return period
        ends = dict.fromkeys(str(format_skeleton("yMMMM", day, locale=self._locale)) for day in bounds)
        return " – ".join(ends)

    def line(self, line: dict[str, Any]) -> str:
        """What a line is about: `Share of savings, November 2026`."""
        return f"{self[Kind(line['kind']).value]}, {self.period(line['period'])}"

    def reason(self, code: str) -> str:
        """Why nothing is due."""
        return _REASONS[self.language][NoShare(code)]

    def metric(self, name: str | None) -> str:
        return _METRICS.get(name or "", name or "–")

    @property
    def _locale(self) -> Locale:
        return Locale(self.language)


def texts_in(language: str) -> Texts:
    """The words of *language*; English where we have none."""
    return Texts(language if language in _WORDS else "en")
