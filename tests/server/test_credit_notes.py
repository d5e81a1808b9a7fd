"""Credit notes: never more than the invoice, and exactly the invoice once everything is credited."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from narrows_server.errors import Invalid
from narrows_server.invoices import credit_notes
from narrows_server.invoices.crediting import credit_lines, remaining
from narrows_server.invoices.models import Invoice
from narrows_server.invoices.service import document_of, require_issued
from narrows_server.office import Office
from narrows_server.parties.service import change_entity
from narrows_server.payments.repository import list_payments, unused_of
from narrows_server.rating.lines import Kind
from narrows_server.tax.breakdown import break_down, tax_of
from narrows_server.tax.treatment import Category, Treatment
from sqlalchemy.orm import Session

from .billing import BERLIN, DECEMBER_FIRST, a_customer, a_line, an_invoice, an_order
from .builders import an_occasion

RATES = ("0", "7.7", "8.1", "16", "19", "25.5")
LATER = an_occasion(DECEMBER_FIRST)


def a_document(nets: list[tuple[int, str]]) -> dict[str, Any]:
    """What crediting needs of an invoice: lines of these net amounts and rates."""
    treatments = [Treatment(category=Category.STANDARD, rate=Decimal(rate)) for _, rate in nets]
    lines = [
        {"id": n, "kind": "share", "period": "2026-11", "text": "", "net_minor": net, "category": "S", "rate": rate}
        for n, (net, rate) in enumerate(nets, start=1)
    ]
    subtotals = break_down(zip([net for net, _ in nets], treatments, strict=True))
    total = sum(subtotal.base_minor + subtotal.tax_minor for subtotal in subtotals)
    return {"number": "INV-1", "lines": lines, "taxes": [s.to_dict() for s in subtotals], "total_minor": total}


def a_note(document: dict[str, Any], notes: list[dict[str, Any]], parts: dict[int, int] | None) -> dict[str, Any]:
    credited = credit_lines(document, notes, parts)
    taxes = [subtotal.to_dict() for subtotal in credited.subtotals]
    return {"lines": list(credited.lines), "taxes": taxes, "total_minor": credited.total_minor}


def by_group(documents: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[int, int]]:
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for document in documents:
        for tax in document["taxes"]:
            base, amount = sums.get((tax["category"], tax["rate"]), (0, 0))
            sums[tax["category"], tax["rate"]] = (base + tax["base_minor"], amount + tax["tax_minor"])
    return {group: amounts for group, amounts in sums.items() if any(amounts)}


LINES = st.lists(st.tuples(st.integers(-5_000, 20_000), st.sampled_from(RATES)), min_size=1, max_size=6)


class TestAnyPartition:
    @settings(max_examples=400, deadline=None)
    @given(nets=LINES, seed=st.integers(0, 2**32))
    def test_adds_up_to_the_invoice_in_every_group_of_tax(self, nets: list[tuple[int, str]], seed: int) -> None:
        document, dice = a_document(nets), random.Random(seed)
        if document["total_minor"] < 0 or not any(net for net, _ in nets):
            return
        notes: list[dict[str, Any]] = []
        for _ in range(dice.randrange(6)):
            left = {line: amount for line, amount in remaining(document, notes).items() if amount}
            parts = {
                line: (1 if amount > 0 else -1) * dice.randint(1, abs(amount))
                for line, amount in left.items()
                if dice.random() < 0.6
            }
            before = sum(note["total_minor"] for note in notes)
            try:
                notes.append(a_note(document, notes, parts))
            except Invalid:
                continue  # A part that would go beyond the invoice, or below nothing, and changes nothing.
            assert before <= sum(note["total_minor"] for note in notes) <= document["total_minor"]
        if any(remaining(document, notes).values()):
            notes.append(a_note(document, notes, None))

        assert sum(note["total_minor"] for note in notes) == document["total_minor"]
        assert by_group(notes) == by_group([document])
        assert not any(remaining(document, notes).values())

    def test_would_miss_by_a_cent_if_every_note_rounded_by_itself(self) -> None:
        document = a_document([(10, "19")])
        notes: list[dict[str, Any]] = []
        for _ in range(5):
            notes.append(a_note(document, notes, {1: 2}))

        assert sum(note["taxes"][0]["tax_minor"] for note in notes) == document["taxes"][0]["tax_minor"] == 2
        assert 5 * tax_of(2, Decimal(19)) == 0


class TestRefused:
    @pytest.mark.parametrize(
        ("parts", "complaint"),
        [
            ({1: 10_001}, "not a part of 10000"),
            ({1: -1}, "not a part of 10000"),
            ({1: 0}, "not a part of 10000"),
            ({2: 1}, "not a part of -2000"),
            ({9: 1}, "has no line 9"),
            ({1: 10_000}, "credit its deductions with it"),
            ({2: -2_000}, "credit its deductions with it"),
            ({}, "nothing of invoice"),
        ],
    )
    def test_is_what_there_is_not_to_credit(self, parts: dict[int, int], complaint: str) -> None:
        with pytest.raises(Invalid, match=complaint):
            credit_lines(a_document([(10_000, "19"), (-2_000, "19")]), [], parts)

    def test_is_crediting_twice(self) -> None:
        document = a_document([(100, "19")])
        notes = [a_note(document, [], None)]

        with pytest.raises(Invalid, match="nothing of invoice INV-1 is left"):
            credit_lines(document, notes, None)


@pytest.fixture
def session(office: Office) -> Iterator[Session]:
    with office.database.transaction() as session:
        change_entity(session, "vendor", BERLIN, occasion=an_occasion())
        a_customer(session)
        yield session


class TestIssued:
    def test_has_a_series_of_its_own_and_names_its_invoice(self, session: Session) -> None:
        invoice = an_invoice(session)
        note = credit_notes.credit(session, "INV-2026-000001", parts={1: 2_500}, reason="Wrong month", occasion=LATER)
        document = document_of(note)

        assert (note.number, note.credits_id, note.total_minor) == ("CRN-2026-000001", invoice.id, 2_975)
        assert document["credits"] == {
            "number": "INV-2026-000001", "issued_on": "2026-12-01", "reason": "Wrong month"
        }  # fmt: skip
        assert document["seller"] == require_issued(session, "INV-2026-000001")["seller"]
        assert credit_notes.creditable(session, "INV-2026-000001") == {1: 7_500}

    def test_keeps_the_parties_of_the_invoice_when_they_have_changed_since(self, session: Session) -> None:
        an_invoice(session)
        change_entity(session, "vendor", replace(BERLIN, name="Narrows SE"), occasion=an_occasion())
        note = credit_notes.credit(session, "INV-2026-000001", reason="Wrong month", occasion=LATER)

        assert document_of(note)["seller"]["name"] == "Narrows GmbH"

    def test_cannot_be_credited_and_needs_a_reason(self, session: Session) -> None:
        an_invoice(session)
        with pytest.raises(Invalid, match="says why"):
            credit_notes.credit(session, "INV-2026-000001", reason=" ", occasion=LATER)
        credit_notes.credit(session, "INV-2026-000001", reason="Wrong month", occasion=LATER)
        with pytest.raises(Invalid, match="is a credit note"):
            credit_notes.credit(session, "CRN-2026-000001", reason="Again", occasion=LATER)

    def test_over_corrections_below_nothing_becomes_the_customers_credit(self, session: Session) -> None:
        order = an_order(a_line(1_000), a_line(-5_000, kind=Kind.CORRECTION, period="2026-09"))
        note = credit_notes.credit_surplus(session, order, reason="Late evidence for September", occasion=LATER)
        (payment,) = list_payments(session, customer_id="acme")

        assert (note.net_minor, note.tax_minor, note.total_minor) == (4_000, 760, 4_760)
        assert document_of(note)["credits"]["number"] is None
        assert unused_of(session, payment) == 4_760
        assert json.loads(note.order_text)["customer_id"] == "acme"
        with pytest.raises(Invalid, match="no less than nothing"):
            credit_notes.credit_surplus(session, an_order(), reason="x", occasion=LATER)


@pytest.mark.parametrize(
    ("new", "old", "total"), [(10_000, -10_000, 300), (9_800, -10_000, 62), (-10_000, 10_000, -300)]
)
def test_what_is_owed_is_decided_with_the_tax_of_every_rate(session: Session, new: int, old: int, total: int) -> None:
    # At 19 % now and 16 % then: tax remains where the net amounts cancel.
    order = an_order(a_line(new), a_line(old, kind=Kind.CORRECTION, period="2020-09"))

    assert credit_notes.is_surplus(session, order, occasion=LATER) is (total < 0)
    if total < 0:
        note = credit_notes.credit_surplus(session, order, reason="Old evidence", occasion=LATER)
        assert note.total_minor == -total
    else:
        assert an_invoice(session, order).total_minor == total


def test_an_invoice_below_nothing_is_none(session: Session) -> None:
    with pytest.raises(Invalid, match="that is a credit note"):
        an_invoice(session, an_order(a_line(-1)))
    assert session.query(Invoice).count() == 0
