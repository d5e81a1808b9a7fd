"""Every query about invoices and their numbers."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from narrows_server.invoices.models import Invoice, InvoiceSeries


def get_by_number(session: Session, number: str) -> Invoice | None:
    return session.scalars(select(Invoice).where(Invoice.number == number)).first()


def get_by_statement(session: Session, statement_id: str) -> Invoice | None:
    return session.scalars(select(Invoice).where(Invoice.statement_id == statement_id)).first()


def list_invoices(session: Session) -> list[Invoice]:
    """Every invoice, newest number first; drafts come last."""
    return list(session.scalars(select(Invoice).order_by(Invoice.number.desc(), Invoice.id)))


def lock_series(session: Session, name: str) -> InvoiceSeries:
    """The counter called *name*, locked until the end of the transaction; made if it is the first of its year."""
    locked = select(InvoiceSeries).where(InvoiceSeries.name == name).with_for_update()
    series = session.scalars(locked).first()
    if series is not None:
        return series
    try:
        with session.begin_nested():
            series = InvoiceSeries(name=name, last_number=0)
            session.add(series)
            session.flush()
    except IntegrityError:
        # Another transaction made it in the meantime, and has ended since: PostgreSQL waits for it before it complains.
        return session.scalars(locked).one()
    return series
