"""Rating: worked examples, what holds for any contract, and the naive reckoning beside it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.share import ShareTier, ShareTiers
from narrows_server.rating.lines import Kind, Line
from narrows_server.rating.rate import month_total, rate, rate_month
from narrows_server.rating.terms import Correction, Part, RatingTerms, Year

from .cases import Case, a_case, some_terms
from .run import differs

EARLY = Year(label="2026-11/2027-10", months=Fraction(12), is_over=False)
LAST = replace(EARLY, is_over=True)


def tiers(*parts: tuple[int | None, str]) -> ShareTiers:
    return tuple(ShareTier(up_to_minor=limit, percent=Decimal(percent)) for limit, percent in parts)


FIFTH = RatingTerms(tiers=tiers((None, "20")))
TIERED = RatingTerms(tiers=tiers((100_000, "25"), (None, "10")))


def a_part(terms: RatingTerms = FIFTH, *, saved: int = 10_000, days: int = 30, from_day: int = 1) -> Part:
    return Part(
        terms=terms,
        from_day=from_day,
        days=days,
        days_in_month=30,
        delivered_bytes=10**9 if saved else 0,
        saved_minor=saved,
    )


def a_correction(*, saved: int, charged: int, period: str = "2026-10", headroom: int | None = None) -> Correction:
    return Correction(
        period=period,
        parts=(a_part(saved=saved),),
        charged_minor=charged,
        reason="late deliveries",
        is_of_this_year=headroom is None,
        headroom_minor=headroom,
    )


def rated(
    *parts: Part, year: Year = EARLY, corrections: Sequence[Correction] = (), credit: int = 0
) -> list[tuple[str, int]]:
    lines = rate(parts, period="2026-11", currency="EUR", year=year, corrections=corrections, credit_minor=credit)
    return [(line.kind.value, line.amount.minor) for line in lines]


def total(lines: Sequence[Line]) -> int:
    return sum(line.amount.minor for line in lines)


def rate_case(case: Case) -> tuple[Line, ...]:
    return rate(
        case.parts,
        period=case.period,
        currency=case.currency,
        year=case.year,
        corrections=case.corrections,
        already_minor=case.already_minor,
        credit_minor=case.credit_minor,
    )


class TestAMonth:
    @pytest.mark.parametrize(
        ("saved", "expected"),
        [
            (99_999, [("share", 25_000)]),
            (100_000, [("share", 25_000)]),
            (100_001, [("share", 25_000), ("share", 0)]),
            (200_000, [("share", 25_000), ("share", 10_000)]),
            (0, [("share", 0)]),
            (-50_000, [("share", 0)]),
        ],
    )
    def test_each_cent_gives_what_its_tier_says(self, saved: int, expected: list[tuple[str, int]]) -> None:
        assert rated(a_part(TIERED, saved=saved)) == expected

    def test_a_floor_lifts_a_month_with_deliveries_and_a_minimum_every_month(self) -> None:
        floor = replace(FIFTH, floor_minor=3_000)
        assert rated(a_part(floor, saved=10_000)) == [("share", 2_000), ("floor", 1_000)]
        assert rated(a_part(floor, saved=0)) == [("share", 0)]
        assert rated(a_part(replace(floor, minimum_month_minor=500), saved=0)) == [("share", 0), ("minimum", 500)]
        both = replace(floor, minimum_month_minor=5_000)
        assert rated(a_part(both, saved=10_000)) == [("share", 2_000), ("floor", 1_000), ("minimum", 2_000)]

    @pytest.mark.parametrize(("cap", "expected"), [(2_000, [2_000]), (1_999, [2_000, -1]), (0, [2_000, -2_000])])
    def test_a_cap_takes_off_what_lies_above_it(self, cap: int, expected: list[int]) -> None:
        assert [minor for _, minor in rated(a_part(replace(FIFTH, cap_month_minor=cap)))] == expected

    def test_what_holds_for_part_of_a_month_counts_by_its_days(self) -> None:
        terms = replace(TIERED, minimum_month_minor=3_000, cap_month_minor=9_000)

        assert rated(a_part(terms, saved=100, days=10)) == [("share", 25), ("minimum", 975)]
        # A third of the first tier: 333.33 of the 1,000.00.
        assert rated(a_part(terms, saved=50_000, days=10)) == [("share", 8_333), ("share", 1_667), ("cap", -7_000)]

    def test_lines_name_their_days_where_a_month_has_parts(self) -> None:
        parts = (a_part(days=15), a_part(TIERED, days=15, from_day=16))
        texts = [line.text for line in rate(parts, period="2026-11", currency="EUR", year=EARLY)]

        assert texts == [
            "20 % of 100.00 EUR saved, days 1 to 15",
            "25 % of 100.00 EUR saved, days 16 to 30",
        ]

    def test_every_line_says_what_it_is(self) -> None:
        terms = replace(FIFTH, floor_minor=3_000, minimum_month_minor=4_000, cap_month_minor=3_500)
        texts = [line.text for line in rate_month([a_part(terms)], period="2026-11", currency="EUR")]

        assert texts == [
            "20 % of 100.00 EUR saved",
            "To the floor of 30.00 EUR",
            "To the minimum of 40.00 EUR",
            "To the cap of 35.00 EUR",
        ]
        nothing = rate_month([a_part(saved=-5)], period="2026-11", currency="EUR")
        assert [(line.text, line.period) for line in nothing] == [("No share of −0.05 EUR saved", "2026-11")]


class TestCorrections:
    def test_a_correction_is_the_month_rated_again_less_what_it_came_to(self) -> None:
        late = a_correction(saved=15_000, charged=2_000)
        assert rated(a_part(), corrections=[late]) == [("share", 2_000), ("correction", 1_000)]

    def test_a_correction_names_its_month_and_its_reason(self) -> None:
        lines = rate(
            [a_part()],
            period="2026-11",
            currency="EUR",
            year=EARLY,
            corrections=[a_correction(saved=0, charged=100, period="2026-09")],
        )
        assert (lines[-1].period, lines[-1].text) == ("2026-09", "Correction of September 2026: late deliveries")

    def test_corrections_may_give_back_more_than_the_month_comes_to(self) -> None:
        lines = rated(a_part(), corrections=[a_correction(saved=0, charged=5_000)], credit=700)
        assert lines == [("share", 2_000), ("correction", -5_000)]

    @pytest.mark.parametrize(("headroom", "expected"), [(5_000, 1_000), (400, 400), (0, 0), (-1, 0)])
    def test_the_cap_of_an_earlier_year_holds_for_its_corrections(self, headroom: int, expected: int) -> None:
        late = a_correction(saved=15_000, charged=2_000, headroom=headroom)
        assert rated(a_part(), corrections=[late])[-1] == ("correction", expected)


class TestTheYear:
    def test_a_true_up_nets_the_months_that_lost_against_those_that_saved(self) -> None:
        terms = replace(FIFTH, is_trued_up=True)
        year = replace(LAST, charged_minor=3_000, parts=(a_part(terms, saved=15_000), a_part(terms, saved=-5_000)))

        # 200.00 saved in all are worth 40.00, of which 30.00 and now 20.00 were charged.
        assert rated(a_part(terms), year=year) == [("share", 2_000), ("true_up", -1_000)]
        assert rated(a_part(terms), year=replace(year, is_over=False)) == [("share", 2_000)]
        assert rated(a_part(), year=year) == [("share", 2_000)]

    def test_tiers_of_a_true_up_are_those_of_its_months_together(self) -> None:
        terms = replace(TIERED, is_trued_up=True)
        year = replace(LAST, charged_minor=25_000 + 10_000, parts=(a_part(terms, saved=200_000),))

        # The second month saved nothing: two first tiers of 1,000.00 hold all 2,000.00.
        assert rated(a_part(terms, saved=0), year=year) == [("share", 0), ("true_up", 15_000)]

    def test_a_true_up_does_not_undo_the_minimums_of_the_months(self) -> None:
        terms = replace(FIFTH, is_trued_up=True, minimum_month_minor=1_000)
        year = replace(LAST, charged_minor=1_000, parts=(a_part(terms, saved=0),))

        assert rated(a_part(terms, saved=0), year=year) == [("share", 0), ("minimum", 1_000)]

    def test_the_minimum_of_the_year_is_charged_at_its_end(self) -> None:
        terms = replace(FIFTH, minimum_year_minor=12_000)
        year = replace(LAST, charged_minor=9_500)

        assert rated(a_part(terms), year=year) == [("share", 2_000), ("minimum", 500)]
        assert rated(a_part(terms), year=replace(year, is_over=False)) == [("share", 2_000)]
        assert rated(a_part(terms), year=replace(year, months=Fraction(23, 2))) == [("share", 2_000)]

    @pytest.mark.parametrize(("charged", "expected"), [(8_000, 0), (8_001, -1), (10_000, -2_000), (99_000, -2_000)])
    def test_the_cap_of_the_year_takes_off_what_lies_above_it_and_gives_nothing_back(
        self, charged: int, expected: int
    ) -> None:
        terms = replace(FIFTH, cap_year_minor=10_000)
        lines = rated(a_part(terms), year=replace(EARLY, charged_minor=charged))

        assert [minor for kind, minor in lines if kind == "cap"] == ([expected] if expected else [])

    def test_lines_of_the_year_name_it(self) -> None:
        terms = replace(FIFTH, minimum_year_minor=12_000, is_trued_up=True, cap_year_minor=11_000)
        year = replace(LAST, parts=(a_part(terms, saved=10_000),))
        lines = rate([a_part(terms)], period="2027-10", currency="EUR", year=year)

        assert [(line.period, line.text) for line in lines[1:]] == [
            ("2026-11/2027-10", "True-up: the savings of 2026-11/2027-10 as a whole"),
            ("2026-11/2027-10", "To the minimum of 120.00 EUR for 2026-11/2027-10"),
            ("2026-11/2027-10", "To the cap of 110.00 EUR for 2026-11/2027-10"),
        ]


class TestPrepaidCredit:
    @pytest.mark.parametrize(("credit", "drawn"), [(0, []), (1, [-1]), (1_999, [-1_999]), (5_000, [-2_000])])
    def test_credit_pays_until_it_or_the_month_is_used_up(self, credit: int, drawn: list[int]) -> None:
        assert [minor for kind, minor in rated(a_part(), credit=credit) if kind == "prepaid_credit"] == drawn

    def test_credit_says_so(self) -> None:
        lines = rate([a_part()], period="2026-11", currency="EUR", year=EARLY, credit_minor=5)
        assert (lines[-1].kind, lines[-1].text, lines[-1].period) == (
            Kind.CREDIT,
            "Paid from prepaid credit",
            "2026-11",
        )


SEEDS = st.integers(0, 10**9)


class TestProperties:
    @given(SEEDS, st.integers(0, 10**7))
    def test_more_saved_never_costs_less(self, seed: int, more: int) -> None:
        case = a_case(random.Random(seed))
        richer = replace(case.parts[0], saved_minor=case.parts[0].saved_minor + more)

        assert month_total([richer, *case.parts[1:]]) >= month_total(case.parts)
        without_credit = replace(case, credit_minor=0)
        assert total(rate_case(replace(without_credit, parts=(richer, *case.parts[1:])))) >= total(
            rate_case(without_credit)
        )

    @given(SEEDS, st.integers(1, 29), st.fractions(0, 1))
    def test_a_year_is_trued_up_alike_however_its_months_are_split(self, seed: int, day: int, ratio: Fraction) -> None:
        dice = random.Random(seed)
        terms = replace(some_terms(dice), is_trued_up=True, floor_minor=0, minimum_month_minor=0, cap_month_minor=None)
        whole = a_part(terms, saved=dice.randrange(-(10**6), 10**7))
        first = round(whole.saved_minor * ratio)
        split = (
            replace(whole, days=day, saved_minor=first),
            replace(whole, from_day=day + 1, days=30 - day, saved_minor=whole.saved_minor - first),
        )
        last = a_part(terms, saved=dice.randrange(10**6))

        assert rated(last, year=replace(LAST, parts=(whole,))) == rated(last, year=replace(LAST, parts=split))

    @given(SEEDS)
    def test_the_order_of_earlier_months_and_of_corrections_does_not_matter(self, seed: int) -> None:
        dice = random.Random(seed)
        case = a_case(dice)
        parts, corrections = [*case.year.parts], [*case.corrections]
        dice.shuffle(parts)
        dice.shuffle(corrections)
        shuffled = replace(case, year=replace(case.year, parts=tuple(parts)), corrections=tuple(corrections))

        assert rate_case(shuffled) == rate_case(case)

    @given(SEEDS)
    def test_a_month_lies_between_its_floor_and_its_cap(self, seed: int) -> None:
        case = a_case(random.Random(seed))
        part = case.parts[0]
        comes_to = total(rate_month([part], period=case.period, currency=case.currency))

        assert comes_to == month_total([part])
        assert part.cap_minor is None or comes_to <= part.cap_minor
        least = max(part.floor_minor, part.minimum_minor)
        assert comes_to >= (least if part.cap_minor is None else min(least, part.cap_minor))

    @given(SEEDS)
    def test_amounts_do_not_depend_on_how_many_decimals_a_currency_has(self, seed: int) -> None:
        case = a_case(random.Random(seed))
        minors = [
            [line.amount.minor for line in rate_case(replace(case, currency=currency))]
            for currency in ("JPY", "EUR", "KWD")
        ]
        assert minors[0] == minors[1] == minors[2]

    @given(SEEDS)
    def test_credit_never_pays_more_than_is_due_nor_than_there_is(self, seed: int) -> None:
        case = a_case(random.Random(seed))
        lines = rate_case(case)
        drawn = -sum(line.amount.minor for line in lines if line.kind is Kind.CREDIT)

        assert 0 <= drawn <= case.credit_minor
        assert total(lines) >= 0 or not drawn

    @given(SEEDS)
    def test_a_year_never_exceeds_its_cap_by_what_is_charged_now(self, seed: int) -> None:
        case = a_case(random.Random(seed))
        cap = case.parts[-1].terms.cap_year_minor
        year = replace(case.year, charged_minor=0)
        lines = rate_case(replace(case, year=year, corrections=(), already_minor=0, credit_minor=0))

        assert cap is None or total(lines) <= max(0, round(cap * year.months / 12))


def test_the_naive_reckoning_agrees_on_every_contract() -> None:
    assert [seed for seed in range(1, 1_001) if differs(a_case(random.Random(seed)))] == []
