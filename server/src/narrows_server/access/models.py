"""The table of API keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from narrows_server.database import Base, UtcDateTime


class ApiKey(Base):
    """An API key by its SHA-256; the key itself is stored nowhere here."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    prefix: Mapped[str] = mapped_column(String(16))  # The first characters, for people to tell keys apart.
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    previous_digest: Mapped[str | None] = mapped_column(String(64), unique=True)  # Before the last rotation, …
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # … and how long it still opens.
    scopes: Mapped[str] = mapped_column(Text)  # Actions with blanks between them.
    customer_id: Mapped[str | None] = mapped_column(ForeignKey("customer.id"), index=True)
    made_by: Mapped[str] = mapped_column(String(200))  # The person behind it.
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
