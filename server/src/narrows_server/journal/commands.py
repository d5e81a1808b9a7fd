"""`narrows-server journal`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from narrows_server import wording
from narrows_server.journal import repository
from narrows_server.terminal import EXIT_ATTENTION, AsJson, Home, group, office_of, show_json, show_table

journal = group("The double-entry journal: every event of money, debits and credits.")


@journal.command("list")
def list_entries(
    customer: Annotated[str | None, typer.Option(help="Of this customer alone.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day of posting.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day of posting.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show entries in the order in which they were recorded.

    [dim]narrows-server journal list --customer acme --since 2026-12-01[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        entries = repository.list_entries(
            session,
            customer_id=customer,
            first_day=since.date() if since else None,
            last_day=until.date() if until else None,
        )
        rows = [
            {
                "id": entry.id,
                "posted_on": entry.posted_on.isoformat(),
                "event": entry.event,
                "subject": entry.subject,
                "customer_id": entry.customer_id,
                "currency": entry.currency,
                "lines": [
                    {
                        "account": line.account,
                        "debit_minor": line.debit_minor,
                        "credit_minor": line.credit_minor,
                        "tax": line.tax,
                    }
                    for line in entry.lines
                ],
            }
            for entry in entries
        ]
    if as_json:
        show_json(rows)
        return
    show_table(
        ("day", "event", "subject", "account", ">debit", ">credit", "tax"),
        [
            (
                row["posted_on"],
                str(row["event"]).replace("_", " "),
                row["subject"],
                line["account"],
                wording.money(line["debit_minor"], str(row["currency"])) if line["debit_minor"] else None,
                wording.money(line["credit_minor"], str(row["currency"])) if line["credit_minor"] else None,
                line["tax"],
            )
            for row in rows
            for line in row["lines"]  # type: ignore[attr-defined]
        ],
        empty="nothing was posted yet",
    )


@journal.command("balance")
def show_balance(home: Home = None, as_json: AsJson = False) -> None:
    """
    The trial balance: debits and credits of every account. The exit code is 1 unless they are equal.

    [dim]narrows-server journal balance[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        balances = repository.balances(session)
    difference = sum(balance.balance_minor for balance in balances)
    if as_json:
        show_json(
            {
                "accounts": [
                    {
                        "entity_id": one.entity_id,
                        "currency": one.currency,
                        "account": one.account,
                        "debit_minor": one.debit_minor,
                        "credit_minor": one.credit_minor,
                        "balance_minor": one.balance_minor,
                    }
                    for one in balances
                ],
                "difference_minor": difference,
            }
        )
    else:
        show_table(
            ("entity", "account", ">debit", ">credit", ">balance"),
            [
                (
                    one.entity_id,
                    one.account.replace("_", " "),
                    *(
                        wording.money(minor, one.currency)
                        for minor in (one.debit_minor, one.credit_minor, one.balance_minor)
                    ),
                )
                for one in balances
            ],
            empty="nothing was posted yet",
        )
    if difference:
        raise typer.Exit(EXIT_ATTENTION)
