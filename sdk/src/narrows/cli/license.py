"""The command line's `narrows license show | verify | development`; the rest is in `activation` and `seat`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from narrows_licensing.development import development_license_file
from narrows_licensing.document import LicenseFile, open_file
from narrows_licensing.verdict import Refused

from narrows.cli import activation, seat
from narrows.cli.terminal import Json, LicensePath, err, out, reports_errors, show
from narrows.errors import LicenseNotWritten
from narrows.license.gate import judge, read_license, refusal
from narrows.settings import Settings, default_license_path
from narrows.shown import plain

app = typer.Typer(help="Show, verify and make licenses, and find out what is wrong.", no_args_is_help=True)
activation.register(app)
seat.register(app)


@app.command("show")
@reports_errors
def show_license(license: LicensePath = None, as_json: Json = False) -> None:
    """
    Show what the license says, if its signature holds.

    Example: narrows license show --license acme.json
    """
    settings = Settings.read(license_path=license)
    read = read_license(settings, datetime.now(UTC))
    if isinstance(read, Refused):
        raise refusal(read, settings.license_path)
    _, opened = read
    shown = {**plain(opened.license), "binding": opened.license.binding.claims()}
    show(shown, as_json=as_json, title=str(settings.license_path))


@app.command("verify")
@reports_errors
def verify_license(license: LicensePath = None, as_json: Json = False) -> None:
    """
    Say whether the license permits encoding now; exit code 1 if not, with the reason and the next step.

    Example: narrows license verify --json
    """
    settings = Settings.read(license_path=license)
    verdict = judge(settings, now=datetime.now(UTC), latest_time_seen=None, preset=None, pixels=None)
    if isinstance(verdict, Refused):
        if as_json:
            words = {"sentence": verdict.sentence, "next_step": verdict.next_step}
            show({"verdict": "refused", **plain(verdict), **words}, as_json=True)
            raise typer.Exit(1)
        raise refusal(verdict, settings.license_path)
    show({"verdict": "granted", **plain(verdict.granted)}, as_json=as_json, title=str(settings.license_path))


@app.command()
@reports_errors
def development(
    target: Annotated[Path | None, typer.Option("--out", help="Where to write it; by default the usual place.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a license that is there.")] = False,
    as_json: Json = False,
) -> None:
    """
    Write a development license: everything works, streams are marked, nothing is billed.

    Example: narrows license development
    """
    settings = Settings.read()
    path = target or settings.license_path
    now = datetime.now(UTC)
    if path.exists() and not force:
        opened = open_file(path.read_text(errors="replace"), roots=None, at=now)
        is_replaceable = not isinstance(opened, Refused) and opened.license.kind.value == "development"
        if not is_replaceable:
            raise LicenseNotWritten(f"{path} holds another license; keep it, or replace it with --force")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(development_license_file(now))
    except OSError as error:
        raise LicenseNotWritten(f"can't write {path}: {error}") from error
    token = LicenseFile.from_json(path.read_text()).token
    show({"path": str(path), "kind": "development", "token_characters": len(token)}, as_json=as_json, title="written")
    if not as_json and path != default_license_path():
        err.print(f"Use it with --license {path}, or set NARROWS_LICENSE.")
    if not as_json:
        out.print("Streams are marked as made for development and are never billed.")
