"""Statements: worked examples, what is left out and why, and that order does not matter."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrows_metering.errors import ChainBroken, StatementImpossible
from narrows_metering.record import Kind
from narrows_metering.statement import Exclusion, NoShare, draw_up, statement_hash
from narrows_metering.terms import Terms
from narrows_metering.testing import (
    GB,
    NOVEMBER,
    NOW,
    a_delivery,
    an_encode,
    an_evidence,
    an_id,
    an_installation_id,
    some_records,
    some_terms,
)

Entry = tuple[Kind, Mapping[str, object]]
FILM: list[Entry] = [(Kind.ENCODE, an_encode()), (Kind.EVIDENCE, an_evidence()), (Kind.DELIVERY, a_delivery())]
DRAWN_UP_AT = datetime(2026, 12, 4, tzinfo=UTC)


def drawn_up(entries: list[Entry], *, terms: Terms | None = None) -> dict[str, Any]:
    """The November statement over one installation that recorded *entries*."""
    records = {an_installation_id(): some_records(entries)}
    return draw_up(terms or some_terms(), period=NOVEMBER, records_by_installation=records, drawn_up_at=DRAWN_UP_AT)


def exceptions(statement: dict[str, Any]) -> list[tuple[str, int]]:
    """Reasons and bytes of what saved nothing."""
    return [(entry["reason"], entry["delivered_bytes"]) for entry in statement["exceptions"]]


class TestWorkedExamples:
    def test_a_film_that_needs_a_fifth_fewer_bytes(self) -> None:
        statement = drawn_up(FILM)

        # 800 GB delivered at 800 kB against 1,000 kB of the baseline: it would have been 1,000 GB.
        assert statement["result"] == {
            "delivered_bytes": 800 * GB,
            "baseline_bytes": 1000 * GB,
            "saved_bytes": 200 * GB,
            "measured_bytes": 200 * GB,
            "lower_bytes": 200 * GB,
            "upper_bytes": 200 * GB,
            "haircut_bytes": 0,
        }
        # 0.05 EUR per GB: 50 EUR instead of 40; a fifth of the difference is ours.
        assert statement["valuation"]["baseline_cost"] == {"minor": 5000, "currency": "EUR"}
        assert statement["valuation"]["delivered_cost"] == {"minor": 4000, "currency": "EUR"}
        assert statement["share"] == {
            "rounding": "ROUND_HALF_EVEN",
            "exchange": None,
            "saved": {"minor": 1000, "currency": "EUR"},
            "parts": [
                {
                    "from_day": 1,
                    "days": 30,
                    "delivered_bytes": 800 * GB,
                    "saved_minor": 1000,
                    "slices": [{"percent": "20", "saved_minor": 1000, "minor": 200}],
                    "minor": 200,
                }
            ],
            "amount": {"minor": 200, "currency": "EUR"},
            "corrections": {"minor": 0, "currency": "EUR"},
            "due": {"minor": 200, "currency": "EUR"},
            "reason": None,
        }
        assert statement["exceptions"] == []

    def test_a_film_that_grew_counts_against_the_one_that_shrank(self) -> None:
        grown: list[Entry] = [
            (Kind.ENCODE, an_encode("noise", asset="noise")),
            (Kind.EVIDENCE, an_evidence("noise", asset="noise", ours=1_000_000, baseline=900_000)),
            (Kind.DELIVERY, a_delivery("noise", delivered=1000 * GB)),
        ]
        statement = drawn_up(FILM + grown)

        assert sorted(line["saved_bytes"] for line in statement["evidence"]["lines"]) == [-100 * GB, 200 * GB]
        assert statement["result"]["saved_bytes"] == 100 * GB
        assert statement["share"]["amount"]["minor"] == 100

    def test_more_lost_than_saved_gives_no_share_and_no_debt(self) -> None:
        statement = drawn_up([*FILM[:1], (Kind.EVIDENCE, an_evidence(ours=1_000_000, baseline=800_000)), *FILM[2:]])

        assert statement["valuation"]["saved"]["minor"] == -800
        assert statement["share"]["amount"]["minor"] == 0
        assert statement["share"]["reason"] == NoShare.NO_SAVINGS

    def test_saved_bytes_are_worth_what_their_own_tier_costs(self) -> None:
        # Up to 900 GB cost 0.10, what follows 0.01: of the 200 GB saved, half fell into the cheap tier.
        statement = drawn_up(FILM, terms=some_terms(tiers=((900, "0.10"), (None, "0.01"))))
        assert statement["valuation"]["saved"]["minor"] == 100 * 10 + 100 * 1

    def test_traffic_without_evidence_moves_the_savings_into_cheaper_tiers(self) -> None:
        terms = some_terms(tiers=((900, "0.10"), (None, "0.01")))
        statement = drawn_up([*FILM, (Kind.DELIVERY, a_delivery("someone else's", delivered=100 * GB))], terms=terms)
        assert statement["valuation"]["saved"]["minor"] == 200 * 1
        assert statement["delivered"] == {
            "bytes": 900 * GB,
            "counted_bytes": 800 * GB,
            "excepted_bytes": 100 * GB,
            "requests": 200_000,
            "deliveries": 2,
            "regions": [{"cdn": "", "region": "", "bytes": 900 * GB}],
        }

    @pytest.mark.parametrize(
        ("entries", "reason"),
        [
            ([], NoShare.NO_DELIVERIES),
            (FILM[:2], NoShare.NO_DELIVERIES),
            (FILM[2:], NoShare.NO_EVIDENCE),
            ([*FILM[:2], (Kind.DELIVERY, a_delivery(delivered=GB))], None),
            ([*FILM[:2], (Kind.DELIVERY, a_delivery(delivered=100))], NoShare.NO_SAVINGS),
        ],
    )
    def test_a_month_without_a_share_says_why(self, entries: list[Entry], reason: NoShare | None) -> None:
        share = drawn_up(entries, terms=some_terms(share_percent="100"))["share"]
        assert (share["reason"], share["amount"]["minor"] == 0) == (reason, reason is not None)

    def test_a_share_below_half_a_cent_says_so(self) -> None:
        share = drawn_up([*FILM[:2], (Kind.DELIVERY, a_delivery(delivered=GB))], terms=some_terms())["share"]
        assert (share["amount"]["minor"], share["reason"]) == (0, NoShare.BELOW_MINOR_UNIT)

    def test_more_than_canonical_json_can_write_is_refused(self) -> None:
        huge: list[Entry] = [(Kind.DELIVERY, a_delivery(str(n), delivered=2**52)) for n in range(3)]
        with pytest.raises(StatementImpossible, match="contract-1"):
            drawn_up(huge)

    def test_a_baseline_beyond_that_is_refused_as_well(self) -> None:
        ladder = an_evidence(ours=1, baseline=10**7)
        with pytest.raises(StatementImpossible, match="contract-1"):
            drawn_up([FILM[0], (Kind.EVIDENCE, ladder), FILM[2]])


class TestWhatCounts:
    @pytest.mark.parametrize(
        ("start", "counts"),
        [
            (datetime(2026, 11, 1, tzinfo=UTC), True),
            (datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), True),
            (datetime(2026, 12, 1, tzinfo=UTC), False),
            (datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=UTC), False),
        ],
    )
    def test_a_delivery_belongs_to_the_month_in_which_its_window_starts(self, start: datetime, counts: bool) -> None:
        statement = drawn_up([*FILM[:2], (Kind.DELIVERY, a_delivery(start=start))])
        assert statement["delivered"]["deliveries"] == int(counts)

    @pytest.mark.parametrize(
        ("entries", "reason"),
        [
            (FILM[1:], Exclusion.NO_ENCODE),
            ([(Kind.ENCODE, an_encode(development=True)), *FILM[1:]], Exclusion.DEVELOPMENT),
            ([(Kind.ENCODE, an_encode(asset="other")), *FILM], Exclusion.SEVERAL_ASSETS),
            ([FILM[0], FILM[2]], Exclusion.NO_EVIDENCE),
            ([FILM[0], (Kind.EVIDENCE, an_evidence(asset="other")), FILM[2]], Exclusion.NO_EVIDENCE),
            ([FILM[0], (Kind.EVIDENCE, an_evidence(baseline_id="libx264-medium")), FILM[2]], Exclusion.NO_EVIDENCE),
            ([FILM[0], (Kind.EVIDENCE, an_evidence(metric="psnr")), FILM[2]], Exclusion.NO_EVIDENCE),
            ([FILM[0], (Kind.EVIDENCE, an_evidence(status="quality_above_ladder")), FILM[2]], "quality_above_ladder"),
            (
                [FILM[0], (Kind.EVIDENCE, {**an_evidence(), "baseline_bytes": 2_000_000}), FILM[2]],
                Exclusion.INCONSISTENT_EVIDENCE,
            ),
        ],
    )
    def test_what_cannot_be_proved_saves_nothing_and_is_listed(self, entries: list[Entry], reason: str) -> None:
        statement = drawn_up(entries)

        assert exceptions(statement) == [(reason, 800 * GB)]
        assert statement["result"]["saved_bytes"] == 0
        assert statement["result"]["baseline_bytes"] == 800 * GB
        assert statement["share"]["reason"] == NoShare.NO_EVIDENCE

    @pytest.mark.parametrize(
        ("at_equal_psnr", "counts"), [(None, False), (1_000_000, True), (909_100, True), (900_000, False)]
    )
    def test_a_metric_that_psnr_contradicts_saves_nothing(self, at_equal_psnr: int | None, counts: bool) -> None:
        terms = replace(some_terms(), psnr_tolerance_percent=10)
        psnr: list[Entry] = (
            [(Kind.EVIDENCE, an_evidence(baseline=at_equal_psnr, metric="psnr"))] if at_equal_psnr else []
        )
        statement = drawn_up([*FILM, *psnr], terms=terms)
        assert exceptions(statement) == ([] if counts else [(Exclusion.METRICS_DISAGREE, 800 * GB)])

    def test_an_encode_under_a_paid_license_counts_beside_one_for_development(self) -> None:
        statement = drawn_up([(Kind.ENCODE, an_encode(development=True)), *FILM])
        assert statement["result"]["saved_bytes"] == 200 * GB

    def test_the_latest_evidence_holds_even_if_it_proves_less(self) -> None:
        weaker: list[Entry] = [(Kind.EVIDENCE, an_evidence(baseline=900_000))]
        none: list[Entry] = [(Kind.EVIDENCE, an_evidence(status="not_monotone"))]

        assert drawn_up([*FILM, *weaker])["result"]["saved_bytes"] == 100 * GB
        assert drawn_up([*weaker, *FILM])["result"]["saved_bytes"] == 200 * GB
        assert exceptions(drawn_up([*FILM, *none])) == [("not_monotone", 800 * GB)]

    def test_the_same_import_twice_counts_once(self) -> None:
        statement = drawn_up([*FILM, FILM[2]])

        assert exceptions(statement) == [(Exclusion.DUPLICATE_DELIVERY, 800 * GB)]
        assert statement["delivered"]["bytes"] == 800 * GB
        assert statement["result"]["saved_bytes"] == 200 * GB

    def test_deliveries_without_a_digest_are_never_taken_for_the_same(self) -> None:
        played: Entry = (Kind.DELIVERY, a_delivery(source_digest=""))
        assert drawn_up([*FILM[:2], played, played])["delivered"]["bytes"] == 1600 * GB

    def test_a_payload_that_cannot_be_read_is_listed_with_its_member(self) -> None:
        statement = drawn_up([*FILM, (Kind.DELIVERY, {**a_delivery(), "bytes": "many"})])

        (entry,) = statement["exceptions"]
        assert (entry["reason"], entry["member"]) == (Exclusion.UNREADABLE_PAYLOAD, "delivery.bytes")
        assert entry["first_record"] == {"installation_id": an_installation_id(), "seq": 4}
        assert statement["result"]["saved_bytes"] == 200 * GB

    def test_a_delivery_may_be_recorded_by_another_installation_than_the_encode(self) -> None:
        encoder, importer = an_installation_id("encoder"), an_installation_id("importer")
        statement = draw_up(
            some_terms(),
            period=NOVEMBER,
            records_by_installation={
                importer: some_records(FILM[2:], installation_id=importer),
                encoder: some_records(FILM[:2], installation_id=encoder),
            },
            drawn_up_at=DRAWN_UP_AT,
        )
        assert statement["result"]["saved_bytes"] == 200 * GB
        assert statement["completeness"] == {"installations": 2, "records": 3, "declared_gaps": []}

    def test_declared_gaps_of_the_month_are_shown(self) -> None:
        statement = drawn_up([*FILM, (Kind.GAP, {"reason": "disk full"})])
        assert statement["completeness"]["declared_gaps"] == [{"installation_id": an_installation_id(), "seq": 4}]


class TestProofs:
    def test_an_altered_record_gives_no_statement(self) -> None:
        records = some_records(FILM)
        records[1] = replace(records[1], payload=an_evidence(baseline=2_000_000))
        with pytest.raises(ChainBroken, match=f"record 2: .*{an_installation_id()}"):
            draw_up(
                some_terms(),
                period=NOVEMBER,
                records_by_installation={an_installation_id(): records},
                drawn_up_at=DRAWN_UP_AT,
            )

    def test_one_installations_records_are_not_anothers(self) -> None:
        with pytest.raises(ChainBroken, match="record 1"):
            draw_up(
                some_terms(),
                period=NOVEMBER,
                records_by_installation={an_installation_id("another"): some_records(FILM)},
                drawn_up_at=DRAWN_UP_AT,
            )

    def test_the_hash_covers_every_value(self) -> None:
        statement = drawn_up(FILM)
        other = drawn_up(FILM, terms=some_terms(share_percent="20.000001"))
        assert statement_hash(statement) == statement_hash(drawn_up(FILM))
        assert statement_hash(statement) != statement_hash(other)

    @given(st.randoms(use_true_random=False))
    def test_the_order_of_the_installations_does_not_matter(self, rng: random.Random) -> None:
        names = [an_installation_id(str(n)) for n in range(4)]
        records = {
            name: some_records(
                [*FILM[:2], (Kind.DELIVERY, a_delivery(delivered=(n + 1) * GB))],
                installation_id=name,
                time=NOW + timedelta(hours=n),
            )
            for n, name in enumerate(names)
        }
        shuffled = rng.sample(names, len(names))
        statements = [
            draw_up(
                some_terms(),
                period=NOVEMBER,
                records_by_installation={name: records[name] for name in order},
                drawn_up_at=DRAWN_UP_AT,
            )
            for order in (names, shuffled)
        ]
        assert statement_hash(statements[0]) == statement_hash(statements[1])


def naive_share(terms: Terms, percent: Decimal, films: list[tuple[int, int, int]]) -> int:
    """The share in minor units from (delivered, ours, baseline), as one would write it on paper."""

    def price(total: int) -> int:
        paid, floor = Fraction(0), 0
        for tier in terms.tariff.tiers:
            top = total if tier.up_to_bytes is None else min(total, tier.up_to_bytes)
            paid += Fraction(max(0, top - floor), GB) * Fraction(tier.price_per_gb)
            floor = max(floor, top)
        return round(paid * 100)

    delivered = sum(film[0] for film in films)
    baseline = sum(film[0] * film[2] // film[1] for film in films)
    saved = price(baseline) - price(delivered)
    return max(0, round(saved * Fraction(percent) / 100))


@given(
    films=st.lists(
        st.tuples(st.integers(0, 10**14), st.integers(10**6, 10**7), st.integers(10**3, 10**7)), min_size=1, max_size=6
    ),
    share=st.decimals(min_value=0, max_value=100, places=2),
)
def test_any_month_gives_what_the_naive_reckoning_gives(films: list[tuple[int, int, int]], share: Decimal) -> None:
    terms = some_terms(tiers=((10_000, "0.085"), (150_000, "0.06"), (None, "0.0251")), share_percent=str(share))
    entries: list[Entry] = []
    for n, (delivered, ours, baseline) in enumerate(films):
        entries.append((Kind.ENCODE, an_encode(str(n), asset=str(n))))
        entries.append((Kind.EVIDENCE, an_evidence(str(n), asset=str(n), ours=ours, baseline=baseline)))
        entries.append((Kind.DELIVERY, a_delivery(str(n), delivered=delivered)))

    statement = drawn_up(entries, terms=terms)

    assert statement["exceptions"] == []
    assert {line["rendition"] for line in statement["evidence"]["lines"]} == {an_id(str(n)) for n in range(len(films))}
    assert statement["share"]["amount"]["minor"] == naive_share(terms, share, films)
