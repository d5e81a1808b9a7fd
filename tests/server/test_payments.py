"""Payments and the journal: receivable = issued − credited − paid, and debits = credits, after whatever happens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.invoices import credit_notes
from narrows_server.invoices import repository as invoices
from narrows_server.invoices.models import Kind as Document
from narrows_server.journal import repository as journal
from narrows_server.journal.entries import Account
from narrows_server.journal.models import Receivable
from narrows_server.office import Office
from narrows_server.parties.service import change_entity
from narrows_server.payments import repository, service
from narrows_server.payments.models import Kind, Payment
from narrows_server.payments.service import Receipt
from narrows_server.payments.standing import Standing, Status
from narrows_server.rating.lines import Kind as LineKind
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .billing import BERLIN, DECEMBER_FIRST, a_customer, a_line, an_invoice, an_order
from .builders import an_occasion

TODAY = DECEMBER_FIRST.date()
LATER = an_occasion(DECEMBER_FIRST)


@pytest.fixture
def session(office: Office) -> Iterator[Session]:
    with office.database.transaction() as session:
        change_entity(session, "vendor", BERLIN, occasion=an_occasion())
        a_customer(session)
        yield session


def money(minor: int, **members: object) -> Receipt:
    receipt = Receipt(entity_id="vendor", customer_id="acme", currency="EUR", amount_minor=minor, received_on=TODAY)
    return replace(receipt, **members)  # type: ignore[arg-type]


def standing(session: Session, number: str) -> Standing:
    invoice = invoices.get_by_number(session, number)
    assert invoice is not None
    return service.standing_of(session, invoice)


def check_the_books(session: Session) -> None:
    """Everything that must hold at any moment."""
    balances = {b.account: b.balance_minor for b in journal.balances(session)}
    assert sum(balances.values()) == 0
    for entry in journal.list_entries(session):
        assert sum(line.debit_minor for line in entry.lines) == sum(line.credit_minor for line in entry.lines) > 0
    issued = [one for one in invoices.list_invoices(session) if one.kind == Document.INVOICE]
    for invoice, found in zip(issued, repository.standings(session, issued).values(), strict=True):
        notes = invoices.list_credit_notes(session, invoice.id)
        allocations = repository.list_allocations(session, invoice_id=invoice.id)
        naive = invoice.total_minor - sum(n.total_minor for n in notes) - sum(a.amount_minor for a in allocations)
        assert found.receivable_minor == naive == journal.receivable_of(session, invoice.id) >= 0
        kept = session.get(Receivable, invoice.id, populate_existing=True)
        assert kept is not None and (kept.owed_minor, kept.due_on) == (naive, invoice.due_on)
    late = {one.id for one, _ in service.overdue(session, TODAY + timedelta(days=60))}
    assert repository.count_overdue(session, TODAY + timedelta(days=60))[0] == len(late)
    unused = [repository.unused_of(session, p) for p in repository.list_payments(session) if p.amount_minor > 0]
    assert all(amount >= 0 for amount in unused)
    assert -balances.get(Account.CUSTOMER_CREDIT, 0) == sum(unused)
    moved = sum(p.amount_minor for p in repository.list_payments(session) if p.kind != Kind.CREDIT)
    assert balances.get(Account.BANK, 0) == moved


class TestReceived:
    def test_pays_what_is_due_first_and_keeps_the_rest_as_credit(self, session: Session) -> None:
        an_invoice(session)
        an_invoice(session, an_order(a_line(5_000)))
        payment = service.receive(session, money(20_000), occasion=LATER)

        assert [standing(session, f"INV-2026-00000{n}").receivable_minor for n in (1, 2)] == [0, 0]
        assert repository.unused_of(session, payment) == 20_000 - 11_900 - 5_950
        check_the_books(session)

    def test_in_part_leaves_the_rest_owed(self, session: Session) -> None:
        an_invoice(session)
        service.receive(session, money(4_000), occasion=LATER)

        assert standing(session, "INV-2026-000001").receivable_minor == 7_900
        assert standing(session, "INV-2026-000001").status(TODAY) is Status.PARTLY_PAID

    def test_pays_the_invoices_that_are_named_in_their_order(self, session: Session) -> None:
        an_invoice(session)
        an_invoice(session, an_order(a_line(5_000)))
        service.receive(session, money(6_000), numbers=["INV-2026-000002", "INV-2026-000001"], occasion=LATER)

        assert standing(session, "INV-2026-000002").receivable_minor == 0
        assert standing(session, "INV-2026-000001").receivable_minor == 11_900 - 50

    def test_twice_with_one_reference_of_the_bank_is_refused(self, session: Session) -> None:
        service.receive(session, money(100, reference="E2E-1"), occasion=LATER)
        with pytest.raises(AlreadyExists, match="E2E-1"):
            service.receive(session, money(100, reference="E2E-1"), occasion=LATER)

    @pytest.mark.parametrize(
        ("receipt", "error"),
        [
            (money(0), Invalid),
            (money(-5), Invalid),
            (money(5, received_on=TODAY + timedelta(days=1)), Invalid),
            (money(5, currency="XXX"), Invalid),
            (money(5, customer_id="nobody"), NotFound),
            (money(5, entity_id="nobody"), NotFound),
        ],
    )
    def test_what_cannot_be_is_refused(self, session: Session, receipt: Receipt, error: type[Exception]) -> None:
        with pytest.raises(error):
            service.receive(session, receipt, occasion=LATER)
        assert repository.list_payments(session) == []

    def test_credit_pays_a_later_invoice_when_it_is_applied(self, session: Session) -> None:
        payment = service.receive(session, money(20_000), occasion=LATER)
        an_invoice(session)
        service.apply(session, payment.id, "INV-2026-000001", amount_minor=900, occasion=LATER)
        with pytest.raises(Invalid, match="is owed"):
            service.apply(session, payment.id, "INV-2026-000001", amount_minor=11_001, occasion=LATER)
        service.apply(session, payment.id, "INV-2026-000001", occasion=LATER)

        assert standing(session, "INV-2026-000001").status(TODAY) is Status.PAID
        check_the_books(session)


class TestUndone:
    def test_a_payment_that_bounced_leaves_everything_owed_again(self, session: Session) -> None:
        an_invoice(session)
        payment = service.receive(session, money(20_000), occasion=LATER)
        service.reverse(session, payment.id, reversed_on=TODAY, occasion=LATER)

        assert standing(session, "INV-2026-000001").receivable_minor == 11_900
        assert repository.unused_of(session, payment) == 0
        with pytest.raises(Invalid, match="reversed already"):
            service.reverse(session, payment.id, reversed_on=TODAY, occasion=LATER)
        check_the_books(session)

    def test_only_what_pays_no_invoice_is_paid_back(self, session: Session) -> None:
        an_invoice(session)
        payment = service.receive(session, money(20_000), occasion=LATER)
        with pytest.raises(Invalid, match="8100 of"):
            service.refund(session, payment.id, amount_minor=8_101, paid_on=TODAY, occasion=LATER)
        back = service.refund(session, payment.id, paid_on=TODAY, occasion=LATER)

        assert (back.amount_minor, repository.unused_of(session, payment)) == (-8_100, 0)
        check_the_books(session)

    def test_crediting_a_paid_invoice_gives_its_payment_back_as_credit(self, session: Session) -> None:
        an_invoice(session)
        payment = service.receive(session, money(11_900), occasion=LATER)
        credit_notes.credit(session, "INV-2026-000001", parts={1: 5_000}, reason="Half of it", occasion=LATER)

        assert standing(session, "INV-2026-000001").receivable_minor == 0
        assert repository.unused_of(session, payment) == 5_950
        check_the_books(session)


class TestStanding:
    DUE = date(2026, 12, 31)

    @pytest.mark.parametrize(
        ("credited", "paid", "today", "status", "reminder"),
        [
            (0, 0, DUE, Status.OPEN, 0),
            (0, 40, DUE, Status.PARTLY_PAID, 0),
            (40, 0, DUE, Status.PARTLY_PAID, 0),
            (0, 100, DUE, Status.PAID, 0),
            (100, 0, DUE, Status.CREDITED, 0),
            (40, 60, DUE + timedelta(days=99), Status.PAID, 0),
            (0, 0, DUE + timedelta(days=1), Status.OVERDUE, 0),
            (0, 99, DUE + timedelta(days=7), Status.OVERDUE, 1),
            (0, 0, DUE + timedelta(days=14), Status.OVERDUE, 2),
            (0, 0, DUE + timedelta(days=30), Status.OVERDUE, 3),
        ],
    )
    def test_follows_from_what_was_credited_and_paid(
        self, credited: int, paid: int, today: date, status: Status, reminder: int
    ) -> None:
        found = Standing(total_minor=100, credited_minor=credited, paid_minor=paid, due_on=self.DUE)

        assert (found.status(today), found.reminder(today)) == (status, reminder)

    def test_an_invoice_over_nothing_is_paid(self) -> None:
        assert Standing(total_minor=0, credited_minor=0, paid_minor=0, due_on=self.DUE).status(self.DUE) is Status.PAID


def test_what_is_overdue_is_listed_the_latest_first(session: Session) -> None:
    an_invoice(session, an_order(terms_days=10))
    an_invoice(session, an_order(terms_days=5))
    an_invoice(session, an_order(terms_days=90))
    service.receive(session, money(11_900), numbers=["INV-2026-000001"], occasion=LATER)
    late = service.overdue(session, TODAY + timedelta(days=20))

    assert [(one.number, found.days_overdue(TODAY + timedelta(days=20))) for one, found in late] == [
        ("INV-2026-000002", 15)
    ]


class TestJournal:
    def test_names_what_happened_and_to_which_account(self, session: Session) -> None:
        an_invoice(session, an_order(a_line(10_000), a_line(-1_000, kind=LineKind.CAP, period="2020-09")))
        payment = service.receive(session, money(9_000), occasion=LATER)
        posted = [
            (
                entry.event,
                entry.subject,
                [(line.account, line.debit_minor, line.credit_minor, line.tax) for line in entry.lines],
            )
            for entry in journal.list_entries(session)
        ]

        # The line of September 2020 is taxed by the rate of then, 16 %.
        assert posted == [
            ("invoice_issued", "INV-2026-000001", [
                ("receivable", 10_740, 0, None),
                ("revenue", 1_000, 0, "S 16"),
                ("output_tax", 160, 0, "S 16"),
                ("revenue", 0, 10_000, "S 19"),
                ("output_tax", 0, 1_900, "S 19"),
            ]),
            ("payment_received", payment.id, [("bank", 9_000, 0, None), ("customer_credit", 0, 9_000, None)]),
            ("payment_applied", payment.id, [("customer_credit", 9_000, 0, None), ("receivable", 0, 9_000, None)]),
        ]  # fmt: skip

    @pytest.mark.parametrize("table", ["journal_entry", "journal_line", "payment", "allocation"])
    def test_refuses_to_be_changed(self, office: Office, table: str) -> None:
        with office.database.transaction() as session:
            change_entity(session, "vendor", BERLIN, occasion=an_occasion())
            a_customer(session)
            an_invoice(session)
            service.receive(session, money(100), occasion=LATER)
        column = "event" if table == "journal_entry" else "position" if table == "journal_line" else "amount_minor"
        for change in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
            with pytest.raises(IntegrityError, match="never"), office.database.transaction() as session:
                session.execute(text(change))


def some_event(session: Session, dice: random.Random) -> None:
    """One thing that finance may do, also a wrong one."""
    numbers = [one.number for one in invoices.list_invoices(session) if one.kind == Document.INVOICE and one.number]
    payments = [one.id for one in session.scalars(select(Payment)) if one.amount_minor > 0]
    what = dice.randrange(8)
    if what <= 1 or not numbers:
        lines = [
            a_line(dice.randint(-2_000, 9_000), kind=LineKind.CORRECTION, period=dice.choice(["2020-09", "2026-11"]))
            for _ in range(dice.randint(1, 3))
        ]
        if sum(line.amount.minor for line in lines) < 0:
            credit_notes.credit_surplus(session, an_order(*lines), reason="Corrections", occasion=LATER)
        else:
            an_invoice(session, an_order(*lines))
    elif what == 2:
        chosen = None if dice.random() < 0.5 else dice.sample(numbers, dice.randint(0, len(numbers)))
        service.receive(session, money(dice.randint(1, 20_000)), numbers=chosen, occasion=LATER)
    elif what <= 4:
        number = dice.choice(numbers)
        left = credit_notes.creditable(session, number)
        parts = {line: dice.randint(min(amount, 0), max(amount, 0)) for line, amount in left.items() if amount}
        whole = None if dice.random() < 0.4 else {line: part for line, part in parts.items() if part}
        credit_notes.credit(session, number, parts=whole, reason="Mended", occasion=LATER)
    elif payments:
        payment = dice.choice(payments)
        if what == 5:
            service.apply(session, payment, dice.choice(numbers), occasion=LATER)
        elif what == 6:
            service.refund(session, payment, amount_minor=dice.randint(1, 9_000), paid_on=TODAY, occasion=LATER)
        else:
            service.reverse(session, payment, reversed_on=TODAY, occasion=LATER)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_after_any_sequence_of_events_the_books_are_right(session: Session, seed: int) -> None:
    dice = random.Random(seed)
    with session.begin_nested() as everything:
        for _ in range(14):
            with suppress(Invalid), session.begin_nested():
                some_event(session, dice)
            check_the_books(session)
        everything.rollback()
    session.expunge_all()  # Ids are taken again after the rollback.
