"""`narrows-server rate`, `credit` and `cdn-invoice`: amounts from outside that closes work with."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer
from narrows_metering.share import Exchange
from narrows_metering.terms import Period

from narrows_server import wording
from narrows_server.contracts import repository, service, terms
from narrows_server.contracts.commands import ContractId
from narrows_server.contracts.credits import Movement, move
from narrows_server.contracts.reading import to_minor
from narrows_server.errors import Invalid
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table

rates = group("Exchange rates, for contracts whose tariff is in another currency.")
credit = group("Prepaid credit of contracts: bought, drawn down by invoices, paid out.")
cdn_invoices = group("What CDNs invoiced, for contracts that value savings by it.")

AmountText = Annotated[str, typer.Argument(metavar="AMOUNT", help="In major units: 1250.00.")]


@rates.command("add")
def add_rate(
    base: Annotated[str, typer.Argument(metavar="FROM", help="The tariff's currency.")],
    quoted_in: Annotated[str, typer.Argument(metavar="TO", help="The contract's currency.")],
    rate: Annotated[str, typer.Argument(help="What one unit of FROM is worth in TO.")],
    on: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The day of the rate.")],
    source: Annotated[str, typer.Option(help="Whose rate it is, as contracts name it.")] = "ECB",
    home: Home = None,
) -> None:
    """
    Add the rate of a day. A second one for the same day holds instead, in months that are not closed.

    [dim]narrows-server rate add USD EUR 0.9215 --on 2026-11-30[/]
    """
    try:
        exchange = Exchange(currency=base, rate=_decimal(rate), source=source, date=on.date().isoformat())
        to_minor(Decimal(0), quoted_in, where="TO")
    except ValueError as error:
        raise Invalid(str(error)) from error
    with office_of(home) as office, office.database.transaction() as session:
        terms.add_rate(session, exchange, to_currency=quoted_in, occasion=office.occasion())
    say(f"1 {quoted(base)} is {quoted(rate)} {quoted(quoted_in)} on {exchange.date}, by {quoted(source)}")


@rates.command("list")
def list_rates(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show the latest rates first.

    [dim]narrows-server rate list[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [
            {"from": row.from_currency, "to": row.to_currency, "rate": row.rate, "source": row.source, "on": row.on}
            for row in repository.list_rates(session)
        ]
    if as_json:
        show_json(rows)
    else:
        columns = ("on", "from", "to", "rate", "source")
        show_table(("on", "from", "to", ">rate", "source"), [[r[name] for name in columns] for r in rows], empty="none")


@credit.command("add")
def add_credit(
    contract_id: ContractId,
    amount: AmountText,
    reference: Annotated[str | None, typer.Option(help="The payment or invoice by which it was bought.")] = None,
    home: Home = None,
) -> None:
    """
    Record that a customer bought credit; the next invoices draw it down.

    [dim]narrows-server credit add acme-1 10000.00 --reference INV-2026-000007[/]
    """
    _move(contract_id, Movement.BOUGHT, amount, 1, reference, home)


@credit.command("pay-out")
def pay_out_credit(
    contract_id: ContractId,
    amount: AmountText,
    reference: Annotated[str | None, typer.Option(help="The payment.")] = None,
    home: Home = None,
) -> None:
    """
    Record that credit was paid back to a customer.

    [dim]narrows-server credit pay-out acme-1 120.50[/]
    """
    _move(contract_id, Movement.WITHDRAWN, amount, -1, reference, home)


@credit.command("show")
def show_credit(contract_id: ContractId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every movement of a contract's credit, and what is left.

    [dim]narrows-server credit show acme-1[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        service.require_contract(session, contract_id)
        entries = repository.list_credit(session, contract_id)
        balance = repository.credit_balance(session, contract_id)
        currency = service.document_on(session, contract_id, office.clock().date()).currency
    if as_json:
        movements = [
            {"kind": e.kind, "minor": e.amount_minor, "period": e.period, "reference": e.reference, "at": e.recorded_at}
            for e in entries
        ]
        show_json({"currency": currency, "balance_minor": balance, "movements": movements})
        return
    cells = [
        (e.recorded_at.date(), e.kind.replace("_", " "), wording.money(e.amount_minor, currency), e.period, e.reference)
        for e in entries
    ]
    show_table(("at", "movement", ">amount", "month", "reference"), cells, empty="no credit was ever bought")
    say(f"left: {wording.money(balance, currency)}")


@cdn_invoices.command("add")
def add_cdn_invoice(
    contract_id: ContractId,
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Like 2026-11.")],
    cdn: Annotated[str, typer.Argument(help="As deliveries name it.")],
    amount: Annotated[str, typer.Argument(help="In major units of the tariff's currency.")],
    home: Home = None,
) -> None:
    """
    Record what a CDN invoiced a customer for a month. A second entry holds instead of the first.

    [dim]narrows-server cdn-invoice add acme-1 2026-11 cloudfront 41250.17[/]
    """
    try:
        period = Period.from_text(month)
    except ValueError as error:
        raise Invalid(str(error)) from error
    with office_of(home) as office, office.database.transaction() as session:
        row = terms.add_cdn_invoice(session, contract_id, period, cdn, _decimal(amount), occasion=office.occasion())
    say(f"{quoted(cdn)} invoiced {amount} for {wording.month(row.period)}")


def _move(contract_id: str, movement: Movement, amount: str, sign: int, reference: str | None, home: Home) -> None:
    with office_of(home) as office, office.database.transaction() as session:
        service.require_contract(session, contract_id)
        currency = service.document_on(session, contract_id, office.clock().date()).currency
        minor = sign * _minor(amount, currency)
        move(session, contract_id, movement, minor, currency, reference=reference, occasion=office.occasion())
        balance = repository.credit_balance(session, contract_id)
    say(f"{quoted(contract_id)} has {wording.money(balance, currency)} of credit")


def _minor(amount: str, currency: str) -> int:
    try:
        return to_minor(_decimal(amount), currency, where="AMOUNT")
    except ValueError as error:
        raise Invalid(str(error)) from error


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Invalid(f"{text!r} is not a number") from None
    if not value.is_finite() or value < 0:
        raise Invalid(f"{text!r} is not a number from 0")
    return value
