"""Migrations of a server that has been in business: down as far as they go, and up again, with the same totals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from narrows_server import schema
from narrows_server.database import Database
from narrows_server.office import Office
from sqlalchemy import text

from ..load.close import active_contracts, close_all, write_books
from .builders import a_contract, a_license

TOTALS = {
    "records": "SELECT installation_id, count(*), sum(delivered_bytes), max(seq), max(hash) FROM record GROUP BY 1",
    "installations": "SELECT id, head_seq, head_hash, encode_count, delivered_bytes FROM installation",
    "statements": "SELECT id, hash FROM statement",
    "rolled up": "SELECT * FROM statement_rollup",
    "assets rolled up": "SELECT * FROM asset_rollup",
    "invoices": "SELECT id, number, net_minor, total_minor, status FROM invoice",
    "owed": "SELECT invoice_id, owed_minor FROM receivable",
    "trail": "SELECT count(*), max(at) FROM audit",
}


@pytest.mark.both
def test_down_to_the_tenth_revision_and_up_again_nothing_has_another_total(office: Office, license_id: str) -> None:
    write_books(office, 3, 300)
    assert [one.result for one in close_all(office, active_contracts(office))] == ["invoiced"] * 3
    database = office.database
    before = totals(database)
    assert all(before.values())
    for revision in ("0013", "0012", "0011", "0010"):
        schema.downgrade(database, to=revision)
        schema.upgrade(database)
        assert totals(database) == before


def totals(database: Database) -> dict[str, Sequence[Any]]:
    with database.snapshot() as session:
        return {name: sorted(map(tuple, session.execute(text(query)))) for name, query in TOTALS.items()}


@pytest.fixture
def license_id(office: Office) -> str:
    """Of a license that the books' installations report under."""
    a_contract(office)
    return a_license(office)[0]
