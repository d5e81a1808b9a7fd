"""The transparency log, named gaps, where an installation comes from, and totals that need no look at the records."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("log_leaf", "log_node")
EMPTY_ROOT = hashlib.sha256(b"").hexdigest()


def upgrade() -> None:
    _installations()
    _records()
    _gaps()
    _log()
    _queue_receipts()
    for table in APPEND_ONLY:
        _refuse_changes(table)


def _installations() -> None:
    for name in ("encode_count", "delivered_bytes"):
        op.add_column("installation", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("installation", sa.Column("previous_id", sa.String(64)))
    op.add_column("installation", sa.Column("previous_seq", sa.BigInteger))
    op.execute(
        "UPDATE installation SET encode_count = (SELECT count(*) FROM record "
        "WHERE record.installation_id = installation.id AND record.kind = 'encode'), "
        "delivered_bytes = (SELECT coalesce(sum(record.delivered_bytes), 0) FROM record "
        "WHERE record.installation_id = installation.id)"
    )


def _records() -> None:
    """Without the index that nothing asks any more, and without a foreign key to be checked for every record."""
    op.drop_index("ix_record_installation_kind", table_name="record")
    key = "fk_record_installation_id_installation"
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(key, "record", type_="foreignkey")
        return
    with op.batch_alter_table("record", recreate="always") as batch:  # SQLite makes a new table of it.
        batch.drop_constraint(key, type_="foreignkey")
    _refuse_changes("record")  # The triggers went with the old one.


def _gaps() -> None:
    op.create_table(
        "gap",
        sa.Column("installation_id", sa.String(64), primary_key=True),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id"), nullable=False),
        sa.Column("contract_id", sa.String(64), sa.ForeignKey("contract.id"), nullable=False),
        sa.Column("last_missing", sa.BigInteger, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
    )


def _log() -> None:
    op.create_table(
        "log_pending",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("installation_id", sa.String(64), nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("leaf_hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "log_leaf",
        sa.Column("leaf_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("installation_id", sa.String(64), nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("installation_id", "first_seq", "last_seq"),
    )
    op.create_table(
        "log_node",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("place", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "log_tree",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tree_size", sa.BigInteger, nullable=False),
        sa.Column("root_hash", sa.String(64), nullable=False),
    )
    op.execute(f"INSERT INTO log_tree (id, tree_size, root_hash) VALUES (1, 0, '{EMPTY_ROOT}')")  # noqa: S608


def _queue_receipts() -> None:
    """Receipts that were given before there was a log belong into it as well."""
    connection = op.get_bind()
    receipts = connection.execute(
        sa.text("SELECT installation_id, first_seq, last_seq, token FROM receipt ORDER BY issued_at, installation_id")
    )
    rows = [
        {"i": row.installation_id, "f": row.first_seq, "l": row.last_seq, "h": _leaf_hash(row.token)}
        for row in receipts
    ]
    if rows:
        insert = "INSERT INTO log_pending (installation_id, first_seq, last_seq, leaf_hash) VALUES (:i, :f, :l, :h)"
        connection.execute(sa.text(insert), rows)


def _leaf_hash(token: str) -> str:
    """As `narrows_metering.transparency` had it when this was written: a migration does not follow later changes."""
    payload = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    leaf = {name: claims[name] for name in ("installation_id", "first_seq", "last_seq", "head_hash", "merkle_root")}
    entry = json.dumps(leaf, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(b"\x00" + entry).hexdigest()


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
