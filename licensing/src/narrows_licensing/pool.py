"""
A pool: the seats of one floating license, and who may have one now.

Pure: seats go in, a decision comes out. Whoever keeps the seats (`narrows-server`, `narrows-relay`) locks the pool
while it reads, decides and writes; that is all that "never more than agreed" needs. What is handed out is `lease`.

A seat is the holder's until it is given back, or until its lease has ended and the clocks have had time to agree. No
answer that got lost costs a seat: whoever asks again gets the seat that it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from narrows_licensing.certificate import RelayCertificate
from narrows_licensing.lease import Lease
from narrows_licensing.license import LeaseTerms, License

DRIFT: Final = timedelta(seconds=30)  # By how much clocks may differ before a seat is given to two.


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTerms:
    """How many seats there are, and how they are handed out."""

    agreed: int
    permitted: int | None  # With overage; None where there is no end.
    lease: LeaseTerms
    ends_at: datetime  # No lease outlives this.

    @classmethod
    def of_vendor(cls, license: License, *, set_aside: int = 0) -> PoolTerms:
        """Return the vendor's own pool: what the license agrees on, less the seats *set_aside* for relays."""
        seats = license.entitlements.max_concurrent_encodes or 0
        permitted = license.entitlements.overage.stretch(seats)
        return cls(
            agreed=max(0, seats - set_aside),
            permitted=None if permitted is None else max(0, permitted - set_aside),
            lease=license.lease or LeaseTerms(),
            ends_at=license.expires_at + license.grace,
        )

    @classmethod
    def of_relay(cls, license: License, certificate: RelayCertificate) -> PoolTerms:
        """Return a relay's pool: the seats in its certificate, and none beyond them, because nobody sees those."""
        seats = certificate.seats_of(license.license_id) or 0
        return cls(
            agreed=seats,
            permitted=seats,
            lease=license.lease or LeaseTerms(),
            ends_at=min(license.expires_at + license.grace, certificate.expires_at),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A seat that somebody holds or held. Times are aware, UTC, whole seconds."""

    lease_id: str
    holder: str
    taken_at: datetime
    renewed_at: datetime
    expires_at: datetime  # Of the last lease that was handed out for it.
    is_borrowed: bool

    def is_occupied(self, at: datetime) -> bool:
        """Say whether nobody else may have it."""
        return at < self.expires_at + DRIFT

    def is_revivable(self, terms: LeaseTerms, at: datetime) -> bool:
        """Say whether its holder gets the same seat back if there is room. After that it can be forgotten."""
        return at < self.expires_at + DRIFT + terms.revive

    def lease(self, license: License) -> Lease:
        """Return what is signed for it."""
        return Lease(
            lease_id=self.lease_id,
            license_id=license.license_id,
            customer_id=license.customer_id,
            holder=self.holder,
            issued_at=self.renewed_at,
            expires_at=self.expires_at,
            is_borrowed=self.is_borrowed,
        )


class Change(StrEnum):
    """What taking a seat has changed."""

    TAKEN = "taken"
    RENEWED = "renewed"
    REVIVED = "revived"
    BORROWED = "borrowed"
    NONE = "none"  # It was borrowed already.


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The seat is the holder's. Whoever keeps the pool puts it in the place of the holder's earlier one."""

    seat: Seat
    change: Change
    is_over_agreed: bool  # It is one of those that only the overage permits.


@dataclass(frozen=True, slots=True)
class Full:
    """Every seat is occupied by somebody else."""

    permitted: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A seat can't be borrowed for as long as was asked."""

    borrow_max: timedelta


def take(
    own: Seat | None,
    occupied_by_others: int,
    terms: PoolTerms,
    *,
    holder: str,
    lease_id: str,
    at: datetime,
    borrow: timedelta = timedelta(0),
) -> Taken | Full | TooLong:
    """
    Decide whether *holder* gets a seat, renews the one that it has (*own*), or takes it along for *borrow*.

    *lease_id* is the name of a seat that is new. Asking again is renewing, and never takes a second seat.
    """
    if borrow > terms.lease.borrow_max:
        return TooLong(terms.lease.borrow_max)
    if own is not None and own.is_borrowed and at < own.expires_at:
        return Taken(seat=own, change=Change.NONE, is_over_agreed=occupied_by_others >= terms.agreed)
    # The holder itself doesn't count: were there fewer seats now than when it sat down, it must get up.
    if terms.permitted is not None and occupied_by_others >= terms.permitted:
        return Full(terms.permitted)
    renewed_at = at.replace(microsecond=0)
    expires_at = min(renewed_at + (borrow or terms.lease.heartbeat), terms.ends_at)
    seat = Seat(
        lease_id=lease_id,
        holder=holder,
        taken_at=renewed_at,
        renewed_at=renewed_at,
        expires_at=expires_at,
        is_borrowed=bool(borrow),
    )
    change = Change.TAKEN
    if own is not None and own.is_revivable(terms.lease, at):
        change = Change.RENEWED if own.is_occupied(at) else Change.REVIVED
        # A lease once handed out is good until its end, whatever a clock that went backwards would have it be.
        expires_at = max(expires_at, own.expires_at)
        seat = replace(seat, lease_id=own.lease_id, taken_at=own.taken_at, expires_at=expires_at)
    if borrow:
        change = Change.BORROWED
    return Taken(seat=seat, change=change, is_over_agreed=occupied_by_others >= terms.agreed)


def give_back(own: Seat | None, *, lease_id: str) -> bool:
    """Say whether the holder's seat is the one that it gives back; it is free at once. Again, it changes nothing."""
    return own is not None and own.lease_id == lease_id
