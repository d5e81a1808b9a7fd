"""
Statements have versions and lives; what was charged is kept line by line.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _statements()
    op.create_table(
        "statement_step",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("statement_id", sa.String(80), sa.ForeignKey("statement.id"), nullable=False, index=True),
        sa.Column("step", sa.String(20), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("detail", sa.Text),
        sa.Column("signature", sa.Text),
    )
    # Until now a close made every statement binding at once.
    for step in ("send", "accept"):
        taken = sa.text(
            "INSERT INTO statement_step (statement_id, step, at, actor, detail) "
            "SELECT id, :step, drawn_up_at, 'migration', 'closed before statements had lives' "
            "FROM statement ORDER BY period, id"
        )
        op.get_bind().execute(taken, {"step": step})
    op.create_table(
        "charge",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("contract_id", sa.String(64), sa.ForeignKey("contract.id"), nullable=False, index=True),
        sa.Column("closed_in", sa.String(7), nullable=False),
        sa.Column("statement_id", sa.String(80), sa.ForeignKey("statement.id"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("period", sa.String(20), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_charge_statement_id", "charge", ["statement_id"])
    op.execute(
        "INSERT INTO charge (contract_id, closed_in, statement_id, position, kind, period, text, amount_minor, "
        "currency, recorded_at) SELECT s.contract_id, s.period, s.id, 1, 'share', s.period, 'Our share', i.net_minor, "
        "i.currency, i.issued_at FROM invoice AS i JOIN statement AS s ON s.id = i.statement_id "
        "WHERE i.status = 'issued' ORDER BY s.period, s.id"
    )
    for table in ("statement_step", "charge"):
        _refuse_changes(table)


def _statements() -> None:
    """One version of each is there; a month may have several from now on."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    if not is_sqlite:
        op.execute("DROP TRIGGER statement_refuse_update ON statement")
        op.execute("DROP TRIGGER statement_refuse_delete ON statement")
        op.execute("DROP FUNCTION statement_refuse_update()")
        op.execute("DROP FUNCTION statement_refuse_delete()")
    with op.batch_alter_table("statement", recreate="always" if is_sqlite else "never") as batch:
        batch.drop_constraint("uq_statement_contract_id", type_="unique")
        batch.add_column(sa.Column("version", sa.Integer, nullable=False, server_default="1"))
        batch.create_unique_constraint("uq_statement_contract_id", ["contract_id", "period", "version"])
    with op.batch_alter_table("statement", recreate="auto") as batch:
        batch.alter_column("version", server_default=None)
    _refuse_changes("statement")


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
