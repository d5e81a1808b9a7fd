"""`narrows-server backup | restore | doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress as Bars
from rich.progress import SpinnerColumn, TextColumn

from narrows_server import wording
from narrows_server.clock import utc_now
from narrows_server.operation import archive, doctor
from narrows_server.operation.backup import back_up
from narrows_server.operation.restore import restore as put_back
from narrows_server.terminal import (
    EXIT_ATTENTION,
    AsJson,
    Home,
    office_of,
    quoted,
    say,
    settings_of,
    show_json,
    show_table,
)

BackupFile = Annotated[Path, typer.Argument(metavar="FILE", help="The file of the backup.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to *app*."""
    app.command()(backup)
    app.command()(restore)
    app.command("doctor")(examine)


def backup(
    target: BackupFile,
    only_check: Annotated[
        bool, typer.Option("--check", help="Check a backup that is there, and change nothing.")
    ] = False,
    without_keys: Annotated[bool, typer.Option("--without-keys", help="Leave the signing keys out.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Write keys, settings and the whole database into one file, while the server runs. Root keys are never in it.

    [dim]narrows-server backup narrows-2026-11-30.backup[/]
    """
    if only_check:
        manifest = archive.check(target)
    else:
        with office_of(home) as office, _bars() as progress:
            manifest = back_up(
                office.settings,
                office.database,
                target,
                at=office.clock(),
                with_keys=not without_keys,
                progress=progress,
            )
    _show(manifest, target, "checked" if only_check else "backed up", as_json=as_json)
    if not as_json and manifest.has_keys and not only_check:
        say("[yellow]It holds the keys that sign licenses and receipts:[/] keep it as you keep those.")


def restore(source: BackupFile, home: Home = None, as_json: AsJson = False) -> None:
    """
    Put a backup back into an empty folder and an empty database, also of another kind, and check it there.

    [dim]NARROWS_SERVER_DATABASE_URL=postgresql+psycopg://… narrows-server restore FILE --home /srv/narrows[/]
    """
    with _bars() as progress:
        manifest = put_back(source, settings_of(home), progress=progress)
    _show(manifest, source, "restored", as_json=as_json)
    if not as_json:
        say("Next: narrows-server doctor, and make an admin key: narrows-server api-key make")


def examine(home: Home = None, as_json: AsJson = False) -> None:
    """
    Look at keys, database, audit trail, disk and clock, and say what to do; exit code 1 if something must be done.

    [dim]narrows-server doctor --home /srv/narrows[/]
    """
    findings = doctor.examine(settings_of(home), at=utc_now())
    if as_json:
        show_json([{"check": f.check, "outcome": f.outcome, "detail": f.detail, "todo": f.todo} for f in findings])
    else:
        show_table(
            ("", "check", "found", "to do"),
            [(doctor.SIGNS[f.outcome], f.check, f.detail, f.todo or "") for f in findings],
            empty="",
        )
    if any(f.outcome is doctor.Outcome.BAD for f in findings):
        raise typer.Exit(EXIT_ATTENTION)


def _show(manifest: archive.Manifest, path: Path, done: str, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "file": path,
                "made_at": manifest.made_at,
                "revision": manifest.revision,
                "audit_head": manifest.audit_head,
                "has_keys": manifest.has_keys,
                "rows": dict(manifest.rows),
            }
        )
        return
    say(f"{done}: {quoted(path)} of {wording.moment(manifest.made_at)}, {sum(manifest.rows.values()):,} rows")
    say(f"head of the audit trail: {quoted(manifest.audit_head)}")


@contextmanager
def _bars() -> Iterator[archive.Progress]:
    with Bars(SpinnerColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("")

        def progress(table: str, rows: int) -> None:
            bars.update(task, description=f"{table}: {rows:,} rows")

        yield progress
