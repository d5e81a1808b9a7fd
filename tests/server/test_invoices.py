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
from narrows_server.invoices import credit_notes, numbering, pdf, repository, service
from narrows_server.invoices.models import Invoice, Kind
from narrows_server.invoices.texts import texts_in
from narrows_server.journal import repository as journal
from narrows_server.office import Office, initialise
from narrows_server.parties.service import LANGUAGES, default_entity, set_profile
from narrows_server.payments import service as payments
from narrows_server.payments.service import Receipt
from narrows_server.statements import service as statements
from narrows_server.statements.models import Statement
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .billing import BERLIN, DECEMBER_FIRST, PARIS, a_customer, an_entity, an_invoice, an_order
from .builders import NOVEMBER, NOW, Browser, Clock, Site, an_occasion, send, some_usage
from .owner import unguard

DECEMBER_FOURTH = datetime(2026, 12, 4, 6, tzinfo=UTC)

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
    "UPDATE contract SET starts_on = '2026-12-01'",
    "UPDATE contract_version SET document = '{}'",
    "DELETE FROM contract_version",
    "UPDATE tariff SET document = '{}'",
)


FINAL = (
    ("invoice", "document"), ("number_pattern", "pattern"), ("vat_id_check", "is_valid"), ("payment", "amount_minor"),
    ("allocation", "amount_minor"), ("journal_entry", "event"), ("journal_line", "account"),
)  # fmt: skip


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
        outcome = statements.close(session, "kanal-1", NOVEMBER, occasion=an_occasion(DECEMBER_FOURTH))
        invoice = session.get(Invoice, outcome.invoice_id)
        assert invoice is not None
        assert invoice.number is not None
        return invoice.number


def document(office: Office, number: str) -> dict[str, Any]:
    with office.database.snapshot() as session:
        return service.require_issued(session, number)


@pytest.fixture
def shared(office: Office, clock: Clock) -> Office:
    """An office with two entities and a customer."""
    initialise(office.settings, BERLIN, clock=clock)
    with office.database.transaction() as session:
        an_entity(session, PARIS, entity_id="paris")
        a_customer(session)
    return office


def issue_one(office: Office, plan: tuple[str, bool, bool]) -> str | None:
    """Issue an invoice of an entity, or a credit note over it as well; None if the transaction is given up."""
    entity_id, is_credited, gives_up = plan
    try:
        with office.database.transaction() as session:
            number = an_invoice(session, an_order(entity_id=entity_id)).number
            assert number is not None
            if is_credited:
                occasion = an_occasion(DECEMBER_FIRST)
                number = credit_notes.credit(session, number, reason="Wrong month", occasion=occasion).number
            if gives_up:
                raise _Rollback
            return number
    except _Rollback:
        return None


class TestNumbers:
    @pytest.mark.both
    def test_sixteen_threads_with_a_third_of_rollbacks_leave_no_gap_in_any_series(self, shared: Office) -> None:
        dice = random.Random(7)
        plans = [(dice.choice(["vendor", "paris"]), dice.random() < 0.3, dice.random() < 0.3) for _ in range(160)]
        with ThreadPoolExecutor(16) as pool:
            taken = list(pool.map(lambda plan: issue_one(shared, plan), plans))

        assert taken.count(None) == sum(gives_up for _, _, gives_up in plans) > 30
        with shared.database.snapshot() as session:
            for entity, prefix in (("vendor", ""), ("paris", "PARIS-")):
                kept = [is_credited for name, is_credited, gives_up in plans if name == entity and not gives_up]
                numbers = [one.number for one in repository.list_invoices(session) if one.entity_id == entity]
                expected = [f"INV-{prefix}2026-{n:06}" for n in range(1, len(kept) + 1)]
                expected += [f"CRN-{prefix}2026-{n:06}" for n in range(1, sum(kept) + 1)]
                assert sorted(numbers, key=str) == sorted(expected)
            assert sum(balance.balance_minor for balance in journal.balances(session)) == 0

    def test_every_year_begins_with_one(self, office: Office) -> None:
        assert take_number(office.database, year=2026, gives_up=False) == 1
        assert take_number(office.database, year=2026, gives_up=False) == 2
        assert take_number(office.database, year=2027, gives_up=False) == 1

    @pytest.mark.both
    def test_both_databases_refuse_to_change_what_is_final(self, shared: Office) -> None:
        with shared.database.transaction() as session:
            numbering.set_pattern(
                session,
                default_entity(session),
                Kind.CREDIT_NOTE,
                "C-{number}",
                valid_from=NOW.date(),
                occasion=an_occasion(),
            )
            set_profile(session, "acme", vat_id="DE136695976", occasion=an_occasion())
            an_invoice(session)
            credit_notes.credit(session, "INV-2026-000001", parts={1: 1}, reason="x", occasion=an_occasion())
            receipt = Receipt(
                entity_id="vendor", customer_id="acme", currency="EUR", amount_minor=5, received_on=NOW.date()
            )
            payments.receive(session, receipt, occasion=an_occasion())
        for table, column in FINAL:
            for change in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
                with pytest.raises(IntegrityError, match="never"), shared.database.transaction() as session:
                    session.execute(text(change))

    def test_a_pattern_holds_from_its_day_on(self, office: Office) -> None:
        with office.database.transaction() as session:
            entity = default_entity(session)
            for day, pattern in ((date(2026, 12, 1), "R{year}/{month}-{number:03}"), (date(2027, 1, 1), "{number:09}")):
                numbering.set_pattern(session, entity, Kind.INVOICE, pattern, valid_from=day, occasion=an_occasion())
            days = (date(2026, 11, 30), date(2026, 12, 1), date(2026, 12, 31), date(2027, 1, 1))

            assert [numbering.take_number(session, entity, Kind.INVOICE, day) for day in days] == [
                "INV-2026-000001", "R2026/12-001", "R2026/12-002", "000000001"
            ]  # fmt: skip

    @pytest.mark.parametrize(
        "pattern", ["INV", "inv-{number}", "{number}-{year}", "{0}{number}", "{number:06}X", "A" * 41 + "{number}"]
    )
    def test_a_pattern_that_could_repeat_or_hide_a_number_is_refused(self, office: Office, pattern: str) -> None:
        with office.database.transaction() as session, pytest.raises(Invalid, match="cannot number documents"):
            numbering.set_pattern(
                session, default_entity(session), Kind.INVOICE, pattern, valid_from=NOW.date(), occasion=an_occasion()
            )

    def test_a_series_belongs_to_one_entity_and_one_kind(self, office: Office) -> None:
        with office.database.transaction() as session:
            entity = default_entity(session)
            for kind in Kind:
                numbering.set_pattern(
                    session, entity, kind, "X-{number}", valid_from=NOW.date(), occasion=an_occasion()
                )
            numbering.take_number(session, entity, Kind.INVOICE, NOW.date())
            with pytest.raises(Invalid, match="belong to the invoices of vendor"):
                numbering.take_number(session, entity, Kind.CREDIT_NOTE, NOW.date())
            with pytest.raises(Invalid, match="is over"):
                numbering.set_pattern(
                    session, entity, Kind.INVOICE, "Y-{number}", valid_from=date(2026, 1, 1), occasion=an_occasion()
                )

    def test_an_invoice_is_numbered_in_the_year_in_which_it_is_issued(self, issued: str) -> None:
        assert issued == "INV-2026-000001"


class TestIssued:
    def test_the_database_refuses_to_change_what_is_final(self, office: Office, issued: str) -> None:
        for change in FORBIDDEN_CHANGES:
            with pytest.raises(IntegrityError, match="never"), office.database.transaction() as session:
                session.execute(text(change))

    def test_an_invoice_changed_behind_the_back_of_the_database_is_noticed(self, office: Office, issued: str) -> None:
        with office.database.transaction() as session:
            unguard(session, "invoice")
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

        assert (written["issued_on"], written["due_on"]) == ("2026-12-04", "2027-01-03")
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
        texts = pdf.page(document(office, issued))

        assert [[cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row[1:]] for row in texts["volumes"]["rows"]] == [
            ["1,000.000 GB", "50.00 EUR"],
            ["800.000 GB", "40.00 EUR"],
            ["200.000 GB", "10.00 EUR"],
        ]
        (line,) = texts["lines"]
        assert (line["label"], line["text"]) == ("Share of savings, November 2026", "20 % of 10.00 EUR saved")
        assert (line["vat"], line["amount"]) == ("–", "2.00")
        assert texts["total"]["amount"] == "2.00\N{NO-BREAK SPACE}EUR"
        assert texts["notes"] == ["Not subject to VAT."]

    def test_an_invoice_over_nothing_says_why_and_asks_for_no_payment(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        number = issue(office, browser, site, some_usage(ours=1_200_000, baseline=1_000_000))
        texts = pdf.page(document(office, number))

        assert texts["total"]["amount"] == "0.00\N{NO-BREAK SPACE}EUR"
        assert "not cheaper than the baseline" in texts["notes"][-1]
        assert texts["payment"] is None
        assert pdf.render(document(office, number)).startswith(b"%PDF-")

    @pytest.mark.parametrize("reason", NoShare)
    def test_every_reason_for_nothing_has_its_sentence(self, reason: NoShare) -> None:
        for language in LANGUAGES:
            assert texts_in(language).reason(reason).endswith(".")

    def test_markup_in_a_name_is_printed_and_not_obeyed(self, office: Office, issued: str) -> None:
        written = document(office, issued)
        written["buyer"]["name"] = '#panic("typst") *bold* [x] $a$'

        assert pdf.render(written).startswith(b"%PDF-")


def _only(session: Session) -> tuple[Invoice, Statement]:
    invoice = session.scalars(select(Invoice)).one()
    return invoice, session.scalars(select(Statement)).one()
