"""Books with a month to close, what its invoices have to come to, and whether each is there, right and once."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.database import Database
from narrows_server.invoices.models import Invoice
from narrows_server.office import open_office
from narrows_server.statements import service
from narrows_server.statements.models import Outcome
from sqlalchemy import func, select, text

from ..load.close import CLOSED_AT, active_contracts, write_books
from ..load.vendor import Vendor
from ..server.builders import NOVEMBER
from .served import Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Contracts with usage in November, and what a close has to charge each."""

    vendor: Vendor
    expected: dict[str, int]  # By contract, in minor units.

    @classmethod
    def write(cls, vendor: Vendor, *, contracts: int, records: int) -> Books:
        with open_office(vendor.settings) as office:
            write_books(office, contracts, records)
            expected = {}
            with office.database.snapshot() as session:
                for one in active_contracts(office):
                    seen = service.preview(session, one, NOVEMBER, occasion=Occasion(actor="admin:test", at=CLOSED_AT))
                    expected[one] = sum(line.amount.minor for line in seen.lines)
        return cls(vendor=vendor, expected=expected)

    def outcomes(self) -> int:
        """How many of them are closed."""
        database = Database(self.vendor.database_url)
        try:
            with database.snapshot() as session:
                query = select(func.count()).select_from(Outcome).where(Outcome.contract_id.startswith("load-"))
                return session.scalar(query) or 0
        finally:
            database.close()

    def require_every_invoice_right_and_once(self) -> None:
        with open_office(self.vendor.settings) as office, office.database.snapshot() as session:
            invoices = list(session.scalars(select(Invoice)))
            owners = {
                one.invoice_id: one.contract_id for one in session.scalars(select(Outcome)) if one.result == "invoiced"
            }
            assert {owners[one.id]: one.net_minor for one in invoices} == self.expected
            assert Counter(owners.values()) == dict.fromkeys(self.expected, 1)
            numbers = sorted(int(str(one.number)[-6:]) for one in invoices)
            assert numbers == list(range(1, len(self.expected) + 1))
            owed = session.execute(text("SELECT invoice_id, owed_minor FROM receivable")).all()
            assert dict(map(tuple, owed)) == {one.id: one.total_minor for one in invoices}
            audit.link_all(office.database)
            assert audit.verify_chain(session).fault is None


def close_at(server: Serving, vendor: Vendor) -> tuple[int, bytes]:
    """Have the server close the month; status and body."""
    headers = {"Authorization": f"Bearer {vendor.admin_key}", "Content-Type": "application/json"}
    return server.ask("POST", "/v1/months/2026-11/close", json.dumps({"early": True}).encode(), headers)
