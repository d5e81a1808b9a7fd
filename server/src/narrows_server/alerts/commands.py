"""`narrows-server alert`: what a person should look at."""

from __future__ import annotations

from typing import Annotated

import typer

from narrows_server import wording
from narrows_server.alerts import repository, service
from narrows_server.alerts.schemas import AlertOut
from narrows_server.paging import PAGE_ROWS_MAX, Paging
from narrows_server.terminal import EXIT_ATTENTION, AsJson, Home, group, office_of, quoted, say, show_json, show_table

alerts = group("What a person should look at.")


@alerts.command("check")
def check(home: Home = None, as_json: AsJson = False) -> None:
    """
    Look around now, as a running server does every minute: exit code 1 while anything is open.

    [dim]narrows-server alert check[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        changed = service.check(session, at=office.clock())
        still_open = len(repository.open_alerts(session))
    if as_json:
        show_json(
            {
                "opened": [AlertOut.of(alert).model_dump(mode="json") for alert in changed.opened],
                "closed": [AlertOut.of(alert).model_dump(mode="json") for alert in changed.closed],
                "open": still_open,
            }
        )
    else:
        say(f"{len(changed.opened)} opened, {len(changed.closed)} closed; {quoted(still_open)} open")
    if still_open:
        raise typer.Exit(EXIT_ATTENTION)


@alerts.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="Those that are closed as well.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show alerts, newest first.

    [dim]narrows-server alert list[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        page = repository.alert_page(session, Paging(limit=PAGE_ROWS_MAX), is_open=not everything)
        rows = [AlertOut.of(alert) for alert in page.rows]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    show_table(
        ("id", "cause", "about", "customer", "detail", "since", "looked at by"),
        [
            (
                row.id,
                row.cause.value,
                row.subject,
                row.customer_id,
                row.detail,
                wording.moment(row.since),
                row.acknowledged_by,
            )
            for row in rows
        ],
        empty="nothing to look at",
    )


@alerts.command("acknowledge")
def acknowledge(
    alert_id: Annotated[str, typer.Argument(metavar="ALERT", help="Its id, as `alert list` shows it.")],
    home: Home = None,
) -> None:
    """
    Say that somebody looks at an alert. It closes by itself when its cause is gone.

    [dim]narrows-server alert acknowledge alr_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        service.acknowledge(session, service.require_alert(session, alert_id), occasion=office.occasion())
    say(f"acknowledged alert {quoted(alert_id)}")
