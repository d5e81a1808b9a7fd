"""
Webhooks with their outbox, and alerts.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("types", sa.Text, nullable=False),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id")),
        sa.Column("secret_sealed", sa.Text, nullable=False),
        sa.Column("previous_sealed", sa.Text),
        _time("previous_until", nullable=True),
        _time("created_at"),
        _time("failing_since", nullable=True),
        _time("disabled_at", nullable=True),
        sa.Column("disabled_because", sa.String(200)),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("type", sa.String(60), nullable=False),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id")),
        _time("at"),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.String(64), sa.ForeignKey("event.id"), nullable=False),
        sa.Column("webhook_id", sa.String(64), sa.ForeignKey("webhook.id"), nullable=False),
        _time("created_at"),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        _time("next_at", nullable=True),
        _time("last_at", nullable=True),
        sa.Column("last_status", sa.Integer),
        sa.Column("last_error", sa.String(200)),
    )
    op.create_table(
        "alert",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("cause", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id"), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        _time("since"),
        _time("opened_at"),
        _time("acknowledged_at", nullable=True),
        sa.Column("acknowledged_by", sa.String(200)),
        _time("closed_at", nullable=True),
    )
    for table, column in (
        ("webhook", "customer_id"),
        ("event", "customer_id"),
        ("delivery", "event_id"),
        ("delivery", "webhook_id"),
        ("delivery", "next_at"),
        ("alert", "customer_id"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column])
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "uq_alert_open",
        "alert",
        ["cause", "subject"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
