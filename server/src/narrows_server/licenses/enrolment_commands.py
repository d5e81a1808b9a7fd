"""`narrows-server license enrol | withdraw | log`: what goes between a customer's machines and the vendor by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from narrows_licensing.request import Purpose

from narrows_server.errors import Invalid
from narrows_server.licenses import enrolment
from narrows_server.licenses.bindings import read_request_file, write_response
from narrows_server.licenses.log import license_log
from narrows_server.terminal import AsJson, Home, office_of, quoted, say, show_json, write_file


def write_log(
    customer: Annotated[str, typer.Option(help="The customer's id.")],
    out: Annotated[Path, typer.Option(help="Where to write it.")],
    home: Home = None,
) -> None:
    """
    Write the log of everything ever signed in a customer's name, with proofs, for the customer to check.

    [dim]narrows-server license log --customer kanal-funf-ab --out log.json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        text = license_log(session, customer, keyring=office.keyring, at=office.clock())
        write_file(out, text.encode())
    say(f"wrote {quoted(out)}; the customer runs: narrows license log {out.name}")


def enrol_installation(
    request: Annotated[Path, typer.Argument(help="The customer's request: its file, or the text of its QR code.")],
    customer: Annotated[str, typer.Option(help="The customer who is asking.")],
    out: Annotated[Path, typer.Option(help="Where to write the response; .png or .svg gives a QR code.")],
    license_id: Annotated[str | None, typer.Option("--license", help="A license to send along.")] = None,
    seats: Annotated[int, typer.Option(help="For a relay: how many seats of the license are its.")] = 0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Certify an installation or a relay, and write the response that it imports.

    [dim]narrows-server license enrol request.txt --customer kanal-funf-ab --license lic_7mbd… --out response.json[/]
    """
    asked = read_request_file(request)
    with office_of(home) as office, office.database.transaction() as session:
        occasion, keyring = office.occasion(), office.keyring
        if asked.purpose is Purpose.RELAY:
            if license_id is None:
                raise Invalid("say which license the relay is to hand out: --license")
            certificate = enrolment.certify_relay(
                session, asked, license_id=license_id, seats=seats, keyring=keyring, occasion=occasion
            )
        else:
            certificate = enrolment.enrol(session, asked, customer_id=customer, keyring=keyring, occasion=occasion)
        if certificate.customer_id != customer:
            raise Invalid(f"license {license_id} is not of customer {customer}")
        response = enrolment.respond(session, certificate, license_id, keyring=keyring, occasion=occasion)
        write_response(out, response, has_bundle=asked.bundle_version == keyring.bundle.version)
        shown = {"certificate": certificate.id, "subject": certificate.subject, "file": str(out)}
    if as_json:
        show_json(shown)
    else:
        say(f"certified {quoted(certificate.subject)} as {quoted(certificate.id)}: {quoted(out)}")


def withdraw_certificate(
    certificate_id: Annotated[str, typer.Argument(metavar="CERTIFICATE", help="Its id, as `license enrol` says it.")],
    home: Home = None,
) -> None:
    """
    Take back the certificate of one installation or relay, and publish the next list. Its customer's licenses stay.

    [dim]narrows-server license withdraw crt_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        enrolment.withdraw(session, certificate_id, keyring=office.keyring, occasion=office.occasion())
    say(f"withdrew certificate {quoted(certificate_id)}; license files written from now on carry the news")


def register(licenses: typer.Typer) -> None:
    """Add the commands to `narrows-server license`."""
    licenses.command("enrol")(enrol_installation)
    licenses.command("withdraw")(withdraw_certificate)
    licenses.command("log")(write_log)
