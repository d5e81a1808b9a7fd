"""`narrows-server invoice`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from narrows_server import wording
from narrows_server.invoices import repository
from narrows_server.invoices.pdf import render
from narrows_server.invoices.schemas import InvoiceOut
from narrows_server.invoices.service import require_issued
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table, write_file

invoices = group("Invoices; they are issued by closing a month.")


@invoices.command("list")
def list_invoices(home: Home = None, as_json: AsJson = False) -> None:
    """Show every invoice, newest number first."""
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [InvoiceOut.of(invoice) for invoice in repository.list_invoices(session)]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
    else:
        show_table(
            ("number", "state", "customer", "statement", ">total", "issued"),
            [
                (
                    row.number,
                    row.status,
                    row.customer_id,
                    row.statement_id,
                    wording.money(row.total.minor, row.total.currency),
                    wording.moment(row.issued_at) if row.issued_at else None,
                )
                for row in rows
            ],
            empty="no invoice has been issued yet",
        )


@invoices.command("pdf")
def write_pdf(
    number: Annotated[str, typer.Argument(metavar="NUMBER")],
    out: Annotated[Path, typer.Option(help="Where to write it.")],
    home: Home = None,
) -> None:
    """
    Write an issued invoice as PDF.

    [dim]narrows-server invoice pdf INV-2026-000001 --out invoice.pdf[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        document = require_issued(session, number)
    write_file(out, render(document))
    say(f"wrote {quoted(out)}")
