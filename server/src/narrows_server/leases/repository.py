"""Every query about pools and seats."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from narrows_server.customers.repository import lock_customer
from narrows_server.leases.models import HeldSeat, LeasePool
from narrows_server.licenses.models import IssuedCertificate, IssuedLicense
from narrows_server.paging import Paged, Paging, read_page


def lock_pool(session: Session, pool_id: str, *, customer_id: str, at: datetime) -> None:
    """Lock a pool until the end of the transaction where the database has row locks; it is opened if need be."""
    query = select(LeasePool).where(LeasePool.id == pool_id).with_for_update()
    if session.scalars(query).first() is None:
        # Two first requests at once: the second waits here, and then finds what the first has opened.
        lock_customer(session, customer_id)
        if session.scalars(query).first() is None:
            session.add(LeasePool(id=pool_id, opened_at=at))
            session.flush()


def get_seat(session: Session, pool_id: str, holder: str) -> HeldSeat | None:
    # Read again although the session may know it: it was read before the lock, if it was.
    query = select(HeldSeat).where(HeldSeat.pool_id == pool_id, HeldSeat.holder == holder)
    return session.scalars(query.execution_options(populate_existing=True)).first()


def count_seats(session: Session, pool_id: str, *, expires_after: datetime, but: str | None = None) -> int:
    """How many seats of a pool end later than that, without those of the holder *but*."""
    query = select(func.count()).where(HeldSeat.pool_id == pool_id, HeldSeat.expires_at > expires_after)
    if but is not None:
        query = query.where(HeldSeat.holder != but)
    return session.scalars(query).one()


def forget_seats(session: Session, pool_id: str, *, expired_by: datetime, but: str) -> None:
    """Remove the seats that ended by then, but for that of one holder."""
    gone = delete(HeldSeat).where(
        HeldSeat.pool_id == pool_id, HeldSeat.expires_at <= expired_by, HeldSeat.holder != but
    )
    session.execute(gone.execution_options(synchronize_session=False))


def remove_seat(session: Session, seat: HeldSeat) -> None:
    session.delete(seat)
    session.flush()


def seat_page(
    session: Session, at: Paging, *, expires_after: datetime, customer_id: str | None = None
) -> Paged[HeldSeat]:
    """A page of the seats that end later than that, pool by pool: of all customers, or of one."""
    query = select(HeldSeat).where(HeldSeat.expires_at > expires_after)
    if customer_id is not None:
        query = query.join(IssuedLicense, IssuedLicense.id == HeldSeat.license_id)
        query = query.where(IssuedLicense.customer_id == customer_id)
    by = (HeldSeat.pool_id, HeldSeat.taken_at, HeldSeat.lease_id)
    return read_page(session, query, by=by, at=at, is_ascending=True)


def list_relays(session: Session, customer_id: str, *, expires_after: datetime) -> list[IssuedCertificate]:
    """The certificates of a customer's relays that end later than that, also those that were taken back."""
    query = select(IssuedCertificate).where(
        IssuedCertificate.customer_id == customer_id,
        IssuedCertificate.kind == "relay",
        IssuedCertificate.expires_at > expires_after,
    )
    return list(session.scalars(query))


def first_license(session: Session, issued: IssuedLicense) -> str:
    """The license that this one renews or takes the place of, back to the first."""
    seen = {issued.id}
    while issued.replaces is not None and issued.replaces not in seen:
        earlier = session.get(IssuedLicense, issued.replaces)
        if earlier is None:
            break
        issued = earlier
        seen.add(issued.id)
    return issued.id
