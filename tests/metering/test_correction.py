"""Corrections of earlier months: late deliveries and new evidence, found from the records alone."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from narrows_metering.correction import correct
from narrows_metering.evidence import write_evidence
from narrows_metering.recompute import recompute
from narrows_metering.record import Kind, Record
from narrows_metering.statement import draw_up, statement_hash
from narrows_metering.terms import Period
from narrows_metering.testing import (
    GB,
    NOVEMBER,
    a_delivery,
    an_encode,
    an_evidence,
    an_installation_id,
    some_records,
    some_terms,
)

INSTALLATION = an_installation_id()
DECEMBER = Period(year=2026, month=12)
RECORDS = some_records(
    [
        (Kind.ENCODE, an_encode()),
        (Kind.EVIDENCE, an_evidence()),
        (Kind.DELIVERY, a_delivery(delivered=800 * GB)),
        # Here November was closed.
        (Kind.DELIVERY, a_delivery(delivered=400 * GB)),
        (Kind.DELIVERY, a_delivery(delivered=80 * GB, start=datetime(2026, 12, 2, tzinfo=UTC))),
    ]
)


def a_statement(period: Period, records: list[Record], corrections: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """The statement of *period* over *records*."""
    return draw_up(
        some_terms(),
        period=period,
        records_by_installation={INSTALLATION: records},
        drawn_up_at=datetime(2027, 1, 4, tzinfo=UTC),
        corrections=corrections,
    )


def a_correction(accounted: int, records: list[Record]) -> dict[str, Any] | None:
    """November's, accounted for up to the record *accounted*."""
    return correct(
        some_terms(),
        NOVEMBER,
        statement_hash=statement_hash(a_statement(NOVEMBER, RECORDS[:3])),
        accounted={INSTALLATION: accounted},
        records=lambda: {INSTALLATION: records},
    )


def test_a_delivery_reported_after_the_close_becomes_a_correction_of_its_month() -> None:
    correction = a_correction(3, RECORDS)

    assert correction is not None
    assert (correction["month"], correction["reason"]) == ("2026-11", "late_deliveries")
    # 400 GB more save 100 GB more: 5 EUR, a fifth of which is ours.
    assert correction["found"]["saved_bytes"] - correction["stated"]["saved_bytes"] == 100 * GB
    assert correction["share"] == {"minor": 100, "currency": "EUR"}


def test_evidence_that_proves_less_gives_something_back() -> None:
    weaker = Record.seal(6, RECORDS[4].hash, RECORDS[4].time, Kind.EVIDENCE, an_evidence(baseline=900_000))
    correction = a_correction(4, [*RECORDS, weaker])

    assert correction is not None
    assert (correction["reason"], correction["share"]["minor"]) == ("other_evidence", -150)


def test_a_month_in_which_nothing_changed_needs_no_correction() -> None:
    assert a_correction(4, RECORDS) is None


def test_what_is_due_is_the_month_and_its_corrections_and_can_be_recomputed(tmp_path: Path) -> None:
    correction = a_correction(3, RECORDS)
    assert correction is not None
    statement = a_statement(DECEMBER, RECORDS, (correction,))
    write_evidence(tmp_path, INSTALLATION, RECORDS)

    assert [statement["share"][name]["minor"] for name in ("amount", "corrections", "due")] == [20, 100, 120]
    assert recompute(statement, tmp_path).difference is None

    correction["share"] = {"minor": 101, "currency": "EUR"}
    difference = recompute(a_statement(DECEMBER, RECORDS, (correction,)), tmp_path).difference
    assert difference is not None
    assert difference.pointer == "/share/corrections/minor"
