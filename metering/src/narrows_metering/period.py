"""The month of a statement, in the time zone of its contract."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from narrows_metering.document import read_count, read_text

_MONTH: Final = re.compile(r"[0-9]{4}-[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """
    One calendar month in a time zone, or the days of it in which a contract holds. Half-open, midnight to midnight.

    Where the clock jumps over midnight the day begins with the jump; where midnight comes twice, with the first.
    """

    year: int
    month: int  # 1 to 12.
    time_zone: str = "UTC"  # IANA: "Europe/Stockholm".
    first_day: int = 1
    last_day: int = 0  # The month's last if 0.
    start: datetime = field(init=False, compare=False, repr=False)  # The first moment, in UTC.
    end: datetime = field(init=False, compare=False, repr=False)  # The first moment afterwards, in UTC.

    def __post_init__(self) -> None:
        if not 2000 <= self.year <= 9998 or not 1 <= self.month <= 12:
            raise ValueError("not a month between 2000-01 and 9998-12")
        if not self.last_day:
            object.__setattr__(self, "last_day", self.days_in_month)
        if not 1 <= self.first_day <= self.last_day <= self.days_in_month:
            raise ValueError(f"first_day and last_day: not days of {self} in their order")
        object.__setattr__(self, "start", self.begin(self.first_day))
        object.__setattr__(self, "end", self.begin(self.last_day + 1))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read `2026-11`: all of that month in UTC. Raises ValueError."""
        if not _MONTH.fullmatch(text):
            raise ValueError(f"{text[:16]!r} is not a month of the form 2026-11")
        return cls(year=int(text[:4]), month=int(text[5:]))

    @classmethod
    def from_dict(cls, members: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s result among other *members*. Raises KeyError and ValueError."""
        month = cls.from_text(read_text(members, "month"))
        days = read_count(members, "first_day"), read_count(members, "last_day")
        zone = read_text(members, "time_zone")
        return cls(year=month.year, month=month.month, time_zone=zone, first_day=days[0], last_day=days[1])

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a statement."""
        days = {"first_day": self.first_day, "last_day": self.last_day}
        return {"month": str(self), "time_zone": self.time_zone, **days}

    @property
    def days_in_month(self) -> int:
        """28 to 31."""
        return monthrange(self.year, self.month)[1]

    @property
    def days(self) -> int:
        """How many days this period has."""
        return self.last_day - self.first_day + 1

    def begin(self, day: int) -> datetime:
        """The first moment of a day of this month in its time zone, in UTC; the day after the last is allowed."""
        midnight = datetime(self.year, self.month, 1, tzinfo=zone(self.time_zone)) + timedelta(days=day - 1)
        return midnight.astimezone(UTC)

    def months_since(self, earlier: Period) -> int:
        """How many months lie between, 0 for the same."""
        return 12 * (self.year - earlier.year) + self.month - earlier.month

    def __contains__(self, time: datetime) -> bool:
        return self.start <= time < self.end

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def zone(name: str) -> ZoneInfo:
    """The time zone of this IANA name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"time_zone: {name[:64]!r} is not known") from None
