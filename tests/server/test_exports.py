"""Exports: every table adds up to the books, in the form that its reader wants."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from narrows_licensing.signature import thumbprint
from narrows_metering.share import Exchange
from narrows_server.audit import Occasion
from narrows_server.contracts.terms import add_rate
from narrows_server.errors import Invalid
from narrows_server.exports import audit_pack, datev, focus, tables
from narrows_server.invoices import credit_notes
from narrows_server.invoices.service import require_issued
from narrows_server.office import Office
from narrows_server.parties.service import change_entity
from narrows_server.payments import account_pdf, service
from narrows_server.payments.account import Scope, statement_of_account
from narrows_server.payments.service import Receipt
from narrows_server.rating.lines import Kind
from narrows_server.statements import service as statements
from narrows_server.transparency.service import merge
from sqlalchemy.orm import Session

from .billing import BERLIN, a_customer, a_line, an_invoice, an_order
from .builders import NOVEMBER, Browser, Site, a_contract, a_site, an_occasion, send, some_usage

LATER = an_occasion(datetime(2026, 12, 20, 9, tzinfo=UTC))
TODAY = date(2027, 1, 15)
CLOSED_AT = datetime(2026, 12, 4, 6, tzinfo=UTC)
DECEMBER = {"first_day": date(2026, 12, 1), "last_day": date(2026, 12, 31)}


@pytest.fixture
def session(office: Office) -> Iterator[Session]:
    """Two customers, three invoices, a credit note, a payment and a refund."""
    with office.database.transaction() as session:
        change_entity(session, "vendor", BERLIN, occasion=an_occasion())
        a_customer(session, name='=Acme; "Ström" №1')
        a_customer(session, "globe", name="Globe SA", country="FR", vat_id="FR40303265045")
        an_invoice(session, an_order(a_line(100_000), a_line(-20_000, kind=Kind.CREDIT)))
        an_invoice(session, an_order(a_line(50_000), customer_id="globe"))
        an_invoice(session, an_order(a_line(7_777), a_line(-333, kind=Kind.CORRECTION, period="2020-09")))
        credit_notes.credit(session, "INV-2026-000001", parts={1: 30_000}, reason="Counted twice", occasion=LATER)
        paid = Receipt(
            entity_id="vendor",
            customer_id="acme",
            currency="EUR",
            amount_minor=200_000,
            received_on=date(2026, 12, 22),
            reference="E2E-1",
        )
        later = Occasion(actor="admin:test", at=datetime(2026, 12, 23, 9, tzinfo=UTC))
        payment = service.receive(session, paid, occasion=later)
        service.refund(session, payment.id, amount_minor=100, paid_on=date(2026, 12, 23), occasion=later)
        yield session


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


class TestTables:
    def test_invoices_say_where_they_stand(self, session: Session) -> None:
        found = {row["number"]: row for row in rows(tables.invoices_csv(session, today=TODAY))}

        assert [found["INV-2026-000001"][name] for name in ("net", "tax", "total", "credited", "receivable")] == [
            "800.00", "152.00", "952.00", "357.00", "0.00"
        ]  # fmt: skip
        assert (found["INV-2026-000002"]["status"], found["INV-2026-000002"]["receivable"]) == ("overdue", "500.00")
        assert (found["CRN-2026-000001"]["credits"], found["CRN-2026-000001"]["total"]) == ("INV-2026-000001", "357.00")

    def test_lines_add_up_to_the_revenue_of_the_journal(self, session: Session) -> None:
        lines = rows(tables.lines_csv(session))
        posted = rows(tables.write(tables.Table.JOURNAL, session, today=TODAY))
        revenue = [row for row in posted if row["account"] == "revenue"]

        assert sum(Decimal(row["net"]) for row in lines) == sum(
            Decimal(row["credit"]) - Decimal(row["debit"]) for row in revenue
        )

    def test_the_journal_balances(self, session: Session) -> None:
        posted = rows(tables.write(tables.Table.JOURNAL, session, today=TODAY))

        assert sum(Decimal(row["debit"]) for row in posted) == sum(Decimal(row["credit"]) for row in posted) > 0

    def test_payments_have_their_sign_and_what_is_unused(self, session: Session) -> None:
        received, refund = rows(tables.payments_csv(session))

        assert (received["amount"], received["reference"]) == ("2000.00", "E2E-1")
        assert (refund["amount"], refund["of"]) == ("-1.00", received["id"])
        # 952.00 less 357.00 credited, and 88.69 of the third invoice, with the old line at 16 %.
        assert Decimal(received["unused"]) == Decimal("2000.00") - Decimal("595.00") - Decimal("88.69") - 1

    def test_a_name_that_is_a_formula_is_none_in_a_spreadsheet(self, session: Session) -> None:
        names = {row["customer"] for row in rows(tables.invoices_csv(session, today=TODAY))}

        assert '\'=Acme; "Ström" №1' in names

    def test_days_choose_what_was_issued_in_them(self, session: Session) -> None:
        only = rows(tables.invoices_csv(session, first_day=date(2026, 12, 20), today=TODAY))

        assert [row["number"] for row in only] == ["CRN-2026-000001"]


class TestAccount:
    def test_goes_from_its_opening_to_its_closing_balance(self, session: Session) -> None:
        scope = Scope(entity_id="vendor", customer_id="acme", currency="EUR", **DECEMBER)
        account = statement_of_account(session, scope)

        assert [line["kind"] for line in account["lines"]] == [
            "invoice", "invoice", "credit_note", "payment_received", "payment_refund"
        ]  # fmt: skip
        assert account["opening_minor"] == 0
        assert (
            account["closing_minor"] == account["lines"][-1]["balance_minor"] == 95_200 + 8_869 - 35_700 - 200_000 + 100
        )
        assert account["open_invoices"] == []
        text = rows(tables.account_csv(account))
        assert Decimal(text[-1]["balance"]) * 100 == account["closing_minor"]

    def test_begins_with_what_was_owed_before(self, session: Session) -> None:
        scope = Scope(
            entity_id="vendor",
            customer_id="globe",
            currency="EUR",
            first_day=date(2027, 1, 1),
            last_day=date(2027, 1, 31),
        )
        account = statement_of_account(session, scope)

        assert (account["opening_minor"], account["lines"], account["closing_minor"]) == (50_000, [], 50_000)
        (still,) = account["open_invoices"]
        assert (still["number"], still["days_overdue"], still["reminder"]) == ("INV-2026-000002", 31, 3)

    def test_is_printed_with_the_same_bytes_every_time(self, session: Session) -> None:
        scope = Scope(entity_id="vendor", customer_id="acme", currency="EUR", **DECEMBER)
        account = statement_of_account(session, scope)

        assert account_pdf.render(account) == account_pdf.render(account)
        assert b"<pdfaid:part>3</pdfaid:part>" in account_pdf.render(account)
        assert account_pdf.page(account)["closing"]["label"].endswith("in your favour")


def a_batch(**members: object) -> datev.Batch:
    given = {"entity_id": "vendor", "adviser": 1001, "client": 1, "chart": datev.Chart.SKR03, **DECEMBER}
    return datev.Batch(**{**given, **members})  # type: ignore[arg-type]


class TestDatev:
    def test_has_the_header_the_columns_and_the_encoding_of_the_format(self, session: Session) -> None:
        content = datev.write(session, a_batch(), at=LATER.at)
        text = content.decode("cp1252")
        header, columns, *bookings = text.removesuffix("\r\n").split("\r\n")

        fields = header.split(";")
        assert len(fields) == 31
        assert fields[:5] == ['"EXTF"', "700", "21", '"Buchungsstapel"', "13"]
        assert fields[5] == "20261220090000000"
        assert fields[10:16] == ["1001", "1", "20260101", "4", "20261201", "20261231"]
        assert len(columns.split(";")) == len(datev.COLUMNS) == 125
        assert "\n" not in text.replace("\r\n", "")
        parsed = list(csv.reader(io.StringIO("\n".join(bookings)), delimiter=";"))
        assert {len(row) for row in parsed} == {125}

    def test_books_invoices_to_debtors_and_money_to_the_bank(self, session: Session) -> None:
        text = datev.write(session, a_batch(), at=LATER.at).decode("cp1252")
        parsed = csv.DictReader(io.StringIO(text.partition("\r\n")[2]), delimiter=";")
        booked = [
            (
                row["Umsatz (ohne Soll/Haben-Kz)"],
                row["Soll/Haben-Kennzeichen"],
                row["Konto"],
                row["Gegenkonto (ohne BU-Schlüssel)"],
                row["Belegdatum"],
                row["Belegfeld 1"],
            )
            for row in parsed
        ]

        assert booked == [
            ("952,00", "S", "10000", "8400", "0112", "INV-2026-000001"),
            ("500,00", "S", "10001", "8336", "0112", "INV-2026-000002"),
            ("3,86", "H", "10000", "8340", "0112", "INV-2026-000003"),
            ("92,55", "S", "10000", "8400", "0112", "INV-2026-000003"),
            ("357,00", "H", "10000", "8400", "2012", "CRN-2026-000001"),
            ("2000,00", "S", "1200", "10000", "2212", "E2E-1"),
            ("1,00", "H", "1200", "10000", "2312", booked[-1][-1]),
        ]  # fmt: skip
        assert '"=Acme; ""Ström"" ?1"' in text

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"adviser": 1}, "4 to 7 digits"),
            ({"client": 0}, "1 to 5"),
            ({"last_day": date(2027, 1, 31)}, "within one year"),
            ({"last_day": date(2026, 11, 1)}, "within one year"),
        ],
    )
    def test_what_the_format_cannot_say_is_refused(
        self, session: Session, change: dict[str, object], complaint: str
    ) -> None:
        with pytest.raises(Invalid, match=complaint):
            datev.write(session, a_batch(**change), at=LATER.at)

    def test_another_currency_without_its_rate_is_refused(self, session: Session) -> None:
        an_invoice(session, an_order(a_line(100, currency="USD")))
        with pytest.raises(Invalid, match="INV-2026-000004 is in USD"):
            datev.write(session, a_batch(), at=LATER.at)


class TestFocus:
    def test_billed_cost_adds_up_to_what_was_invoiced(self, session: Session) -> None:
        found = rows(focus.write(session))
        totals: dict[str, Decimal] = {}
        for row in found:
            totals[row["InvoiceId"]] = totals.get(row["InvoiceId"], Decimal(0)) + Decimal(row["BilledCost"])

        assert totals == {
            "INV-2026-000001": Decimal("952.00"),
            "INV-2026-000002": Decimal("500.00"),
            "INV-2026-000003": Decimal("88.69"),
            "CRN-2026-000001": Decimal("-357.00"),
        }

    def test_every_row_has_what_the_specification_asks_for(self, session: Session) -> None:
        for row in rows(focus.write(session)):
            assert row["ChargeCategory"] in ("Usage", "Purchase", "Tax", "Credit", "Adjustment")
            assert row["ChargeClass"] in ("", "Correction")
            assert row["BillingPeriodStart"] < row["BillingPeriodEnd"]
            assert row["ChargePeriodStart"] < row["ChargePeriodEnd"]
            assert (row["PricingQuantity"] == "") == (row["ChargeCategory"] == "Tax")
            for column in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "BillingCurrency"):
                assert row[column]

    def test_is_of_one_customer_where_one_is_named(self, session: Session) -> None:
        assert {row["BillingAccountId"] for row in rows(focus.write(session, customer_id="globe"))} == {"globe"}


def test_an_invoice_in_another_currency_tells_its_rate_where_it_is_known(
    office: Office, browser: Browser, tmp_path: Path
) -> None:
    a_contract(office, currency="USD")
    site = a_site(office, tmp_path / "site")
    site.record(*some_usage())
    send(browser, site.report())
    rate = Exchange(currency="USD", rate=Decimal("0.9217"), source="ECB", date="2026-11-30")
    occasion = an_occasion(CLOSED_AT)
    with office.database.transaction() as session:
        add_rate(session, rate, to_currency="EUR", occasion=occasion)
        statements.close(session, "kanal-1", NOVEMBER, occasion=occasion)
        document = require_issued(session, "INV-2026-000001")
        booked = datev.write(session, a_batch(), at=occasion.at).decode("cp1252").splitlines()[2].split(";")

    assert document["exchange"] == {"currency": "EUR", "rate": "0.9217", "on": "2026-11-30", "source": "ECB"}
    assert booked[:6] == ["2,00", '"S"', '"USD"', "1,084952", "1,84", '"EUR"']


class TestAuditPack:
    @pytest.fixture
    def pack(self, office: Office, browser: Browser, site: Site) -> bytes:
        """Of an invoice over real usage, with a credit note and a payment."""
        site.record(*some_usage())
        send(browser, site.report())
        merge(office.database)
        occasion = an_occasion(CLOSED_AT)
        with office.database.transaction() as session:
            statements.close(session, "kanal-1", NOVEMBER, occasion=occasion)
            credit_notes.credit(session, "INV-2026-000001", parts={1: 50}, reason="Goodwill", occasion=occasion)
        with office.database.snapshot() as session:
            return audit_pack.write(session, "INV-2026-000001", keyring=office.keyring, at=occasion.at)

    def test_is_checked_on_another_machine_with_the_kit_alone(
        self, office: Office, pack: bytes, tmp_path: Path
    ) -> None:
        zipfile.ZipFile(io.BytesIO(pack)).extractall(tmp_path)
        folder = tmp_path / "audit-INV-2026-000001"
        sums = (folder / "SHA256SUMS").read_text().splitlines()
        assert {line.partition("  ")[2] for line in sums} == {
            str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS"
        }
        for line in sums:
            digest, _, name = line.partition("  ")
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest

        key = thumbprint(office.keyring.receipt.public_key())
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "narrows-recompute"),
                str(folder / "statement" / "kanal-1.2026-11.json"),
                *("--evidence", str(folder / "evidence"), "--signed-by", key, "--json"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr
        outcome = json.loads(done.stdout)
        document = json.loads((folder / "invoice" / "INV-2026-000001.json").read_text())
        assert outcome["agrees"] is True
        assert outcome["statement_hash"] == document["statement"]["hash"]
        assert key in (folder / "README.txt").read_text()

    def test_holds_the_papers_the_contract_the_journal_and_the_proofs(self, pack: bytes) -> None:
        files = zipfile.ZipFile(io.BytesIO(pack))
        names = {name.partition("/")[2] for name in files.namelist()}

        assert {
            "README.txt", "SHA256SUMS", "journal.csv", "contract/kanal-1.v1.json",
            "contract/tariff-kanal-1-tariff.json",
            "invoice/INV-2026-000001.json", "invoice/INV-2026-000001.pdf", "invoice/INV-2026-000001.cii.xml",
            "invoice/INV-2026-000001.ubl.xml", "invoice/CRN-2026-000001.pdf", "keys/roots.json",
            "keys/trust-bundle.json", "proofs/log-proof.json", "statement/kanal-1.2026-11.json",
            "tax/vat-id-checks.json",
        } <= names  # fmt: skip
        proof = json.loads(files.read("audit-INV-2026-000001/proofs/log-proof.json"))
        assert [("path" in claim, claim["leaf_index"]) for claim in proof["claims"]] == [(True, 0)]
        posted = rows(files.read("audit-INV-2026-000001/journal.csv").decode())
        assert {row["event"] for row in posted} == {"invoice_issued", "credit_note_issued"}

    def test_of_the_same_books_has_the_same_bytes(self, office: Office, pack: bytes) -> None:
        with office.database.snapshot() as session:
            again = audit_pack.write(session, "INV-2026-000001", keyring=office.keyring, at=CLOSED_AT)

        assert again == pack
