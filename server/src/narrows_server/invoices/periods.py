"""The days that a line's period stands for: a month, a year, or the months of a contract's year."""

from __future__ import annotations

import calendar
from datetime import date


def period_days(period: str) -> tuple[date, date] | None:
    """First and last day of "2026-11", "2026" or "2026-11/2027-10"; None for anything else."""
    first, _, last = period.partition("/")
    try:
        return _bounds(first)[0], _bounds(last or first)[1]
    except ValueError:
        return None


def _bounds(period: str) -> tuple[date, date]:
    year, _, month = period.partition("-")
    if not month:
        return date(int(year), 1, 1), date(int(year), 12, 31)
    last_day = calendar.monthrange(int(year), int(month))[1]
    return date(int(year), int(month), 1), date(int(year), int(month), last_day)
