"""The first tables, and the triggers that keep what is final from being changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What is written here is never changed. Only the invoice has a state, the draft, in which it still may be.
APPEND_ONLY = ("audit", "contract", "fork", "receipt", "record", "revocation_list", "statement", "tariff")


def upgrade() -> None:
    _people_and_terms()
    _licenses()
    _usage()
    _billing()
    for table in APPEND_ONLY:
        _refuse("UPDATE", table, f"rows of {table} are never changed")
        _refuse("DELETE", table, f"rows of {table} are never deleted")
    _refuse("UPDATE", "invoice", "an issued invoice is never changed", only_if="OLD.status = 'issued'")
    _refuse("DELETE", "invoice", "an issued invoice is never deleted", only_if="OLD.status = 'issued'")


def _people_and_terms() -> None:
    op.create_table(
        "api_key",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
        _time("created_at"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        _time("at"),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False, index=True),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_table(
        "customer",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("email", sa.String(254)),
        sa.Column("tax_id", sa.String(40)),
        _time("created_at"),
    )
    op.create_table(
        "tariff",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("tiers", sa.Text, nullable=False),
        _time("created_at"),
    )
    op.create_table(
        "contract",
        sa.Column("id", sa.String(64), primary_key=True),
        _reference("customer", index=True),
        _reference("tariff"),
        sa.Column("share_percent", sa.String(20), nullable=False),
        sa.Column("baseline_id", sa.String(64), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("starts_on", sa.Date, nullable=False),
        sa.Column("terms_days", sa.Integer, nullable=False),
        _time("created_at"),
    )


def _licenses() -> None:
    op.create_table(
        "license",
        sa.Column("id", sa.String(64), primary_key=True),
        _reference("customer", index=True),
        _reference("contract", index=True),
        sa.Column("kind", sa.String(20), nullable=False),
        _time("issued_at"),
        _time("expires_at"),
        _time("revoked_at", nullable=True),
        sa.Column("token", sa.Text, nullable=False),
    )
    op.create_table(
        "revocation_list",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        _time("issued_at"),
        sa.Column("token", sa.Text, nullable=False),
    )


def _usage() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.String(64), primary_key=True),
        _reference("customer", index=True),
        _reference("contract", index=True),
        _reference("license"),
        sa.Column("public_key", sa.String(64), nullable=False),
        sa.Column("sdk", sa.String(100), nullable=False),
        _time("enrolled_at"),
        _time("reported_at"),
        sa.Column("head_seq", sa.BigInteger, nullable=False),
        sa.Column("head_hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "record",
        _reference("installation", primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("delivered_bytes", sa.BigInteger),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("ix_record_installation_kind", "record", ["installation_id", "kind", "seq"])
    op.create_table(
        "receipt",
        _reference("installation", primary_key=True),
        sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_seq", sa.BigInteger, primary_key=True, autoincrement=False),
        _time("issued_at"),
        sa.Column("token", sa.Text, nullable=False),
    )
    op.create_table(
        "fork",
        _reference("installation", primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(64), primary_key=True),
        _time("seen_at"),
        sa.Column("document", sa.Text, nullable=False),
    )


def _billing() -> None:
    op.create_table(
        "statement",
        sa.Column("id", sa.String(80), primary_key=True),
        _reference("contract", index=True),
        sa.Column("period", sa.String(7), nullable=False),
        _time("drawn_up_at"),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.UniqueConstraint("contract_id", "period"),
    )
    op.create_table(
        "invoice_series",
        sa.Column("name", sa.String(20), primary_key=True),
        sa.Column("last_number", sa.Integer, nullable=False),
    )
    op.create_table(
        "invoice",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("number", sa.String(30), unique=True),
        _reference("customer", index=True),
        sa.Column("statement_id", sa.String(80), sa.ForeignKey("statement.id"), nullable=False, unique=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        _time("drafted_at"),
        _time("issued_at", nullable=True),
        sa.Column("document", sa.Text),
        sa.Column("content_hash", sa.String(64)),
        sa.CheckConstraint("(status = 'issued') = (number IS NOT NULL)", name="issued_means_numbered"),
        sa.CheckConstraint("(status = 'issued') = (document IS NOT NULL)", name="issued_means_written"),
        sa.CheckConstraint("total_minor >= 0", name="total_is_not_negative"),
    )
    op.create_table(
        "outcome",
        _reference("contract", primary_key=True),
        sa.Column("period", sa.String(7), primary_key=True),
        sa.Column("result", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("statement_id", sa.String(80), sa.ForeignKey("statement.id")),
        sa.Column("invoice_id", sa.String(64), sa.ForeignKey("invoice.id")),
        _time("decided_at"),
    )


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _reference(table: str, *, index: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(
        f"{table}_id",
        sa.String(64),
        sa.ForeignKey(f"{table}.id"),
        nullable=False,
        index=index or None,
        primary_key=primary_key,
    )


def _refuse(change: str, table: str, message: str, *, only_if: str | None = None) -> None:
    """Make the database itself refuse *change* (UPDATE or DELETE) of rows of *table*, whoever asks for it."""
    name = f"{table}_refuse_{change.lower()}"
    when = f"WHEN ({only_if}) " if only_if else ""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH ROW {when}"
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        return
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH ROW {when}EXECUTE FUNCTION {name}()")
