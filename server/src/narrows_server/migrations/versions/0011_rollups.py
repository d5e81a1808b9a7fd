"""
Rollups of statements and their assets; indices for the pages that look at many rows.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS_AT_ONCE = 100
STANDINGS = {None: "draft", "send": "sent", "accept": "accepted", "dispute": "disputed", "supersede": "superseded"}


def upgrade() -> None:
    statements = op.create_table(
        "statement_rollup",
        sa.Column("statement_id", sa.String(80), sa.ForeignKey("statement.id"), primary_key=True),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id"), nullable=False),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("standing", sa.String(20), nullable=False),
        sa.Column("baseline", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("delivered_bytes", sa.BigInteger, nullable=False),
        sa.Column("baseline_bytes", sa.BigInteger, nullable=False),
        sa.Column("saved_bytes", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("valued_in", sa.String(3), nullable=False),
        sa.Column("delivered_minor", sa.BigInteger, nullable=False),
        sa.Column("baseline_minor", sa.BigInteger, nullable=False),
        sa.Column("value_minor", sa.BigInteger, nullable=False),
        sa.Column("share_percent", sa.Text, nullable=False),
        sa.Column("share_minor", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("has_usage", sa.Boolean, nullable=False),
    )
    assets = op.create_table(
        "asset_rollup",
        sa.Column("statement_id", sa.String(80), sa.ForeignKey("statement.id"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("period", sa.String(7), nullable=False),
        sa.Column("asset", sa.Text, nullable=False),
        sa.Column("renditions", sa.Integer, nullable=False),
        sa.Column("delivered_bytes", sa.BigInteger, nullable=False),
        sa.Column("saved_bytes", sa.BigInteger, nullable=False),
    )
    assert statements is not None and assets is not None
    for row, document in _stored():
        op.bulk_insert(statements, [{**row, **_figures(document)}])
        op.bulk_insert(assets, _assets(row, document))
    op.create_index("ix_statement_rollup_period", "statement_rollup", ["period", "customer_id"])
    op.create_index("ix_statement_rollup_customer_id", "statement_rollup", ["customer_id", "period"])
    op.create_index("ix_statement_rollup_standing", "statement_rollup", ["standing", "period"])
    op.create_index("ix_asset_rollup_period", "asset_rollup", ["period", "saved_bytes"])
    op.create_table(
        "spend_limit",
        sa.Column("contract_id", sa.String(64), sa.ForeignKey("contract.id"), primary_key=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("set_by", sa.String(200), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("spend_limit")
    op.drop_table("asset_rollup")
    op.drop_table("statement_rollup")


def _stored() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every statement by its columns of a rollup and its document, some at a time: together they may be gigabytes."""
    bind = op.get_bind()
    step = sa.text("SELECT step FROM statement_step WHERE statement_id = :id ORDER BY id DESC LIMIT 1")
    page = sa.text(
        "SELECT s.id, s.period, s.document, c.customer_id FROM statement s JOIN contract c ON c.id = s.contract_id "
        "WHERE s.id > :after ORDER BY s.id LIMIT :count"
    )
    after = ""
    while rows := bind.execute(page, {"after": after, "count": STATEMENTS_AT_ONCE}).all():
        for id, period, document, customer_id in rows:  # noqa: A001 - the name of the column
            after = id
            standing = STANDINGS[bind.execute(step, {"id": id}).scalar()]
            row = {"statement_id": id, "customer_id": customer_id, "period": period, "standing": standing}
            yield row, json.loads(document)


def _figures(document: dict[str, Any]) -> dict[str, Any]:
    result, valuation, share = document["result"], document["valuation"], document["share"]
    percents = [one["percent"] for part in share["parts"] for one in part["slices"]]
    return {
        "baseline": document["baseline"]["baseline_id"],
        "metric": document["baseline"]["metric"],
        "delivered_bytes": result["delivered_bytes"],
        "baseline_bytes": result["baseline_bytes"],
        "saved_bytes": result["saved_bytes"],
        "currency": document["contract"]["currency"],
        "valued_in": valuation["saved"]["currency"],
        "delivered_minor": valuation["delivered_cost"]["minor"],
        "baseline_minor": valuation["baseline_cost"]["minor"],
        "value_minor": valuation["saved"]["minor"],
        "share_percent": ", ".join(dict.fromkeys(percents)),
        "share_minor": share["amount"]["minor"],
        "reason": share["reason"],
        "has_usage": document["delivered"]["deliveries"] > 0 or bool(document["exceptions"]),
    }


def _assets(row: dict[str, Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    assets: dict[str, list[dict[str, Any]]] = {}
    for line in document["evidence"]["lines"]:
        assets.setdefault(line["asset"], []).append(line)
    found = [
        {
            "statement_id": row["statement_id"],
            "period": row["period"],
            "asset": asset,
            "renditions": len(lines),
            "delivered_bytes": sum(line["delivered_bytes"] for line in lines),
            "saved_bytes": sum(line["saved_bytes"] for line in lines),
        }
        for asset, lines in assets.items()
    ]
    found.sort(key=lambda one: (-one["saved_bytes"], one["asset"]))
    return [{**one, "place": place} for place, one in enumerate(found, start=1)]
