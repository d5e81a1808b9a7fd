"""Tax: who is charged what, by which rate on which day, and how it is rounded."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_server.tax.breakdown import Subtotal, break_down, tax_of
from narrows_server.tax.rates import COUNTRIES, EUROPEAN_UNION, KNOWN_SINCE, standard_rate
from narrows_server.tax.treatment import Category, Standing, TaxUnclear, Treatment, treat

TODAY = date(2026, 11, 30)
NINETEEN = Treatment(category=Category.STANDARD, rate=Decimal(19))


def treated(seller: str, buyer: str | None, *, is_registered: bool = True, has_vat_id: bool = True) -> Treatment:
    return treat(
        Standing(country=seller, has_vat_id=is_registered), Standing(country=buyer, has_vat_id=has_vat_id), on=TODAY
    )


class TestRates:
    def test_are_known_for_the_union_and_three_neighbours(self) -> None:
        assert len(EUROPEAN_UNION) == 27
        assert {"GB", "CH", "NO"} == COUNTRIES - EUROPEAN_UNION
        for country in COUNTRIES:
            assert 8 <= standard_rate(country, TODAY) <= 27

    @pytest.mark.parametrize(
        ("country", "first_day", "before", "after"),
        [
            ("DE", date(2020, 7, 1), "19", "16"),
            ("DE", date(2021, 1, 1), "16", "19"),
            ("EE", date(2024, 1, 1), "20", "22"),
            ("EE", date(2025, 7, 1), "22", "24"),
            ("FI", date(2024, 9, 1), "24", "25.5"),
            ("RO", date(2025, 8, 1), "19", "21"),
            ("SK", date(2025, 1, 1), "20", "23"),
            ("CH", date(2024, 1, 1), "7.7", "8.1"),
        ],
    )
    def test_change_on_their_day(self, country: str, first_day: date, before: str, after: str) -> None:
        assert standard_rate(country, first_day - timedelta(days=1)) == Decimal(before)
        assert standard_rate(country, first_day) == Decimal(after)

    def test_of_other_countries_and_earlier_days_are_not_guessed(self) -> None:
        with pytest.raises(ValueError, match="not known"):
            standard_rate("US", TODAY)
        with pytest.raises(ValueError, match="before 2020"):
            standard_rate("DE", KNOWN_SINCE - timedelta(days=1))


class TestTreatment:
    @pytest.mark.parametrize(
        ("seller", "buyer", "has_vat_id", "category", "rate"),
        [
            ("DE", "DE", True, Category.STANDARD, "19"),
            ("DE", "DE", False, Category.STANDARD, "19"),
            ("FR", "FR", True, Category.STANDARD, "20"),
            ("FR", "MC", False, Category.STANDARD, "20"),
            ("DE", "FR", True, Category.REVERSE_CHARGE, "0"),
            ("DE", "FR", False, Category.STANDARD, "19"),
            ("DE", "GR", True, Category.REVERSE_CHARGE, "0"),
            ("DE", "GB", True, Category.EXPORT, "0"),
            ("DE", "CH", False, Category.EXPORT, "0"),
            ("DE", "US", False, Category.EXPORT, "0"),
            ("GB", "GB", False, Category.STANDARD, "20"),
            ("GB", "IM", False, Category.STANDARD, "20"),
            ("GB", "DE", True, Category.EXPORT, "0"),
            ("CH", "CH", True, Category.STANDARD, "8.1"),
            ("NO", "SE", True, Category.EXPORT, "0"),
            ("US", "US", False, Category.NONE, "0"),
            ("US", "DE", True, Category.NONE, "0"),
        ],
    )
    def test_follows_the_two_countries(
        self, seller: str, buyer: str, has_vat_id: bool, category: Category, rate: str
    ) -> None:
        assert treated(seller, buyer, has_vat_id=has_vat_id) == Treatment(category=category, rate=Decimal(rate))

    def test_who_has_no_vat_id_charges_none(self) -> None:
        assert treated("DE", "DE", is_registered=False).category is Category.NONE
        assert treated("DE", None, is_registered=False).category is Category.NONE

    def test_a_customer_of_no_country_is_not_guessed(self) -> None:
        with pytest.raises(TaxUnclear, match="country is not known"):
            treated("DE", None)

    @given(st.sampled_from(sorted(COUNTRIES)), st.sampled_from(sorted(COUNTRIES)), st.booleans())
    def test_charges_tax_exactly_where_no_reason_stands(self, seller: str, buyer: str, has_vat_id: bool) -> None:
        treatment = treated(seller, buyer, has_vat_id=has_vat_id)

        assert (treatment.rate > 0) == (treatment.reason_code is None) == (treatment.reason is None)


class TestBreakdown:
    def test_tax_is_rounded_once_on_the_sum_of_its_group(self) -> None:
        # Line by line it would be 3 times 0.19, rounded to 0: EN 16931 wants 0.57, rounded to 1.
        assert break_down([(1, NINETEEN)] * 3) == (Subtotal(treatment=NINETEEN, base_minor=3, tax_minor=1),)

    @pytest.mark.parametrize(("base", "rate", "tax"), [(50, "1", 1), (-50, "1", -1), (49, "1", 0), (250, "25.5", 64)])
    def test_half_a_unit_goes_away_from_zero(self, base: int, rate: str, tax: int) -> None:
        assert tax_of(base, Decimal(rate)) == tax

    def test_an_old_rate_is_a_group_of_its_own(self) -> None:
        old = Treatment(category=Category.STANDARD, rate=Decimal(16))

        assert [(s.treatment.rate, s.base_minor, s.tax_minor) for s in break_down([(100, NINETEEN), (200, old)])] == [
            (Decimal(16), 200, 32),
            (Decimal(19), 100, 19),
        ]

    @given(st.integers(-(2**53), 2**53), st.sampled_from(["0", "7.7", "8.1", "16", "19", "25.5", "27"]))
    def test_crediting_a_base_undoes_its_tax(self, base: int, rate: str) -> None:
        assert tax_of(-base, Decimal(rate)) == -tax_of(base, Decimal(rate))
        assert abs(tax_of(base, Decimal(rate)) * 100 - base * Decimal(rate)) <= 50
