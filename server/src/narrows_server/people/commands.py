"""`narrows-server person`: who may sign in. The first owner is made here."""

from __future__ import annotations

from typing import Annotated

import typer

from narrows_server import wording
from narrows_server.access.roles import Role
from narrows_server.office import Office
from narrows_server.paging import every_row
from narrows_server.people import service
from narrows_server.people.models import Person
from narrows_server.people.schemas import PersonOut
from narrows_server.terminal import AsJson, Home, group, office_of, quoted, say, show_json, show_table

people = group("Who may sign in to the console.")

WhoOf = Annotated[str, typer.Argument(metavar="PERSON", help="Their e-mail address or id.")]


@people.command("invite")
def invite(
    email: Annotated[str, typer.Argument(help="Their e-mail address.")],
    name: Annotated[str, typer.Option(help="Their name.")],
    role: Annotated[Role, typer.Option(help="What they are here for.")],
    customer: Annotated[str | None, typer.Option(help="For the role customer: of which one.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Let somebody in, and show the link with which they choose a password: it works once, for a week.

    [dim]narrows-server person invite anna@example.com --name "Anna Berg" --role owner[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        person, token = service.invite(
            session, email=email, name=name, role=role, customer_id=customer, occasion=office.occasion()
        )
        _show_link(office, person, token, as_json=as_json)


@people.command("reset")
def reset(who: WhoOf, home: Home = None, as_json: AsJson = False) -> None:
    """
    A new link for somebody who lost what they sign in with. The old password, second factor and codes are void.

    [dim]narrows-server person reset anna@example.com[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        person = service.require_person(session, who)
        _show_link(office, person, service.reset(session, person, occasion=office.occasion()), as_json=as_json)


@people.command("list")
def list_people(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show everybody who may sign in, newest first.

    [dim]narrows-server person list[/]
    """
    with office_of(home) as office, office.database.snapshot() as session:
        rows = [PersonOut.of(person) for person in every_row(lambda at: service.list_people(session, at))]
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    show_table(
        ("address", "name", "role", "customer", "second factor", "last signed in", "state"),
        [
            (
                row.email,
                row.name,
                row.role.value,
                row.customer_id,
                "yes" if row.has_second_factor else "no",
                row.signed_in_at and wording.moment(row.signed_in_at),
                "disabled"
                if row.disabled_at
                else "active"
                if row.has_password or row.has_single_sign_on
                else "invited",
            )
            for row in rows
        ],
        empty="nobody yet; narrows-server person invite lets the first one in",
    )


@people.command("role")
def change_role(
    who: WhoOf,
    role: Annotated[Role, typer.Option(help="The new role.")],
    customer: Annotated[str | None, typer.Option(help="For the role customer: of which one.")] = None,
    home: Home = None,
) -> None:
    """
    Give somebody another role. They are signed out.

    [dim]narrows-server person role anna@example.com --role auditor[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        person = service.require_person(session, who)
        service.change_role(session, person, role, customer_id=customer, occasion=office.occasion())
    say(f"{quoted(person.email)} is {role.value} from now on")


@people.command("disable")
def disable(who: WhoOf, home: Home = None) -> None:
    """
    Let somebody in no more. They are signed out.

    [dim]narrows-server person disable anna@example.com[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        person = service.require_person(session, who)
        service.disable(session, person, occasion=office.occasion())
    say(f"{quoted(person.email)} cannot sign in any more")


@people.command("enable")
def enable(who: WhoOf, home: Home = None) -> None:
    """
    Let somebody in again.

    [dim]narrows-server person enable anna@example.com[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        person = service.require_person(session, who)
        service.enable(session, person, occasion=office.occasion())
    say(f"{quoted(person.email)} can sign in again")


@people.command("end-sessions")
def end_sessions(who: WhoOf, home: Home = None) -> None:
    """
    Sign somebody out everywhere.

    [dim]narrows-server person end-sessions anna@example.com[/]
    """
    with office_of(home) as office, office.database.transaction() as session:
        person = service.require_person(session, who)
        count = service.end_sessions(session, person, occasion=office.occasion())
    say(f"ended {count} {'session' if count == 1 else 'sessions'} of {quoted(person.email)}")


def _show_link(office: Office, person: Person, token: str, *, as_json: bool) -> None:
    link = service.invitation_link(office.settings.public_url, token)
    if as_json:
        show_json({"id": person.id, "email": person.email, "invitation": link})
        return
    say(f"{quoted(person.email)} chooses a password here, once, within a week:")
    typer.echo(link)
    if office.settings.public_url is None:
        say("[dim]Put the server's address in front, as `serve` prints it, or set NARROWS_SERVER_PUBLIC_URL.[/]")
