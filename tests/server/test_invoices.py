"""Invoices: numbered without gaps whatever fails, unchangeable once issued, and the same on paper every time."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
from narrows_metering.record import Kind as Recorded
from narrows_metering.statement import NoShare
from narrows_server.database import Database
from narrows_server.errors import Invalid, NotFound
from narrows_server.invoices import numbering, pdf, service
from narrows_server.invoices.models import Invoice, Kind
from narrows_server.office import Office
from narrows_server.parties.service import default_entity
from narrows_server.statements import service as statements
from narrows_server.statements.models import Statement
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .builders import NOVEMBER, Browser, Site, an_occasion, send, some_usage

DECEMBER_FIRST = datetime(2026, 12, 1, 6, tzinfo=UTC)
FORBIDDEN_CHANGES = (
    "UPDATE invoice SET total_minor = total_minor + 1",
    "UPDATE invoice SET document = '{}'",
    "UPDATE invoice SET status = 'draft', number = NULL, document = NULL",
    "DELETE FROM invoice",
    "UPDATE statement SET hash = 'x'",
    "DELETE FROM statement",
    "UPDATE audit SET actor = 'nobody'",
    "DELETE FROM audit",
    "UPDATE record SET hash = 'x'",
    "DELETE FROM record",
    "UPDATE receipt SET token = 'x'",
    "UPDATE contract SET share_percent = '30'",
    "UPDATE tariff SET tiers = '[]'",
)


class _Rollback(Exception):
    """What is under way is given up."""


def take_number(database: Database, *, year: int, gives_up: bool) -> int | None:
    """Take a number as `issue` does; None if the transaction is given up afterwards."""
    try:
        with database.transaction() as session:
            entity = default_entity(session)
            number = numbering.take_number(session, entity, Kind.INVOICE, date(year, 5, 1))
            if gives_up:
                raise _Rollback
            return int(number.rpartition("-")[2])
    except _Rollback:
        return None


@pytest.fixture
def issued(office: Office, browser: Browser, site: Site) -> str:
    """The number of an invoice over EUR 2.00."""
    return issue(office, browser, site, some_usage())


def issue(office: Office, browser: Browser, site: Site, usage: list[tuple[Recorded, dict[str, Any]]]) -> str:
    site.record(*usage)
    send(browser, site.report())
    with office.database.transaction() as session:
        outcome = statements.close(session, "kanal-1", NOVEMBER, occasion=an_occasion(DECEMBER_FIRST))
        invoice = session.get(Invoice, outcome.invoice_id)
        assert invoice is not None
        assert invoice.number is not None
        return invoice.number


def document(office: Office, number: str) -> dict[str, Any]:
    with office.database.snapshot() as session:
        return service.require_issued(session, number)


class TestNumbers:
    def test_sixteen_threads_with_a_third_of_rollbacks_leave_no_gap(self, office: Office) -> None:
        dice = random.Random(7)
        plans = [dice.random() < 0.3 for _ in range(160)]
        with ThreadPoolExecutor(16) as pool:
            taken = list(pool.map(lambda gives_up: take_number(office.database, year=2026, gives_up=gives_up), plans))

        numbers = sorted(number for number in taken if number is not None)
        assert numbers == list(range(1, plans.count(False) + 1))

    def test_every_year_begins_with_one(self, office: Office) -> None:
        assert take_number(office.database, year=2026, gives_up=False) == 1
        assert take_number(office.database, year=2026, gives_up=False) == 2
        assert take_number(office.database, year=2027, gives_up=False) == 1

    def test_an_invoice_is_numbered_in_the_year_in_which_it_is_issued(self, issued: str) -> None:
        assert issued == "INV-2026-000001"


class TestIssued:
    def test_the_database_refuses_to_change_what_is_final(self, office: Office, issued: str) -> None:
        for change in FORBIDDEN_CHANGES:
            with pytest.raises(IntegrityError, match="never"), office.database.transaction() as session:
                session.execute(text(change))

    def test_an_invoice_changed_behind_the_back_of_the_database_is_noticed(self, office: Office, issued: str) -> None:
        with office.database.transaction() as session:
            session.execute(text("DROP TRIGGER invoice_refuse_update"))
            session.execute(text("UPDATE invoice SET document = replace(document, 'Kanal', 'Canal')"))

        with pytest.raises(service.InvoiceAltered, match=issued):
            document(office, issued)

    def test_an_issued_invoice_is_not_issued_again(self, office: Office, issued: str) -> None:
        with office.database.transaction() as session:
            invoice, _ = _only(session)
            with pytest.raises(Invalid, match="is not a draft"):
                service.issue(session, invoice, occasion=an_occasion())

    def test_the_document_names_parties_period_due_date_and_statement(self, office: Office, issued: str) -> None:
        written = document(office, issued)
        with office.database.snapshot() as session:
            _, statement = _only(session)

        assert (written["issued_on"], written["due_on"]) == ("2026-12-01", "2026-12-31")
        assert written["period"] == {"first_day": "2026-11-01", "last_day": "2026-11-30"}
        assert written["seller"]["name"] == "Narrows"
        assert written["buyer"]["name"] == "Kanal Fünf AB"
        assert written["statement"] == {"id": statement.id, "hash": statement.hash}
        assert written["total_minor"] == sum(line["net_minor"] for line in written["lines"]) == 200

    def test_an_unknown_number_is_not_found(self, office: Office) -> None:
        with pytest.raises(NotFound):
            document(office, "INV-2026-000099")


class TestPaper:
    def test_the_same_invoice_gives_the_same_bytes(self, office: Office, issued: str) -> None:
        written = document(office, issued)

        assert pdf.render(written) == pdf.render(written)
        assert pdf.render(written).startswith(b"%PDF-")

    def test_the_paper_declares_itself_fit_for_the_archive(self, office: Office, issued: str) -> None:
        assert b"<pdfaid:part>3</pdfaid:part>" in pdf.render(document(office, issued))

    def test_every_text_of_the_paper_is_finished_before_it_is_set(self, office: Office, issued: str) -> None:
        texts = pdf._texts(document(office, issued))

        assert [(row["volume"], row["amount"]) for row in texts["volumes"]] == [
            ("1,000.000 GB", "EUR 50.00"),
            ("800.000 GB", "EUR 40.00"),
            ("200.000 GB", "EUR 10.00"),
        ]
        assert texts["lines"] == [{"label": "20 % of 10.00 EUR saved", "amount": "EUR 2.00"}]
        assert texts["total"] == "EUR 2.00"
        assert texts["reason"] == ""

    def test_an_invoice_over_nothing_says_why_and_asks_for_no_payment(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        number = issue(office, browser, site, some_usage(ours=1_200_000, baseline=1_000_000))
        texts = pdf._texts(document(office, number))

        assert texts["total"] == "EUR 0.00"
        assert "not cheaper than the baseline" in texts["reason"]
        assert texts["payment"] == []
        assert pdf.render(document(office, number)).startswith(b"%PDF-")

    @pytest.mark.parametrize("reason", NoShare)
    def test_every_reason_for_nothing_has_its_sentence(self, reason: NoShare) -> None:
        assert pdf._REASONS[reason].endswith(".")

    def test_markup_in_a_name_is_printed_and_not_obeyed(self, office: Office, issued: str) -> None:
        written = document(office, issued)
        written["buyer"]["name"] = '#panic("typst") *bold* [x] $a$'

        assert pdf.render(written).startswith(b"%PDF-")


def _only(session: Session) -> tuple[Invoice, Statement]:
    invoice = session.scalars(select(Invoice)).one()
    return invoice, session.scalars(select(Statement)).one()
