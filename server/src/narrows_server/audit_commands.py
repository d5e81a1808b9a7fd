"""`narrows-server audit`: read the trail, check its chain, take it along."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from narrows_server import audit, wording
from narrows_server.audit_export import Format, write_trail
from narrows_server.errors import Invalid
from narrows_server.paging import PAGE_ROWS, PAGE_ROWS_MAX, Paging
from narrows_server.terminal import (
    EXIT_ATTENTION,
    AsJson,
    Home,
    group,
    office_of,
    quoted,
    say,
    show_json,
    show_table,
    write_file,
)

audit_commands = group("Who did what, when.")


@audit_commands.command("list")
def list_changes(
    subject: Annotated[str | None, typer.Option(help="Changes of this thing alone, by its id.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE_ROWS_MAX, help="How many.")] = PAGE_ROWS,
    cursor: Annotated[str | None, typer.Option(help="next_cursor of the page before.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show changes, newest first.

    [dim]narrows-server audit list --subject lic_7mbd…[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        page = audit.read_trail(session, Paging(cursor=cursor, limit=limit), subject=subject)
    if as_json:
        rows = [
            {name: getattr(row, name) for name in ("id", "at", "actor", "action", "subject", "detail")} | {"hash": link}
            for row, link in page.rows
        ]
        show_json({"items": rows, "next_cursor": page.next_cursor})
        return
    show_table(
        ("when", "who", "what", "to what", "detail"),
        [(wording.moment(row.at), row.actor, row.action, row.subject, row.detail) for row, _ in page.rows],
        empty="nothing has been changed yet",
    )


@audit_commands.command("verify")
def verify(
    head: Annotated[str | None, typer.Option(help="A head that was noted before: is it still in there?")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Walk the chain of the audit log: exit code 1 if a row was changed, removed or put in.

    [dim]narrows-server audit verify --head 5d41…[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        found = audit.verify_chain(session, known_head=head)
    if as_json:
        show_json(
            {
                "is_whole": found.fault is None,
                "length": found.length,
                "head": found.head,
                "waiting": found.waiting,
                "fault": found.fault,
            }
        )
    elif found.fault is None:
        say(f"{wording.exact(found.length)} changes in an unbroken chain; its head is {quoted(found.head)}")
        if found.waiting:
            say(f"{wording.exact(found.waiting)} more wait to be linked, which a running server does within seconds")
    else:
        say(f"[bold red]broken:[/] {found.fault}")
    if found.fault is not None:
        raise typer.Exit(EXIT_ATTENTION)


@audit_commands.command("export")
def export(
    out: Annotated[Path, typer.Option(help="Where to write it: FILE.ndjson or FILE.csv.")],
    home: Home = None,
) -> None:
    """
    Write the whole audit log to a file, oldest first.

    [dim]narrows-server audit export --out audit.csv[/]
    """
    formats: dict[str, Format] = {".ndjson": "ndjson", ".csv": "csv"}
    if out.suffix not in formats:
        raise Invalid(f"{out} is neither .ndjson nor .csv")
    with office_of(home) as office, office.database.snapshot() as session:
        write_file(out, "".join(write_trail(session, formats[out.suffix])).encode())
    say(f"wrote {quoted(out)}")
