"""`narrows-server entity` and `billing`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer

from narrows_server import wording
from narrows_server.customers.service import require_customer
from narrows_server.invoices.models import Kind
from narrows_server.invoices.numbering import set_pattern
from narrows_server.parties import repository, service
from narrows_server.parties.models import LegalEntity, VatIdCheck
from narrows_server.parties.party import Seller
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table

entities = group("Our legal entities: who the invoices are from.")
billing = group("What invoices need to know of a customer: country, VAT id, language.")

Address = Annotated[list[str] | None, typer.Option("--address", help="A line of the address; repeat it.")]
EntityId = Annotated[str, typer.Argument(metavar="ENTITY", help="Its id, as `entity list` shows it.")]
CustomerId = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Their id, as `customer list` shows it.")]
Postcode = Annotated[str | None, typer.Option(help="Of the address.")]
City = Annotated[str | None, typer.Option(help="Of the address.")]
Email = Annotated[str | None, typer.Option(help="Where customers write to about invoices.")]
VatId = Annotated[str | None, typer.Option(help="Without one, no VAT is charged.")]
TaxId = Annotated[str | None, typer.Option(help="A tax number that is no VAT id.")]
Registration = Annotated[str | None, typer.Option(help="Register and number.")]
Iban = Annotated[str | None, typer.Option(help="The account that invoices are paid to.")]
Bic = Annotated[str | None, typer.Option(help="Of that account's bank.")]
Bank = Annotated[str | None, typer.Option(help="The name of that bank.")]


@entities.command("add")
def add_entity(
    name: Annotated[str, typer.Argument(help="As it is to stand on invoices.")],
    country: Annotated[str, typer.Option(help="ISO 3166-1, such as DE.")],
    entity_id: Annotated[str | None, typer.Option("--id", help="An id of your choice.")] = None,
    address: Address = None,
    postcode: Postcode = None,
    city: City = None,
    email: Email = None,
    vat_id: VatId = None,
    tax_id: TaxId = None,
    registration: Registration = None,
    iban: Iban = None,
    bic: Bic = None,
    bank: Bank = None,
    base_currency: Annotated[str, typer.Option(help="Of its tax returns, ISO 4217.")] = "EUR",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Add a legal entity.

    [dim]narrows-server entity add "Narrows SAS" --country FR --vat-id FR40303265045[/]
    """
    seller = Seller(
        name=name,
        country=country,
        address=tuple(address or ()),
        postcode=postcode,
        city=city,
        email=email,
        vat_id=vat_id,
        tax_id=tax_id,
        registration=registration,
        iban=iban,
        bic=bic,
        bank=bank,
        base_currency=base_currency,
    )
    with office_of(home) as office, office.database.transaction() as session:
        entity = service.add_entity(session, seller, entity_id=entity_id, occasion=office.occasion())
        shown = _entity(entity)
    if as_json:
        show_json(shown)
    else:
        say(f"added legal entity {quoted(shown['id'])}")


@entities.command("set")
def set_entity(
    entity_id: EntityId,
    name: Annotated[str | None, typer.Option(help="As it is to stand on invoices.")] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166-1, such as DE.")] = None,
    address: Address = None,
    postcode: Postcode = None,
    city: City = None,
    email: Email = None,
    vat_id: VatId = None,
    tax_id: TaxId = None,
    registration: Registration = None,
    iban: Iban = None,
    bic: Bic = None,
    bank: Bank = None,
    base_currency: Annotated[str | None, typer.Option(help="Of its tax returns, ISO 4217.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Change a legal entity. Invoices that were issued keep what it was.

    [dim]narrows-server entity set vendor --iban DE02120300000000202051 --bic BYLADEM1001[/]
    """
    given = {
        "name": name,
        "country": country,
        "address": tuple(address) if address else None,
        "postcode": postcode,
        "city": city,
        "email": email,
        "vat_id": vat_id,
        "tax_id": tax_id,
        "registration": registration,
        "iban": iban,
        "bic": bic,
        "bank": bank,
        "base_currency": base_currency,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with office_of(home) as office, office.database.transaction() as session:
        before = service.seller_of(service.require_entity(session, entity_id))
        entity = service.change_entity(session, entity_id, replace(before, **changes), occasion=office.occasion())
        shown = _entity(entity)
    if as_json:
        show_json(shown)
    else:
        say(f"changed legal entity {quoted(entity_id)}")


@entities.command("list")
def list_entities(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every legal entity; the first one sends the invoices of contracts that name nobody.

    [dim]narrows-server entity list --json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [_entity(entity) for entity in repository.list_entities(session)]
    if as_json:
        show_json(rows)
    else:
        names = ("id", "name", "country", "vat_id", "iban", "base_currency")
        show_table(
            ("id", "name", "country", "VAT id", "IBAN", "currency"),
            [[row[name] for name in names] for row in rows],
            empty="no legal entities yet",
        )


@entities.command("numbers")
def set_numbers(
    entity_id: EntityId,
    pattern: Annotated[
        str, typer.Argument(help="Capitals, digits, . / -, {year}, {month}, and {number:06} at the end.")
    ],
    valid_from: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="From this day on.")],
    kind: Annotated[Kind, typer.Option(help="Of invoices or of credit notes.")] = Kind.INVOICE,
    home: Home = None,
) -> None:
    """
    Number an entity's invoices or credit notes by a pattern, from today on or later.

    [dim]narrows-server entity numbers vendor "R{year}-{number:05}" --from 2027-01-01[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        entity = service.require_entity(session, entity_id)
        set_pattern(session, entity, kind, pattern, valid_from=valid_from.date(), occasion=office.occasion())
    what = kind.value.replace("_", " ")
    say(f"{what}s of {quoted(entity_id)} are numbered {quoted(pattern)} from {valid_from.date()} on")


@billing.command("set")
def set_billing(
    customer_id: CustomerId,
    country: Annotated[str | None, typer.Option(help="ISO 3166-1; decides about VAT.")] = None,
    vat_id: Annotated[str | None, typer.Option(help="Its form is checked; the check is kept.")] = None,
    postcode: Postcode = None,
    city: City = None,
    language: Annotated[str | None, typer.Option(help=f"Of invoices: {', '.join(service.LANGUAGES)}.")] = None,
    reference: Annotated[str | None, typer.Option(help="What the customer finds the invoice by.")] = None,
    purchase_order: Annotated[str | None, typer.Option(help="The customer's order number, for invoices.")] = None,
    electronic_address: Annotated[str | None, typer.Option(metavar="SCHEME:ID", help="Such as 0204:991-1…")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Set what invoices need to know of a customer; what is left out stays as it was.

    [dim]narrows-server billing set kanal-funf-ab --country SE --vat-id SE556677889901 --language en[/]
    """
    given = {
        "country": country,
        "vat_id": vat_id,
        "postcode": postcode,
        "city": city,
        "language": language,
        "reference": reference,
        "purchase_order": purchase_order,
        "electronic_address": electronic_address,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    with office_of(home) as office, office.database.transaction() as session:
        service.set_profile(session, customer_id, occasion=office.occasion(), **changes)
        shown = service.buyer_of(session, require_customer(session, customer_id)).to_dict()
    if as_json:
        show_json(shown)
    else:
        say(f"set {', '.join(changes) or 'nothing'} of {quoted(customer_id)}")


@billing.command("show")
def show_billing(customer_id: CustomerId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Show a customer as the addressee of invoices, and every check of its VAT id.

    [dim]narrows-server billing show kanal-funf-ab --json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        buyer = service.buyer_of(session, require_customer(session, customer_id)).to_dict()
        checks = [_check(check) for check in repository.list_checks(session, customer_id)]
    if as_json:
        show_json({**buyer, "checks": checks})
        return
    show_table(("", ""), [(n.replace("_", " "), v) for n, v in buyer.items() if v], empty="")
    names = ("checked_at", "vat_id", "method", "is_valid", "consultation_number", "detail")
    cells = [[check[name] for name in names] for check in checks]
    show_table(("checked", "VAT id", "by", "valid", "consultation", "detail"), cells, empty="no VAT id was checked")


@billing.command("record-vies")
def record_vies(
    customer_id: CustomerId,
    valid: Annotated[bool, typer.Option("--valid/--invalid", help="What VIES answered.")],
    consultation_number: Annotated[str | None, typer.Option("--number", help="Of the consultation.")] = None,
    detail: Annotated[str | None, typer.Option(help="Name and address, or the reason.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Keep the answer of the EU's VIES service as evidence; the newest answer decides about reverse charge.

    [dim]narrows-server billing record-vies kanal-funf-ab --valid --number WAPIAAAAX1234567[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        check = service.record_answer(
            session,
            customer_id,
            is_valid=valid,
            consultation_number=consultation_number,
            detail=detail,
            occasion=office.occasion(),
        )
        shown = _check(check)
    if as_json:
        show_json(shown)
    else:
        say(f"kept the answer about {quoted(shown['vat_id'])}")


def _entity(entity: LegalEntity) -> dict[str, Any]:
    return service.seller_of(entity).to_dict()


def _check(check: VatIdCheck) -> dict[str, Any]:
    return {
        "vat_id": check.vat_id,
        "checked_at": wording.moment(check.checked_at),
        "method": check.method,
        "is_valid": check.is_valid,
        "consultation_number": check.consultation_number,
        "detail": check.detail,
    }
