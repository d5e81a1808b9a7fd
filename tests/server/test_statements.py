"""Closing a month: every active contract ends in exactly one outcome, and closing again changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from narrows_metering.record import Kind
from narrows_metering.terms import Period
from narrows_metering.testing import GB, a_delivery, an_encode
from narrows_server.audit import AuditRow
from narrows_server.errors import NotFound
from narrows_server.invoices.models import Invoice
from narrows_server.office import Office
from narrows_server.statements import service
from narrows_server.statements.figures import Figures, read_figures
from narrows_server.statements.models import Outcome, Statement
from sqlalchemy import func, select, text

from .builders import (
    NOVEMBER,
    Browser,
    Clock,
    FailingAfter,
    PowerCut,
    Site,
    a_contract,
    an_occasion,
    send,
    some_usage,
)
from .owner import unguard

DECEMBER_FOURTH = datetime(2026, 12, 4, 6, tzinfo=UTC)


def close(
    office: Office,
    *,
    at: datetime = DECEMBER_FOURTH,
    period: Period = NOVEMBER,
    contract_id: str = "kanal-1",
    is_early: bool = False,
) -> Outcome:
    with office.database.transaction() as session:
        return service.close(session, contract_id, period, occasion=an_occasion(at), is_early=is_early)


def figures(office: Office, statement_id: str | None) -> Figures:
    assert statement_id is not None
    with office.database.snapshot() as session:
        return read_figures(service.require_statement(session, statement_id).document)


def count(office: Office, table: type[Invoice | Statement | Outcome | AuditRow]) -> int:
    with office.database.snapshot() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


class TestOutcomes:
    def test_savings_are_invoiced_for_exactly_the_share_of_the_statement(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        site.record(*some_usage(delivered=800 * GB))
        send(browser, site.report())
        outcome = close(office)

        # 200 GB saved at 0.05 a GB are 10.00; a fifth of it is 2.00.
        assert outcome.result == "invoiced"
        assert figures(office, outcome.statement_id).share_minor == 200
        with office.database.snapshot() as session:
            assert [invoice.total_minor for invoice in session.scalars(select(Invoice))] == [200]

    def test_a_month_that_lost_bytes_gives_an_invoice_over_nothing_with_its_reason(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        site.record(*some_usage(ours=1_200_000, baseline=1_000_000))
        send(browser, site.report())
        outcome = close(office)

        assert (outcome.result, outcome.reason) == ("invoiced", "no_savings")
        assert figures(office, outcome.statement_id).saved_bytes < 0
        assert figures(office, outcome.statement_id).share_minor == 0

    def test_a_delivery_without_evidence_saves_nothing_and_says_so(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        site.record((Kind.ENCODE, an_encode()), (Kind.DELIVERY, a_delivery()))
        send(browser, site.report())

        assert (close(office).result, close(office).reason) == ("invoiced", "no_evidence")

    def test_a_month_without_deliveries_ends_as_nothing_due(self, office: Office, site: Site) -> None:
        outcome = close(office)

        assert (outcome.result, outcome.reason) == ("nothing_due", "no_deliveries")
        assert count(office, Invoice) == 0

    def test_a_month_that_is_not_over_is_held_and_can_be_closed_later(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        site.record(*some_usage())
        send(browser, site.report())
        early = close(office, at=datetime(2026, 11, 30, 23, 59, tzinfo=UTC))

        assert (early.result, early.reason) == ("held", "the month is not over")
        assert close(office).result == "invoiced"

    def test_a_month_can_be_closed_early_on_request(self, office: Office, browser: Browser, site: Site) -> None:
        site.record(*some_usage())
        send(browser, site.report())

        assert close(office, at=datetime(2026, 11, 24, tzinfo=UTC), is_early=True).result == "invoiced"

    def test_records_that_vanished_from_the_database_hold_the_month(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        site.record(*some_usage())
        send(browser, site.report())
        with office.database.transaction() as session:
            unguard(session, "record")
            session.execute(text("DELETE FROM record WHERE seq = 3"))

        outcome = close(office)
        assert outcome.result == "held"
        assert site.installation_id in str(outcome.reason)

    def test_a_record_altered_in_the_database_holds_the_month(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        site.record(*some_usage(delivered=800 * GB))
        send(browser, site.report())
        with office.database.transaction() as session:
            unguard(session, "record")
            session.execute(
                text("UPDATE record SET document = replace(document, '800000000000', '900000000000') WHERE seq = 3")
            )

        outcome = close(office)
        assert outcome.result == "held"
        assert "record 3" in str(outcome.reason)

    def test_a_contract_has_no_month_before_it_begins(self, office: Office, site: Site) -> None:
        with pytest.raises(NotFound, match="begins on 2026-11-01"):
            close(office, period=Period(year=2026, month=10))

    def test_only_contracts_that_have_begun_are_active(self, office: Office) -> None:
        a_contract(office)
        with office.database.snapshot() as session:
            assert service.active_contracts(session, Period(year=2026, month=10)) == []
            assert service.active_contracts(session, NOVEMBER) == ["kanal-1"]
            assert service.active_contracts(session, Period(year=2027, month=1)) == ["kanal-1"]

    def test_usage_of_one_contract_is_not_billed_under_another(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        a_contract(office, customer_id="other", contract_id="other-1")
        site.record(*some_usage())
        send(browser, site.report())

        assert close(office, contract_id="other-1").result == "nothing_due"


class TestRepetition:
    def test_closing_again_returns_the_same_and_adds_nothing(
        self, office: Office, clock: Clock, browser: Browser, site: Site
    ) -> None:
        site.record(*some_usage())
        send(browser, site.report())
        first = close(office)
        before = [count(office, table) for table in (Invoice, Statement, Outcome, AuditRow)]
        second = close(office, at=datetime(2026, 12, 9, tzinfo=UTC))

        assert (second.statement_id, second.invoice_id) == (first.statement_id, first.invoice_id)
        assert [count(office, table) for table in (Invoice, Statement, Outcome, AuditRow)] == before

    def test_usage_that_arrives_after_the_close_does_not_change_the_statement(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        site.record(*some_usage())
        site.acknowledge(send(browser, site.report()).json()["receipt"], office)
        before = figures(office, close(office).statement_id)
        site.record((Kind.DELIVERY, a_delivery(delivered=5 * GB)))
        send(browser, site.report())

        assert figures(office, close(office).statement_id) == before

    def test_a_close_that_fails_after_any_statement_of_sql_leaves_nothing_and_can_be_repeated(
        self, office: Office, browser: Browser, site: Site
    ) -> None:
        site.record(*some_usage())
        send(browser, site.report())
        tables = (Invoice, Statement, Outcome, AuditRow)
        before = [count(office, table) for table in tables]
        failures = 0
        while True:
            with FailingAfter(office.database, failures) as fault:
                try:
                    outcome = close(office)
                except PowerCut:
                    pass
                else:
                    break
            assert fault.has_struck
            assert [count(office, table) for table in tables] == before, f"after {failures} statements"
            failures += 1

        assert failures > 10
        assert outcome.result == "invoiced"
        with office.database.snapshot() as session:
            assert [invoice.number for invoice in session.scalars(select(Invoice))] == ["INV-2026-000001"]
