"""`narrows-server revocations`: the signed list of licenses that are not to be used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from narrows_server.licenses import service
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, write_file

revocations = group("The list of licenses that were taken back or suspended.")


@revocations.command("publish")
def publish(
    out: Annotated[Path | None, typer.Option(help="Where to write the list.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Sign the next revocation list, also if nothing has changed: with today's date and the present key.

    [dim]narrows-server revocations publish --out revocations.jwt[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        published = service.publish(session, keyring=office.keyring, occasion=office.occasion())
        if out is not None:
            write_file(out, f"{published.token}\n".encode())
        if as_json:
            show_json({"version": published.version, "issued_at": published.issued_at, "bytes": len(published.token)})
        else:
            say(f"published revocation list {quoted(published.version)}; license files written from now on carry it")
