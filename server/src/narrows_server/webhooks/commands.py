"""`narrows-server webhook`: where events are sent, and what became of them."""

from __future__ import annotations

from typing import Annotated

import typer

from narrows_server import wording
from narrows_server.customers.service import require_customer
from narrows_server.paging import PAGE_ROWS_MAX, Paging
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table
from narrows_server.webhooks import service
from narrows_server.webhooks.outbox import ALL, CATALOGUE
from narrows_server.webhooks.schemas import DeliveryOut, WebhookOut

webhooks = group("Where events are sent (Standard Webhooks).")

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id, as `webhook list` shows it.")]


@webhooks.command("add")
def add(
    url: Annotated[str, typer.Argument(help="https, and a public address.")],
    kind: Annotated[list[str] | None, typer.Option("--type", help="An event type; repeat it. All if left out.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only events of this customer.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Send events to a URL, and show the secret that they are signed with, this once.

    [dim]narrows-server webhook add https://hooks.example.com/narrows --type alert.opened[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        if customer is not None:
            require_customer(session, customer)
        webhook, secret = service.add(
            session,
            url,
            types=kind or [ALL],
            customer_id=customer,
            console_secret=office.keyring.console_secret,
            is_development=office.settings.is_development,
            occasion=office.occasion(),
        )
        shown = WebhookOut.of(webhook).model_dump(mode="json") | {"secret": secret}
    if as_json:
        show_json(shown)
    else:
        say(f"webhook {quoted(shown['id'])}; its secret is {quoted(secret)} and cannot be shown again")


@webhooks.command("list")
def list_webhooks(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show where events are sent, newest first.

    [dim]narrows-server webhook list[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        page = service.webhook_page(session, Paging(limit=PAGE_ROWS_MAX))
        rows = [WebhookOut.of(webhook) for webhook in page.rows]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    show_table(
        ("id", "url", "types", "customer", "state"),
        [
            (
                row.id,
                row.url,
                " ".join(row.types),
                row.customer_id,
                f"disabled: {row.disabled_because}"
                if row.disabled_at
                else f"failing since {wording.moment(row.failing_since)}"
                if row.failing_since
                else "in order",
            )
            for row in rows
        ],
        empty="no webhooks yet",
    )


@webhooks.command("types")
def list_types(as_json: AsJson = False) -> None:
    """
    Show the types of events.

    [dim]narrows-server webhook types[/]
    """
    if as_json:
        show_json(dict(CATALOGUE))
    else:
        show_table(("type", "when"), list(CATALOGUE.items()), empty="none")


@webhooks.command("deliveries")
def list_deliveries(webhook_id: WebhookId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Show what was sent to a webhook, newest first.

    [dim]narrows-server webhook deliveries whk_7mbd2qxw4hnr5c8t[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        webhook = service.require_webhook(session, webhook_id)
        page = service.delivery_page(session, Paging(limit=PAGE_ROWS_MAX), webhook_id=webhook.id)
        rows = [DeliveryOut.of(delivery) for delivery in page.rows]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    show_table(
        ("id", "type", "state", ">attempts", "last answer", "next attempt"),
        [
            (
                row.id,
                row.type,
                row.state,
                row.attempts,
                row.last_error or row.last_status,
                row.next_at and wording.moment(row.next_at),
            )
            for row in rows
        ],
        empty="nothing was sent yet",
    )


@webhooks.command("replay")
def replay(
    delivery_id: Annotated[str, typer.Argument(metavar="DELIVERY", help="Its id, as `webhook deliveries` shows it.")],
    home: Home = None,
) -> None:
    """
    Send an event again, with the same id; a running server does it.

    [dim]narrows-server webhook replay dlv_7mbd2qxw4hnr5c8t[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        service.replay(session, service.require_delivery(session, delivery_id), occasion=office.occasion())
    say(f"{quoted(delivery_id)} is sent again")


@webhooks.command("test")
def send_test(webhook_id: WebhookId, home: Home = None) -> None:
    """
    Send a webhook an event that means nothing; a running server does it.

    [dim]narrows-server webhook test whk_7mbd2qxw4hnr5c8t[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        webhook = service.require_webhook(session, webhook_id)
        delivery = service.test(session, webhook, occasion=office.occasion())
    say(f"delivery {quoted(delivery.id)} is under way: narrows-server webhook deliveries {webhook_id}")


@webhooks.command("rotate-secret")
def rotate_secret(webhook_id: WebhookId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Another secret, shown this once; for a day events are signed with the old one as well.

    [dim]narrows-server webhook rotate-secret whk_7mbd2qxw4hnr5c8t[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        webhook = service.require_webhook(session, webhook_id)
        secret = service.rotate_secret(
            session, webhook, console_secret=office.keyring.console_secret, occasion=office.occasion()
        )
    if as_json:
        show_json({"id": webhook_id, "secret": secret})
    else:
        say(f"the secret of {quoted(webhook_id)} is {quoted(secret)} and cannot be shown again")


@webhooks.command("enable")
def enable(webhook_id: WebhookId, home: Home = None) -> None:
    """
    Send a webhook events again.

    [dim]narrows-server webhook enable whk_7mbd2qxw4hnr5c8t[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        service.enable(session, service.require_webhook(session, webhook_id), occasion=office.occasion())
    say(f"enabled webhook {quoted(webhook_id)}")


@webhooks.command("remove")
def remove(webhook_id: WebhookId, home: Home = None) -> None:
    """
    Send a webhook nothing more, and forget it.

    [dim]narrows-server webhook remove whk_7mbd2qxw4hnr5c8t[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        service.remove(session, service.require_webhook(session, webhook_id), occasion=office.occasion())
    say(f"removed webhook {quoted(webhook_id)}")
