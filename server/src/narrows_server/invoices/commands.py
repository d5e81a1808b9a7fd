"""`narrows-server invoice`: see, print, preview and credit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from narrows_server import wording
from narrows_server.errors import Invalid, NotFound
from narrows_server.invoices import cii, credit_notes, repository, ubl
from narrows_server.invoices.amounts import minor_units
from narrows_server.invoices.models import ISSUED, Invoice
from narrows_server.invoices.models import Kind as Document
from narrows_server.invoices.pdf import render
from narrows_server.invoices.schemas import InvoiceOut
from narrows_server.invoices.service import document_of, issue, preview, require_invoice, require_issued
from narrows_server.payments.repository import standings
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table, write_file

invoices = group("Invoices and credit notes; invoices are issued by closing a month.")

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="As it stands on the invoice or credit note.")]


class Syntax(StrEnum):
    """The two syntaxes of EN 16931."""

    CII = "cii"
    UBL = "ubl"


@invoices.command("list")
def list_invoices(
    customer: Annotated[str | None, typer.Option(help="Of this customer alone.")] = None,
    unpaid: Annotated[bool, typer.Option("--unpaid", help="Only those of which something is owed.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show invoices and credit notes, newest number first, and where they stand.

    [dim]narrows-server invoice list --customer acme --unpaid[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = repository.list_invoices(session, customer_id=customer)
        today, found = office.clock().date(), standings(session, [row for row in rows if row.status == ISSUED])
        shown = [
            InvoiceOut.of(row, found.get(row.id), today)
            for row in rows
            if not unpaid or (row.kind == Document.INVOICE and row.id in found and found[row.id].receivable_minor > 0)
        ]
    if as_json:
        show_json([row.model_dump(mode="json") for row in shown])
        return
    show_table(
        ("number", "state", "customer", "statement", ">total", ">open", "issued", "due"),
        [
            (
                row.number,
                row.standing or row.status,
                row.customer_id,
                row.statement_id,
                wording.money(row.total.minor, row.total.currency),
                row.receivable and wording.money(row.receivable.minor, row.receivable.currency),
                wording.moment(row.issued_at) if row.issued_at else None,
                row.due_on,
            )
            for row in shown
        ],
        empty="no invoice has been issued yet" if not unpaid else "nothing is owed",
    )


@invoices.command("show")
def show_invoice(number: Number, home: Home = None, as_json: AsJson = False) -> None:
    """
    Show an invoice or credit note: its lines, its tax and where it stands. --json gives the document as it is kept.

    [dim]narrows-server invoice show INV-2026-000001[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        invoice = require_invoice(session, number)
        document, today = document_of(invoice), office.clock().date()
        standing = standings(session, [invoice])[invoice.id]
    if as_json:
        show_json(document)
        return
    currency = document["currency"]
    state = standing.status(today).value if invoice.kind == Document.INVOICE else invoice.status
    say(f"{quoted(number)} to {quoted(document['buyer']['name'])}: {state.replace('_', ' ')}")
    show_table(
        (">line", "kind", "period", "text", "tax", ">net"),
        [
            (
                line["id"],
                line["kind"].replace("_", " "),
                line["period"],
                line["text"],
                f"{line['category']} {line['rate']} %",
                wording.money(line["net_minor"], currency),
            )
            for line in document["lines"]
        ],
        empty="no lines",
    )
    sums = [("net", document["net_minor"]), ("VAT", document["tax_minor"]), ("total", document["total_minor"])]
    if invoice.kind == Document.INVOICE:
        sums += [
            ("credited", standing.credited_minor),
            ("paid", standing.paid_minor),
            ("receivable", standing.receivable_minor),
        ]
    show_table(("", ">"), [(name, wording.money(minor, currency)) for name, minor in sums], empty="")


@invoices.command("pdf")
def write_pdf(
    number: Number,
    out: Annotated[Path, typer.Option(help="Where to write it.")],
    home: Home = None,
) -> None:
    """
    Write an issued invoice or credit note as PDF, with its e-invoice inside.

    [dim]narrows-server invoice pdf INV-2026-000001 --out invoice.pdf[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        document = require_issued(session, number)
    write_file(out, render(document))
    say(f"wrote {quoted(out)}")


@invoices.command("xml")
def write_xml(
    number: Number,
    out: Annotated[Path, typer.Option(help="Where to write it.")],
    syntax: Annotated[Syntax, typer.Option(help="Of EN 16931.")] = Syntax.CII,
    home: Home = None,
) -> None:
    """
    Write an issued invoice or credit note as e-invoice of EN 16931.

    [dim]narrows-server invoice xml INV-2026-000001 --syntax ubl --out invoice.xml[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        document = require_issued(session, number)
    write_file(out, ubl.write(document) if syntax is Syntax.UBL else cii.write(document))
    say(f"wrote {quoted(out)}")


@invoices.command("preview")
def preview_invoice(
    invoice_id: Annotated[str, typer.Argument(metavar="ID", help="Of a draft.")],
    out: Annotated[Path | None, typer.Option(help="Where to write it as PDF; JSON on the screen if left out.")] = None,
    home: Home = None,
) -> None:
    """
    What a draft would become if it were issued today, without a number.

    [dim]narrows-server invoice preview inv_7mbd… --out draft.pdf[/]
    """
    # Nothing is kept: a check of a VAT id that the preview makes is made again when the invoice is issued.
    with office_of(home) as office, office.database.snapshot() as session:
        invoice = session.get(Invoice, invoice_id)
        if invoice is None or invoice.status == ISSUED:
            raise NotFound(f"there is no draft {invoice_id}")
        document = preview(session, invoice, occasion=office.occasion())
    if out is None:
        show_json(document)
        return
    write_file(out, render(document))
    say(f"wrote {quoted(out)}")


@invoices.command("issue")
def issue_invoice(
    invoice_id: Annotated[str, typer.Argument(metavar="ID", help="Of a draft.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Issue a draft: it gets its number and can never be changed again.

    [dim]narrows-server invoice issue inv_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        invoice = session.get(Invoice, invoice_id)
        if invoice is None:
            raise NotFound(f"there is no draft {invoice_id}")
        shown = InvoiceOut.of(issue(session, invoice, occasion=office.occasion())).model_dump(mode="json")
    if as_json:
        show_json(shown)
    else:
        say(f"issued invoice {quoted(shown['number'])}")


@invoices.command("credit")
def credit_invoice(
    number: Number,
    reason: Annotated[str, typer.Option(help="As it is to stand on the credit note.")],
    line: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE=NET", help="A part of a line, without tax; repeat it. All that is left if none."),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Issue a credit note over an invoice: all that is left of it, or parts of its lines.

    [dim]narrows-server invoice credit INV-2026-000001 --line 1=250.00 --reason "Deliveries counted twice"[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        invoice = require_invoice(session, number)
        parts = dict(_part(text, invoice.currency) for text in line) if line else None
        note = credit_notes.credit(session, number, parts=parts, reason=reason, occasion=office.occasion())
        shown: dict[str, Any] = InvoiceOut.of(note).model_dump(mode="json")
        total = wording.money(note.total_minor, note.currency)
    if as_json:
        show_json(shown)
    else:
        say(f"issued credit note {quoted(shown['number'])} over {total}")


def _part(text: str, currency: str) -> tuple[int, int]:
    line, _, amount = text.partition("=")
    if not line.isdigit() or not amount:
        raise Invalid(f"{text!r} is not a part of a line: write LINE=NET, like 1=250.00")
    return int(line), minor_units(amount, currency)
