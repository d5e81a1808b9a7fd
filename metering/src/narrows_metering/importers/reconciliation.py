"""
What the logs say beside what the CDN bills, per region and day.

The bill is the authority: logs are best effort. Up to 1 % apart the logs hold; up to 5 % apart the smaller of both
does, and it is printed; beyond that nobody knows what was delivered, and nothing may be billed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

from narrows_metering.importers.delivery_log import DeliveryTotal

AGREES_PERCENT_MAX: Final = 1
SCALED_PERCENT_MAX: Final = 5

Cell = tuple[str, date]
"""A region and a UTC day."""


class Agreement(StrEnum):
    """How far logs and bill are apart."""

    AGREES = "agrees"
    SCALED = "scaled"
    HELD = "held"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """One region and day. *counted_bytes* is what may be counted."""

    region: str
    day: date
    logged_bytes: int  # All of the CDN's traffic in the logs, ours or not.
    billed_bytes: int
    counted_bytes: int
    agreement: Agreement


def reconcile(logged: Mapping[Cell, int], billed: Mapping[Cell, int]) -> tuple[Reconciled, ...]:
    """Compare cell by cell; one that either side lacks has 0 bytes there."""
    return tuple(_compare(cell, logged.get(cell, 0), billed.get(cell, 0)) for cell in sorted({*logged, *billed}))


def scale(totals: Sequence[DeliveryTotal], cells: Sequence[Reconciled]) -> list[DeliveryTotal]:
    """*totals* where every cell that exceeds its bill is scaled down to it; rounded down. No cell may be held."""
    by_cell = {(cell.region, cell.day): cell for cell in cells}
    scaled = []
    for total in totals:
        cell = by_cell[total.region, total.window_start.date()]
        if cell.agreement is Agreement.HELD:
            raise ValueError(f"{cell.region} on {cell.day} is held")
        if cell.counted_bytes < cell.logged_bytes:
            total = replace(total, bytes=total.bytes * cell.counted_bytes // cell.logged_bytes)
        scaled.append(total)
    return scaled


def _compare(cell: Cell, logged: int, billed: int) -> Reconciled:
    region, day = cell
    apart = 100 * abs(logged - billed)
    if apart <= AGREES_PERCENT_MAX * billed:
        agreement, counted = Agreement.AGREES, logged
    elif apart <= SCALED_PERCENT_MAX * billed:
        agreement, counted = Agreement.SCALED, min(logged, billed)
    else:
        agreement, counted = Agreement.HELD, 0
    return Reconciled(
        region=region, day=day, logged_bytes=logged, billed_bytes=billed, counted_bytes=counted, agreement=agreement
    )
