"""`narrows-server license`. For customers' keys see `enrolment_commands`."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from narrows_licensing.entitlement import PIXELS_MAX, Overage
from narrows_licensing.license import Kind, LeaseTerms

from narrows_server import wording
from narrows_server.licenses import enrolment_commands, proposals, repository, service
from narrows_server.licenses.bindings import binding_from_text
from narrows_server.licenses.drafts import Draft, LicenseOrder, draft_new, draft_renewal, draft_transfer
from narrows_server.licenses.models import IssuedLicense
from narrows_server.licenses.schemas import LicenseOut
from narrows_server.office import Office
from narrows_server.proposals.service import list_undecided
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table, write_file

licenses = group("The licenses that customers put beside their apps.")
enrolment_commands.register(licenses)

LicenseId = Annotated[str, typer.Argument(metavar="LICENSE", help="Its id, as `license list` shows it.")]
Out = Annotated[Path | None, typer.Option(help="Where to write the license file.")]
Bind = Annotated[
    str,
    typer.Option(
        "--bind",
        metavar="KIND[:…]",
        help="none, application:ID,…, installation:ID, request:FILE for its machine, or workload:FILE.",
    ),
]


@licenses.command("issue")
def issue(
    customer: Annotated[str, typer.Option(help="The customer's id.")],
    contract: Annotated[str, typer.Option(help="The contract's id.")],
    days: Annotated[int | None, typer.Option(help="How long it lasts: 365, or 30 for a trial.")] = None,
    kind: Annotated[Kind, typer.Option(help="What it is for.")] = Kind.PRODUCTION,
    preset: Annotated[list[str] | None, typer.Option(help="An encoder preset; repeat it. All if left out.")] = None,
    report_url: Annotated[
        str | None,
        typer.Option(help="This server as the customer reaches it; NARROWS_SERVER_PUBLIC_URL if left out."),
    ] = None,
    bind: Bind = "none",
    grace_days: Annotated[int, typer.Option(help="How long it works after it has expired.")] = 14,
    maintenance_until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="SDK releases up to this day are covered.")
    ] = None,
    max_pixels: Annotated[int, typer.Option(help="Width × height of the largest frame.")] = PIXELS_MAX,
    max_encodes: Annotated[int | None, typer.Option(help="Encodes at once on one machine.")] = None,
    lease_seconds: Annotated[
        int | None, typer.Option("--lease", help="Floating: --max-encodes are seats, leased for so many seconds.")
    ] = None,
    borrow_days: Annotated[int, typer.Option(help="Floating: how long a seat may be taken along.")] = 0,
    overage: Annotated[Overage, typer.Option(help="How far --max-encodes may be passed.")] = Overage.NONE,
    max_unreported_days: Annotated[int | None, typer.Option(help="How long usage may wait for a receipt.")] = None,
    max_unreported_bytes: Annotated[int | None, typer.Option(help="How much usage may wait.")] = None,
    out: Out = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Sign a license, keep it, and write the file for the customer.

    [dim]narrows-server license issue --customer kanal-funf-ab --contract con_7mbd… --out license.json[/]
    """
    with office_of(home) as office:
        order = LicenseOrder(
            customer_id=customer,
            contract_id=contract,
            kind=kind,
            days=days or (30 if kind is Kind.TRIAL else 365),
            grace_days=grace_days,
            maintenance_until=maintenance_until.date() if maintenance_until else None,
            presets=tuple(preset or service.ALL_PRESETS),
            max_pixels=max_pixels,
            max_concurrent_encodes=max_encodes,
            overage=overage,
            report_url=report_url or office.settings.public_url,
            max_unreported_days=max_unreported_days,
            max_unreported_bytes=max_unreported_bytes,
            binding=binding_from_text(bind),
            lease=None
            if lease_seconds is None
            else LeaseTerms(
                heartbeat=timedelta(seconds=lease_seconds),
                revive=timedelta(seconds=lease_seconds),
                borrow_max=timedelta(days=borrow_days),
            ),
        )
        with office.database.snapshot() as session:
            draft = draft_new(session, order, keyring=office.keyring, at=office.clock())
        _settle(office, draft, out, as_json=as_json)


@licenses.command("renew")
def renew(
    license_id: LicenseId,
    days: Annotated[int, typer.Option(help="How much longer it lasts.")] = 365,
    out: Out = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Issue the same license for longer. The old one works until it expires.

    [dim]narrows-server license renew lic_7mbd… --out license.json[/]
    """
    with office_of(home) as office:
        with office.database.snapshot() as session:
            issued = service.require_license(session, license_id)
            draft = draft_renewal(issued, days=days, keyring=office.keyring, at=office.clock())
        _settle(office, draft, out, as_json=as_json)


@licenses.command("transfer")
def transfer(license_id: LicenseId, bind: Bind, out: Out = None, home: Home = None, as_json: AsJson = False) -> None:
    """
    Issue the same license for another machine, application or workload, and revoke the old one.

    [dim]narrows-server license transfer lic_7mbd… --bind request:request.txt --out license.json[/]
    """
    with office_of(home) as office:
        with office.database.snapshot() as session:
            issued = service.require_license(session, license_id)
            binding = binding_from_text(bind)
            draft = draft_transfer(issued, binding=binding, keyring=office.keyring, at=office.clock())
        _settle(office, draft, out, as_json=as_json)


@licenses.command("approve")
def approve(
    proposal_id: Annotated[str, typer.Argument(metavar="PROPOSAL", help="Its id, as `license proposals` shows it.")],
    out: Out = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Issue what another person has proposed. For servers with NARROWS_SERVER_TWO_PERSON.

    [dim]narrows-server license approve prp_7mbd… --out license.json[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        issued = proposals.approve(session, proposal_id, keyring=office.keyring, occasion=office.occasion())
        text = service.license_file(session, issued.id, keyring=office.keyring, at=office.clock())
        _hand_out(office, issued, text, out, as_json=as_json)


@licenses.command("proposals")
def list_proposals(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show what waits for a second person.

    [dim]narrows-server license proposals[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [
            {
                "id": proposal.id,
                "customer_id": proposal.customer_id,
                "proposed_by": proposal.proposed_by,
                "proposed_at": proposal.proposed_at,
                "claims": Draft.from_json(proposal.document).license.claims(),
            }
            for proposal in list_undecided(session, kind=proposals.KIND)
        ]
    if as_json:
        show_json(rows)
    else:
        names = ("id", "customer_id", "proposed_by", "proposed_at")
        columns = ("id", "customer", "proposed by", "proposed at")
        show_table(columns, [[row[name] for name in names] for row in rows], empty="nothing waits for approval")


@licenses.command("export")
def export(
    license_id: LicenseId,
    out: Annotated[Path, typer.Option(help="Where to write the license file.")],
    home: Home = None,
) -> None:
    """
    Write a license file again, with the newest trust bundle and revocation list.

    [dim]narrows-server license export lic_7mbd… --out license.json[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        write_file(out, service.license_file(session, license_id, keyring=office.keyring, at=office.clock()).encode())
    say(f"wrote {quoted(out)}")


@licenses.command("list")
def list_licenses(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every license, newest first.

    [dim]narrows-server license list --json[/]
    """
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


@licenses.command("suspend")
def suspend(license_id: LicenseId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Take a license back until it is reinstated, and publish the next list. Running encodes are not stopped.

    [dim]narrows-server license suspend lic_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        issued = service.suspend(session, license_id, keyring=office.keyring, occasion=office.occasion())
        _show_change(office, issued, "suspended", as_json=as_json)


@licenses.command("reinstate")
def reinstate(license_id: LicenseId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Lift a suspension and publish the next list.

    [dim]narrows-server license reinstate lic_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        issued = service.reinstate(session, license_id, keyring=office.keyring, occasion=office.occasion())
        _show_change(office, issued, "reinstated", as_json=as_json)


@licenses.command("revoke")
def revoke(license_id: LicenseId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Take a license back for good and publish the next list. Running encodes are not stopped.

    [dim]narrows-server license revoke lic_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        issued = service.revoke(session, license_id, keyring=office.keyring, occasion=office.occasion())
        _show_change(office, issued, "revoked", as_json=as_json)


def _settle(office: Office, draft: Draft, out: Path | None, *, as_json: bool) -> None:
    """Issue a draft, or where two people are asked for, keep it until the second one comes."""
    with office.database.transaction() as session:
        if office.settings.is_two_person:
            proposal = proposals.propose(session, draft, occasion=office.occasion())
            if as_json:
                show_json({"proposal": proposal.id})
            else:
                say(f"proposed {quoted(proposal.id)}; somebody else runs: narrows-server license approve {proposal.id}")
            return
        occasion = office.occasion()
        issued = service.issue_draft(session, draft, keyring=office.keyring, occasion=occasion)
        text = service.license_file(session, issued.id, keyring=office.keyring, at=occasion.at)
        _hand_out(office, issued, text, out, as_json=as_json)


def _hand_out(office: Office, issued: IssuedLicense, text: str, out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        # Inside the transaction: a license that nobody got is not kept either.
        write_file(out, text.encode())
    if as_json:
        shown = LicenseOut.of(issued, office.clock()).model_dump(mode="json")
        show_json({**shown, "file": str(out) if out else None})
    elif out is None:
        typer.echo(text, nl=False)
    else:
        say(f"issued license {quoted(issued.id)} until {wording.moment(issued.expires_at)}: {quoted(out)}")


def _show_change(office: Office, issued: IssuedLicense, participle: str, *, as_json: bool) -> None:
    if as_json:
        show_json(LicenseOut.of(issued, office.clock()).model_dump(mode="json"))
    else:
        say(f"{participle} license {quoted(issued.id)}; license files written from now on carry the news")
