"""Logs beside the bill: what agrees, what is scaled down, and what holds everything up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from narrows_metering.importers.delivery_log import DeliveryTotal
from narrows_metering.importers.reconciliation import Agreement, reconcile, scale

DAY = datetime(2026, 11, 10, tzinfo=UTC)
CELL = ("eu", date(2026, 11, 10))


def a_total(size: int) -> DeliveryTotal:
    """One delivery in the region and on the day of CELL."""
    return DeliveryTotal(
        rendition="a1", window_start=DAY, window_end=DAY + timedelta(days=1), bytes=size, requests=1,
        source="cloudfront", source_digest="d", region="eu",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("logged", "agreement", "counted"),
    [
        (1_000, Agreement.AGREES, 1_000),
        (1_010, Agreement.AGREES, 1_010),
        (990, Agreement.AGREES, 990),
        (1_011, Agreement.SCALED, 1_000),
        (1_050, Agreement.SCALED, 1_000),
        (950, Agreement.SCALED, 950),
        (1_051, Agreement.HELD, 0),
        (949, Agreement.HELD, 0),
        (0, Agreement.HELD, 0),
    ],
)
def test_up_to_one_percent_agrees_up_to_five_is_scaled_down_and_more_is_held(
    logged: int, agreement: Agreement, counted: int
) -> None:
    (cell,) = reconcile({CELL: logged}, {CELL: 1_000})
    assert (cell.agreement, cell.counted_bytes) == (agreement, counted)


def test_traffic_that_nobody_billed_is_held() -> None:
    (cell,) = reconcile({CELL: 5}, {})
    assert cell.agreement is Agreement.HELD


def test_deliveries_are_scaled_down_to_the_bill() -> None:
    cells = reconcile({CELL: 1_040}, {CELL: 1_000})
    assert [total.bytes for total in scale([a_total(520), a_total(3)], cells)] == [500, 2]


def test_deliveries_of_a_held_day_cannot_be_scaled() -> None:
    with pytest.raises(ValueError, match="eu on 2026-11-10 is held"):
        scale([a_total(1)], reconcile({CELL: 1}, {CELL: 1_000}))
