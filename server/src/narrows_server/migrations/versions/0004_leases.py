"""
Pools of floating licenses, and the seats that are held in them.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lease_pool",
        sa.Column("id", sa.String(64), sa.ForeignKey("license.id"), primary_key=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "seat",
        sa.Column("lease_id", sa.String(64), primary_key=True),
        sa.Column("pool_id", sa.String(64), sa.ForeignKey("lease_pool.id"), nullable=False),
        sa.Column("license_id", sa.String(64), sa.ForeignKey("license.id"), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_borrowed", sa.Boolean, nullable=False),
        sa.UniqueConstraint("pool_id", "holder", name="uq_seat_pool_id"),
    )
    op.create_index("ix_seat_expires_at", "seat", ["expires_at"])


def downgrade() -> None:
    op.drop_table("seat")
    op.drop_table("lease_pool")
