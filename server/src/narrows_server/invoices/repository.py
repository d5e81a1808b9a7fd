"""Every query about invoices, credit notes and their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from narrows_server.invoices.models import ISSUED, Invoice, InvoiceSeries, Kind, NumberPattern
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.parties.models import LegalEntity

# Its papers, which a list does not show; they are read when they are asked for.
WITHOUT_DOCUMENT = (defer(Invoice.document), defer(Invoice.order_text))


def get_by_number(session: Session, number: str) -> Invoice | None:
    return session.scalars(select(Invoice).where(Invoice.number == number)).first()


def get_by_statement(session: Session, statement_id: str) -> Invoice | None:
    return session.scalars(select(Invoice).where(Invoice.statement_id == statement_id)).first()


def invoices_by_id(session: Session, invoice_ids: Sequence[str | None]) -> dict[str, Invoice]:
    """These invoices, without their papers."""
    query = select(Invoice).options(*WITHOUT_DOCUMENT).where(Invoice.id.in_([one for one in invoice_ids if one]))
    return {one.id: one for one in session.scalars(query)}


def list_invoices(session: Session, *, customer_id: str | None = None) -> list[Invoice]:
    """Every invoice and credit note, newest number first; drafts come last."""
    query = select(Invoice).order_by(Invoice.number.is_(None), Invoice.number.desc(), Invoice.id)
    return list(session.scalars(query if customer_id is None else query.where(Invoice.customer_id == customer_id)))


def invoice_page(session: Session, at: Paging, *, customer_id: str | None = None) -> Paged[Invoice]:
    """A page of invoices and credit notes, newest first: of all, or what was issued to one customer."""
    query = select(Invoice).options(*WITHOUT_DOCUMENT)
    if customer_id is not None:
        query = query.where(Invoice.customer_id == customer_id, Invoice.status == ISSUED)
    return read_page(session, query, by=(Invoice.drafted_at, Invoice.id), at=at)


def list_issued(
    session: Session, *, entity_id: str | None = None, first_day: date | None = None, last_day: date | None = None
) -> list[Invoice]:
    """What was issued from *first_day* to *last_day*, in the order of issue."""
    query = select(Invoice).where(Invoice.status == ISSUED).order_by(Invoice.issued_at, Invoice.number)
    if entity_id is not None:
        query = query.where(Invoice.entity_id == entity_id)
    if first_day is not None:
        query = query.where(Invoice.issued_at >= datetime.combine(first_day, time(), UTC))
    if last_day is not None:
        query = query.where(Invoice.issued_at < datetime.combine(last_day + timedelta(days=1), time(), UTC))
    return list(session.scalars(query))


def list_credit_notes(session: Session, invoice_id: str) -> list[Invoice]:
    """The issued credit notes of one invoice, in the order of issue."""
    query = select(Invoice).where(Invoice.credits_id == invoice_id, Invoice.status == ISSUED)
    return list(session.scalars(query.order_by(Invoice.issued_at, Invoice.number)))


def get_pattern(session: Session, entity_id: str, kind: Kind, on: date) -> NumberPattern | None:
    """The pattern that is valid on a day: the newest that began by then."""
    query = select(NumberPattern).where(
        NumberPattern.entity_id == entity_id, NumberPattern.kind == kind.value, NumberPattern.valid_from <= on
    )
    return session.scalars(query.order_by(NumberPattern.valid_from.desc()).limit(1)).first()


def first_entity_id(session: Session) -> str | None:
    query = select(LegalEntity.id).order_by(LegalEntity.created_at, LegalEntity.id).limit(1)
    return session.scalar(query)


def lock_series(session: Session, name: str, *, entity_id: str, kind: Kind) -> InvoiceSeries:
    """The counter called *name*, locked until the end of the transaction; made if it is the first of its year."""
    locked = select(InvoiceSeries).where(InvoiceSeries.name == name).with_for_update()
    series = session.scalars(locked).first()
    if series is not None:
        return series
    try:
        with session.begin_nested():
            series = InvoiceSeries(name=name, entity_id=entity_id, kind=kind.value, last_number=0)
            session.add(series)
            session.flush()
    except IntegrityError:
        # Another transaction made it in the meantime, and has ended since: PostgreSQL waits for it before it complains.
        return session.scalars(locked).one()
    return series
