"""
People with their sessions, and one table for everything that two people have to agree on.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _people()
    _signing_in()
    _proposals()


def _people() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("email", sa.String(254), nullable=False, unique=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id")),
        sa.Column("password_hash", sa.String(255)),
        sa.Column("totp_sealed", sa.Text),
        sa.Column("totp_step", sa.BigInteger),
        sa.Column("sso_issuer", sa.String(255)),
        sa.Column("sso_subject", sa.String(255)),
        _time("created_at"),
        _time("signed_in_at", nullable=True),
        _time("disabled_at", nullable=True),
        sa.UniqueConstraint("sso_issuer", "sso_subject", name="uq_person_sso"),
    )
    op.create_index("ix_person_customer_id", "person", ["customer_id"])
    for table in ("recovery_code", "invitation"):
        columns = [_time("expires_at")] if table == "invitation" else []
        op.create_table(table, sa.Column("digest", sa.String(64), primary_key=True), _person(), *columns)
        op.create_index(f"ix_{table}_person_id", table, ["person_id"])


def _signing_in() -> None:
    op.create_table(
        "web_session",
        sa.Column("digest", sa.String(64), primary_key=True),
        _person(),
        sa.Column("level", sa.String(10), nullable=False),
        sa.Column("enrolling_sealed", sa.Text),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(200), nullable=False),
        _time("signed_in_at"),
        _time("seen_at"),
        _time("expires_at"),
    )
    op.create_index("ix_web_session_person_id", "web_session", ["person_id"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        _time("last_at"),
    )
    op.create_index("ix_sign_in_attempts_last_at", "sign_in_attempts", ["last_at"])
    op.create_table(
        "sso_request",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("browser", sa.String(64), nullable=False),
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("verifier", sa.String(128), nullable=False),
        sa.Column("target", sa.String(500), nullable=False),
        _time("expires_at"),
    )
    op.create_index("ix_sso_request_expires_at", "sso_request", ["expires_at"])


def _proposals() -> None:
    op.create_table(
        "proposal",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("customer_id", sa.String(64), sa.ForeignKey("customer.id")),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("proposed_by", sa.String(200), nullable=False),
        sa.Column("proposer", sa.String(200), nullable=False),
        _time("proposed_at"),
        sa.Column("decision", sa.String(10)),
        sa.Column("decided_by", sa.String(200)),
        _time("decided_at", nullable=True),
        sa.Column("outcome", sa.String(64)),
    )
    op.create_index("ix_proposal_kind", "proposal", ["kind"])
    op.execute(
        "INSERT INTO proposal (id, kind, customer_id, document, proposed_by, proposer, proposed_at, decision, "
        "decided_by, decided_at, outcome) SELECT id, 'license', customer_id, draft, proposed_by, proposed_by, "
        "proposed_at, CASE WHEN license_id IS NULL THEN NULL ELSE 'approved' END, approved_by, approved_at, license_id "
        "FROM license_proposal"
    )
    op.drop_table("license_proposal")


def _person() -> sa.Column[str]:
    return sa.Column("person_id", sa.String(64), sa.ForeignKey("person.id"), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
