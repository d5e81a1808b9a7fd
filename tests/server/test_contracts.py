"""Contracts and tariffs: read strictly, amended by versions, and laid on the calendar of their time zone."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.cdn_tariff import PercentileTariff, VolumeTariff
from narrows_metering.share import Exchange
from narrows_metering.terms import Period
from narrows_server.audit import trail
from narrows_server.contracts import repository, service, terms
from narrows_server.contracts.contract_document import ContractDocument, json_schema
from narrows_server.contracts.credits import Movement, move
from narrows_server.contracts.month import Version, month_of, year_of
from narrows_server.contracts.reading import check_document, merge_patch, parse, read_document
from narrows_server.contracts.service import PeriodClosed
from narrows_server.contracts.tariff_document import TariffDocument
from narrows_server.contracts.terms import TermsIncomplete
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.office import Office

from .builders import NOVEMBER, a_contract, an_occasion, some_contract

TARIFF: dict[str, Any] = {
    "name": "CDN 2026",
    "currency": "EUR",
    "tiers": [{"up_to_gb": "10000", "price_per_gb": "0.085"}, {"price_per_gb": "0.04"}],
    "cdns": [
        {
            "kind": "volume",
            "cdn": "cloudfront",
            "regions": {"eu": [{"price_per_gb": "0.05"}], "*": [{"price_per_gb": "0.11"}]},
            "commit": "1000",
        },
        {"kind": "percentile", "cdn": "akamai", "price_per_mbps": "2.5", "overage_per_mbps": "3"},
    ],
}


def a_document(**terms: object) -> ContractDocument:
    return check_document(ContractDocument, some_contract(**terms), what="contract")


def versions(*changes: tuple[str, dict[str, object]], **terms: object) -> list[Version]:
    """A contract and its amendments, each from a day on."""
    members = some_contract(**terms)
    found = [Version(number=1, effective_on=a_document(**terms).starts_on, document=a_document(**terms))]
    for number, (day, change) in enumerate(changes, start=2):
        members |= change
        document = check_document(ContractDocument, members, what="amendment")
        found.append(Version(number=number, effective_on=date.fromisoformat(day), document=document))
    return found


class TestDocuments:
    def test_a_tariff_says_all_that_metering_can_value(self) -> None:
        tariff = check_document(TariffDocument, TARIFF, what="tariff")
        cloudfront, akamai = tariff.cdn_tariffs("t")

        assert [tier.up_to_bytes for tier in tariff.tariff("t").tiers] == [10**13, None]
        assert isinstance(cloudfront, VolumeTariff)
        assert (sorted(cloudfront.regions), cloudfront.commit) == (["*", "eu"], Decimal(1000))
        assert akamai == PercentileTariff(
            cdn="akamai", price_per_mbps=Decimal("2.5"), overage_per_mbps=Decimal(3), commit_mbps=Decimal(0)
        )

    @pytest.mark.parametrize(
        ("change", "path", "reason"),
        [
            ({"currency": "XXX"}, "/currency", "is not known"),
            ({"tiers": []}, "/tiers", "at least 1"),
            ({"tiers": [{"up_to_gb": "5", "price_per_gb": "1"}]}, "/", "has no limit"),
            ({"tiers": [{"price_per_gb": 1}]}, "/tiers/0/price_per_gb", "as text"),
            ({"tiers": [{"price_per_gb": "-1"}]}, "/tiers/0/price_per_gb", "from 0"),
            ({"tiers": [{"price_per_gb": "1", "note": ""}]}, "/tiers/0/note", "not a member"),
            ({"tiers": [{"up_to_gb": "0.0000000001", "price_per_gb": "1"}]}, "/", "whole number of bytes"),
            ({"cdns": [TARIFF["cdns"][1]] * 2}, "/", "one entry per CDN"),
            ({"cdns": [{"kind": "volume", "cdn": "x", "regions": {"eu": [{"price_per_gb": "1"}]}}]}, "/", "region *"),
            ({"cdns": [{"kind": "flat", "cdn": "x"}]}, "/cdns/0", "kind"),
        ],
    )
    def test_a_tariff_that_prices_nothing_clearly_is_refused_by_path(
        self, change: dict[str, object], path: str, reason: str
    ) -> None:
        with pytest.raises(Invalid) as refused:
            check_document(TariffDocument, TARIFF | change, what="tariff.json")

        assert refused.value.detail.startswith(f"tariff.json: {path}")
        assert reason in refused.value.detail
        assert ";" not in refused.value.detail  # What follows from a fault is not told beside it.

    @pytest.mark.parametrize(
        ("change", "path", "reason"),
        [
            ({"share": [{"percent": "0"}]}, "/", "above 0"),
            ({"share": [{"percent": "100.01"}]}, "/", "0 to 100"),
            ({"share": [{"up_to": "100", "percent": "5"}]}, "/", "has no limit"),
            ({"share": [{"up_to": "0.001", "percent": "5"}, {"percent": "4"}]}, "/", "EUR has 2 decimals"),
            ({"floor": "0.005"}, "/", "floor: EUR has 2 decimals"),
            ({"baseline": "libx266-medium"}, "/baseline", "libx265-medium"),
            ({"metric": "vibes"}, "/metric", "ms_ssim"),
            ({"starts_on": "2026-02-30"}, "/starts_on", "not a day"),
            ({"ends_on": "2026-10-31"}, "/", "before starts_on"),
            ({"time_zone": "Europe/Atlantis"}, "/time_zone", "not known"),
            ({"customer": "Kanal Fünf"}, "/customer", "cannot be an id"),
            ({"payment_days": 181}, "/payment_days", "180"),
            ({"payment_days": "30"}, "/payment_days", "integer"),
            ({"minimum": {"month": "500"}, "cap": {"month": "499.99"}}, "/", "cap/month"),
            ({"minimum": {"month": "500"}, "cap": {"year": "5999.99"}}, "/", "cap/year"),
            ({"valuation": {"mode": "reference_price"}}, "/", "reference_prices"),
            ({"evidence": {"method": "m5_hope"}}, "/evidence/method", "m3_census"),
            ({"acceptance": "never"}, "/acceptance", "silence"),
            ({"surprise": 1}, "/surprise", "not a member"),
        ],
    )
    def test_terms_that_cannot_be_settled_are_refused_by_path(
        self, change: dict[str, object], path: str, reason: str
    ) -> None:
        with pytest.raises(Invalid) as refused:
            a_document(**change)

        assert refused.value.detail.startswith(f"contract: {path}")
        assert reason in refused.value.detail

    def test_every_complaint_is_made_at_once(self) -> None:
        with pytest.raises(Invalid, match=r"/currency.*/metric.*/payment_days"):
            a_document(currency="XXX", metric="?", payment_days=-1)

    @pytest.mark.parametrize("text", ["[]", "{", '{"floor": 0.5}', "x" * 300_000])
    def test_what_is_no_document_is_refused(self, text: str) -> None:
        with pytest.raises(Invalid, match=r"contract\.json"):
            read_document(ContractDocument, text, what="contract.json")

    def test_equal_terms_have_one_spelling_and_one_hash(self) -> None:
        one, other = a_document(floor="5.00", share=[{"percent": "20.0"}]), a_document(floor="5")

        assert one.canonical() == other.canonical()
        assert one.digest() == other.digest()
        assert ContractDocument.model_validate_json(one.canonical()) == one

    def test_the_schema_describes_every_member(self) -> None:
        schema = json_schema(ContractDocument)

        assert set(schema["properties"]) == set(ContractDocument.model_fields)
        assert schema["additionalProperties"] is False
        assert set(schema["required"]) == {
            "customer", "currency", "starts_on", "tariff", "baseline", "metric", "share"
        }  # fmt: skip

    def test_a_patch_changes_what_it_names_and_removes_what_it_nulls(self) -> None:
        before = {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 5}
        assert merge_patch(before, {"a": {"c": 3}, "d": [4], "e": None}) == {"a": {"b": 1, "c": 3}, "d": [4]}
        assert before == {"a": {"b": 1, "c": 2}, "d": [1, 2], "e": 5}

    def test_an_amount_has_the_decimals_of_its_currency(self) -> None:
        assert a_document(currency="KWD", floor="0.001").rating_terms().floor_minor == 1
        assert a_document(currency="JPY", floor="7").rating_terms().floor_minor == 7
        with pytest.raises(Invalid, match="JPY has 0 decimals"):
            a_document(currency="JPY", floor="7.5")


class TestTheCalendar:
    def test_the_first_month_begins_on_the_contracts_first_day(self) -> None:
        month = month_of("c", versions(starts_on="2026-01-31"), Period(year=2026, month=1))

        assert month is not None
        assert (month.period.first_day, month.period.days) == (31, 1)
        assert [(part.from_day, part.days) for part in month.parts] == [(1, 1)]

    def test_a_month_before_or_after_the_contract_is_none_of_its(self) -> None:
        known = versions(starts_on="2026-01-31", ends_on="2026-03-15")

        assert month_of("c", known, Period(year=2025, month=12)) is None
        assert month_of("c", known, Period(year=2026, month=4)) is None
        last = month_of("c", known, Period(year=2026, month=3))
        assert last is not None
        assert (last.period.first_day, last.period.last_day) == (1, 15)

    def test_an_amendment_splits_the_month_on_its_day(self) -> None:
        month = month_of("c", versions(("2026-11-16", {"share": [{"percent": "10"}]})), NOVEMBER)

        assert month is not None
        assert [(part.from_day, part.days, part.terms.tiers[0].percent) for part in month.parts] == [
            (1, 15, Decimal(20)),
            (16, 15, Decimal(10)),
        ]

    def test_an_amendment_that_changes_no_price_does_not_split_the_month(self) -> None:
        month = month_of("c", versions(("2026-11-16", {"payment_days": 60})), NOVEMBER)

        assert month is not None
        assert [part.days for part in month.parts] == [30]
        assert (month.version, month.document.payment_days) == (2, 60)

    @given(st.dates(date(2020, 1, 1), date(2032, 12, 31)), st.integers(0, 60), st.integers(1, 28))
    def test_the_parts_of_a_month_have_all_its_days(self, start: date, later: int, day: int) -> None:
        number = start.year * 12 + start.month - 1 + later
        month = Period(year=number // 12, month=number % 12 + 1)
        changes: list[tuple[str, dict[str, object]]] = [(f"{month}-{day:02}", {"floor": "1"})]
        known = versions(*(one for one in changes if one[0] >= start.isoformat()), starts_on=start.isoformat())
        found = month_of("c", known, month)

        assert found is not None
        assert sum(part.days for part in found.parts) == found.period.days
        assert found.period.last_day == found.period.days_in_month
        assert found.period.first_day == (1 if later else start.day)

    @pytest.mark.parametrize(
        ("start", "month", "label", "weight"),
        [
            ("2026-11-01", "2026-11", "2026-11/2027-10", Fraction(12)),
            ("2026-11-01", "2027-10", "2026-11/2027-10", Fraction(12)),
            ("2026-11-01", "2027-11", "2027-11/2028-10", Fraction(12)),
            ("2026-01-31", "2026-06", "2026-01/2026-12", 11 + Fraction(1, 31)),
            ("2024-02-29", "2024-02", "2024-02/2025-01", 11 + Fraction(1, 29)),
            ("2024-02-29", "2025-02", "2025-02/2026-01", Fraction(12)),
        ],
    )
    def test_a_contracts_year_is_twelve_calendar_months(
        self, start: str, month: str, label: str, weight: Fraction
    ) -> None:
        year = year_of(a_document(starts_on=start), Period.from_text(month))

        assert (year.label, year.weight, len(year.months)) == (label, weight, 12)
        assert year.ends_with(label[8:])

    def test_a_contract_that_ends_has_a_shorter_last_year(self) -> None:
        year = year_of(a_document(ends_on="2027-01-15"), NOVEMBER)

        assert (year.months, year.weight) == (("2026-11", "2026-12", "2027-01"), 2 + Fraction(15, 31))


class TestAmending:
    def amend(self, office: Office, patch: dict[str, object], day: str, *, open_from: str = "2026-11-01") -> int:
        with office.database.transaction() as session:
            return service.amend_contract(
                session,
                "kanal-1",
                patch,
                effective_on=date.fromisoformat(day),
                first_open_day=date.fromisoformat(open_from),
                reason="agreed",
                occasion=an_occasion(),
            ).number

    def test_a_version_keeps_what_the_amendment_does_not_name(self, office: Office) -> None:
        a_contract(office, minimum={"month": "100"})
        assert self.amend(office, {"minimum": {"year": "5000"}, "payment_days": 14}, "2026-12-16") == 2

        with office.database.snapshot() as session:
            before = service.document_on(session, "kanal-1", date(2026, 12, 15))
            after = service.document_on(session, "kanal-1", date(2026, 12, 16))
            assert trail(session)[0].action == "contract.amended"
        assert (before.payment_days, before.minimum.year) == (30, None)
        assert (after.payment_days, after.minimum.year, after.minimum.month) == (14, Decimal(5000), Decimal(100))

    @pytest.mark.parametrize(
        ("patch", "day", "complaint"),
        [
            ({"currency": "USD"}, "2026-12-01", "never changes"),
            ({"time_zone": "Asia/Tokyo"}, "2026-12-01", "never changes"),
            ({"baseline": "libx264-medium"}, "2026-12-16", "first of a month"),
            ({"payment_days": 30}, "2026-12-01", "changes nothing"),
            ({"payment_days": 31}, "2026-10-31", "closed until 2026-10-31"),
            ({"payment_days": -1}, "2026-12-01", "amendment: /payment_days"),
            ({"share": None}, "2026-12-01", "amendment: /share"),
        ],
    )
    def test_what_cannot_change_is_refused(
        self, office: Office, patch: dict[str, object], day: str, complaint: str
    ) -> None:
        a_contract(office)
        with pytest.raises(Invalid, match=complaint):
            self.amend(office, patch, day)

    def test_a_closed_month_is_not_amended(self, office: Office) -> None:
        a_contract(office)
        with pytest.raises(PeriodClosed, match="amend it from 2026-12-01 on"):
            self.amend(office, {"payment_days": 60}, "2026-11-30", open_from="2026-12-01")
        with pytest.raises(PeriodClosed, match="cannot end before 2026-11-30"):
            self.amend(office, {"ends_on": "2026-11-15"}, "2026-12-01", open_from="2026-12-01")

    def test_versions_take_effect_in_the_order_in_which_they_are_recorded(self, office: Office) -> None:
        a_contract(office)
        self.amend(office, {"payment_days": 60}, "2027-01-01")
        with pytest.raises(Invalid, match=r"version 2 .* 2027-01-01"):
            self.amend(office, {"payment_days": 14}, "2026-12-01")
        assert self.amend(office, {"payment_days": 14}, "2027-01-01") == 3

    def test_a_contract_needs_a_customer_and_a_tariff_that_exist_and_an_id_of_its_own(self, office: Office) -> None:
        a_contract(office)
        for change, error in (({"customer": "nobody"}, NotFound), ({"tariff": "none"}, NotFound), ({}, AlreadyExists)):
            with pytest.raises(error), office.database.transaction() as session:
                service.add_contract(session, a_document(**change), contract_id="kanal-1", occasion=an_occasion())


class TestExchangeRates:
    def test_a_tariff_in_another_currency_waits_for_the_rate_of_the_day(self, office: Office) -> None:
        a_contract(office, currency="USD")
        with office.database.transaction() as session:
            document = a_document(currency="EUR", time_zone="Europe/Berlin")
            service.add_contract(session, document, contract_id="euro-1", occasion=an_occasion())
            month = service.active_month(session, "euro-1", NOVEMBER)
            assert month is not None
            with pytest.raises(TermsIncomplete, match=r"ECB for USD in EUR of 2026-11-30"):
                terms.terms_for(session, month)
            for day, rate in (("2026-11-20", "0.90"), ("2026-11-27", "0.91"), ("2026-11-27", "0.92")):
                exchange = Exchange(currency="USD", rate=Decimal(rate), source="ECB", date=day)
                terms.add_rate(session, exchange, to_currency="EUR", occasion=an_occasion())
            found = terms.terms_for(session, month).exchange
        # The 30th has none of its own; of the two of the last day that has, the later one holds.
        assert found == Exchange(currency="USD", rate=Decimal("0.92"), source="ECB", date="2026-11-27")

    def test_a_rate_older_than_a_week_is_none(self, office: Office) -> None:
        a_contract(office, currency="USD")
        with office.database.transaction() as session:
            service.add_contract(session, a_document(), contract_id="euro-1", occasion=an_occasion())
            exchange = Exchange(currency="USD", rate=Decimal("0.9"), source="ECB", date="2026-11-22")
            terms.add_rate(session, exchange, to_currency="EUR", occasion=an_occasion())
            month = service.active_month(session, "euro-1", NOVEMBER)
            assert month is not None
            with pytest.raises(TermsIncomplete):
                terms.terms_for(session, month)


class TestPrepaidCredit:
    def test_the_balance_is_the_sum_of_its_movements_and_never_below_nothing(self, office: Office) -> None:
        a_contract(office)
        with office.database.transaction() as session:
            move(session, "kanal-1", Movement.BOUGHT, 500, "EUR", reference="PO 7", occasion=an_occasion())
            move(session, "kanal-1", Movement.DRAWN, -200, "EUR", period="2026-11", occasion=an_occasion())
            with pytest.raises(Invalid, match="300"):
                move(session, "kanal-1", Movement.DRAWN, -301, "EUR", occasion=an_occasion())
            with pytest.raises(Invalid, match="nothing"):
                move(session, "kanal-1", Movement.BOUGHT, 0, "EUR", occasion=an_occasion())
            assert repository.credit_balance(session, "kanal-1") == 300
            assert [entry.kind for entry in repository.list_credit(session, "kanal-1")] == ["bought", "drawn"]


def test_json_without_floats_is_all_that_is_read() -> None:
    assert parse('{"a": 1}', what="x") == {"a": 1}
    with pytest.raises(Invalid, match="write amounts as text"):
        parse('{"a": 1.5}', what="x")


def test_what_is_stored_is_what_was_added(office: Office) -> None:
    a_contract(office, contract_id="kanal-1")
    with office.database.snapshot() as session:
        tariff = service.require_tariff(session, "kanal-1-tariff")
        (version,) = repository.list_versions(session, "kanal-1")
    assert json.loads(tariff.document)["tiers"] == [{"price_per_gb": "0.05", "up_to_gb": None}]
    assert version.hash == service.read_version(version).document.digest()
    assert version.recorded_at == datetime(2026, 11, 23, 8, tzinfo=UTC)
