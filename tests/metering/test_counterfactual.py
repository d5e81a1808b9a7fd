"""The month beside the one the baseline would have made: regions, CDNs, peaks, samples, in whole statements."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.cdn_tariff import CdnTariff, PercentileTariff, VolumeTariff
from narrows_metering.counterfactual import allot
from narrows_metering.estimator import Method
from narrows_metering.record import Kind, time_to_text
from narrows_metering.statement import draw_up
from narrows_metering.tariff import Tariff, Tier
from narrows_metering.terms import Terms
from narrows_metering.testing import (
    GB,
    NOVEMBER,
    a_delivery,
    an_encode,
    an_evidence,
    an_id,
    an_installation_id,
    some_records,
    some_terms,
)
from narrows_metering.usage import Cell
from narrows_metering.valuation import Mode


def flat(price: str) -> Tariff:
    """One price for every byte."""
    return Tariff(tariff_id=f"flat-{price}", tiers=(Tier(up_to_bytes=None, price_per_gb=Decimal(price)),))


def a_statement(terms: Terms, *deliveries: dict[str, Any], films: int = 1) -> dict[str, Any]:
    """November of *films* that need a fifth fewer bytes, delivered as told."""
    names = ["film-1080", *(f"film-{n}" for n in range(1, films))]
    entries: list[tuple[Kind, dict[str, Any]]] = []
    for name in names:
        entries += [(Kind.ENCODE, an_encode(name, asset=name)), (Kind.EVIDENCE, an_evidence(name, asset=name))]
    entries += [(Kind.DELIVERY, delivery) for delivery in deliveries]
    records = {an_installation_id(): some_records(entries)}
    drawn_up_at = datetime(2026, 12, 4, tzinfo=UTC)
    return draw_up(terms, period=NOVEMBER, records_by_installation=records, drawn_up_at=drawn_up_at)


def test_every_region_saves_what_its_own_price_is() -> None:
    tariff: CdnTariff = VolumeTariff(cdn="aws", regions={"*": flat("0.10"), "eu": flat("0.05")})
    statement = a_statement(
        replace(some_terms(), cdn_tariffs=(tariff,)),
        {**a_delivery(delivered=800 * GB), "cdn": "aws", "region": "eu"},
        {**a_delivery(delivered=400 * GB), "cdn": "aws", "region": "in"},
    )
    # 200 GB at 0.05 and 100 GB at 0.10.
    assert statement["valuation"]["saved"]["minor"] == 1_000 + 1_000
    assert statement["delivered"]["regions"] == [
        {"cdn": "aws", "region": "eu", "bytes": 800 * GB},
        {"cdn": "aws", "region": "in", "bytes": 400 * GB},
    ]


def test_several_cdns_are_valued_under_a_tariff_each() -> None:
    committed: CdnTariff = VolumeTariff(cdn="two", regions={"*": flat("0.05")}, commit=Decimal(1_000))
    statement = a_statement(
        replace(some_terms(), cdn_tariffs=(committed,)),
        {**a_delivery(delivered=800 * GB), "cdn": "one"},
        {**a_delivery(delivered=400 * GB), "cdn": "two"},
    )
    assert [(value["cdn"], value["saved"]["minor"]) for value in statement["valuation"]["cdns"]] == [
        ("one", 1_000),
        ("two", 0),  # Below the commit.
    ]


def test_a_peak_of_five_minutes_is_worth_something_only_if_it_is_charged() -> None:
    tariff: CdnTariff = PercentileTariff(cdn="one", price_per_mbps=Decimal(1), overage_per_mbps=Decimal(1))

    def saved(minutes: int) -> int:
        start = datetime(2026, 11, 10, tzinfo=UTC)
        windows = [start + timedelta(minutes=5 * n) for n in range(minutes // 5)]
        deliveries = [
            {
                **a_delivery(delivered=3_000_000_000, start=at),
                "cdn": "one",
                "window_end": time_to_text(at + timedelta(minutes=5)),
            }
            for at in windows
        ]
        statement = a_statement(replace(some_terms(), cdn_tariffs=(tariff,)), *deliveries)
        return int(statement["valuation"]["saved"]["minor"])

    assert saved(36 * 60) == 0  # A twentieth of the month is never charged.
    assert saved(36 * 60 + 5) == (100 - 80) * 100  # 80 Mbit/s instead of 100.


def test_agreed_and_effective_prices_take_no_notice_of_tiers() -> None:
    agreed = replace(some_terms(), mode=Mode.REFERENCE_PRICE, reference_prices={"*": Decimal("0.02")})
    invoiced = replace(some_terms(), mode=Mode.EFFECTIVE_PRICE, invoiced_minor={"": 8_000})
    for terms, minor in ((agreed, 400), (invoiced, 2_000)):
        assert Terms.from_dict(terms.to_dict()) == terms
        assert a_statement(terms, a_delivery())["valuation"]["saved"]["minor"] == minor


def test_the_noise_of_the_measurement_is_not_billed() -> None:
    result = a_statement(replace(some_terms(), noise_ppm=20_000), a_delivery(delivered=800 * GB))["result"]
    assert result["measured_bytes"] == 200 * GB
    # 2 % of 1,000 GB, times 1.647 and 1.03.
    assert result["haircut_bytes"] == pytest.approx(33.9282 * GB, rel=1e-6)
    assert result["saved_bytes"] == result["lower_bytes"] == 200 * GB - result["haircut_bytes"]


def test_a_sample_stands_for_what_was_not_measured_and_only_the_sample_counts() -> None:
    terms = replace(some_terms(), method=Method.SAMPLED, sample_count=6)
    deliveries = [a_delivery("film-1080", delivered=1_000 * GB)]
    deliveries += [a_delivery(f"film-{n}", delivered=(10 + n) * GB) for n in range(1, 40)]
    statement = a_statement(terms, *deliveries, films=40)

    sample = statement["evidence"]["sample"]
    assert sample["certainty"] == [an_id("film-1080")]
    assert [len(stratum["drawn"]) for stratum in sample["strata"]] == [5]
    assert len(sample["seed"]) == 64
    # Every film saves a quarter of its bytes, so the tail says the same of all.
    assert statement["result"]["measured_bytes"] == statement["delivered"]["bytes"] // 4


def test_what_was_drawn_and_not_measured_saves_nothing() -> None:
    terms = replace(some_terms(), method=Method.SAMPLED, sample_count=6)
    deliveries = [a_delivery(f"film-{n}", delivered=(100 + n) * GB) for n in range(1, 40)]
    statement = a_statement(terms, *deliveries, films=20)
    assert statement["result"]["saved_bytes"] < statement["delivered"]["bytes"] // 4


@given(
    st.integers(-(10**15), 10**15),
    st.dictionaries(
        st.tuples(st.sampled_from("ab"), st.text("xyz", max_size=2), st.none()), st.integers(1, 10**12), min_size=1
    ),
)
def test_what_is_allotted_is_all_there_is(amount: int, weights: dict[Cell, int]) -> None:
    parts = allot(amount, dict(weights))
    assert sum(parts.values()) == amount
    total = sum(weights.values())
    assert all(abs(parts[cell] * total - amount * weight) <= 2 * total for cell, weight in weights.items())
