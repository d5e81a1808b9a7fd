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
        (lambda d: d.update(share_percent="100.5"), "share_percent"),
        (lambda d: d.update(share_percent=20), "decimal"),
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
