"""
Every license gets its number in the revocation list, may be suspended, and may need two people; certificates.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Added in place: SQLite can't make another table of one that records refer to.
    op.add_column("license", sa.Column("grace_days", sa.Integer, nullable=False, server_default="14"))
    op.add_column("license", sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("license", sa.Column("status_index", sa.Integer, nullable=False, server_default="0"))
    op.add_column("license", sa.Column("replaces", sa.String(64), nullable=True))
    # In the order of issue, which is the order of the customers' logs. Tokens from before carry no number.
    op.execute(
        "UPDATE license SET status_index = (SELECT count(*) FROM license AS earlier WHERE "
        "earlier.issued_at < license.issued_at OR (earlier.issued_at = license.issued_at AND earlier.id < license.id))"
    )
    op.create_index("ix_license_status_index", "license", ["status_index"], unique=True)
    op.create_table("status_number", sa.Column("number", sa.Integer, primary_key=True, autoincrement=False))
    op.execute("INSERT INTO status_number (number) SELECT status_index FROM license")
    op.create_table(
        "certificate",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status_index", sa.Integer, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
    )
    op.create_index("ix_certificate_customer_id", "certificate", ["customer_id"])
    op.create_index("ix_certificate_subject", "certificate", ["subject"])
    op.create_index("ix_certificate_status_index", "certificate", ["status_index"], unique=True)
    op.create_table(
        "license_proposal",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id"), nullable=False),
        sa.Column("draft", sa.Text, nullable=False),
        sa.Column("proposed_by", sa.String(200), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("approved_by", sa.String(200), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("license_id", sa.String(64), nullable=True),
    )


def downgrade() -> None:
    for table in ("license_proposal", "certificate", "status_number"):
        op.drop_table(table)
    op.drop_index("ix_license_status_index", table_name="license")
    for column in ("replaces", "status_index", "suspended_at", "grace_days"):
        op.drop_column("license", column)
