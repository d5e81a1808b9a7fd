"""`narrows-server license`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from narrows_licensing.license import Kind

from narrows_server import wording
from narrows_server.licenses import repository, service
from narrows_server.licenses.schemas import LicenseOut
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table, write_file

licenses = group("The licenses that customers put beside their apps.")


@licenses.command("issue")
def issue(
    customer: Annotated[str, typer.Option(help="The customer's id.")],
    contract: Annotated[str, typer.Option(help="The contract's id.")],
    days: Annotated[int, typer.Option(help="How long it lasts.")] = 365,
    kind: Annotated[Kind, typer.Option(help="What it is for.")] = Kind.PRODUCTION,
    preset: Annotated[list[str] | None, typer.Option(help="An encoder preset; repeat it. All if left out.")] = None,
    report_url: Annotated[
        str | None,
        typer.Option(help="This server as the customer reaches it; NARROWS_SERVER_PUBLIC_URL if left out."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the license file.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Sign a license, keep it, and write the file for the customer.

    [dim]narrows-server license issue --customer kanal-funf-ab --contract con_7mbd… --out license.json[/]
    """
    with office_of(home) as office:
        order = service.LicenseOrder(
            customer_id=customer,
            contract_id=contract,
            kind=kind,
            days=days,
            presets=tuple(preset or service.ALL_PRESETS),
            report_url=report_url or office.settings.public_url,
        )
        occasion = office.occasion()
        with office.database.transaction() as session:
            issued = service.issue(session, order, keyring=office.keyring, occasion=occasion)
            text = service.license_file(session, issued.id, keyring=office.keyring, at=occasion.at)
            if out is not None:
                # Inside the transaction: a license that nobody got is not kept either.
                write_file(out, text.encode())
            shown = LicenseOut.of(issued, occasion.at).model_dump(mode="json")
    if as_json:
        show_json({**shown, "file": str(out) if out else None})
    elif out is None:
        typer.echo(text, nl=False)
    else:
        say(f"issued license {quoted(shown['id'])} until {wording.moment(issued.expires_at)}: {quoted(out)}")


@licenses.command("export")
def export(
    license_id: Annotated[str, typer.Argument(metavar="ID")],
    out: Annotated[Path, typer.Option(help="Where to write the license file.")],
    home: Home = None,
) -> None:
    """
    Write a license file again, with the newest revocation list.

    [dim]narrows-server license export lic_7mbd… --out license.json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        write_file(out, service.license_file(session, license_id, keyring=office.keyring, at=office.clock()).encode())
    say(f"wrote {quoted(out)}")


@licenses.command("list")
def list_licenses(home: Home = None, as_json: AsJson = False) -> None:
    """Show every license, newest first."""
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [LicenseOut.of(issued, office.clock()) for issued in repository.list_licenses(session)]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
    else:
        show_table(
            ("id", "customer", "contract", "kind", "state", "expires"),
            [(r.id, r.customer_id, r.contract_id, r.kind, r.state, wording.moment(r.expires_at)) for r in rows],
            empty="no licenses yet",
        )


@licenses.command("revoke")
def revoke(
    license_id: Annotated[str, typer.Argument(metavar="ID")], home: Home = None, as_json: AsJson = False
) -> None:
    """
    Take a license back and publish the next revocation list. Running encodes are not stopped.

    [dim]narrows-server license revoke lic_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        occasion = office.occasion()
        issued = service.revoke(session, license_id, keyring=office.keyring, occasion=occasion)
        shown = LicenseOut.of(issued, occasion.at).model_dump(mode="json")
    if as_json:
        show_json(shown)
    else:
        say(f"revoked license {quoted(license_id)}; license files written from now on carry the news")
