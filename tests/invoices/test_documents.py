"""Golden invoices against the official rules; the whole run, with every paper and the times, is `make invoices`."""

from __future__ import annotations

from typing import Any

import pytest
from narrows_server.errors import Invalid
from narrows_server.invoices import cii, einvoice, pdf, ubl
from narrows_server.parties.party import Buyer
from narrows_server.rating.lines import Kind

from ..server.billing import a_line
from .golden import UNREGISTERED, a_buyer, a_credit_note, an_invoice, golden
from .mutations import CII, UBL, Mutation
from .rules import rules
from .run import faults_of, judge

DOCUMENTS = golden()
# One of each kind of tax, currency and shape; `make invoices` takes them all.
SOME = (
    "DE-to-DE", "DE-to-FR", "DE-to-GR", "DE-to-US", "DE-to-FR-without-vat-id", "GB-to-GB", "CH-to-CH", "NO-to-SE",
    "US-to-DE", "unregistered-seller", "two-rates", "in-JPY", "in-USD-with-tax-in-EUR", "with-statement", "nothing-due",
    "cap", "prepaid", "negative-lines", "many-lines", "long-names", "markup-and-scripts", "least-known",
    "purchase-order", "credit-note-over-DE-to-FR", "credit-note-over-US-to-US", "credit-note-in-part",
)  # fmt: skip
PAPERS = ("with-statement", "DE-to-FR", "US-to-US", "in-JPY", "markup-and-scripts", "credit-note-in-part", "prepaid")


def test_there_are_enough_of_them_to_mean_something() -> None:
    assert len(DOCUMENTS) >= 60
    assert len(CII) >= 25


@pytest.mark.parametrize("name", SOME)
def test_the_rules_find_nothing_in_either_syntax(name: str) -> None:
    for write in (cii.write, ubl.write):
        verdict = rules().check(write(DOCUMENTS[name]))

        assert verdict.is_clean, verdict
        assert verdict.asserted > 40


@pytest.mark.parametrize("mutation", CII, ids=lambda mutation: mutation.term)
def test_a_broken_field_of_the_cii_is_noticed(mutation: Mutation) -> None:
    assert judge(mutation, cii.write, DOCUMENTS)


@pytest.mark.parametrize("mutation", UBL, ids=lambda mutation: mutation.term)
def test_a_broken_field_of_the_ubl_is_noticed(mutation: Mutation) -> None:
    assert judge(mutation, ubl.write, DOCUMENTS)


@pytest.mark.parametrize("name", PAPERS)
def test_the_paper_carries_the_xml_and_says_so(name: str) -> None:
    paper = pdf.render(DOCUMENTS[name])

    assert faults_of(paper, cii.write(DOCUMENTS[name])) == []
    assert paper == pdf.render(DOCUMENTS[name])


class TestWithoutAnEInvoice:
    @pytest.mark.parametrize(
        ("document", "why"),
        [
            (an_invoice(a_line(123_456, currency="KWD")), "KWD has more"),
            (an_invoice(buyer=Buyer(id="x", name="X"), seller=UNREGISTERED), "the buyer's country is not known"),
        ],
    )
    def test_a_document_says_why_and_is_still_printed(self, document: dict[str, Any], why: str) -> None:
        assert why in (einvoice.why_none(document) or "")
        for write in (cii.write, ubl.write):
            with pytest.raises(Invalid, match=why):
                write(document)
        assert pdf.render(document).startswith(b"%PDF-")
        assert b"factur-x" not in pdf.render(document)


class TestPage:
    def test_amounts_and_days_are_written_as_the_customer_does(self) -> None:
        line = a_line(1_234_567_89)
        german, english = (pdf.page(an_invoice(line, buyer=a_buyer(language=one))) for one in ("de", "en"))

        assert german["lines"][0]["amount"] == "1.234.567,89"
        assert english["lines"][0]["amount"] == "1,234,567.89"
        assert german["facts"][1]["text"] == "1. Dezember 2026"
        assert english["facts"][1]["text"] == "1 December 2026"
        assert german["sums"][1]["label"].startswith("19 % Umsatzsteuer auf 1.234.567,89")

    @pytest.mark.parametrize(("currency", "text"), [("EUR", "1,234.56"), ("JPY", "123,456"), ("KWD", "123.456")])
    def test_a_currency_has_the_decimals_that_it_has(self, currency: str, text: str) -> None:
        page = pdf.page(an_invoice(a_line(123_456, currency=currency), buyer=a_buyer("US", language="en")))

        assert page["total"]["amount"] == f"{text}\N{NO-BREAK SPACE}{currency}"

    def test_reverse_charge_is_said_in_words(self) -> None:
        (note,) = pdf.page(DOCUMENTS["DE-to-FR"])["notes"]

        assert note.startswith("Reverse charge")

    def test_the_code_to_scan_is_there_for_euros_alone(self) -> None:
        assert pdf.page(DOCUMENTS["DE-to-DE"])["payment"]["qr"].startswith("<svg")
        assert pdf.page(DOCUMENTS["in-USD"])["payment"]["qr"] == ""
        assert pdf.page(DOCUMENTS["nothing-due"])["payment"] is None

    def test_a_credit_note_names_its_invoice_and_asks_for_no_payment(self) -> None:
        page = pdf.page(a_credit_note(an_invoice(buyer=a_buyer(language="en"))))

        assert (page["kind"], page["heading"]) == ("Credit note", "Correction of invoice INV-2026-000001")
        assert page["payment"]["rows"] == []
        assert page["total"]["label"] == "Amount credited"

    def test_the_months_of_a_contracts_year_are_named_by_both_ends(self) -> None:
        document = an_invoice(
            a_line(777_777, kind=Kind.TRUE_UP, period="2025-12/2026-11"), buyer=a_buyer(language="en")
        )
        (line,) = pdf.page(document)["lines"]

        assert line["label"] == "True-up, December 2025 – November 2026"

    def test_a_draft_says_that_it_is_one(self) -> None:
        page = pdf.page({**an_invoice(buyer=a_buyer(language="en")), "number": ""})

        assert page["kind"] == "Invoice (Draft)"
        assert page["payment"]["qr"] == ""
