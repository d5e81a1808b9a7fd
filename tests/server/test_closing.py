"""Months closed on a virtual clock: what is charged, what waits, what is mended later, and that a rerun is the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from narrows_metering.endorsement import Signer, endorse
from narrows_metering.record import Kind, time_to_text
from narrows_metering.share import Exchange
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.terms import Period
from narrows_metering.testing import GB, a_delivery, an_encode, an_evidence
from narrows_server.access.roles import Role
from narrows_server.audit import trail
from narrows_server.contracts import repository as contracts
from narrows_server.contracts.contract_document import ContractDocument
from narrows_server.contracts.credits import Movement, move
from narrows_server.contracts.models import ContractVersion
from narrows_server.contracts.reading import check_document
from narrows_server.contracts.service import add_contract, amend_contract
from narrows_server.contracts.terms import add_cdn_invoice, add_rate
from narrows_server.errors import Invalid
from narrows_server.invoices.models import Invoice
from narrows_server.invoices.service import document_of
from narrows_server.office import Office
from narrows_server.statements import life, repository, service
from narrows_server.statements.models import Outcome, Statement
from narrows_server.statements.schemas import LineOut
from sqlalchemy import select

from .builders import Browser, Site, a_contract, a_site, an_occasion, send, some_contract
from .people import a_person, at_a_browser

Lines = list[tuple[str, str, int]]


@dataclass(slots=True, kw_only=True)
class Books:
    """A customer under contract, whose month is closed step by step."""

    office: Office
    browser: Browser
    site: Site
    contract_id: str = "kanal-1"
    _delivered: int = field(default=0)

    def deliver(self, *moments: str, gb: int = 800, baseline: int | None = None) -> None:
        """Report deliveries that begin at these moments (UTC), each of a fifth less than the baseline's."""
        entries: list[tuple[Kind, dict[str, object]]] = []
        if not self._delivered:
            entries += [(Kind.ENCODE, an_encode()), (Kind.EVIDENCE, an_evidence(baseline=baseline or 1_000_000))]
        for moment in moments:
            self._delivered += 1
            start = datetime.fromisoformat(moment).replace(tzinfo=UTC)
            digest = f"{self._delivered:064x}"
            entries.append((Kind.DELIVERY, a_delivery(delivered=gb * GB, start=start, source_digest=digest)))
        self.site.record(*entries)
        self.site.acknowledge(send(self.browser, self.site.report()).json()["receipt"], self.office)

    def close(self, month: str, *, at: str | None = None, sends: bool = False) -> Outcome:
        """Close a month, four days after its end unless said otherwise."""
        period = Period.from_text(month)
        moment = period.end + timedelta(days=5) if at is None else datetime.fromisoformat(at).replace(tzinfo=UTC)
        with self.office.database.transaction() as session:
            return service.close(session, self.contract_id, period, occasion=an_occasion(moment), sends=sends)

    def lines(self, outcome: Outcome) -> Lines:
        """Kind, period and amount of the lines of what was issued; a credit note's as they were owed."""
        with self.office.database.snapshot() as session:
            invoice = session.get_one(Invoice, outcome.invoice_id)
            sign = 1 if invoice.kind == "invoice" else -1
            return [(line["kind"], line["period"], sign * line["net_minor"]) for line in document_of(invoice)["lines"]]

    def closed(self, month: str) -> Lines:
        outcome = self.close(month)
        assert outcome.result == "invoiced", outcome.reason
        return self.lines(outcome)

    def preview(self, month: str, *, at: str = "2026-12-05") -> service.Preview:
        occasion = an_occasion(datetime.fromisoformat(at).replace(tzinfo=UTC))
        with self.office.database.snapshot() as session:
            return service.preview(session, self.contract_id, Period.from_text(month), occasion=occasion)

    def step(self, act: Callable[..., object], statement_id: str, *, at: str, **arguments: object) -> None:
        occasion = an_occasion(datetime.fromisoformat(at).replace(tzinfo=UTC))
        with self.office.database.transaction() as session:
            act(session, service.require_statement(session, statement_id), occasion=occasion, **arguments)

    def statement(self, statement_id: str | None) -> dict[str, Any]:
        with self.office.database.snapshot() as session:
            read: dict[str, Any] = json.loads(service.require_statement(session, str(statement_id)).document)
        return read

    def amend(self, patch: dict[str, object], day: str) -> None:
        with self.office.database.transaction() as session:
            amend_contract(
                session,
                self.contract_id,
                patch,
                effective_on=date.fromisoformat(day),
                first_open_day=service.first_open_day(session, self.contract_id),
                occasion=an_occasion(),
            )


@pytest.fixture
def books(office: Office, browser: Browser, tmp_path: Path) -> Callable[..., Books]:
    def make(*, currency: str = "EUR", price: str = "0.05", **terms: Any) -> Books:
        a_contract(office, currency=currency, price=price, **terms)
        return Books(office=office, browser=browser, site=a_site(office, tmp_path / "site"))

    return make


Maker = Callable[..., Books]


class TestTheCalendar:
    def test_a_contract_from_31_january_is_charged_for_that_day(self, books: Maker) -> None:
        kept = books(starts_on="2027-01-31", minimum={"month": "310.00"})
        kept.deliver("2027-01-30T23:00", "2027-01-31T00:00", "2027-02-10T00:00")

        assert kept.closed("2027-01") == [("share", "2027-01", 200), ("minimum", "2027-01", 800)]
        assert kept.closed("2027-02") == [("share", "2027-02", 200), ("minimum", "2027-02", 30_800)]

    def test_a_leap_day_is_a_day(self, books: Maker) -> None:
        kept = books(starts_on="2028-02-29", minimum={"month": "29.00"})
        kept.deliver("2028-02-28T12:00", "2028-02-29T12:00")

        assert kept.closed("2028-02") == [("share", "2028-02", 200)]

    @pytest.mark.parametrize(
        ("zone", "month"),
        [
            ("Europe/Berlin", "2027-03"),
            ("Europe/Berlin", "2027-10"),
            ("America/New_York", "2027-03"),
            ("America/New_York", "2027-11"),
            ("Australia/Lord_Howe", "2027-04"),
            ("Africa/Cairo", "2027-04"),
            ("Pacific/Kiritimati", "2027-05"),  # UTC+14
        ],
    )
    def test_a_month_has_what_was_delivered_between_its_midnights(self, books: Maker, zone: str, month: str) -> None:
        day = f"{month}-01"
        kept = books(starts_on=day, time_zone=zone)
        period = Period(year=int(month[:4]), month=int(month[5:]), time_zone=zone)
        microsecond = timedelta(microseconds=1)
        moments = (period.start - microsecond, period.start, period.end - microsecond, period.end)
        kept.deliver(*(time_to_text(moment)[:-1] for moment in moments))

        # Two of the four are within the month: 200 GB saved by each at 0.05, a fifth of it ours.
        assert kept.closed(month) == [("share", month, 400)]
        outcome = kept.close(month)
        assert kept.statement(outcome.statement_id)["period"]["start"] == time_to_text(period.start)

    def test_a_month_is_not_closed_before_the_last_logs_can_have_come(self, books: Maker) -> None:
        kept = books(time_zone="Pacific/Honolulu")
        kept.deliver("2026-11-10T00:00")

        assert kept.close("2026-11", at="2026-12-01T09:59").reason == "the month is not over"
        waiting = kept.close("2026-11", at="2026-12-04T09:59")
        assert (waiting.result, "4 Dec 2026, 10:00 UTC" in str(waiting.reason)) == ("held", True)
        assert kept.close("2026-11", at="2026-12-04T10:00").result == "invoiced"


class TestAmounts:
    @pytest.mark.parametrize(("less", "charged"), [(1, 19), (0, 20), (-1, 20), (-2, 21)])
    def test_a_byte_beyond_a_tier_of_the_share_is_charged_by_the_next(
        self, books: Maker, less: int, charged: int
    ) -> None:
        # A byte saved is worth a cent: 20 bytes at 100 %, all above at half of it.
        kept = books(price="10000000", share=[{"up_to": "0.20", "percent": "100"}, {"percent": "50"}])
        delivered = 80 - 4 * less
        entries = [
            (Kind.ENCODE, an_encode()),
            (Kind.EVIDENCE, an_evidence(ours=800_000, baseline=1_000_000)),
            (Kind.DELIVERY, a_delivery(delivered=delivered)),
        ]
        kept.site.record(*entries)
        send(kept.browser, kept.site.report())

        assert sum(minor for _, _, minor in kept.closed("2026-11")) == charged

    def test_a_byte_beyond_a_tier_of_the_tariff_is_valued_by_the_next(self, office: Office) -> None:
        tariff = Tariff(
            tariff_id="t",
            tiers=(
                Tier(up_to_bytes=1000, price_per_gb=Decimal(20_000_000)),
                Tier(up_to_bytes=None, price_per_gb=Decimal(10_000_000)),
            ),
        )
        assert [tariff.price(count) * 100 for count in (999, 1000, 1001)] == [1998, 2000, 2001]

    @pytest.mark.parametrize(("baseline", "reason"), [(800_000, "no_savings"), (700_000, "no_savings")])
    def test_a_month_without_savings_or_with_a_loss_is_charged_nothing(
        self, books: Maker, baseline: int, reason: str
    ) -> None:
        kept = books()
        kept.deliver("2026-11-10T00:00", baseline=baseline)
        outcome = kept.close("2026-11")

        assert (outcome.result, outcome.reason) == ("invoiced", reason)
        assert kept.lines(outcome) == [("share", "2026-11", 0)]

    def test_a_minimum_is_owed_without_any_usage(self, books: Maker) -> None:
        kept = books(minimum={"month": "500.00"})
        assert kept.closed("2026-11") == [("share", "2026-11", 0), ("minimum", "2026-11", 50_000)]

    def test_a_cap_ends_what_a_month_comes_to(self, books: Maker) -> None:
        kept = books(cap={"month": "1.50"})
        kept.deliver("2026-11-10T00:00")
        assert kept.closed("2026-11") == [("share", "2026-11", 200), ("cap", "2026-11", -50)]

    def test_an_amendment_in_the_middle_of_a_month_splits_it(self, books: Maker) -> None:
        kept = books()
        kept.amend({"share": [{"percent": "10"}]}, "2026-11-16")
        kept.deliver("2026-11-15T23:59", "2026-11-16T00:00")

        assert kept.closed("2026-11") == [("share", "2026-11", 200), ("share", "2026-11", 100)]

    def test_an_amendment_that_changes_no_price_changes_no_line(self, books: Maker) -> None:
        kept = books()
        kept.amend({"payment_days": 10}, "2026-11-16")
        kept.deliver("2026-11-15T23:59", "2026-11-16T00:00")

        assert kept.closed("2026-11") == [("share", "2026-11", 400)]

    @pytest.mark.parametrize(
        ("currency", "price", "charged"), [("JPY", "5", 200), ("KWD", "0.015", 600), ("EUR", "0.05", 200)]
    )
    def test_every_currency_has_its_own_decimals(self, books: Maker, currency: str, price: str, charged: int) -> None:
        kept = books(currency=currency, price=price)
        kept.deliver("2026-11-10T00:00")
        assert kept.closed("2026-11") == [("share", "2026-11", charged)]


class TestPrepaidCredit:
    def test_credit_pays_invoices_until_it_is_used_up(self, books: Maker) -> None:
        kept = books()
        with kept.office.database.transaction() as session:
            move(session, "kanal-1", Movement.BOUGHT, 300, "EUR", reference="PO 7", occasion=an_occasion())
        kept.deliver("2026-11-10T00:00", "2026-12-10T00:00", "2027-01-10T00:00")

        assert kept.closed("2026-11")[-1] == ("prepaid_credit", "2026-11", -200)
        assert kept.closed("2026-12")[-1] == ("prepaid_credit", "2026-12", -100)
        assert kept.closed("2027-01") == [("share", "2027-01", 200)]
        with kept.office.database.snapshot() as session:
            assert [entry.amount_minor for entry in contracts.list_credit(session, "kanal-1")] == [300, -200, -100]


class TestTheYear:
    def close_year(self, kept: Books) -> list[Lines]:
        months = [f"{2026 + number // 12}-{number % 12 + 1:02}" for number in range(10, 22)]
        results = []
        for month in months:
            outcome = kept.close(month)
            results.append(kept.lines(outcome) if outcome.result == "invoiced" else [])
        return results

    def test_the_minimum_of_the_year_falls_due_with_its_last_month(self, books: Maker) -> None:
        kept = books(minimum={"year": "100.00"})
        kept.deliver("2026-11-10T00:00", "2027-10-10T00:00")
        results = self.close_year(kept)

        assert results[0] == [("share", "2026-11", 200)]
        assert results[1:11] == [[]] * 10
        assert results[11] == [("share", "2027-10", 200), ("minimum", "2026-11/2027-10", 9_600)]

    def test_a_true_up_rates_the_year_as_a_whole(self, books: Maker) -> None:
        # 10.00 saved in each of two months: 50 % of the first 5.00 of a month, 10 % of the rest.
        kept = books(share=[{"up_to": "5.00", "percent": "50"}, {"percent": "10"}], true_up=True)
        kept.deliver("2026-11-10T00:00", "2027-10-10T00:00")
        results = self.close_year(kept)

        assert results[0] == [("share", "2026-11", 250), ("share", "2026-11", 50)]
        # All 20.00 of the year lie in the twelve first tiers of its months.
        assert results[11][2:] == [("true_up", "2026-11/2027-10", 1_000 - 600)]

    def test_the_year_ends_only_when_its_months_are_closed(self, books: Maker) -> None:
        kept = books(minimum={"year": "100.00"}, ends_on="2026-12-31")
        waiting = kept.close("2026-12")

        assert (waiting.result, waiting.reason) == (
            "held",
            "the contract's year 2026-11/2027-10 ends; close 2026-11 first",
        )
        assert kept.close("2026-11").result == "nothing_due"
        # Two months of twelve.
        assert kept.closed("2026-12")[-1] == ("minimum", "2026-11/2027-10", 1_667)

    def test_the_cap_of_the_year_holds_over_its_months(self, books: Maker) -> None:
        kept = books(cap={"year": "3.00"})
        kept.deliver("2026-11-10T00:00", "2026-12-10T00:00", "2027-01-10T00:00")

        assert kept.closed("2026-11") == [("share", "2026-11", 200)]
        assert kept.closed("2026-12") == [("share", "2026-12", 200), ("cap", "2026-11/2027-10", -100)]
        assert kept.closed("2027-01") == [("share", "2027-01", 200), ("cap", "2026-11/2027-10", -200)]


class TestLateUsage:
    def test_what_comes_after_the_close_is_a_line_of_the_next_month_that_names_its_own(self, books: Maker) -> None:
        kept = books()
        kept.deliver("2026-11-10T00:00")
        assert kept.closed("2026-11") == [("share", "2026-11", 200)]
        kept.deliver("2026-11-11T00:00", "2026-12-10T00:00")

        assert kept.closed("2026-12") == [("share", "2026-12", 200), ("correction", "2026-11", 200)]
        kept.deliver("2027-01-10T00:00")
        assert kept.closed("2027-01") == [("share", "2027-01", 200)]

    def test_a_correction_of_a_capped_month_adds_nothing_beyond_its_cap(self, books: Maker) -> None:
        kept = books(cap={"month": "3.00"})
        kept.deliver("2026-11-10T00:00")
        kept.closed("2026-11")
        kept.deliver("2026-11-11T00:00", "2026-12-10T00:00")

        assert kept.closed("2026-12")[-1] == ("correction", "2026-11", 100)

    def test_late_usage_of_a_month_with_nothing_due_is_not_lost(self, books: Maker) -> None:
        kept = books()
        assert kept.close("2026-11").result == "nothing_due"
        kept.deliver("2026-11-10T00:00")

        assert kept.closed("2026-12") == [("share", "2026-12", 0), ("correction", "2026-11", 200)]

    def test_usage_older_than_the_contract_corrects_is_left_out(self, books: Maker) -> None:
        kept = books(late_months=1)
        for month in ("2026-11", "2026-12"):
            kept.close(month)
        kept.deliver("2026-11-10T00:00", "2026-12-10T00:00", "2027-01-10T00:00")

        assert kept.closed("2027-01") == [("share", "2027-01", 200), ("correction", "2026-12", 200)]

    def test_evidence_that_lowers_an_earlier_month_gives_a_credit_note_where_the_sum_is_negative(
        self, books: Maker
    ) -> None:
        kept = books()
        kept.deliver("2026-11-10T00:00")
        kept.closed("2026-11")
        later = datetime(2026, 12, 6, tzinfo=UTC)
        kept.site.record((Kind.EVIDENCE, an_evidence(baseline=900_000)), at=later)
        send(kept.browser, kept.site.report())
        outcome = kept.close("2026-12")

        assert (outcome.result, kept.lines(outcome)) == (
            "invoiced",
            [("share", "2026-12", 0), ("correction", "2026-11", -100)],
        )
        with kept.office.database.snapshot() as session:
            assert session.get_one(Invoice, outcome.invoice_id).kind == "credit_note"


class TestExchangeRates:
    def test_a_missing_rate_holds_the_month_until_it_is_known(self, books: Maker) -> None:
        kept = books(currency="USD")
        with kept.office.database.transaction() as session:
            terms = check_document(ContractDocument, some_contract(minimum={"month": "1"}), what="contract")
            add_contract(session, terms, contract_id="euro-1", occasion=an_occasion())
        kept.contract_id = "euro-1"
        waiting = kept.close("2026-11")
        assert (waiting.result, "no rate of ECB for USD in EUR" in str(waiting.reason)) == ("held", True)
        with kept.office.database.transaction() as session:
            rate = Exchange(currency="USD", rate=Decimal("0.92"), source="ECB", date="2026-11-30")
            add_rate(session, rate, to_currency="EUR", occasion=an_occasion())

        assert kept.closed("2026-11") == [("share", "2026-11", 0), ("minimum", "2026-11", 100)]
        exchange = kept.statement(kept.close("2026-11").statement_id)["share"]["exchange"]
        assert exchange == {"currency": "USD", "rate": "0.92", "source": "ECB", "date": "2026-11-30"}


class TestAmountsFromOutside:
    def test_a_missing_cdn_invoice_holds_a_month_that_is_valued_by_it(self, books: Maker) -> None:
        kept = books(valuation={"mode": "effective_price"})
        kept.deliver("2026-11-10T00:00")
        assert "the invoice of the CDN for 2026-11 is missing" in str(kept.close("2026-11").reason)
        with kept.office.database.transaction() as session:
            november = Period(year=2026, month=11)
            add_cdn_invoice(session, "kanal-1", november, "", Decimal("80.00"), occasion=an_occasion())

        # 800 GB cost 80.00, so the 200 that were saved would have cost 20.00.
        assert kept.closed("2026-11") == [("share", "2026-11", 400)]

    def test_the_reason_names_the_page_on_which_finance_records_the_cdn_invoice(self, books: Maker) -> None:
        kept = books(valuation={"mode": "effective_price"})
        kept.deliver("2026-11-10T00:00")
        reason = str(kept.close("2026-11").reason)
        assert reason.endswith("record it under CDN invoices on the page of contract kanal-1")
        seat, page = at_a_browser(kept.office, a_person(kept.office, Role.FINANCE)), "/contracts/kanal-1"
        assert "CDN invoices" in seat.get(page).text

        refused = seat.submit(f"{page}/cdn-invoice", {"month": "2026-11", "cdn": "", "charged": "many"}, page=page)
        for wrong in ({"charged": "1e999999"}, {"charged": "80.001"}, {"charged": "80.00", "cdn": "x" * 65}):
            typed = {"month": "2026-11", "cdn": "", **wrong}
            assert seat.submit(f"{page}/cdn-invoice", typed, page=page).status_code == 422, wrong
        done = seat.submit(f"{page}/cdn-invoice", {"month": "2026-11", "cdn": "", "charged": "80.00"}, page=page)

        assert (refused.status_code, "is not a number" in refused.text) == (422, True)
        assert done.headers["location"] == f"{page}?done=cdn-invoice"
        assert "80.00" in seat.get(page).text
        assert kept.closed("2026-11") == [("share", "2026-11", 400)]

    def test_the_reason_names_the_page_on_which_finance_records_the_rate(self, books: Maker) -> None:
        kept = books(currency="USD")
        with kept.office.database.transaction() as session:
            terms = check_document(ContractDocument, some_contract(minimum={"month": "1"}), what="contract")
            add_contract(session, terms, contract_id="euro-1", occasion=an_occasion())
        kept.contract_id = "euro-1"
        reason = str(kept.close("2026-11").reason)
        assert reason.endswith("record it under exchange rate on the page of contract euro-1")
        seat, page = at_a_browser(kept.office, a_person(kept.office, Role.FINANCE)), "/contracts/euro-1"

        for wrong in ({"day": "yesterday", "rate": "0.92"}, {"day": "2026-11-30", "rate": "0"}):
            assert seat.submit(f"{page}/rate", wrong, page=page).status_code == 422
        for rate in ("0.91", "0.92"):
            done = seat.submit(f"{page}/rate", {"day": "2026-11-30", "rate": rate}, page=page)

        assert done.headers["location"] == f"{page}?done=rate"
        assert re.search("0.92</td>.*0.91<small>corrected since", seat.get(page).text, re.DOTALL)
        assert kept.close("2026-11").result == "invoiced"


class TestTheLifeOfAStatement:
    def test_a_draft_is_sent_and_silence_accepts_it_after_ten_days(self, books: Maker) -> None:
        kept = books(acceptance="silence")
        kept.deliver("2026-11-10T00:00")
        draft = kept.close("2026-11", at="2026-12-04")
        assert (draft.result, str(draft.reason).startswith("a draft; send it")) == ("held", True)
        kept.step(life.send, "kanal-1.2026-11", at="2026-12-05T12:00")

        waiting = kept.close("2026-11", at="2026-12-15T11:59")
        assert (waiting.result, str(waiting.reason)[-22:]) == ("held", "15 Dec 2026, 12:00 UTC")
        assert kept.lines(kept.close("2026-11", at="2026-12-15T12:00")) == [("share", "2026-11", 200)]

    def test_a_draft_follows_what_is_known_until_it_is_sent(self, books: Maker) -> None:
        kept = books(acceptance="silence")
        kept.deliver("2026-11-10T00:00")
        kept.close("2026-11", at="2026-12-04")
        assert kept.close("2026-11", at="2026-12-05").statement_id == "kanal-1.2026-11"
        kept.deliver("2026-11-11T00:00")
        again = kept.close("2026-11", at="2026-12-06", sends=True)
        kept.deliver("2026-11-12T00:00")

        assert (again.statement_id, again.result) == ("kanal-1.2026-11.2", "held")
        closed = kept.close("2026-11", at="2026-12-20")
        assert (closed.statement_id, kept.lines(closed)) == ("kanal-1.2026-11.2", [("share", "2026-11", 400)])

    def test_a_dispute_holds_the_month_until_it_is_drawn_up_again_and_accepted(self, books: Maker) -> None:
        kept = books(acceptance="silence")
        kept.deliver("2026-11-10T00:00")
        kept.close("2026-11", at="2026-12-04", sends=True)
        kept.step(life.dispute, "kanal-1.2026-11", at="2026-12-08", reason="a day is missing")
        held = kept.close("2026-11", at="2026-12-30")
        assert (held.result, held.reason) == ("held", "disputed: a day is missing")
        kept.deliver("2026-11-11T00:00")
        kept.step(service.draw_again, "kanal-1.2026-11", at="2026-12-31", reason="the day was reported")
        kept.close("2026-11", at="2026-12-31", sends=True)
        kept.step(life.accept, "kanal-1.2026-11.2", at="2027-01-02", detail="by e-mail")

        assert kept.lines(kept.close("2026-11", at="2027-01-02")) == [("share", "2026-11", 400)]
        with kept.office.database.snapshot() as session:
            standings = {
                row.id: life.life_of(session, row, now=datetime(2027, 1, 3, tzinfo=UTC)).standing.value
                for row in session.scalars(select(Statement))
            }
            actions = [row.action for row in trail(session) if row.action.startswith("statement.")][::-1]
        assert standings == {"kanal-1.2026-11": "superseded", "kanal-1.2026-11.2": "accepted"}
        assert actions == [f"statement.{name}" for name in (
            "drawn_up", "sent", "disputed", "drawn_up", "superseded", "sent", "accepted"
        )]  # fmt: skip

    def test_a_statement_that_was_invoiced_and_is_superseded_gives_a_credit_note_and_a_new_invoice(
        self, books: Maker
    ) -> None:
        kept = books()
        with kept.office.database.transaction() as session:
            move(session, "kanal-1", Movement.BOUGHT, 150, "EUR", occasion=an_occasion())
        kept.deliver("2026-11-10T00:00")
        assert kept.closed("2026-11") == [("share", "2026-11", 200), ("prepaid_credit", "2026-11", -150)]
        kept.deliver("2026-11-11T00:00")
        kept.step(service.draw_again, "kanal-1.2026-11", at="2026-12-20", reason="a day was missing")
        assert kept.close("2026-11", at="2026-12-20").result == "invoiced"

        with kept.office.database.snapshot() as session:
            issued = sorted((row.kind, row.number, row.net_minor) for row in session.scalars(select(Invoice)))
            movements = [(row.kind, row.amount_minor) for row in contracts.list_credit(session, "kanal-1")]
        assert issued == [
            ("credit_note", "CRN-2026-000001", 50),
            ("invoice", "INV-2026-000001", 50),
            ("invoice", "INV-2026-000002", 250),
        ]
        assert movements == [("bought", 150), ("drawn", -150), ("returned", 150), ("drawn", -150)]
        # What the new version holds is no correction any more.
        kept.deliver("2026-12-10T00:00")
        assert kept.closed("2026-12") == [("share", "2026-12", 200)]

    def test_a_new_version_takes_off_what_corrections_charged_before(self, books: Maker) -> None:
        kept = books()
        kept.deliver("2026-11-10T00:00")
        kept.closed("2026-11")
        kept.deliver("2026-11-11T00:00", "2026-12-10T00:00")
        assert kept.closed("2026-12")[-1] == ("correction", "2026-11", 200)
        kept.step(service.draw_again, "kanal-1.2026-11", at="2027-01-20", reason="one paper for November")
        kept.close("2026-11", at="2027-01-20")

        assert kept.lines(kept.close("2026-11")) == [("share", "2026-11", 400), ("correction", "2026-11", -200)]

    def test_steps_that_do_not_follow_are_refused(self, books: Maker) -> None:
        kept = books(acceptance="silence")
        kept.deliver("2026-11-10T00:00")
        kept.close("2026-11", at="2026-12-04")
        for act, arguments in ((life.accept, {}), (life.dispute, {"reason": "no"})):
            with pytest.raises(life.StepNotPossible, match="is draft"):
                kept.step(act, "kanal-1.2026-11", at="2026-12-05", **arguments)
        with pytest.raises(life.StepNotPossible, match="nothing has changed"):
            kept.step(service.draw_again, "kanal-1.2026-11", at="2026-12-05", reason="to see")
        kept.step(life.send, "kanal-1.2026-11", at="2026-12-05")
        with pytest.raises(Invalid, match="a dispute says why"):
            kept.step(life.dispute, "kanal-1.2026-11", at="2026-12-06", reason=" ")

    def test_a_customers_signature_is_checked_and_kept(self, books: Maker) -> None:
        kept = books(acceptance="silence")
        kept.deliver("2026-11-10T00:00")
        kept.close("2026-11", at="2026-12-04", sends=True)
        key = Ed25519PrivateKey.generate()
        document = kept.statement("kanal-1.2026-11")
        signature = endorse(document, Signer.CUSTOMER, key)["signatures"]["customer"]
        other = endorse({**document, "format": "other"}, Signer.CUSTOMER, key)["signatures"]["customer"]

        with pytest.raises(Invalid, match="not what was signed"):
            kept.step(life.accept, "kanal-1.2026-11", at="2026-12-06", signature=other)
        kept.step(life.accept, "kanal-1.2026-11", at="2026-12-06", signature=signature)
        with kept.office.database.snapshot() as session:
            statement = service.require_statement(session, "kanal-1.2026-11")
            signed = life.signed_document(session, statement, kept.office.keyring.receipt)
        assert signed["signatures"]["customer"] == signature
        assert signed["signatures"]["vendor"] is not None


def lose_the_issuer(office: Office, contract_id: str) -> None:
    """A version that no service would have recorded: its invoices are from a legal entity that does not exist."""
    with office.database.transaction() as session:
        (row,) = contracts.list_versions(session, contract_id)
        document = json.loads(row.document) | {"legal_entity": "nobody", "minimum": {"month": "1", "year": None}}
        members = {name: getattr(row, name) for name in ("recorded_at", "recorded_by", "reason", "tariff_id", "hash")}
        session.add(
            ContractVersion(
                contract_id=contract_id,
                number=2,
                effective_on=row.effective_on,
                document=json.dumps(document),
                **members,
            )
        )


class TestPreviewAndRepetition:
    def test_a_preview_is_the_invoice_to_the_byte_of_its_lines(self, books: Maker) -> None:
        kept = books(minimum={"month": "3.00"}, cap={"month": "3.50"})
        kept.deliver("2026-11-10T00:00")
        kept.closed("2026-11")
        kept.deliver("2026-11-11T00:00", "2026-12-10T00:00", "2026-12-11T00:00")
        before = kept.preview("2026-12", at="2027-01-06")
        outcome = kept.close("2026-12", at="2027-01-06")
        after = kept.preview("2026-12", at="2027-03-01")

        assert len(before.lines) > 2
        previewed = json.dumps([LineOut.of(line).model_dump() for line in before.lines])
        with kept.office.database.snapshot() as session:
            invoice = document_of(session.get_one(Invoice, outcome.invoice_id))
        invoiced = [
            {
                "kind": line["kind"],
                "period": line["period"],
                "text": line["text"],
                "minor": line["net_minor"],
                "currency": invoice["currency"],
            }
            for line in invoice["lines"]
        ]
        assert previewed == json.dumps(invoiced) == json.dumps([LineOut.of(line).model_dump() for line in after.lines])
        assert before.statement_hash == invoice["statement"]["hash"]

    def test_a_preview_writes_nothing_and_says_what_stands_in_the_way(self, books: Maker) -> None:
        kept = books(minimum={"year": "1"}, ends_on="2026-12-31")
        assert kept.preview("2026-12").held == "the contract's year 2026-11/2027-10 ends; close 2026-11 first"
        with kept.office.database.snapshot() as session:
            assert repository.list_outcomes(session) == []

    def test_every_active_contract_ends_in_one_outcome_and_none_waits_for_another(
        self, books: Maker, office: Office
    ) -> None:
        kept = books()
        kept.deliver("2026-11-10T00:00")
        a_contract(office, customer_id="quiet", contract_id="quiet-1")
        a_contract(office, customer_id="later", contract_id="later-1", starts_on="2026-12-01")
        a_contract(office, customer_id="broken", contract_id="broken-1")
        lose_the_issuer(office, "broken-1")
        november = Period(year=2026, month=11)
        at = datetime(2026, 12, 5, tzinfo=UTC)

        def close_all() -> dict[str, str]:
            with office.database.snapshot() as session:
                ids = service.active_contracts(session, november)
            closed = service.close_month(office.database, ids, november, occasion=lambda: an_occasion(at))
            return {outcome.contract_id: outcome.result for outcome in closed}

        first = close_all()
        with office.database.snapshot() as session:
            hashes = [(row.id, row.hash) for row in repository.list_statements(session)]
            reason = str(session.get_one(Outcome, ("broken-1", "2026-11")).reason)
        assert first == {"broken-1": "held", "kanal-1": "invoiced", "quiet-1": "nothing_due"}
        assert "no legal entity nobody" in reason
        assert close_all() == first
        with office.database.snapshot() as session:
            assert [(row.id, row.hash) for row in repository.list_statements(session)] == hashes
