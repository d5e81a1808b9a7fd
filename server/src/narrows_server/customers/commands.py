"""`narrows-server customer`, `tariff` and `contract`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from narrows_server import wording
from narrows_server.customers import repository, service
from narrows_server.customers.models import Contract, Customer, Tariff
from narrows_server.errors import Invalid
from narrows_server.parties.party import Party
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table

customers = group("The companies that hold licenses and get invoices.")
tariffs = group("What customers pay for bandwidth.")
contracts = group("The terms between a customer and us.")

ChosenId = Annotated[str | None, typer.Option("--id", help="An id of your choice instead of one that is made up.")]


@customers.command("add")
def add_customer(
    name: Annotated[str, typer.Argument(help="As it is to stand on invoices.")],
    customer_id: ChosenId = None,
    address: Annotated[list[str] | None, typer.Option(help="A line of the address; repeat it.")] = None,
    email: Annotated[str | None, typer.Option(help="Where invoices are sent.")] = None,
    tax_id: Annotated[str | None, typer.Option(help="As printed on invoices.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Add a customer.

    [dim]narrows-server customer add "Kanal Fünf AB" --address "Storgatan 1" --address "111 23 Stockholm"[/]
    """
    party = Party(name=name, address=tuple(address or ()), email=email, tax_id=tax_id)
    with office_of(home) as office, office.database.transaction() as session:
        customer = service.add_customer(session, party, customer_id=customer_id, occasion=office.occasion())
        shown = _customer(customer)
    if as_json:
        show_json(shown)
    else:
        say(f"added customer {quoted(shown['id'])}")


@customers.command("list")
def list_customers(home: Home = None, as_json: AsJson = False) -> None:
    """Show every customer."""
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [_customer(customer) for customer in repository.list_customers(session)]
    if as_json:
        show_json(rows)
    else:
        show_table(("id", "name", "email"), [(r["id"], r["name"], r["email"]) for r in rows], empty="no customers yet")


@tariffs.command("add")
def add_tariff(
    name: Annotated[str, typer.Argument(help="As it is to stand on invoices.")],
    tier: Annotated[list[str], typer.Option(metavar="UP_TO_GB:PRICE", help="Repeat it; the last one is :PRICE.")],
    currency: Annotated[str, typer.Option(help="ISO 4217.")] = "EUR",
    tariff_id: ChosenId = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Add a tariff with graduated prices per GB (10⁹ bytes).

    [dim]narrows-server tariff add "CDN 2026" --currency EUR --tier 10000:0.05 --tier :0.04[/]
    """
    tiers = tuple(service.tier_from_text(text) for text in tier)
    with office_of(home) as office, office.database.transaction() as session:
        tariff = service.add_tariff(
            session, name, currency=currency, tiers=tiers, tariff_id=tariff_id, occasion=office.occasion()
        )
        shown = _tariff(tariff)
    if as_json:
        show_json(shown)
    else:
        say(f"added tariff {quoted(shown['id'])}")


@tariffs.command("list")
def list_tariffs(home: Home = None, as_json: AsJson = False) -> None:
    """Show every tariff."""
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [_tariff(tariff) for tariff in repository.list_tariffs(session)]
    if as_json:
        show_json(rows)
    else:
        cells = [(r["id"], r["name"], r["currency"], _tiers_text(r["tiers"])) for r in rows]
        show_table(("id", "name", "currency", "price per GB"), cells, empty="no tariffs yet")


@contracts.command("add")
def add_contract(
    customer: Annotated[str, typer.Option(help="The customer's id.")],
    tariff: Annotated[str, typer.Option(help="The tariff's id.")],
    share: Annotated[str, typer.Option(help="Our part of the money saved, in per cent.")],
    starts: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first of a month.")],
    baseline: Annotated[str, typer.Option(help=f"One of {', '.join(service.BASELINES)}.")] = "libx265-medium",
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(service.METRICS)}.")] = "ms_ssim",
    terms_days: Annotated[int, typer.Option(help="Days until an invoice is due.")] = 30,
    contract_id: ChosenId = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Add a contract.

    [dim]narrows-server contract add --customer kanal-funf-ab --tariff cdn-2026 --share 20 --starts 2026-11-01[/]
    """
    order = service.ContractOrder(
        customer_id=customer,
        tariff_id=tariff,
        share_percent=_percent(share),
        baseline_id=baseline,
        metric=metric,
        starts_on=starts.replace(tzinfo=UTC).date(),
        terms_days=terms_days,
    )
    with office_of(home) as office, office.database.transaction() as session:
        contract = service.add_contract(session, order, contract_id=contract_id, occasion=office.occasion())
        shown = _contract(contract)
    if as_json:
        show_json(shown)
    else:
        say(f"added contract {quoted(shown['id'])}")


@contracts.command("list")
def list_contracts(home: Home = None, as_json: AsJson = False) -> None:
    """Show every contract."""
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [_contract(contract) for contract in repository.list_contracts(session)]
    if as_json:
        show_json(rows)
    else:
        names = ("id", "customer_id", "tariff_id", "share_percent", "baseline", "metric", "starts_on")
        show_table(
            ("id", "customer", "tariff", ">share %", "baseline", "metric", "starts"),
            [[row[name] for name in names] for row in rows],
            empty="no contracts yet",
        )


def _percent(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Invalid(f"{text!r} is not a number of per cent") from None


def _customer(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "name": customer.name,
        "address": customer.address.splitlines(),
        "email": customer.email,
        "tax_id": customer.tax_id,
    }


def _tariff(tariff: Tariff) -> dict[str, Any]:
    tiers = [
        {"up_to_bytes": tier.up_to_bytes, "price_per_gb": str(tier.price_per_gb)} for tier in service.tiers_of(tariff)
    ]
    return {"id": tariff.id, "name": tariff.name, "currency": tariff.currency, "tiers": tiers}


def _tiers_text(tiers: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{tier['price_per_gb']} above"
        if tier["up_to_bytes"] is None
        else f"{tier['price_per_gb']} up to {wording.volume(tier['up_to_bytes'])}"
        for tier in tiers
    )


def _contract(contract: Contract) -> dict[str, Any]:
    return {
        "id": contract.id,
        "customer_id": contract.customer_id,
        "tariff_id": contract.tariff_id,
        "share_percent": contract.share_percent,
        "baseline": contract.baseline_id,
        "metric": contract.metric,
        "starts_on": contract.starts_on,
        "terms_days": contract.terms_days,
    }
