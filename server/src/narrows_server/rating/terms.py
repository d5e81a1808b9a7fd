"""What rating is asked about: prices, what was saved under them, and what the contract's year has come to so far."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from narrows_metering.share import ShareTiers


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingTerms:
    """One version's prices, in minor units of the contract's currency, for whole months and whole years."""

    tiers: ShareTiers
    floor_minor: int = 0  # A month with deliveries comes to at least this.
    minimum_month_minor: int = 0  # A month comes to at least this, deliveries or not.
    minimum_year_minor: int = 0
    cap_month_minor: int | None = None
    cap_year_minor: int | None = None
    is_trued_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The days of one month for which the same terms hold."""

    terms: RatingTerms
    from_day: int
    days: int
    days_in_month: int
    delivered_bytes: int
    saved_minor: int  # Negative where we lost.

    @property
    def months(self) -> Fraction:
        """How much of a month this is."""
        return Fraction(self.days, self.days_in_month)

    @property
    def floor_minor(self) -> int:
        """The floor of these days; none without deliveries. Rounded half to even."""
        return round(self.terms.floor_minor * self.months) if self.delivered_bytes else 0

    @property
    def minimum_minor(self) -> int:
        """The minimum of these days, rounded half to even."""
        return round(self.terms.minimum_month_minor * self.months)

    @property
    def cap_minor(self) -> int | None:
        """The cap of these days, rounded half to even."""
        cap = self.terms.cap_month_minor
        return None if cap is None else round(cap * self.months)


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """The contract's year up to the month that is rated."""

    label: str  # "2026-11/2027-10"
    months: Fraction  # Of the whole year, counting days: 12 unless the contract begins or ends within it.
    is_over: bool  # Whether the month that is rated is its last.
    charged_minor: int = 0  # For its earlier months, corrections included and credit not taken off.
    parts: tuple[Part, ...] = ()  # Its earlier months, as they are known now; for a true-up.


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """An earlier month, as it is known now."""

    period: str
    parts: tuple[Part, ...]
    charged_minor: int  # What it came to so far.
    reason: str  # For the reader: "late deliveries".
    is_of_this_year: bool
    headroom_minor: int | None = None  # What the cap of an earlier year leaves; None without a cap.
