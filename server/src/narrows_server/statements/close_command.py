"""`narrows-server close`: a month, with progress on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from narrows_metering.terms import Period
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from narrows_server import wording
from narrows_server.errors import Invalid
from narrows_server.invoices.models import Invoice
from narrows_server.office import Office
from narrows_server.statements import service
from narrows_server.statements.models import Outcome
from narrows_server.statements.schemas import PreviewOut
from narrows_server.statements.service import Result
from narrows_server.terminal import (
    EXIT_ATTENTION,
    AsJson,
    Home,
    office_of,
    show_json,
    show_table,
)


def close_month(
    month: Annotated[str, typer.Option(metavar="MONTH", help="Like 2026-11.")],
    contract: Annotated[str | None, typer.Option(help="This contract alone; all active ones if left out.")] = None,
    early: Annotated[
        bool, typer.Option("--early", help="Close a month that is not over: what follows in it becomes a correction.")
    ] = False,
    send: Annotated[bool, typer.Option("--send", help="Hand drafts to their customers: ten days accept them.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Show the lines of the invoices; write nothing.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Close a month: draw up statements, and invoice those that are accepted. Run it again as often as you like.

    Every active contract ends as invoiced, nothing due or held with the reason. The exit code is 1 if one is held.

    [dim]narrows-server close --month 2026-11 --send[/]
    """
    try:
        period = Period.from_text(month)
    except ValueError as error:
        raise Invalid(str(error)) from error
    with office_of(home) as office:
        with office.database.snapshot() as session:
            contract_ids = [contract] if contract else service.active_contracts(session, period)
        if preview:
            _preview(office, contract_ids, period, as_json=as_json)
            return
        closed = _close(office, contract_ids, period, is_early=early, sends=send)
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


def _close(
    office: Office, contract_ids: Sequence[str], period: Period, *, is_early: bool, sends: bool
) -> list[tuple[Outcome, Invoice | None]]:
    console = Console(stderr=True)
    columns = (TextColumn("closing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    outcomes = []
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("closing", total=len(contract_ids))
        for outcome in service.close_month(
            office.database, contract_ids, period, occasion=office.occasion, is_early=is_early, sends=sends
        ):
            outcomes.append(outcome)
            progress.advance(task)
    with office.database.snapshot() as session:
        return [
            (outcome, session.get(Invoice, outcome.invoice_id) if outcome.invoice_id else None) for outcome in outcomes
        ]


def _preview(office: Office, contract_ids: Sequence[str], period: Period, *, as_json: bool) -> None:
    with office.database.snapshot() as session:
        found = [service.preview(session, one, period, occasion=office.occasion()) for one in contract_ids]
    if as_json:
        show_json({"previews": [PreviewOut.of(one).model_dump(mode="json") for one in found]})
        return
    rows: list[tuple[object, ...]] = []
    for one in found:
        if one.held is not None:
            rows.append((one.contract_id, "held", one.held, None))
        for line in one.lines:
            amount = wording.money(line.amount.minor, line.amount.currency)
            rows.append((one.contract_id, line.kind.value.replace("_", " "), line.text, amount))
    nothing = f"no contract is active in {wording.month(str(period))}"
    show_table(("contract", "line", "text", ">amount"), rows, empty=nothing)


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
