"""`narrows-server month` and `statement`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from narrows_metering.canonical import canonical_json
from narrows_metering.endorsement import Signer, endorse
from narrows_metering.evidence import write_evidence
from narrows_metering.terms import Period

from narrows_server import wording
from narrows_server.errors import Invalid
from narrows_server.invoices.models import Invoice
from narrows_server.statements import repository, service
from narrows_server.statements.figures import read_figures
from narrows_server.statements.models import Outcome
from narrows_server.statements.pdf import render
from narrows_server.statements.service import Result
from narrows_server.terminal import (
    EXIT_ATTENTION,
    AsJson,
    Home,
    group,
    office_of,
    quoted,
    say,
    show_json,
    show_table,
    write_file,
)

months = group("Close months.")
statements = group("The monthly accounts of savings.")


@months.command("close")
def close_month(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Like 2026-11.")],
    contract: Annotated[str | None, typer.Option(help="This contract alone; all active ones if left out.")] = None,
    early: Annotated[
        bool, typer.Option("--early", help="Close a month that is not over: what follows in it is not billed.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Draw up the statement of every active contract and issue its invoice. Run it again as often as you like.

    Every contract ends as invoiced, nothing due or held. The exit code is 1 if one is held.

    [dim]narrows-server month close 2026-11[/]
    """
    try:
        period = Period.from_text(month)
    except ValueError as error:
        raise Invalid(str(error)) from error
    closed: list[tuple[Outcome, Invoice | None]] = []
    with office_of(home) as office:
        with office.database.snapshot() as session:
            contract_ids = [contract] if contract else service.active_contracts(session, period)
        for contract_id in contract_ids:
            with office.database.transaction() as session:
                outcome = service.close(session, contract_id, period, occasion=office.occasion(), is_early=early)
                invoice = session.get(Invoice, outcome.invoice_id) if outcome.invoice_id else None
                closed.append((outcome, invoice))
    if as_json:
        show_json({"outcomes": [_closed(outcome, invoice) for outcome, invoice in closed]})
    else:
        show_table(
            ("contract", "result", "invoice", ">total", "reason"),
            [
                (
                    outcome.contract_id,
                    outcome.result.replace("_", " "),
                    invoice and invoice.number,
                    invoice and wording.money(invoice.total_minor, invoice.currency),
                    outcome.reason,
                )
                for outcome, invoice in closed
            ],
            empty=f"no contract is active in {wording.month(str(period))}",
        )
    if any(outcome.result == Result.HELD for outcome, _ in closed):
        raise typer.Exit(EXIT_ATTENTION)


@statements.command("list")
def list_statements(home: Home = None, as_json: AsJson = False) -> None:
    """Show every statement, the latest month first."""
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [(row, read_figures(row.document)) for row in repository.list_statements(session)]
    if as_json:
        show_json([{"id": row.id, "hash": row.hash, "document": json.loads(row.document)} for row, _ in rows])
    else:
        show_table(
            ("id", ">delivered", ">baseline", ">saved", ">share", "hash"),
            [
                (
                    row.id,
                    wording.volume(figures.delivered_bytes),
                    wording.volume(figures.baseline_bytes),
                    wording.volume(figures.saved_bytes),
                    wording.money(figures.share_minor, figures.currency),
                    row.hash[:12],
                )
                for row, figures in rows
            ],
            empty="no month has been closed yet",
        )


@statements.command("show")
def show_statement(
    statement_id: Annotated[str, typer.Argument(metavar="ID")],
    out: Annotated[Path | None, typer.Option(help="Where to write it; the screen if left out.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Where to write it for people, with the JSON inside.")] = None,
    home: Home = None,
) -> None:
    """
    Write a statement as the JSON document that customers recompute, signed with our key; or as PDF.

    [dim]narrows-server statement show con_7mbd….2026-11 --out statement.json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        statement = service.require_statement(session, statement_id)
        document = endorse(json.loads(statement.document), Signer.VENDOR, office.keyring.receipt)
    text = canonical_json(document)
    if pdf is not None:
        write_file(pdf, render(document, statement_id))
        say(f"wrote {quoted(pdf)}")
    if out is None and pdf is not None:
        return
    if out is None:
        typer.echo(text.decode())
        return
    write_file(out, text + b"\n")
    say(f"wrote {quoted(out)}; its hash is {quoted(statement.hash)}")


@statements.command("records")
def write_records(
    statement_id: Annotated[str, typer.Argument(metavar="ID")],
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    home: Home = None,
) -> None:
    """
    Write the records behind a statement, one file per installation, for narrows-recompute --evidence.

    [dim]narrows-server statement records con_7mbd….2026-11 --out evidence/[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        document = json.loads(service.require_statement(session, statement_id).document)
        found = service.evidence(session, document)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for installation_id, records in found.items():
            write_evidence(out, installation_id, records)
    except OSError as error:
        raise Invalid(f"{out} cannot be written: {error.strerror}") from error
    say(f"wrote the records of {len(found)} {'installation' if len(found) == 1 else 'installations'} to {quoted(out)}")


def _closed(outcome: Outcome, invoice: Invoice | None) -> dict[str, Any]:
    return {
        "contract": outcome.contract_id,
        "month": outcome.period,
        "result": outcome.result,
        "reason": outcome.reason,
        "statement": outcome.statement_id,
        "invoice": invoice.number if invoice else None,
        "total": {"minor": invoice.total_minor, "currency": invoice.currency} if invoice else None,
    }
