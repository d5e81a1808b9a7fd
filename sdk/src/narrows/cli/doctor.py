"""The command line's `narrows doctor`, and how findings are shown."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from narrows.cli.terminal import Json, LicensePath, err, out, reports_errors, show, show_table
from narrows.finding import Finding, Outcome
from narrows.settings import Settings

_SIGNS: Final = {
    Outcome.GOOD: "[green]✓[/]",
    Outcome.NOTICE: "[yellow]![/]",
    Outcome.BAD: "[red]✗[/]",
    Outcome.SKIPPED: "–",
}
_WORDS: Final = {True: "[green]yes[/]", False: "[red]no[/]", None: "not known"}


def show_findings(findings: Iterable[Finding]) -> None:
    """One line for each, and what to do below it."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for finding in findings:
        table.add_row(_SIGNS[finding.outcome], finding.check, escape(finding.detail))
        if finding.todo:
            table.add_row("", "", f"→ {escape(finding.todo)}")
    show_table(table)


@reports_errors
def doctor(
    online: Annotated[bool, typer.Option("--online", help="Ask the server that the license names, too.")] = False,
    license: LicensePath = None,
    as_json: Json = False,
) -> None:
    """
    Say whether this machine can decode, encode and report, and what to do where it can't; nothing is changed.

    Looks at the packages, codes and decodes a picture, and looks at the state folder, the license and the clock.
    Exit code 1 if something must be done.

    Example: narrows doctor --online
    """
    from narrows.doctor.examination import examine

    settings = Settings.read(license_path=license)
    with err.status("looking …"):
        seen = examine(settings, at=datetime.now(UTC), online=online)
    can = {"decodes": seen.decodes, "encodes": seen.encodes, "reports": seen.reports}
    if as_json:
        show({**can, "findings": seen.findings}, as_json=True)
    else:
        show_findings(seen.findings)
        out.print("\n" + ", ".join(f"{name}: {_WORDS[value]}" for name, value in can.items()))
    if not seen.is_fine:
        raise typer.Exit(1)
