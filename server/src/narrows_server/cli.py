"""`narrows-server`: sets up a state folder, serves it, and gathers the commands of the parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from narrows_server.access.commands import api_key_commands
from narrows_server.alerts.commands import alerts
from narrows_server.audit_commands import audit_commands
from narrows_server.contracts.bench_commands import benches
from narrows_server.contracts.commands import contracts, tariffs
from narrows_server.contracts.money_commands import cdn_invoices, credit, rates
from narrows_server.customers.commands import customers
from narrows_server.errors import Invalid
from narrows_server.exports.commands import exports
from narrows_server.invoices.commands import invoices
from narrows_server.journal.commands import journal
from narrows_server.key_commands import keys
from narrows_server.licenses.commands import licenses
from narrows_server.licenses.revocation_commands import revocations
from narrows_server.office import initialise
from narrows_server.operation import commands as operation
from narrows_server.parties.commands import billing, entities
from narrows_server.parties.party import Seller
from narrows_server.payments.commands import payments
from narrows_server.people.commands import people
from narrows_server.rotation import adopt_roots
from narrows_server.statements.close_command import close_month
from narrows_server.statements.commands import statements
from narrows_server.terminal import AsJson, Home, group, quoted, say, settings_of, show_json
from narrows_server.usage.commands import usage
from narrows_server.webhooks.commands import webhooks

app = group("Issue licenses, take in usage reports, close months, write invoices.")
for name, part in (
    ("entity", entities),
    ("customer", customers),
    ("billing", billing),
    ("tariff", tariffs),
    ("contract", contracts),
    ("bench", benches),
    ("rate", rates),
    ("credit", credit),
    ("cdn-invoice", cdn_invoices),
    ("license", licenses),
    ("revocations", revocations),
    ("keys", keys),
    ("api-key", api_key_commands),
    ("audit", audit_commands),
    ("person", people),
    ("webhook", webhooks),
    ("alert", alerts),
    ("usage", usage),
    ("statement", statements),
    ("invoice", invoices),
    ("payment", payments),
    ("journal", journal),
    ("export", exports),
):
    app.add_typer(part, name=name)

operation.register(app)


app.command("close")(close_month)


@app.command()
def init(
    home: Home = None,
    roots: Annotated[
        Path | None, typer.Option(help="The roots.json of roots made offline; roots are made here if left out.")
    ] = None,
    vendor_name: Annotated[str | None, typer.Option(help="Who the invoices are from.")] = None,
    vendor_address: Annotated[list[str] | None, typer.Option(help="A line of the address; repeat it.")] = None,
    vendor_country: Annotated[str, typer.Option(help="Its country, ISO 3166-1.")] = "DE",
    vendor_email: Annotated[str | None, typer.Option(help="Where customers ask about invoices.")] = None,
    vendor_tax_id: Annotated[str | None, typer.Option(help="As printed on invoices.")] = None,
    vendor_vat_id: Annotated[str | None, typer.Option(help="Without one, no VAT is charged.")] = None,
    vendor_iban: Annotated[str | None, typer.Option(help="The account to pay to.")] = None,
    vendor_payment: Annotated[list[str] | None, typer.Option(help="A line that says how to pay; repeat it.")] = None,
    as_json: AsJson = False,
) -> None:
    """
    Make keys, database and admin key in the state folder. Running it again changes nothing.

    [dim]narrows-server init --home /srv/narrows --vendor-name "Narrows" --vendor-iban DE02120300000000202051[/]
    """
    settings = settings_of(home)
    details = (vendor_address, vendor_email, vendor_tax_id, vendor_vat_id, vendor_iban, vendor_payment)
    if vendor_name is None and any(details):
        raise Invalid("say --vendor-name as well: the vendor is replaced as a whole")
    vendor = None
    if vendor_name is not None:
        vendor = Seller(
            name=vendor_name,
            address=tuple(vendor_address or ()),
            country=vendor_country,
            email=vendor_email,
            tax_id=vendor_tax_id,
            vat_id=vendor_vat_id,
            iban=vendor_iban,
            payment=tuple(vendor_payment or ()),
        )
    if roots is not None:
        adopt_roots(settings, roots)
    done = initialise(settings, vendor)
    if as_json:
        show_json(
            {
                "home": settings.home,
                "roots": settings.roots,
                "made_keys": done.made_keys,
                "upgraded_database": done.upgraded_database,
                "admin_key": done.admin_key,
            }
        )
        return
    if settings.bundle_draft.exists():
        say(f"made the keys in {quoted(settings.keys)}, and {quoted(settings.bundle_draft)} for the roots to sign")
        say("Then run: narrows-server keys install SIGNED")
    elif done.made_keys:
        say(f"made the keys in {quoted(settings.keys)} and the trust bundle, signed by two of three root keys")
        say(f"[yellow]Move {quoted(settings.root_keys)} to an offline machine:[/] no server needs the root keys.")
        say(f"{quoted(settings.roots)} holds the public root keys, for the SDK.")
    if done.upgraded_database:
        say("brought the database up to date")
    if done.admin_key is not None:
        say(f"admin key: {quoted(done.admin_key)} (also in {quoted(settings.admin_key)})")
    if not (done.made_keys or done.upgraded_database or done.admin_key):
        say(f"{quoted(settings.home)} is set up already; nothing was changed")


@app.command("serve")
def serve_office(
    home: Home = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port; needs PostgreSQL.")] = 1,
) -> None:
    """
    Serve the API and the console until SIGTERM or Ctrl-C; requests under way are finished.

    [dim]narrows-server serve --home /srv/narrows --port 8080[/]
    """
    from narrows_server.serving import serve  # Late: no other command needs a web server.

    serve(settings_of(home), host=host, port=port, workers=workers, say=lambda url: typer.echo(f"listening on {url}"))


def main() -> None:
    """The console script."""
    app()
