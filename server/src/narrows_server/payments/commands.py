"""`narrows-server payment` and `account`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from narrows_server import wording
from narrows_server.exports.tables import account_csv
from narrows_server.invoices.amounts import minor_units
from narrows_server.parties.service import default_entity
from narrows_server.payments import account_pdf, repository, service
from narrows_server.payments.account import Scope, statement_of_account
from narrows_server.payments.models import Payment
from narrows_server.payments.service import Receipt
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table, write_file

payments = group("Money that customers paid, what it is for, and what they owe.")

Day = Annotated[datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="The bank's day; today if left out.")]
PaymentId = Annotated[str, typer.Argument(metavar="PAYMENT", help="Its id, as `payment list` shows it.")]


@payments.command("record")
def record(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    amount: Annotated[str, typer.Argument(help="Like 1234.56.")],
    currency: Annotated[str, typer.Option(help="ISO 4217.")] = "EUR",
    on: Day = None,
    reference: Annotated[str | None, typer.Option(help="The bank's; the same one is refused twice.")] = None,
    invoice: Annotated[
        list[str] | None, typer.Option(help="What it is for; repeat it. Those due first if left out.")
    ] = None,
    entity: Annotated[str | None, typer.Option(help="Who was paid; the first entity if left out.")] = None,
    note: Annotated[str | None, typer.Option(help="For whoever reads the books.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Record a payment. What is left over stays as the customer's credit.

    [dim]narrows-server payment record acme 3480.08 --on 2026-12-28 --reference E2E-4711[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        occasion = office.occasion()
        receipt = Receipt(
            entity_id=entity or default_entity(session).id,
            customer_id=customer,
            currency=currency,
            amount_minor=minor_units(amount, currency),
            received_on=_day(on, occasion.at),
            reference=reference,
            note=note,
        )
        payment = service.receive(session, receipt, numbers=invoice, occasion=occasion)
        shown = _payment(payment, repository.unused_of(session, payment))
    _show(shown, f"recorded payment {quoted(shown['id'])}", as_json=as_json)


@payments.command("apply")
def apply(
    payment_id: PaymentId,
    invoice: Annotated[str, typer.Argument(help="The number of an invoice.")],
    amount: Annotated[str | None, typer.Option(help="As much as possible if left out.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Let a customer's credit pay an invoice.

    [dim]narrows-server payment apply pay_7mbd… INV-2026-000002[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        currency = service.require_payment(session, payment_id).currency
        minor = minor_units(amount, currency) if amount else None
        payment = service.apply(session, payment_id, invoice, amount_minor=minor, occasion=office.occasion())
        shown = _payment(payment, repository.unused_of(session, payment))
    _show(shown, f"applied to {quoted(invoice)}", as_json=as_json)


@payments.command("refund")
def refund(
    payment_id: PaymentId,
    amount: Annotated[str | None, typer.Option(help="All that is for no invoice if left out.")] = None,
    on: Day = None,
    reference: Annotated[str | None, typer.Option(help="The bank's.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Record that credit was paid back.

    [dim]narrows-server payment refund pay_7mbd… --amount 81.00[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        occasion = office.occasion()
        currency = service.require_payment(session, payment_id).currency
        back = service.refund(
            session,
            payment_id,
            amount_minor=minor_units(amount, currency) if amount else None,
            paid_on=_day(on, occasion.at),
            reference=reference,
            occasion=occasion,
        )
        shown = _payment(back, 0)
    _show(shown, f"recorded refund {quoted(shown['id'])}", as_json=as_json)


@payments.command("reverse")
def reverse(
    payment_id: PaymentId,
    on: Day = None,
    note: Annotated[str | None, typer.Option(help="Why: bounced, recorded twice.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Take a payment back as a whole: what it paid is owed again.

    [dim]narrows-server payment reverse pay_7mbd… --note "returned by the bank"[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        occasion = office.occasion()
        undone = service.reverse(session, payment_id, reversed_on=_day(on, occasion.at), note=note, occasion=occasion)
        shown = _payment(undone, 0)
    _show(shown, f"reversed {quoted(payment_id)}", as_json=as_json)


@payments.command("list")
def list_payments(
    customer: Annotated[str | None, typer.Option(help="Of this customer alone.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show payments, refunds and reversals, and what of each is for no invoice yet.

    [dim]narrows-server payment list --customer acme[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [
            _payment(one, repository.unused_of(session, one) if one.amount_minor > 0 else 0)
            for one in repository.list_payments(session, customer_id=customer)
        ]
    if as_json:
        show_json(rows)
        return
    show_table(
        ("id", "kind", "day", "customer", "reference", ">amount", ">unused"),
        [
            (
                row["id"],
                row["kind"],
                row["received_on"],
                row["customer_id"],
                row["reference"],
                wording.money(row["amount"]["minor"], row["amount"]["currency"]),
                wording.money(row["unused"]["minor"], row["unused"]["currency"]),
            )
            for row in rows
        ],
        empty="no payments yet",
    )


@payments.command("account")
def show_account(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    first_day: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day, like 2026-12-01.")
    ],
    last_day: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, like 2026-12-31.")],
    currency: Annotated[str, typer.Option(help="ISO 4217.")] = "EUR",
    entity: Annotated[str | None, typer.Option(help="Who is owed; the first entity if left out.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Where to write it for people.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Where to write it as a table.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    A customer's statement of account: what was owed, invoiced, credited and paid, and what is open.

    [dim]narrows-server payment account acme --from 2026-11-01 --to 2026-12-31 --pdf account.pdf[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        scope = Scope(
            entity_id=entity or default_entity(session).id,
            customer_id=customer,
            currency=currency,
            first_day=first_day.date(),
            last_day=last_day.date(),
        )
        account = statement_of_account(session, scope)
    if pdf is not None:
        write_file(pdf, account_pdf.render(account))
        say(f"wrote {quoted(pdf)}")
    if csv is not None:
        write_file(csv, account_csv(account).encode())
        say(f"wrote {quoted(csv)}")
    if as_json:
        show_json(account)
    elif pdf is None and csv is None:
        _show_account(account, currency)


@payments.command("overdue")
def show_overdue(home: Home = None, as_json: AsJson = False) -> None:
    """
    What is overdue, and which reminders are in order; the exit code is 0 either way.

    [dim]narrows-server payment overdue[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        today = office.clock().date()
        late = service.overdue(session, today)
    if as_json:
        show_json(
            [
                {
                    "number": invoice.number,
                    "customer_id": invoice.customer_id,
                    "due_on": standing.due_on.isoformat(),
                    "days_overdue": standing.days_overdue(today),
                    "reminder": standing.reminder(today),
                    "receivable": {"minor": standing.receivable_minor, "currency": invoice.currency},
                }
                for invoice, standing in late
            ]
        )
        return
    show_table(
        ("number", "customer", "due", ">days", ">reminder", ">open"),
        [
            (
                invoice.number,
                invoice.customer_id,
                standing.due_on,
                standing.days_overdue(today),
                standing.reminder(today),
                wording.money(standing.receivable_minor, invoice.currency),
            )
            for invoice, standing in late
        ],
        empty="nothing is overdue",
    )


def _show_account(account: dict[str, Any], currency: str) -> None:
    show_table(
        ("day", "what", "reference", ">amount", ">balance"),
        [
            (account["first_day"], "opening", None, None, wording.money(account["opening_minor"], currency)),
            *(
                (
                    line["day"],
                    line["kind"].replace("_", " "),
                    line["reference"],
                    wording.money(line["minor"], currency),
                    wording.money(line["balance_minor"], currency),
                )
                for line in account["lines"]
            ),
            (account["last_day"], "closing", None, None, wording.money(account["closing_minor"], currency)),
        ],
        empty="",
    )


def _show(shown: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    if as_json:
        show_json(shown)
        return
    unused = shown["unused"]
    rest = f"; {wording.money(unused['minor'], unused['currency'])} is for no invoice" if unused["minor"] else ""
    say(f"{sentence}{rest}")


def _payment(payment: Payment, unused_minor: int) -> dict[str, Any]:
    return {
        "id": payment.id,
        "kind": payment.kind,
        "entity_id": payment.entity_id,
        "customer_id": payment.customer_id,
        "received_on": payment.received_on.isoformat(),
        "reference": payment.reference,
        "amount": {"minor": payment.amount_minor, "currency": payment.currency},
        "unused": {"minor": unused_minor, "currency": payment.currency},
        "of": payment.of_id,
    }


def _day(chosen: datetime | None, now: datetime) -> date:
    return chosen.replace(tzinfo=UTC).date() if chosen else now.date()
