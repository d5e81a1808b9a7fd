"""
The audit log becomes a chain; API keys get scopes, an end and a customer; answers are kept for idempotency keys.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import hashlib
from datetime import UTC

import rfc8785
import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# What every key could do before there were scopes: all that takes no person.
SCOPES = (
    "alerts:read alerts:write api_keys:read api_keys:write audit:read books:read books:write contracts:read "
    "contracts:write customers:read customers:write installations:read invoices:read invoices:write licenses:read "
    "licenses:write people:read proposals:read statements:read statements:write webhooks:read webhooks:write"
)


def upgrade() -> None:
    _audit_chain()
    _api_keys()
    op.create_table(
        "idempotency_key",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        _time("created_at"),
    )
    op.create_index("ix_idempotency_key_created_at", "idempotency_key", ["created_at"])


def _audit_chain() -> None:
    op.create_table(
        "audit_link",
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("audit_id", sa.Integer, sa.ForeignKey("audit.id"), nullable=False, unique=True),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "audit_waiting",
        sa.Column("audit_id", sa.Integer, sa.ForeignKey("audit.id"), primary_key=True, autoincrement=False),
    )
    _link_rows()
    for change, participle in (("UPDATE", "changed"), ("DELETE", "deleted")):
        _refuse(change, "audit_link", f"rows of audit_link are never {participle}")


def _link_rows() -> None:
    """As `audit` had it when this was written: a migration does not follow later changes."""
    connection = op.get_bind()
    audit = sa.table(
        "audit",
        sa.column("id", sa.Integer),
        sa.column("at", sa.DateTime(timezone=True)),
        *(sa.column(name, sa.Text) for name in ("actor", "action", "subject", "detail")),
    )
    link = sa.table(
        "audit_link", sa.column("position", sa.Integer), sa.column("audit_id", sa.Integer), sa.column("hash", sa.Text)
    )
    head, rows = "0" * 64, []
    for position, row in enumerate(connection.execute(sa.select(audit).order_by(audit.c.id)).all(), start=1):
        at = row.at.replace(tzinfo=UTC) if row.at.tzinfo is None else row.at.astimezone(UTC)
        document = {
            "before": head,
            "id": row.id,
            "at": at.isoformat(timespec="microseconds"),
            "actor": row.actor,
            "action": row.action,
            "subject": row.subject,
            "detail": row.detail,
        }
        head = hashlib.sha256(rfc8785.dumps(document)).hexdigest()
        rows.append({"position": position, "audit_id": row.id, "hash": head})
    if rows:
        op.bulk_insert(link, rows)


def _api_keys() -> None:
    connection = op.get_bind()
    old = sa.table(
        "api_key",
        sa.column("digest", sa.Text),
        sa.column("name", sa.Text),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    keys = connection.execute(sa.select(old)).all()
    op.drop_table("api_key")
    table = op.create_table(
        "api_key",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("previous_digest", sa.String(64), unique=True),
        _time("previous_until", nullable=True),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id")),
        sa.Column("made_by", sa.String(200), nullable=False),
        _time("created_at"),
        _time("last_used_at", nullable=True),
        _time("expires_at", nullable=True),
        _time("revoked_at", nullable=True),
    )
    op.create_index("ix_api_key_customer_id", "api_key", ["customer_id"])
    rows = [
        {
            "id": f"key_{key.digest[:16]}",
            "name": key.name,
            "prefix": "nwk_",
            "digest": key.digest,
            "scopes": SCOPES,
            "made_by": "admin",
            "created_at": key.created_at,
        }
        for key in keys
    ]
    if rows:
        op.bulk_insert(table, rows)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _refuse(change: str, table: str, message: str) -> None:
    """Make the database itself refuse *change* of rows of *table*, whoever asks for it."""
    name = f"{table}_refuse_{change.lower()}"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH ROW BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
