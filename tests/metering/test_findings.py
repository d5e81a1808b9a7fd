"""What each method finds in the records: benches, holdouts, segments, ladders; all of it recomputes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from narrows_metering.baseline_spec import Rung, known_baselines
from narrows_metering.bench import Stipulation
from narrows_metering.correction import correct
from narrows_metering.estimator import Method
from narrows_metering.evidence import write_evidence
from narrows_metering.payload import BASELINE_ARM
from narrows_metering.recompute import recompute
from narrows_metering.record import Kind
from narrows_metering.segments import draw_segments, segment_seed
from narrows_metering.statement import draw_up
from narrows_metering.terms import Period, Terms
from narrows_metering.testing import (
    GB,
    NOVEMBER,
    a_bench,
    a_delivery,
    an_encode,
    an_evidence,
    an_id,
    an_installation_id,
    some_records,
    some_terms,
)

Entry = tuple[Kind, Mapping[str, object]]
INSTALLATION = an_installation_id()
BENCH = a_bench({"film": (800, 1_000), "noise": (1_000, 900)})
M1 = replace(some_terms(), method=Method.STIPULATED, stipulation=Stipulation(bench=BENCH, first_month=NOVEMBER))
M4 = replace(some_terms(), method=Method.HOLDOUT, holdout_percent=5)


def a_statement(terms: Terms, entries: Sequence[Entry], *, period: Period = NOVEMBER) -> dict[str, Any]:
    """The statement over one installation."""
    return draw_up(
        terms,
        period=period,
        records_by_installation={INSTALLATION: some_records(entries)},
        drawn_up_at=datetime(2026, 12, 4, tzinfo=UTC),
    )


def reasons(statement: Mapping[str, Any]) -> list[str]:
    return [entry["reason"] for entry in statement["exceptions"]]


def assert_recomputes(folder: Path, statement: dict[str, Any], entries: Sequence[Entry]) -> None:
    write_evidence(folder, INSTALLATION, some_records(entries))
    assert recompute(statement, folder).difference is None


class TestStipulated:
    FILMS: tuple[Entry, ...] = (
        (Kind.ENCODE, an_encode("film", content_class="film")),
        (Kind.ENCODE, an_encode("noise", asset="noise", content_class="noise")),
        (Kind.ENCODE, an_encode("news", asset="news", content_class="news")),
        (Kind.DELIVERY, a_delivery("film", delivered=800 * GB)),
        (Kind.DELIVERY, a_delivery("noise", delivered=100 * GB)),
        (Kind.DELIVERY, a_delivery("news", delivered=50 * GB)),
    )

    def test_four_fifths_of_what_the_bench_says_are_billed(self, tmp_path: Path) -> None:
        statement = a_statement(M1, self.FILMS)
        # A quarter of 800 GB, less a tenth of 100 GB: 190 GB, of which 152 are billed.
        assert statement["result"]["measured_bytes"] == 190 * GB
        assert statement["result"]["saved_bytes"] == 152 * GB
        assert [one["saved_ppm"] for one in statement["evidence"]["stipulation"]["classes"]] == [250_000, -100_000]
        assert statement["evidence"]["stipulation"]["signed_by"] == BENCH.signed_by
        assert reasons(statement) == ["not_on_the_bench"]
        assert_recomputes(tmp_path, statement, self.FILMS)

    def test_a_bench_may_speak_of_all_other_content(self) -> None:
        bench = a_bench({"film": (800, 1_000), "*": (950, 1_000)})
        terms = replace(M1, stipulation=Stipulation(bench=bench, first_month=NOVEMBER))
        assert reasons(a_statement(terms, self.FILMS)) == []

    @pytest.mark.parametrize(("month", "share"), [(10, False), (11, True), (12, True), (1, True), (2, False)])
    def test_it_holds_for_three_months_and_saves_nothing_before_and_after(self, month: int, share: bool) -> None:
        period = Period(year=2026 if month > 9 else 2027, month=month)
        entries = [*self.FILMS[:3], (Kind.DELIVERY, a_delivery("film", start=period.start))]
        statement = a_statement(M1, entries, period=period)
        assert (statement["share"]["amount"]["minor"] > 0) is share
        assert reasons(statement) == ([] if share else ["stipulation_ended"])

    def test_its_bench_must_compare_with_the_contracts_baseline(self) -> None:
        with pytest.raises(ValueError, match="stipulation"):
            replace(M1, metric="psnr")
        with pytest.raises(ValueError, match="stipulation"):
            replace(some_terms(), method=Method.STIPULATED)
        assert Terms.from_dict(M1.to_dict()) == M1


class TestHoldout:
    def entries(self, *, percent: int = 5, days: int = 20) -> list[Entry]:
        """Ours takes 800 bytes a millisecond, the baseline's ladder 1,000, a little more on some days."""
        found: list[Entry] = [(Kind.ENCODE, an_encode("film"))]
        for day in range(days):
            start = datetime(2026, 11, 1 + day, tzinfo=UTC)
            played = 10**9 * percent // 100
            ours = a_delivery("film", delivered=800 * (10**9 - played), played_ms=10**9 - played, start=start)
            held = a_delivery(
                "film", delivered=(1_000 + day % 3) * played, played_ms=played, start=start, arm=BASELINE_ARM
            )
            found += [(Kind.DELIVERY, ours), (Kind.DELIVERY, held)]
        return found

    def test_bytes_of_a_played_second_are_compared_between_the_ladders(self, tmp_path: Path) -> None:
        entries = self.entries()
        statement = a_statement(M4, entries)
        holdout = statement["evidence"]["holdout"]
        assert (holdout["played_ppm"], holdout["groups"], holdout["compared"]) == (50_000, 20, True)
        ours = 800 * 950_000_000 * 20
        assert statement["result"]["measured_bytes"] == pytest.approx(ours * 0.2512, rel=0.001)
        assert 0 < statement["result"]["saved_bytes"] < statement["result"]["measured_bytes"]
        # Both ladders are traffic, but only ours saves.
        assert statement["delivered"]["bytes"] > statement["delivered"]["counted_bytes"] == ours
        assert_recomputes(tmp_path, statement, entries)

    def test_a_share_far_from_the_agreed_one_compares_nothing(self) -> None:
        statement = a_statement(M4, self.entries(percent=1))
        assert statement["evidence"]["holdout"]["compared"] is False
        assert (statement["result"]["saved_bytes"], statement["share"]["reason"]) == (0, "no_evidence")

    def test_a_single_group_compares_nothing(self) -> None:
        statement = a_statement(M4, self.entries(days=1))
        assert statement["evidence"]["holdout"]["compared"] is False
        assert statement["result"]["saved_bytes"] == 0

    def test_what_nobody_says_the_played_time_of_saves_nothing(self) -> None:
        entries = [*self.entries(), (Kind.ENCODE, an_encode("talk", asset="talk")), (Kind.DELIVERY, a_delivery("talk"))]
        assert reasons(a_statement(M4, entries)) == ["no_played_time"]

    def test_elsewhere_sessions_with_the_baselines_ladder_are_only_traffic(self) -> None:
        statement = a_statement(some_terms(), self.entries(days=1))
        assert reasons(statement) == ["no_evidence", "held_out"]
        assert statement["result"]["saved_bytes"] == 0

    def test_the_share_held_out_is_one_to_five_percent(self) -> None:
        for percent in (0, 6):
            with pytest.raises(ValueError, match="holdout_percent"):
                replace(M4, holdout_percent=percent)
        assert Terms.from_dict(M4.to_dict()) == M4


class TestSegments:
    TERMS = replace(some_terms(), segment_count=4)

    def entries(self, *, index_shift: int = 0, seed: bytes | None = None, late: bool = False) -> list[Entry]:
        """A long film of 40 segments, 4 of which were measured after its month's deliveries."""
        before: list[Entry] = [(Kind.ENCODE, an_encode()), (Kind.DELIVERY, a_delivery())]
        head = some_records(before)[-1].hash
        contract = self.TERMS.measuring_hash()
        seed = seed or segment_seed(contract_hash=contract, period="2026-11", delivery_head=head)
        drawn = draw_segments(seed, an_id("film-1080"), count=40, wanted=4)
        part = {"bytes": 20_000, "baseline_bytes": 25_000}
        segments = {
            "period": "2026-11",
            "seed": seed.hex(),
            "count": 40,
            "parts": [{"index": (index + index_shift) % 40, **part} for index in drawn],
        }
        evidence = {**an_evidence(ours=80_000, baseline=100_000), "segments": segments}
        after = [(Kind.DELIVERY, a_delivery(delivered=GB, source_digest="late"))] if late else []
        return [*before, (Kind.EVIDENCE, evidence), *after]

    def test_a_part_stands_for_the_whole_and_the_statement_says_which(self, tmp_path: Path) -> None:
        statement = a_statement(self.TERMS, self.entries())
        (line,) = statement["evidence"]["lines"]
        assert (line["segments"]["measured"], line["segments"]["count"]) == (4, 40)
        assert line["saved_bytes"] == 200 * GB
        assert_recomputes(tmp_path, statement, self.entries())

    def test_a_late_delivery_does_not_take_the_evidence_away(self) -> None:
        assert reasons(a_statement(self.TERMS, self.entries(late=True))) == []

    def test_segments_that_nobody_drew_save_nothing(self) -> None:
        assert reasons(a_statement(self.TERMS, self.entries(index_shift=1))) == ["other_segments"]
        assert reasons(a_statement(self.TERMS, self.entries(seed=b"1" * 32))) == ["other_segments"]

    def test_a_contract_that_wants_the_whole_takes_no_part(self) -> None:
        assert reasons(a_statement(some_terms(), self.entries())) == ["other_segments"]


class TestLadder:
    SPEC = replace(known_baselines()["libx265-medium"], ladder=(Rung(height=1080, kbps=720),))

    def a_film(self, spec_sha256: str) -> list[Entry]:
        evidence = {**an_evidence(), "baseline_sha256": spec_sha256}
        return [(Kind.ENCODE, an_encode()), (Kind.EVIDENCE, evidence), (Kind.DELIVERY, a_delivery())]

    def test_no_credit_for_quality_that_nobody_would_have_bought(self, tmp_path: Path) -> None:
        terms, entries = replace(some_terms(), baseline=self.SPEC), self.a_film(self.SPEC.digest())
        statement = a_statement(terms, entries)
        # 720 kbit/s for ten seconds are 900,000 bytes, though equal quality needs 1,000,000.
        (line,) = statement["evidence"]["lines"]
        assert (line["bytes"], line["baseline_bytes"], line["ladder_bytes"]) == (800_000, 900_000, 900_000)
        assert statement["baseline"]["spec_sha256"] == self.SPEC.digest()
        assert_recomputes(tmp_path, statement, entries)

    def test_evidence_with_other_settings_is_not_the_contracts(self) -> None:
        terms = replace(some_terms(), baseline=self.SPEC)
        other = replace(self.SPEC, preset="slow").digest()
        assert reasons(a_statement(terms, self.a_film(other))) == ["other_baseline"]

    def test_a_contract_and_its_baseline_say_the_same(self) -> None:
        with pytest.raises(ValueError, match="metric"):
            replace(some_terms(), baseline=self.SPEC, metric="psnr")
        with pytest.raises(ValueError, match="psnr_tolerance_percent"):
            replace(some_terms(), baseline=self.SPEC, psnr_tolerance_percent=5)


def test_a_late_delivery_is_corrected_with_the_draw_of_then() -> None:
    terms = replace(some_terms(), method=Method.SAMPLED, sample_count=8)
    entries: list[Entry] = []
    for n in range(40):
        entries += [
            (Kind.ENCODE, an_encode(f"film-{n}", asset=f"film-{n}")),
            (Kind.DELIVERY, a_delivery(f"film-{n}", delivered=(100 + n) * GB)),
        ]
    drawn = a_statement(terms, entries)["evidence"]["sample"]
    chosen = {*drawn["certainty"], *(name for stratum in drawn["strata"] for name in stratum["drawn"])}
    entries += [
        (Kind.EVIDENCE, an_evidence(f"film-{n}", asset=f"film-{n}")) for n in range(40) if an_id(f"film-{n}") in chosen
    ]
    accounted = len(entries)
    late = a_delivery("film-1", delivered=GB, start=datetime(2026, 11, 10, tzinfo=UTC) + timedelta(days=1))
    records = some_records([*entries, (Kind.DELIVERY, late)])
    correction = correct(
        terms,
        NOVEMBER,
        statement_hash="0" * 64,
        accounted={INSTALLATION: accounted},
        records=lambda: {INSTALLATION: records},
    )
    # A new draw would ask for evidence that nobody has, and take the month's savings away for one gigabyte.
    assert correction is None or abs(correction["share"]["minor"]) < 10
