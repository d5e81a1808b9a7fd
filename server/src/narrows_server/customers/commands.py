"""`narrows-server customer`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from narrows_server.customers import repository, service
from narrows_server.customers.models import Customer
from narrows_server.parties.party import Party
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table

customers = group("The companies that hold licenses and get invoices.")

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
    """
    Show every customer.

    [dim]narrows-server customer list --json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [_customer(customer) for customer in repository.list_customers(session)]
    if as_json:
        show_json(rows)
    else:
        show_table(("id", "name", "email"), [(r["id"], r["name"], r["email"]) for r in rows], empty="no customers yet")


def _customer(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "name": customer.name,
        "address": customer.address.splitlines(),
        "email": customer.email,
        "tax_id": customer.tax_id,
    }
