"""The command line's `narrows license doctor | activate | log | export-request | import-response`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from narrows_licensing.document import FILE_BYTES_MAX
from narrows_licensing.errors import LicensingError
from narrows_licensing.qr import to_qr_text
from narrows_licensing.request import Purpose
from rich.table import Table

from narrows.cli.doctor import show_findings
from narrows.cli.terminal import Json, LicensePath, err, out, reports_errors, show, show_table
from narrows.errors import LicenseNotWritten
from narrows.installation import Installation
from narrows.license.activation import Activated, activate, import_response, make_request
from narrows.license.diagnosis import diagnose
from narrows.license.license_log import check_license_log
from narrows.settings import Settings


@reports_errors
def doctor(license: LicensePath = None, as_json: Json = False) -> None:
    """
    Say in one code what is the matter with the license, what was checked, and what to do.

    Exit code 0 if encoding is permitted, 3 if it is and something should be done soon, 1 if it is not.

    Example: narrows license doctor --json
    """
    diagnosis = diagnose(Settings.read(license_path=license), at=datetime.now(UTC))
    if as_json:
        show(diagnosis, as_json=True)
        raise typer.Exit(diagnosis.exit_code)
    show_findings(diagnosis.findings)
    out.print(f"\n[bold]{diagnosis.code}[/]: {diagnosis.sentence}")
    if diagnosis.detail:
        out.print(diagnosis.detail, markup=False, highlight=False)
    out.print(f"Next step: {diagnosis.next_step}", markup=False)
    raise typer.Exit(diagnosis.exit_code)


@reports_errors
def activate_license(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The license file that you received.")],
    as_json: Json = False,
) -> None:
    """
    Put a license file where it is looked for, if it permits encoding here. What is there stays if it doesn't.

    Example: narrows license activate acme.json
    """
    settings = Settings.read()
    _show(activate(settings, _text(file), at=datetime.now(UTC)), as_json=as_json)


@reports_errors
def export_request(
    target: Annotated[Path, typer.Option("--out", help="Where to write it; .png or .svg gives a QR code.")],
    purpose: Annotated[Purpose, typer.Option(help="What you ask for.")] = Purpose.ENROL,
    machine: Annotated[bool, typer.Option("--machine", help="With hashed facts, for a license bound to them.")] = False,
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Write a request to the vendor, to be carried out by hand from a machine without a network.

    It holds the public key of this installation and hashes; no name of a host or a file, and no usage.

    Example: narrows license export-request --out request.txt
    """
    settings = Settings.read(license_path=license)
    request = make_request(settings, purpose, with_machine=machine, at=datetime.now(UTC))
    token = request.sign(Installation.open(settings.state_folder).key)
    try:
        if target.suffix in (".png", ".svg"):
            import segno

            segno.make(to_qr_text(token), error="l", boost_error=False, micro=False).save(str(target), scale=4)
        else:
            target.write_text(token + "\n")
    except OSError as error:
        raise LicenseNotWritten(f"can't write {target}: {error}") from error
    except LicensingError as error:
        raise LicenseNotWritten(f"the request does not fit in a QR code; write a file instead: {error}") from error
    shown = {"path": str(target), "purpose": purpose, "installation": request.installation_id}
    show(shown, as_json=as_json, title="written")
    if not as_json:
        err.print("Send it to your vendor; read the answer with: narrows license import-response FILE")


@reports_errors
def import_response_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The response; also the text of a scanned QR code.")],
    as_json: Json = False,
) -> None:
    """
    Take in the vendor's answer to a request: a license, a certificate, or both.

    Example: narrows license import-response response.json
    """
    settings = Settings.read()
    _show(import_response(settings, _text(file), at=datetime.now(UTC)), as_json=as_json)


@reports_errors
def license_log(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The log that your vendor sent.")],
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Check the log of everything that the vendor ever signed in your name, and show it.

    Exit code 1 if something is missing, was changed, or has disappeared since the last log.

    Example: narrows license log log.json
    """
    log = check_license_log(Settings.read(license_path=license), _text(file), at=datetime.now(UTC))
    if as_json:
        show(log, as_json=True)
        return
    table = Table("kind", "id", "issued", "expires", "number", box=None)
    for entry in log.entries:
        days = (f"{entry.issued_at:%Y-%m-%d}", f"{entry.expires_at:%Y-%m-%d}")
        table.add_row(entry.kind, entry.id, *days, str(entry.status_index))
    show_table(table)
    out.print(f"{len(log.entries)} documents, as signed for on {log.head.time:%Y-%m-%d}; yours is among them.")


def register(app: typer.Typer) -> None:
    """Add the commands to `narrows license`."""
    app.command("doctor")(doctor)
    app.command("activate")(activate_license)
    app.command("log")(license_log)
    app.command("export-request")(export_request)
    app.command("import-response")(import_response_file)


def _text(file: Path) -> str:
    try:
        with file.open(errors="replace") as opened:
            return opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise LicenseNotWritten(f"can't read {file}: {error}") from error


def _show(activated: Activated, *, as_json: bool) -> None:
    license = activated.license
    members = {
        "license": license.license_id if license else None,
        "expires_at": license.expires_at if license else None,
        "license_path": activated.license_path,
        "certificate_path": activated.certificate_path,
    }
    show(members, as_json=as_json, title="activated")
