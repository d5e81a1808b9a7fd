"""`narrows-server export`: tables, DATEV, FOCUS, and the audit pack of an invoice."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from narrows_server.exports import audit_pack, datev, focus, tables
from narrows_server.exports.tables import Table
from narrows_server.parties.service import default_entity
from narrows_server.terminal import Home, group, office_of, quoted, say, write_file

exports = group("What leaves for accountants, FinOps tools and auditors.")

Out = Annotated[Path, typer.Option(help="Where to write it.")]
Since = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")]
Until = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day.")]
Entity = Annotated[str | None, typer.Option(help="Of this legal entity.")]


@exports.command("csv")
def export_csv(
    table: Annotated[Table, typer.Argument(help="Which table.")],
    out: Out,
    since: Since = None,
    until: Until = None,
    entity: Entity = None,
    home: Home = None,
) -> None:
    """
    Write a table as CSV, UTF-8.

    [dim]narrows-server export csv invoices --from 2026-11-01 --to 2026-11-30 --out invoices.csv[/]
    """
    first, last = _days(since, until)
    with office_of(home) as office, office.database.snapshot() as session:
        today = office.clock().date()
        text = tables.write(table, session, entity_id=entity, first_day=first, last_day=last, today=today)
    write_file(out, text.encode())
    say(f"wrote {quoted(out)}")


@exports.command("datev")
def export_datev(
    out: Out,
    since: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")],
    until: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, of the same year.")],
    adviser: Annotated[int, typer.Option(help="The tax adviser's number (Beraternummer).")],
    client: Annotated[int, typer.Option(help="Our number there (Mandantennummer).")],
    chart: Annotated[datev.Chart, typer.Option(help="Chart of accounts: SKR 03 or 04.")] = datev.Chart.SKR03,
    entity: Entity = None,
    home: Home = None,
) -> None:
    """
    Write a DATEV Buchungsstapel (EXTF) of invoices, credit notes and payments.

    [dim]narrows-server export datev --from 2026-11-01 --to 2026-11-30 --adviser 1001 --client 1 --out EXTF.csv[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        batch = datev.Batch(
            entity_id=entity or default_entity(session).id,
            adviser=adviser,
            client=client,
            chart=chart,
            first_day=since.date(),
            last_day=until.date(),
        )
        content = datev.write(session, batch, at=office.clock())
    write_file(out, content)
    say(f"wrote {quoted(out)}")


@exports.command("focus")
def export_focus(
    out: Out,
    customer: Annotated[str | None, typer.Option(help="Of this customer alone.")] = None,
    since: Since = None,
    until: Until = None,
    home: Home = None,
) -> None:
    """
    Write FOCUS 1.2 cost and usage rows as CSV.

    [dim]narrows-server export focus --customer acme --out focus.csv[/]
    """
    first, last = _days(since, until)
    with office_of(home) as office, office.database.snapshot() as session:
        text = focus.write(session, customer_id=customer, first_day=first, last_day=last)
    write_file(out, text.encode())
    say(f"wrote {quoted(out)}")


@exports.command("audit-pack")
def export_audit_pack(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Of an invoice.")],
    out: Out,
    home: Home = None,
) -> None:
    """
    Write everything behind one invoice as a zip that an auditor checks without a network.

    [dim]narrows-server export audit-pack INV-2026-000001 --out audit.zip[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        content = audit_pack.write(session, number, keyring=office.keyring, at=office.clock())
    write_file(out, content)
    say(f"wrote {quoted(out)}")


def _days(since: datetime | None, until: datetime | None) -> tuple[date | None, date | None]:
    return since.date() if since else None, until.date() if until else None
