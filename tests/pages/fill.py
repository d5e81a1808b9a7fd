"""
A large vendor: the demo's first customer a thousand times over, for two years, written straight into PostgreSQL.

Every row is a copy of one that the services wrote, with another id; only what pages look at is copied. The rollups of
assets are the many: as many to each statement as make up the number that was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from narrows_metering.terms import Period
from narrows_server.app import PARTS
from narrows_server.database import Base
from narrows_server.statements.drawing import earlier_months
from psycopg import sql

MONTHS = 24
INSTALLATIONS_EACH = 20
RECORDS_EACH = 48
AUDIT_ROWS = 300_000
ALERTS = 2_000
CUSTOMER = sql.SQL("'load-' || lpad(n::text, 5, '0')")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is."""

    asset_rollups: int
    customers: int = 1_000

    @property
    def assets_each(self) -> int:
        """Assets of one statement."""
        return max(1, self.asset_rollups // (self.customers * MONTHS))


def fill(conninfo: str, size: Size, *, now: datetime) -> dict[str, int]:
    """Copy the demo's first customer, and tell how many rows the tables have then."""
    months = [str(one) for one in earlier_months(Period(year=now.year, month=now.month), MONTHS)]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        with _without_indices(connection, "asset_rollup"):
            _Filling(connection, size, months, now).run()
        connection.execute("VACUUM ANALYZE")
        tables = ("asset_rollup", "statement", "invoice", "installation", "record", "contract", "audit")
        return {name: connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()[0] for name in tables}  # type: ignore[index]


@dataclass(slots=True)
class _Filling:
    connection: psycopg.Connection[Any]
    size: Size
    months: list[str]
    now: datetime

    def run(self) -> None:
        people = f"generate_series(1, {self.size.customers}) AS n"
        begun = datetime.fromisoformat(f"{self.months[0]}-01").replace(tzinfo=UTC)
        contract = sql.SQL("{} || '-1'").format(CUSTOMER)
        mine = "t.customer_id = 'nordlicht'"
        self._copy("customer", "t.id = 'nordlicht'", people, id=CUSTOMER, name="'Customer ' || lpad(n::text, 5, '0')")
        self._copy("billing_profile", mine, people, customer_id=CUSTOMER)
        begins = sql.Literal(begun.date())
        self._copy("contract", mine, people, id=contract, customer_id=CUSTOMER, starts_on=begins)
        document = sql.SQL("replace(replace(t.document, '\"nordlicht\"', to_json({})::text), {}, {})").format(
            CUSTOMER, self._first_day(), sql.Literal(f'"starts_on":"{begun.date()}"')
        )
        whose = "t.contract_id = 'nordlicht-1' AND t.number = 1"
        self._copy("contract_version", whose, people, contract_id=contract, document=document, effective_on=begins)
        self._licenses_and_installations(people, contract, mine)
        self._statements(contract)
        self._invoices(contract)
        alert = {"id": "'alr_load' || n", "subject": "'load' || n", "closed_at": "NULL"}
        self._copy("alert", "t.cause = 'gap'", f"generate_series(1, {ALERTS}) AS n", **alert)
        subject = "'load-' || (n % 5000)"
        rows = f"generate_series(1, {AUDIT_ROWS}) AS n"
        self._copy("audit", "t.id = (SELECT max(id) FROM audit)", rows, id=None, subject=subject)
        self.connection.execute(
            "UPDATE person SET customer_id = 'load-00001' WHERE email = 'customer@nordlicht.example'"
        )

    def _licenses_and_installations(self, people: str, contract: Any, mine: str) -> None:
        numbers = self._one("SELECT max(number) + 1 FROM status_number")
        self._copy("status_number", "t.number = 0", people, number=f"n + {numbers}")
        own = {"customer_id": CUSTOMER, "contract_id": contract}
        one = "t.id = (SELECT min(id) FROM license WHERE customer_id = 'nordlicht')"
        self._copy("license", one, people, id="'lic_load' || n", status_index=f"n + {numbers}", replaces="NULL", **own)
        many = f"generate_series(1, {self.size.customers}) AS n, generate_series(1, {INSTALLATIONS_EACH}) AS k"
        one = "t.id = (SELECT min(id) FROM installation WHERE customer_id = 'nordlicht')"
        since = sql.Literal(self.now - timedelta(hours=1))
        name = "encode(sha256(('load' || n || '.' || k)::bytea), 'hex')"
        heads = {"head_seq": str(RECORDS_EACH), "license_id": "'lic_load' || n", "reported_at": since}
        self._copy("installation", one, many, id=name, previous_id="NULL", **heads, **own)
        one = "t.seq BETWEEN 1 AND 48 AND t.installation_id = (SELECT min(id) FROM installation WHERE id IN "
        one += "(SELECT installation_id FROM record GROUP BY 1 HAVING max(seq) >= 48) AND customer_id = 'nordlicht')"
        self._copy("record", one, many, installation_id=name)

    def _statements(self, contract: Any) -> None:
        periods = sql.SQL("unnest({}::text[]) WITH ORDINALITY AS m (mon, place_of_month)").format(
            sql.Literal(self.months)
        )
        each = sql.SQL("generate_series(1, {}) AS n, {}").format(sql.Literal(self.size.customers), periods)
        source = self._one("SELECT min(id) FROM statement WHERE contract_id = 'nordlicht-1'")
        one = f"t.id = '{source}'"
        whole = json.loads(self._one(f"SELECT document FROM statement WHERE id = '{source}'"))
        line = whole["evidence"]["lines"][0]
        whole["evidence"]["lines"] = [
            {**line, "asset": f"asset-{place:06}", "rendition": f"asset-{place:06}.1080"}
            for place in range(1, self.size.assets_each + 1)
        ]
        name = sql.SQL("{} || '.' || mon").format(contract)
        documented = {"document": sql.Literal(json.dumps(whole)), "hash": "encode(sha256((n || mon)::bytea), 'hex')"}
        self._copy("statement", one, each, id=name, contract_id=contract, period="mon", **documented)
        # Of the last month some are drafts, some are disputed.
        last = sql.SQL("mon = {}").format(sql.Literal(self.months[-1]))
        standing = sql.SQL(
            "CASE WHEN {} AND n % 20 = 0 THEN 'draft' WHEN {} AND n % 50 = 1 THEN 'disputed' ELSE 'accepted' END"
        ).format(last, last)
        saved = "t.saved_bytes / 1000 * (500 + n)"
        of = {"statement_id": name, "customer_id": CUSTOMER, "period": "mon"}
        one = f"t.statement_id = '{source}'"
        self._copy("statement_rollup", one, each, standing=standing, saved_bytes=saved, **of)
        steps = sql.SQL("{}, (VALUES ('send'), ('accept')) AS s (name)").format(each)
        step = {"id": None, "statement_id": name, "step": "name", "detail": "NULL", "signature": "NULL"}
        self._copy("statement_step", f"{one} AND t.step = 'send'", steps, **step)
        places = sql.SQL("{}, generate_series(1, {}) AS p").format(each, sql.Literal(self.size.assets_each))
        asset = {"asset": "'asset-' || lpad(p::text, 6, '0')", "saved_bytes": "t.saved_bytes * n / p"}
        rollup = {"statement_id": name, "place": "p", "period": "mon", **asset}
        self._copy("asset_rollup", f"{one} AND t.place = 1", places, **rollup)

    def _invoices(self, contract: Any) -> None:
        series = sql.SQL("generate_series(1, {}) AS n, unnest({}::text[]) AS mon").format(
            sql.Literal(self.size.customers), sql.Literal(self.months)
        )
        source = self._one(
            "SELECT min(i.id) FROM invoice i JOIN allocation a ON a.invoice_id = i.id "
            "WHERE i.customer_id = 'nordlicht' AND i.kind = 'invoice'"
        )
        name = "'inv_load' || n || '.' || mon"
        statement = sql.SQL("{} || '.' || mon").format(contract)
        due = sql.SQL("(mon || '-28')::date + 30")
        drafted = "(mon || '-28')::timestamptz"
        self._copy(
            "invoice",
            f"t.id = '{source}'",
            series,
            id=name,
            number="'LOAD-' || n || '-' || mon",
            customer_id=CUSTOMER,
            statement_id=statement,
            due_on=due,
            drafted_at=drafted,
        )
        payment = f"t.id = (SELECT payment_id FROM allocation WHERE invoice_id = '{source}' LIMIT 1)"
        pay = "'pay_load' || n || '.' || mon"
        reference = "'LOAD-' || n || '-' || mon"
        is_paid = f"{payment} AND (mon <> '{self.months[-2]}' OR n % 10 > 0)"
        self._copy("payment", is_paid, series, id=pay, customer_id=CUSTOMER, reference=reference)
        is_paid = f"t.invoice_id = '{source}' AND (mon <> '{self.months[-2]}' OR n % 10 > 0)"
        self._copy("allocation", is_paid, series, id=None, payment_id=pay, invoice_id=name)
        owed = f"CASE WHEN mon <> '{self.months[-2]}' OR n % 10 > 0 THEN 0 ELSE 1 END * {self._total(source)}"
        self._copy("receivable", f"t.invoice_id = '{source}'", series, invoice_id=name, due_on=due, owed_minor=owed)
        one = "t.contract_id = 'nordlicht-1' AND t.period = (SELECT min(period) FROM outcome)"
        result = f"CASE WHEN mon = '{self.months[-1]}' AND n % 20 = 0 THEN 'held' ELSE 'invoiced' END"
        ended = {"contract_id": contract, "period": "mon", "statement_id": statement, "invoice_id": name}
        self._copy("outcome", one, series, result=result, **ended)
        one = "t.id = (SELECT min(id) FROM charge WHERE contract_id = 'nordlicht-1')"
        charged = {"id": None, "contract_id": contract, "statement_id": statement, "closed_in": "mon"}
        self._copy("charge", one, series, period="mon", **charged)

    def _copy(self, table: str, where: str, series: str | sql.Composed, **changes: Any) -> None:
        """One row of *table* for each of *series*, like the row *where*; a change that is None is given by default."""
        assert PARTS  # Every table is known once the application is.
        known = Base.metadata.tables[table].columns.keys()
        assert changes.keys() <= set(known), (table, changes.keys() - set(known))
        names = [name for name in known if changes.get(name, "") is not None]
        values = [_sql(changes[name]) if name in changes else sql.Identifier("t", name) for name in names]
        query = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS t, {} WHERE {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(values),
            sql.Identifier(table),
            _sql(series),
            sql.SQL(where).format(),
        )
        count = self.connection.execute(query).rowcount
        assert count > 0, f"nothing was copied into {table}"

    def _total(self, invoice_id: str) -> int:
        return int(self._one(f"SELECT total_minor FROM invoice WHERE id = '{invoice_id}'"))

    def _first_day(self) -> sql.Composable:
        text = self._one("SELECT document FROM contract_version WHERE contract_id = 'nordlicht-1' AND number = 1")
        return sql.Literal(f'"starts_on":"{json.loads(text)["starts_on"]}"')

    def _one(self, query: str) -> Any:
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def _sql(part: Any) -> Any:
    return sql.SQL(part) if isinstance(part, str) else part


@contextmanager
def _without_indices(connection: psycopg.Connection[Any], table: str) -> Iterator[None]:
    """Millions of rows are written faster when the indices are made afterwards."""
    key = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE conrelid = %s::regclass AND contype IN ('p', 'f')",
        [table],
    ).fetchall()
    indices = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname <> ALL (%s)",
        [table, [name for name, _ in key]],
    ).fetchall()
    for name, _ in key:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
    for name, _ in indices:
        connection.execute(f"DROP INDEX {name}".encode())
    yield
    connection.execute("SET maintenance_work_mem = '512MB'")
    for name, definition in key:
        # What the references lead to was written here as well, and checking millions of them again takes long.
        trusted = " NOT VALID" if definition.startswith("FOREIGN KEY") else ""
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}{trusted}".encode())
    for _, definition in indices:
        connection.execute(definition.encode())
