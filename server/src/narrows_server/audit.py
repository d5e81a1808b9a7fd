"""
Who did what, when: one row per change, written in the transaction of the change itself.

The table is append-only (triggers refuse anything else). It is a trail for people and decides nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import String, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from narrows_server.database import Base, UtcDateTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Who acts and when: an argument of everything that changes something."""

    actor: str  # "admin:<account>" at a terminal, "installation:<id>" for a report.
    at: datetime  # Aware, UTC.


class AuditRow(Base):
    """One change."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(100))
    subject: Mapped[str] = mapped_column(String(200), index=True)
    detail: Mapped[str] = mapped_column(Text)


def write(session: Session, occasion: Occasion, action: str, subject: str, **detail: str | int | None) -> None:
    """Add the audit row of a change to *session*, the one that makes the change."""
    text = json.dumps(detail, sort_keys=True, ensure_ascii=False)
    session.add(AuditRow(at=occasion.at, actor=occasion.actor, action=action, subject=subject, detail=text))


def trail(session: Session, *, limit: int = 100) -> list[AuditRow]:
    """The latest changes, newest first."""
    return list(session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)))
