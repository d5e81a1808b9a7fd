"""
What each invoice has to be paid yet, kept beside the journal: what is overdue is not looked for in all that ever was.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Invoices from before there were due dates in the table are due at once.
OF_WHAT_WAS_THERE = """
INSERT INTO receivable (invoice_id, due_on, owed_minor)
SELECT i.id, coalesce(i.due_on, date(i.drafted_at)), i.total_minor
  - coalesce((SELECT sum(n.total_minor) FROM invoice n WHERE n.credits_id = i.id AND n.status = 'issued'), 0)
  - coalesce((SELECT sum(a.amount_minor) FROM allocation a WHERE a.invoice_id = i.id), 0)
FROM invoice i WHERE i.status = 'issued' AND i.kind = 'invoice'
"""


def upgrade() -> None:
    op.create_table(
        "receivable",
        sa.Column("invoice_id", sa.String(64), sa.ForeignKey("invoice.id"), primary_key=True),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("owed_minor", sa.BigInteger, nullable=False),
    )
    op.execute(OF_WHAT_WAS_THERE)
    owed = sa.text("owed_minor > 0")
    op.create_index(
        "ix_receivable_due_on", "receivable", ["due_on", "invoice_id"], postgresql_where=owed, sqlite_where=owed
    )


def downgrade() -> None:
    op.drop_table("receivable")
