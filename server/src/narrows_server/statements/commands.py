"""`narrows-server statement`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from narrows_metering.canonical import canonical_json
from narrows_metering.evidence import write_evidence

from narrows_server import wording
from narrows_server.errors import Invalid
from narrows_server.statements import life, repository, service
from narrows_server.statements.figures import read_figures
from narrows_server.statements.life import read_life
from narrows_server.statements.pdf import render
from narrows_server.terminal import (
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

statements = group("The monthly accounts of savings.")

StatementId = Annotated[str, typer.Argument(metavar="STATEMENT", help="Its id, as `statement list` shows it.")]


@statements.command("list")
def list_statements(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every statement and where it stands, the latest month first.

    [dim]narrows-server statement list --json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        now = office.clock()
        steps = repository.steps_by_statement(session)
        rows = [
            (row, read_figures(row.document), read_life(steps.get(row.id, []), now=now))
            for row in repository.list_statements(session)
        ]
    if as_json:
        show_json(
            [
                {
                    "id": row.id,
                    "version": row.version,
                    "standing": known.standing,
                    "sent_at": known.sent_at,
                    "hash": row.hash,
                    "document": json.loads(row.document),
                }
                for row, _, known in rows
            ]
        )
    else:
        show_table(
            ("id", "stands", ">delivered", ">baseline", ">saved", ">share", "hash"),
            [
                (
                    row.id,
                    known.standing.value,
                    wording.volume(figures.delivered_bytes),
                    wording.volume(figures.baseline_bytes),
                    wording.volume(figures.saved_bytes),
                    wording.money(figures.share_minor, figures.currency),
                    row.hash[:12],
                )
                for row, figures, known in rows
            ],
            empty="no month has been closed yet",
        )


@statements.command("show")
def show_statement(
    statement_id: StatementId,
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
        document = life.signed_document(session, statement, office.keyring.receipt)
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
    statement_id: StatementId,
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


@statements.command("send")
def send_statement(statement_id: StatementId, home: Home = None) -> None:
    """
    Hand a draft to the customer: unless it is disputed, ten days of silence accept it.

    [dim]narrows-server statement send acme-1.2026-11[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        statement = service.require_statement(session, statement_id)
        known = life.send(session, statement, occasion=office.occasion())
    assert known.accepted_by_silence_at is not None
    say(f"sent {quoted(statement_id)}; silence accepts it on {wording.moment(known.accepted_by_silence_at)}")


@statements.command("accept")
def accept_statement(
    statement_id: StatementId,
    signed: Annotated[Path | None, typer.Option(help="The statement with the customer's signature, as JSON.")] = None,
    note: Annotated[str | None, typer.Option(help="How the customer said so, without a signature.")] = None,
    home: Home = None,
) -> None:
    """
    Record that the customer accepts a statement; the next close invoices it.

    [dim]narrows-server statement accept acme-1.2026-11 --note "by e-mail from their finance, 9 December"[/]
    """
    signature = None
    if signed is not None:
        try:
            signature = json.loads(signed.read_bytes())["signatures"]["customer"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Invalid(f"{signed} is not a statement that a customer signed") from error
    with office_of(home) as office, office.database.transaction() as session:
        statement = service.require_statement(session, statement_id)
        life.accept(session, statement, signature=signature, detail=note, occasion=office.occasion())
    say(f"{quoted(statement_id)} is accepted")


@statements.command("dispute")
def dispute_statement(
    statement_id: StatementId,
    reason: Annotated[str, typer.Option(help="What the customer objects to.")],
    home: Home = None,
) -> None:
    """
    Record that the customer disputes a statement; it is held until it is accepted, or drawn up again.

    [dim]narrows-server statement dispute acme-1.2026-11 --reason "the EU logs of 3 November are counted twice"[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        statement = service.require_statement(session, statement_id)
        life.dispute(session, statement, reason=reason, occasion=office.occasion())
    say(f"{quoted(statement_id)} is disputed")


@statements.command("redraw")
def redraw_statement(
    statement_id: StatementId,
    reason: Annotated[str, typer.Option(help="For the audit trail.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Draw a statement up again from what is known now. The new version has to be sent and accepted like any other; if
    the old one was invoiced, closing the month again credits that invoice and issues another.

    [dim]narrows-server statement redraw acme-1.2026-11 --reason "dispute of 9 December"[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        statement = service.require_statement(session, statement_id)
        again = service.draw_again(session, statement, reason=reason, occasion=office.occasion())
        shown = {"id": again.id, "version": again.version, "hash": again.hash}
    if as_json:
        show_json(shown)
    else:
        say(f"drew up {quoted(shown['id'])}")
