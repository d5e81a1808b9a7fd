"""Billing over the API: what finance changes, once and no more, and what a customer sees of it."""

from __future__ import annotations

import hashlib

import pytest
from narrows_server.access.roles import Role
from narrows_server.office import Office
from narrows_server.parties.service import change_entity

from .api import Program, a_program
from .billing import BERLIN, a_customer, an_invoice
from .builders import NOW, an_occasion

TODAY = NOW.date().isoformat()


@pytest.fixture
def finance(office: Office) -> Program:
    """Finance, of an office with one invoice over 119.00 EUR to `acme`, issued today."""
    with office.database.transaction() as session:
        change_entity(session, "vendor", BERLIN, occasion=an_occasion())
        a_customer(session)
        a_customer(session, "globe", name="Globe SA", country="FR", vat_id="FR40303265045")
        an_invoice(session, at=NOW)
    return a_program(office, Role.FINANCE)


def test_a_credit_note_is_issued_once_however_often_it_is_asked_for(finance: Program) -> None:
    order = {"reason": "Counted twice", "lines": {"1": 2_500}}
    first, again = (
        finance.post("/v1/invoices/INV-2026-000001/credit", order, Idempotency_Key="credit-1") for _ in range(2)
    )

    assert (first.status_code, first.json()["number"], first.json()["total"]["minor"]) == (
        201,
        "CRN-2026-000001",
        2_975,
    )
    assert again.json() == first.json()
    assert len(finance.items("/v1/invoices")) == 2
    assert finance.post("/v1/invoices/INV-2026-000001/credit", {"reason": "x", "lines": {"7": 1}}).status_code == 422


def test_a_payment_settles_its_invoice_and_the_rest_is_applied_refunded_or_reversed(finance: Program) -> None:
    order = {"customer_id": "acme", "amount": {"minor": 20_000, "currency": "EUR"}, "received_on": TODAY}
    paid = finance.post("/v1/payments", order).json()
    settled = finance.get("/v1/invoices/INV-2026-000001").json()

    assert (paid["unused"]["minor"], settled["standing"], settled["receivable"]["minor"]) == (8_100, "paid", 0)
    refund = finance.post(f"/v1/payments/{paid['id']}/refund", {"paid_on": TODAY, "amount_minor": 100}).json()
    assert (refund["amount"]["minor"], refund["of"]) == (-100, paid["id"])
    applied = finance.post(f"/v1/payments/{paid['id']}/apply", {"invoice": "INV-2026-000001"})
    assert applied.status_code == 422
    assert finance.post(f"/v1/payments/{paid['id']}/reverse", {"reversed_on": TODAY}).status_code == 422
    assert {one["kind"] for one in finance.items("/v1/payments")} == {"received", "refund"}
    balance = finance.get("/v1/journal/balance").json()
    assert balance["difference_minor"] == 0
    assert {"bank", "receivable", "revenue"} <= {one["account"] for one in balance["accounts"]}
    assert [one["event"] for one in finance.items("/v1/journal")][-1] == "invoice_issued"


def test_the_document_is_the_very_bytes_that_were_hashed(finance: Program) -> None:
    document = finance.get("/v1/invoices/INV-2026-000001/document").content

    assert hashlib.sha256(document).hexdigest() == finance.get("/v1/invoices/INV-2026-000001").json()["content_hash"]
    assert b"CrossIndustryInvoice" in finance.get("/v1/invoices/INV-2026-000001/cii").content
    assert b"InvoiceTypeCode" in finance.get("/v1/invoices/INV-2026-000001/ubl").content


def test_a_billing_profile_changes_by_member_and_its_vat_id_is_checked(finance: Program) -> None:
    path = "/v1/customers/acme/billing"
    changed = finance.send("PATCH", path, {"vat_id": "DE136695976", "language": "de"}).json()

    assert (changed["vat_id"], changed["language"], changed["city"]) == ("DE136695976", "de", "München")
    assert [check["is_valid"] for check in changed["checks"]] == [True]
    assert finance.send("PATCH", path, {"vat_id": "DE136695970"}).status_code == 422
    assert finance.get("/v1/legal-entities").json()[0]["iban"] == "DE02120300000000202051"


def test_exports_are_files(finance: Program) -> None:
    days = "from=2026-11-01&to=2026-11-30"
    for path, beginning in {
        f"/v1/exports/datev?{days}&adviser=1001&client=1": b'"EXTF";700;21',
        f"/v1/exports/csv?table=invoices&{days}": b"number,kind",
        "/v1/exports/csv?table=journal": b"entry,posted_on",
        "/v1/exports/focus": b"BilledCost",
        "/v1/customers/acme/account/pdf": b"%PDF-",
    }.items():
        answer = finance.get(path)
        assert (answer.status_code, answer.content[: len(beginning)]) == (200, beginning), path


def test_a_customer_sees_its_own_account_and_nobody_elses(office: Office, finance: Program) -> None:
    acme = a_program(office, Role.CUSTOMER, customer_id="acme")
    globe = a_program(office, Role.CUSTOMER, customer_id="globe")

    assert acme.get("/v1/customers/acme/account").json()["closing_minor"] == 11_900
    for path in ("account", "account/pdf", "billing", "focus"):
        assert globe.get(f"/v1/customers/acme/{path}").status_code == 404
    assert globe.get("/v1/invoices/INV-2026-000001/document").status_code == 404
    assert globe.items("/v1/invoices") == []
    assert acme.get("/v1/payments").status_code == 403
