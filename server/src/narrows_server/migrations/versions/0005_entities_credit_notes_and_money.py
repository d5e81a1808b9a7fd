"""
Legal entities, series of numbers, credit notes, payments and the journal.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

APPEND_ONLY = ("number_pattern", "vat_id_check", "payment", "allocation", "journal_entry", "journal_line")
ISSUED = "OLD.status = 'issued'"


def upgrade() -> None:
    _parties()
    _invoices()
    _payments()
    _journal()
    for table in APPEND_ONLY:
        _refuse("UPDATE", table, f"rows of {table} are never changed")
        _refuse("DELETE", table, f"rows of {table} are never deleted")


def _parties() -> None:
    op.create_table(
        "legal_entity",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("postcode", sa.String(20)),
        sa.Column("city", sa.String(100)),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("email", sa.String(254)),
        sa.Column("vat_id", sa.String(20)),
        sa.Column("tax_id", sa.String(40)),
        sa.Column("registration", sa.String(200)),
        sa.Column("iban", sa.String(34)),
        sa.Column("bic", sa.String(11)),
        sa.Column("bank", sa.String(100)),
        sa.Column("payment", sa.Text, nullable=False),
        sa.Column("base_currency", sa.String(3), nullable=False),
        _time("created_at"),
    )
    op.create_table(
        "billing_profile",
        _reference("customer", primary_key=True),
        sa.Column("postcode", sa.String(20)),
        sa.Column("city", sa.String(100)),
        sa.Column("country", sa.String(2)),
        sa.Column("vat_id", sa.String(20)),
        sa.Column("language", sa.String(5), nullable=False),
        sa.Column("reference", sa.String(100)),
        sa.Column("purchase_order", sa.String(100)),
        sa.Column("electronic_address", sa.String(100)),
    )
    op.create_table(
        "vat_id_check",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("customer", index=True),
        sa.Column("vat_id", sa.String(40), nullable=False),
        _time("checked_at"),
        sa.Column("method", sa.String(60), nullable=False),
        sa.Column("is_valid", sa.Boolean, nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("consultation_number", sa.String(40)),
    )
    op.create_table(
        "number_pattern",
        sa.Column("entity_id", sa.String(64), sa.ForeignKey("legal_entity.id"), primary_key=True),
        sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("valid_from", sa.Date, primary_key=True),
        sa.Column("pattern", sa.String(60), nullable=False),
    )


def _invoices() -> None:
    """Both tables are made anew around their rows; what was issued keeps every byte of its document."""
    bind = op.get_bind()
    is_postgresql = bind.dialect.name == "postgresql"
    has_rows = _make_issuer(bind)
    op.execute("CREATE TABLE earlier_invoice AS SELECT * FROM invoice")
    op.execute("CREATE TABLE earlier_series AS SELECT * FROM invoice_series")
    op.execute("CREATE TABLE earlier_outcome AS SELECT contract_id, period, invoice_id FROM outcome")
    op.execute("UPDATE outcome SET invoice_id = NULL")
    if is_postgresql:
        op.drop_constraint("fk_outcome_invoice_id_invoice", "outcome", type_="foreignkey")
    op.drop_table("invoice")
    op.drop_table("invoice_series")
    if is_postgresql:
        op.execute("DROP FUNCTION invoice_refuse_update()")
        op.execute("DROP FUNCTION invoice_refuse_delete()")
    op.create_table(
        "invoice_series",
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("entity_id", sa.String(64), sa.ForeignKey("legal_entity.id"), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
    )
    op.create_table(
        "invoice",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("number", sa.String(60), unique=True),
        _entity(index=True),
        _reference("customer", index=True),
        sa.Column("statement_id", sa.String(80), sa.ForeignKey("statement.id"), unique=True),
        sa.Column("credits_id", sa.String(64), sa.ForeignKey("invoice.id"), index=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("net_minor", sa.BigInteger, nullable=False),
        sa.Column("tax_minor", sa.BigInteger, nullable=False),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        _time("drafted_at"),
        _time("issued_at", nullable=True),
        sa.Column("due_on", sa.Date),
        sa.Column("order_text", sa.Text, nullable=False),
        sa.Column("document", sa.Text),
        sa.Column("content_hash", sa.String(64)),
        sa.CheckConstraint("(status = 'issued') = (number IS NOT NULL)", name="issued_means_numbered"),
        sa.CheckConstraint("(status = 'issued') = (document IS NOT NULL)", name="issued_means_written"),
        sa.CheckConstraint("total_minor >= 0", name="total_is_not_negative"),
        sa.CheckConstraint("net_minor + tax_minor = total_minor", name="net_and_tax_are_the_total"),
        sa.CheckConstraint("kind = 'credit_note' OR credits_id IS NULL", name="only_credit_notes_credit"),
    )
    if has_rows:
        op.execute(
            "INSERT INTO invoice_series (name, entity_id, kind, last_number) "
            "SELECT name || '-', 'vendor', 'invoice', last_number FROM earlier_series"
        )
        op.execute(
            "INSERT INTO invoice (id, kind, status, number, entity_id, customer_id, statement_id, currency, net_minor, "
            "tax_minor, total_minor, drafted_at, issued_at, order_text, document, content_hash) "
            "SELECT id, 'invoice', status, number, 'vendor', customer_id, statement_id, currency, total_minor, "
            "0, total_minor, drafted_at, issued_at, '{}', document, content_hash FROM earlier_invoice"
        )
    op.execute(
        "UPDATE outcome SET invoice_id = (SELECT invoice_id FROM earlier_outcome AS e "
        "WHERE e.contract_id = outcome.contract_id AND e.period = outcome.period)"
    )
    if is_postgresql:
        op.create_foreign_key("fk_outcome_invoice_id_invoice", "outcome", "invoice", ["invoice_id"], ["id"])
    for table in ("earlier_outcome", "earlier_invoice", "earlier_series"):
        op.drop_table(table)
    _refuse("UPDATE", "invoice", "an issued invoice is never changed", only_if=ISSUED)
    _refuse("DELETE", "invoice", "an issued invoice is never deleted", only_if=ISSUED)


def _make_issuer(bind: sa.Connection) -> bool:
    """Make a legal entity like the vendor that the newest invoice names; False if none was ever written."""
    if not bind.scalar(sa.text("SELECT count(*) FROM invoice")):
        return False
    newest = bind.scalar(sa.text("SELECT document FROM invoice WHERE document IS NOT NULL ORDER BY number DESC"))
    vendor = json.loads(newest)["vendor"] if newest else {"name": "Narrows"}
    bind.execute(
        sa.text(
            "INSERT INTO legal_entity (id, name, address, country, email, tax_id, payment, base_currency, created_at) "
            "SELECT 'vendor', :name, :address, 'DE', :email, :tax_id, :payment, 'EUR', min(drafted_at) FROM invoice"
        ),
        {
            "name": vendor["name"],
            "address": "\n".join(vendor.get("address", ())),
            "email": vendor.get("email"),
            "tax_id": vendor.get("tax_id"),
            "payment": "\n".join(vendor.get("payment", ())),
        },
    )
    return True


def _payments() -> None:
    op.create_table(
        "payment",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        _entity(),
        _reference("customer", index=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("received_on", sa.Date, nullable=False),
        sa.Column("reference", sa.String(100)),
        sa.Column("note", sa.Text),
        sa.Column("of_id", sa.String(64), sa.ForeignKey("payment.id"), index=True),
        sa.Column("invoice_id", sa.String(64), sa.ForeignKey("invoice.id")),
        _time("recorded_at"),
        sa.UniqueConstraint("entity_id", "reference"),
        sa.CheckConstraint("(amount_minor < 0) = (kind IN ('refund', 'reversal'))", name="sign_follows_kind"),
        sa.CheckConstraint("(of_id IS NOT NULL) = (kind IN ('refund', 'reversal'))", name="undoing_names_what"),
    )
    op.create_table(
        "allocation",
        sa.Column("id", sa.Integer, primary_key=True),
        _reference("payment", index=True),
        _reference("invoice", index=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        _time("made_at"),
        sa.CheckConstraint("amount_minor <> 0", name="amount_is_not_zero"),
    )


def _journal() -> None:
    op.create_table(
        "journal_entry",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(150), nullable=False, unique=True),
        _entity(index=True),
        _reference("customer", index=True),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("event", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("posted_on", sa.Date, nullable=False),
        _time("recorded_at"),
    )
    op.create_table(
        "journal_line",
        sa.Column("entry_id", sa.Integer, sa.ForeignKey("journal_entry.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("account", sa.String(30), nullable=False, index=True),
        sa.Column("debit_minor", sa.BigInteger, nullable=False),
        sa.Column("credit_minor", sa.BigInteger, nullable=False),
        sa.Column("tax", sa.String(12)),
        sa.Column("invoice_id", sa.String(64), sa.ForeignKey("invoice.id"), index=True),
        sa.CheckConstraint("debit_minor >= 0 AND credit_minor >= 0", name="sides_are_not_negative"),
        sa.CheckConstraint("(debit_minor = 0) <> (credit_minor = 0)", name="one_side"),
    )


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _entity(*, index: bool = False) -> sa.Column[str]:
    return sa.Column("entity_id", sa.String(64), sa.ForeignKey("legal_entity.id"), nullable=False, index=index or None)


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
