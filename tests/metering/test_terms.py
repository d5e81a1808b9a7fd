"""Terms and periods: one spelling, strict reading, months in UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.errors import StatementUnreadable
from narrows_metering.terms import Period, Terms, decimal_from_text, decimal_to_text
from narrows_metering.testing import some_terms


def test_terms_survive_being_written_and_read() -> None:
    terms = some_terms(tiers=((10_000, "0.085"), (None, "0.02")), share_percent="12.5")
    assert Terms.from_dict(terms.to_dict()) == terms


def test_a_databases_scale_does_not_show() -> None:
    assert some_terms(share_percent="20.0000").to_dict() == some_terms(share_percent="20").to_dict()


@given(st.decimals(min_value=0, max_value=10**9, places=9))
def test_a_decimal_has_one_spelling(value: Decimal) -> None:
    assert decimal_from_text(decimal_to_text(value)) == value
    assert decimal_to_text(decimal_from_text(decimal_to_text(value))) == decimal_to_text(value)


@pytest.mark.parametrize("text", ["1.0", "01", "1e3", "-1", ".5", "5.", "NaN", "", " 1", "1" * 13, 1, None])
def test_every_other_spelling_of_a_decimal_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="one spelling"):
        decimal_from_text(text)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.pop("metric"), "contract"),
        (lambda d: d.update(extra=1), "contract"),
        (lambda d: d["share"][0]["tiers"][0].update(percent="100.5"), "percent"),
        (lambda d: d["share"][0]["tiers"][0].update(percent=20), "decimal"),
        (lambda d: d["share"][0].update(from_day=2), "share"),
        (lambda d: d.update(share=[]), "share"),
        (lambda d: d.update(exchange={"currency": "EUR", "rate": "1", "source": "ECB", "date": "x"}), "exchange"),
        (lambda d: d.update(exchange={"currency": "USD", "rate": "0", "source": "ECB", "date": "x"}), "rate"),
        (lambda d: d.update(currency="XXX"), "currency"),
        (lambda d: d.update(customer_id=7), "customer_id"),
        (lambda d: d.update(contract_id=""), "contract_id"),
        (lambda d: d.update(tariff=[]), "tariff"),
        (lambda d: d["tariff"].update(tiers={}), "tiers"),
        (lambda d: d["tariff"].update(tiers=[]), "tiers"),
        (lambda d: d["tariff"]["tiers"][0].update(up_to_bytes="5"), "up_to_bytes"),
        (lambda d: d["tariff"]["tiers"][0].update(up_to_bytes=5), "tiers"),
    ],
)
def test_terms_that_are_malformed_are_refused_by_name(change: Callable[[dict[str, Any]], object], named: str) -> None:
    document = some_terms().to_dict()
    change(document)
    with pytest.raises(StatementUnreadable, match=named):
        Terms.from_dict(document)


@pytest.mark.parametrize(
    ("zone", "month", "start", "hours"),
    [
        ("UTC", "2026-11", "2026-11-01T00:00", 720),
        ("Pacific/Kiritimati", "2026-11", "2026-10-31T10:00", 720),  # UTC+14, the first to see any month.
        ("Europe/Berlin", "2026-03", "2026-02-28T23:00", 743),
        ("Europe/Berlin", "2026-10", "2026-09-30T22:00", 745),
        ("America/New_York", "2026-03", "2026-03-01T05:00", 743),
        ("Australia/Lord_Howe", "2026-04", "2026-03-31T13:00", 720.5),  # Half an hour of it.
        ("Africa/Cairo", "2026-04", "2026-03-31T22:00", 719),  # 24 April has no midnight there.
        ("Asia/Kolkata", "2024-02", "2024-01-31T18:30", 696),
    ],
)
def test_a_month_begins_and_ends_at_midnight_in_its_zone(zone: str, month: str, start: str, hours: float) -> None:
    period = Period.from_dict({"month": month, "time_zone": zone, "first_day": 1, "last_day": int(hours + 6) // 24})

    assert period.start == datetime.fromisoformat(start).replace(tzinfo=UTC)
    assert period.end - period.start == timedelta(hours=hours)


def test_a_day_without_a_midnight_begins_when_the_clock_jumps() -> None:
    april = Period(year=2026, month=4, time_zone="Africa/Cairo", first_day=24)
    assert april.start == datetime(2026, 4, 23, 22, tzinfo=UTC)


def test_part_of_a_month_has_the_days_that_it_names() -> None:
    period = Period(year=2026, month=1, first_day=31)

    assert (period.start, period.end) == (datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    assert (period.days, period.days_in_month) == (1, 31)
    assert Period.from_dict(period.to_dict()) == period


@pytest.mark.parametrize(
    "days", [{"first_day": 0}, {"first_day": 2, "last_day": 1}, {"last_day": 31}, {"time_zone": "Mars/Olympus"}]
)
def test_days_and_zones_that_do_not_exist_are_refused(days: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"first_day|time_zone"):
        Period(year=2026, month=11, **days)


def test_a_month_is_half_open_and_in_utc() -> None:
    period = Period.from_text("2026-12")

    assert period.start in period
    assert period.start - timedelta(microseconds=1) not in period
    assert period.end == datetime(2027, 1, 1, tzinfo=UTC)
    assert period.end not in period
    assert str(period) == "2026-12"


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-11", "2026-11-01", "١٢٣٤-11"])
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="month"):
        Period.from_text(text)
