"""`narrows-server api-key`: the keys of programs. The keys that sign are `narrows-server keys`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from narrows_server import wording
from narrows_server.access import api_keys
from narrows_server.access.models import ApiKey
from narrows_server.access.roles import PERMISSIONS, Action, Role
from narrows_server.access.schemas import ApiKeyMadeOut, ApiKeyOut
from narrows_server.customers.service import require_customer
from narrows_server.errors import Invalid
from narrows_server.paging import every_row
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table

api_key_commands = group("The keys with which programs use the API.")

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `api-key list` shows it.")]


@api_key_commands.command("make")
def make(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[Action], typer.Option(help="What it may do; repeat it.")],
    customer: Annotated[str | None, typer.Option(help="A customer that it sees, and nothing else.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="How long it opens; without an end if left out.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Make an API key and show it, this once.

    [dim]narrows-server api-key make "billing export" --scope invoices:read --days 365[/]
    """
    scopes = frozenset(scope)
    with office_of(home) as office, office.database.transaction() as session:
        if customer is not None:
            require_customer(session, customer)
            beyond = sorted(scopes - PERMISSIONS[Role.CUSTOMER])
            if beyond:
                raise Invalid(f"a customer's key cannot have {', '.join(beyond)}")
        occasion = office.occasion()
        key, text = api_keys.make(
            session,
            name=name,
            scopes=scopes,
            human=occasion.person,
            occasion=occasion,
            customer_id=customer,
            expires_at=occasion.at + timedelta(days=days) if days else None,
        )
        _show(key, text, as_json=as_json)


@api_key_commands.command("list")
def list_keys(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show every API key, newest first; never the keys themselves.

    [dim]narrows-server api-key list[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [ApiKeyOut.of(key) for key in every_row(lambda at: api_keys.list_keys(session, at))]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    show_table(
        ("id", "name", "begins with", "scopes", "customer", "last used", "state"),
        [
            (
                row.id,
                row.name,
                row.prefix,
                " ".join(row.scopes),
                row.customer_id,
                row.last_used_at and wording.moment(row.last_used_at),
                _state(row),
            )
            for row in rows
        ],
        empty="no API keys yet",
    )


@api_key_commands.command("rotate")
def rotate(key_id: KeyId, home: Home = None, as_json: AsJson = False) -> None:
    """
    Give a key a new secret and show it, this once. The old one opens for a day more.

    [dim]narrows-server api-key rotate key_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        key = api_keys.require_key(session, key_id)
        _show(key, api_keys.rotate(session, key, occasion=office.occasion()), as_json=as_json)


@api_key_commands.command("revoke")
def revoke(key_id: KeyId, home: Home = None) -> None:
    """
    From now on the key opens nothing.

    [dim]narrows-server api-key revoke key_7mbd…[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        api_keys.revoke(session, api_keys.require_key(session, key_id), occasion=office.occasion())
    say(f"revoked API key {quoted(key_id)}")


def _show(key: ApiKey, text: str, *, as_json: bool) -> None:
    if as_json:
        show_json(ApiKeyMadeOut.made(key, text).model_dump(mode="json"))
        return
    say(f"API key {quoted(key.id)}: {quoted(text)}")
    say("Keep it: it is stored nowhere here and cannot be shown again.")


def _state(row: ApiKeyOut) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return f"until {wording.moment(row.expires_at)}" if row.expires_at else "in force"
