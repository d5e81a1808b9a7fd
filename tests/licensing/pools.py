"""A pool kept in memory, as the simplest of those that keep one: for properties and simulations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from narrows_licensing.license import LeaseTerms
from narrows_licensing.pool import Full, PoolTerms, Seat, Taken, TooLong, give_back, take
from narrows_licensing.testing import NOW


def some_terms(
    seats: int = 50,
    *,
    permitted: int | None = None,
    revive: timedelta = timedelta(0),
    borrow_max: timedelta = timedelta(0),
    heartbeat: timedelta = timedelta(seconds=600),
    ends_at: datetime = NOW + timedelta(days=365),
) -> PoolTerms:
    """So many *seats*, and no overage unless *permitted* is more."""
    return PoolTerms(
        agreed=seats,
        permitted=seats if permitted is None else permitted,
        lease=LeaseTerms(heartbeat=heartbeat, revive=revive, borrow_max=borrow_max),
        ends_at=ends_at,
    )


@dataclass(slots=True)
class MemoryPool:
    """Seats by holder. It forgets those that nobody can revive, as the others do."""

    terms: PoolTerms
    seats: dict[str, Seat] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def take(self, holder: str, at: datetime, *, borrow: timedelta = timedelta(0)) -> Taken | Full | TooLong:
        self.seats = {name: seat for name, seat in self.seats.items() if seat.is_revivable(self.terms.lease, at)}
        others = sum(seat.is_occupied(at) for name, seat in self.seats.items() if name != holder)
        taken = take(
            self.seats.get(holder),
            others,
            self.terms,
            holder=holder,
            lease_id=f"lea_{next(self._numbers)}",
            at=at,
            borrow=borrow,
        )
        if isinstance(taken, Taken):
            self.seats[holder] = taken.seat
        return taken

    def give_back(self, holder: str, lease_id: str) -> bool:
        if not give_back(self.seats.get(holder), lease_id=lease_id):
            return False
        del self.seats[holder]
        return True

    def occupied(self, at: datetime) -> int:
        return sum(seat.is_occupied(at) for seat in self.seats.values())
