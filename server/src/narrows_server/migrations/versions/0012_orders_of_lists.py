"""
Indices for the order in which lists are read, and for which installation continues which.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDICES = {
    "ix_invoice_drafted_at": ("invoice", ["drafted_at", "id"]),
    "ix_statement_period": ("statement", ["period", "id"]),
    "ix_installation_enrolled_at": ("installation", ["enrolled_at", "id"]),
    "ix_installation_previous_id": ("installation", ["previous_id"]),
    "ix_license_issued_at": ("license", ["issued_at", "id"]),
    "ix_alert_opened_at": ("alert", ["opened_at", "id"]),
}


def upgrade() -> None:
    for name, (table, columns) in INDICES.items():
        op.create_index(name, table, columns)


def downgrade() -> None:
    for name, (table, _) in INDICES.items():
        op.drop_index(name, table)
