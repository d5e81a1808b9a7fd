"""What rating is asked about: the terms that hold for a part of a month, and what was saved in it."""

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
    days: int
    days_in_month: int
    delivered_bytes: int
    saved_minor: int  # Negative where we lost.

    @property
    def months(self) -> Fraction:
        """How much of a month this is."""
        return Fraction(self.days, self.days_in_month)
