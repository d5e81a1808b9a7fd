"""
Contracts have versions, tariffs are documents; exchange rates, CDN invoices and prepaid credit.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ADDED = ("contract_version", "exchange_rate", "cdn_invoice", "credit_entry")


def upgrade() -> None:
    connection = op.get_bind()
    tariffs = connection.execute(sa.text("SELECT id, name, currency, tiers FROM tariff")).all()
    contracts = connection.execute(
        sa.text(
            "SELECT c.*, t.currency FROM contract AS c JOIN tariff AS t ON t.id = c.tariff_id "
            "ORDER BY c.created_at, c.id"
        ).columns(starts_on=sa.Date(), created_at=sa.DateTime(timezone=True))
    ).all()
    _tables()
    _tariffs(connection, tariffs)
    _contracts(connection, contracts)
    for table in ("tariff", "contract", *ADDED):
        _refuse_changes(table)


def _tables() -> None:
    op.create_table(
        "contract_version",
        sa.Column("contract_id", sa.String(64), sa.ForeignKey("contract.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("effective_on", sa.Date, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("tariff_id", sa.String(64), sa.ForeignKey("tariff.id"), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "exchange_rate",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("source", sa.String(40), nullable=False),
        sa.Column("from_currency", sa.String(3), nullable=False),
        sa.Column("to_currency", sa.String(3), nullable=False),
        sa.Column("rate_on", sa.Date, nullable=False, index=True),
        sa.Column("rate", sa.String(32), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "cdn_invoice",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("contract_id", sa.String(64), sa.ForeignKey("contract.id"), nullable=False, index=True),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("cdn", sa.String(64), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "credit_entry",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("contract_id", sa.String(64), sa.ForeignKey("contract.id"), nullable=False, index=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("period", sa.String(7)),
        sa.Column("reference", sa.String(200)),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )


def _tariffs(connection: sa.Connection, rows: Any) -> None:
    """The tiers of a tariff become its document."""
    _allow_changes("tariff")
    op.add_column("tariff", sa.Column("hash", sa.String(64), nullable=False, server_default=""))
    op.add_column("tariff", sa.Column("document", sa.Text, nullable=False, server_default=""))
    for row in rows:
        text = _canonical(
            {
                "format": "narrows-tariff/1",
                "name": row.name,
                "currency": row.currency,
                "tiers": [
                    {"up_to_gb": None if limit is None else _text(Decimal(limit) / 10**9), "price_per_gb": _text(price)}
                    for limit, price in json.loads(row.tiers)
                ],
                "cdns": [],
            }
        )
        connection.execute(
            sa.text("UPDATE tariff SET document = :document, hash = :hash WHERE id = :id"),
            {"document": text, "hash": hashlib.sha256(text.encode()).hexdigest(), "id": row.id},
        )
    with op.batch_alter_table("tariff", recreate="auto") as batch:
        batch.drop_column("tiers")
        batch.alter_column("hash", server_default=None)
        batch.alter_column("document", server_default=None)


def _contracts(connection: sa.Connection, rows: Any) -> None:
    """The terms of a contract become its first version. Until now a close was binding by itself."""
    _allow_changes("contract")
    for row in rows:
        text = _canonical(
            {
                "format": "narrows-contract/1",
                "customer": row.customer_id,
                "legal_entity": None,
                "currency": row.currency,
                "time_zone": "UTC",
                "starts_on": row.starts_on.isoformat(),
                "ends_on": None,
                "tariff": row.tariff_id,
                "baseline": row.baseline_id,
                "metric": row.metric,
                "valuation": {"mode": "avoided_cost", "reference_prices": {}},
                "evidence": {
                    "method": "m3_census",
                    "noise_ppm": 0,
                    "psnr_tolerance_percent": None,
                    "sample_count": 400,
                    "segment_count": None,
                },
                "exchange": {"source": "ECB", "day": "last_of_month"},
                "share": [{"up_to": None, "percent": _text(row.share_percent)}],
                "floor": "0",
                "minimum": {"month": None, "year": None},
                "cap": {"month": None, "year": None},
                "true_up": False,
                "late_months": 2,
                "payment_days": row.terms_days,
                "acceptance": "on_close",
            }
        )
        table = sa.table(
            "contract_version",
            *(sa.column(name) for name in ("contract_id", "number", "reason", "recorded_by", "tariff_id", "hash")),
            sa.column("document"),
            sa.column("effective_on", sa.Date()),
            sa.column("recorded_at", sa.DateTime(timezone=True)),
        )
        connection.execute(
            table.insert().values(
                contract_id=row.id,
                number=1,
                effective_on=row.starts_on,
                recorded_at=row.created_at,
                recorded_by="migration",
                reason=None,
                tariff_id=row.tariff_id,
                hash=hashlib.sha256(text.encode()).hexdigest(),
                document=text,
            )
        )
    with op.batch_alter_table("contract", recreate="auto") as batch:
        for column in ("tariff_id", "share_percent", "baseline_id", "metric", "terms_days"):
            batch.drop_column(column)


def _text(value: object) -> str:
    """A decimal in its one spelling."""
    text = format(Decimal(str(value)), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _canonical(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _allow_changes(table: str) -> None:
    for change in ("update", "delete"):
        if op.get_bind().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER IF EXISTS {table}_refuse_{change}")
        else:
            op.execute(f"DROP TRIGGER {table}_refuse_{change} ON {table}")
            op.execute(f"DROP FUNCTION {table}_refuse_{change}()")


def _refuse_changes(table: str) -> None:
    """Make the database itself refuse to change or delete rows of *table*, whoever asks for it."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for change, participle in (("UPDATE", "changed"), ("DELETE", "deleted")):
        name, message = f"{table}_refuse_{change.lower()}", f"rows of {table} are never {participle}"
        if is_sqlite:
            op.execute(
                f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH ROW "
                f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            )
            continue
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        op.execute(f"CREATE TRIGGER {name} BEFORE {change} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")
