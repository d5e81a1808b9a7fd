"""
Handing out seats of floating licenses, and taking them back. Who may have one is decided by `narrows_licensing.pool`.

The pool's row is locked from the first look to the commit, so requests that come at once are decided one after the
other. A renewal leaves no row in the trail: it says nothing that the seat doesn't.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from narrows_licensing.certificate import read_relay_certificate
from narrows_licensing.errors import LicensingError
from narrows_licensing.lease import lease_document
from narrows_licensing.lease_request import LeaseRequest, admit, read_lease_request
from narrows_licensing.license import License
from narrows_licensing.pool import DRIFT, Change, Full, PoolTerms, Seat, Taken, TooLong, give_back, take
from narrows_licensing.revocation import Status
from narrows_licensing.signature import Typ
from narrows_licensing.trust import Role
from narrows_licensing.verdict import Refused
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.errors import LeaseNotRead, LeaseNotTrusted
from narrows_server.identity import new_id
from narrows_server.keyring import Keyring
from narrows_server.leases import repository
from narrows_server.leases.models import HeldSeat
from narrows_server.licenses.models import IssuedLicense
from narrows_server.licenses.repository import get_license
from narrows_server.signing import sign_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """The seat is the holder's."""

    document: str  # The signed lease, as it is handed out.


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """The seat is free; *was_held* is False if it was free before."""

    was_held: bool


def read_request(token: str) -> LeaseRequest:
    """The request in *token*, if it is signed by the installation that it names. Raises `LeaseNotRead`."""
    try:
        return read_lease_request(token)
    except LicensingError as error:
        raise LeaseNotRead(str(error)) from error


def lease(
    session: Session, request: LeaseRequest, *, keyring: Keyring, at: datetime
) -> Leased | Full | TooLong | Refused:
    """
    Give the holder a seat, or renew the one that it has.

    Raises `LeaseNotTrusted` if the license inside is not one of ours.
    """
    license, issued = _admit(session, request, keyring=keyring, at=at)
    if isinstance(license, Refused):
        return license
    pool_id = repository.first_license(session, issued)
    repository.lock_pool(session, pool_id, customer_id=issued.customer_id, at=at)
    terms = PoolTerms.of_vendor(license, set_aside=_seats_of_relays(session, issued, pool_id, keyring, at))
    repository.forget_seats(session, pool_id, expired_by=at - DRIFT - terms.lease.revive, but=request.holder)
    held = repository.get_seat(session, pool_id, request.holder)
    taken = take(
        None if held is None else _seat(held),
        repository.count_seats(session, pool_id, expires_after=at - DRIFT, but=request.holder),
        terms,
        holder=request.holder,
        lease_id=new_id("lea"),
        at=at,
        borrow=request.borrow,
    )
    if not isinstance(taken, Taken):
        return taken
    _keep(session, held, taken.seat, pool_id=pool_id, license_id=license.license_id)
    if taken.change not in (Change.RENEWED, Change.NONE):
        members = {"holder": taken.seat.holder, "over": "yes" if taken.is_over_agreed else "no"}
        subject = taken.seat.lease_id
        audit.write(session, _occasion(request, at), f"lease.{taken.change}", subject, license=issued.id, **members)
    token = sign_token(taken.seat.lease(license).claims(), typ=Typ.LEASE, key=keyring.lease)
    return Leased(document=lease_document(token, None))


def free(session: Session, request: LeaseRequest, *, keyring: Keyring, at: datetime) -> GivenBack:
    """
    Take a seat back from its holder. Again changes nothing, and an old lease frees no newer seat.

    A license that has ended or was taken back frees its seats all the same. Raises `LeaseNotTrusted`.
    """
    _, issued = _admit(session, request, keyring=keyring, at=at)
    pool_id = repository.first_license(session, issued)
    repository.lock_pool(session, pool_id, customer_id=issued.customer_id, at=at)
    held = repository.get_seat(session, pool_id, request.holder)
    if held is None or not give_back(_seat(held), lease_id=request.gives_back or ""):
        return GivenBack(was_held=False)
    repository.remove_seat(session, held)
    audit.write(session, _occasion(request, at), "lease.given_back", held.lease_id, license=issued.id)
    return GivenBack(was_held=True)


def _admit(
    session: Session, request: LeaseRequest, *, keyring: Keyring, at: datetime
) -> tuple[License | Refused, IssuedLicense]:
    try:
        # Twice, because how it stands is in our books, and which license it is only the token says.
        shown = admit(request, keyring.license_keys(), status=Status.GOOD, at=at)
        issued = get_license(session, shown.license_id or "")
        if issued is None:
            raise LeaseNotTrusted(f"license {shown.license_id} is signed by us but not in our books")
        return admit(request, keyring.license_keys(), status=_status(issued), at=at), issued
    except LicensingError as error:
        raise LeaseNotTrusted(f"the license in the request is not one of ours: {error}") from error


def _status(issued: IssuedLicense) -> Status:
    if issued.revoked_at is not None:
        return Status.REVOKED
    return Status.GOOD if issued.suspended_at is None else Status.SUSPENDED


def _seats_of_relays(session: Session, issued: IssuedLicense, pool_id: str, keyring: Keyring, at: datetime) -> int:
    """
    Seats of a pool that relays hand out. Of several certificates of one relay the largest counts.

    Those that were taken back count until they end: a site without a network doesn't know yet.
    """
    keys = {key.kid: key.public_key for key in keyring.bundle.keys if key.role is Role.LEASE}
    seats: dict[str, int] = {}
    for relay in repository.list_relays(session, issued.customer_id, expires_after=at):
        for pool in read_relay_certificate(relay.token, keys).pools:
            license = get_license(session, pool.license_id)
            if license is not None and repository.first_license(session, license) == pool_id:
                seats[relay.subject] = max(pool.seats, seats.get(relay.subject, 0))
    return sum(seats.values())


def _keep(session: Session, held: HeldSeat | None, seat: Seat, *, pool_id: str, license_id: str) -> None:
    if held is not None and held.lease_id != seat.lease_id:
        repository.remove_seat(session, held)
        held = None
    if held is None:
        held = HeldSeat(lease_id=seat.lease_id, pool_id=pool_id, holder=seat.holder)
        session.add(held)
    held.license_id, held.taken_at, held.renewed_at = license_id, seat.taken_at, seat.renewed_at
    held.expires_at, held.is_borrowed = seat.expires_at, seat.is_borrowed


def _seat(held: HeldSeat) -> Seat:
    return Seat(
        lease_id=held.lease_id,
        holder=held.holder,
        taken_at=held.taken_at,
        renewed_at=held.renewed_at,
        expires_at=held.expires_at,
        is_borrowed=held.is_borrowed,
    )


def _occasion(request: LeaseRequest, at: datetime) -> Occasion:
    return Occasion(actor=f"installation:{request.installation_id}", at=at)
