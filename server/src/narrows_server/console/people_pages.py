"""People: who may sign in, as what, and since when not any more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.roles import MEANINGS, PERMISSIONS, Action, Role
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering, require_name
from narrows_server.customers.repository import list_customers
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.people import service
from narrows_server.people.models import Person
from narrows_server.proposals import service as proposals
from narrows_server.proposals.kinds import CHANGE_ROLE

router = APIRouter(prefix="/people", tags=["people"])

Reads = Annotated[Room, entering(Action.PEOPLE_READ)]
Writes = Annotated[Room, entering(Action.PEOPLE_WRITE)]


@router.get("")
def list_people(room: Reads) -> Response:
    return _list(room)


@router.post("")
def invite(room: Writes, form: Posted) -> Response:
    """The page that answers is the only one that shows the link."""
    try:
        with room.office.database.transaction() as session:
            person, token = service.invite(
                session,
                email=form.get("email", ""),
                name=form.get("name", ""),
                role=_role(form),
                customer_id=form.get("customer_id") or None,
                occasion=room.occasion,
            )
    except (Invalid, AlreadyExists, NotFound) as error:
        return _list(room, problem=error.detail, status=error.status, filled=form)
    return _invited(room, person, token)


@router.get("/{person_id}")
def show(person_id: str, room: Reads) -> Response:
    return _page(room, person_id)


@router.post("/{person_id}/role")
def change_role(person_id: str, room: Writes, form: Posted) -> Response:
    try:
        role, customer_id = _role(form), form.get("customer_id") or None
        with room.office.database.transaction() as session:
            person = service.require_person(session, person_id)
            if room.office.settings.is_two_person:
                service.check_role(session, role, customer_id=customer_id)
                asked = json.dumps({"person_id": person.id, "role": role.value, "customer_id": customer_id})
                proposals.propose(session, CHANGE_ROLE, asked, occasion=room.occasion)
            else:
                service.change_role(session, person, role, customer_id=customer_id, occasion=room.occasion)
    except (Invalid, NotFound) as error:
        return _page(room, person_id, problem=error.detail, status=error.status)
    if room.office.settings.is_two_person:
        return room.to("/proposals", "proposed")
    return room.to(f"/people/{person_id}", "role")


@router.post("/{person_id}/reset")
def reset(person_id: str, room: Writes, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            person = service.require_person(session, person_id)
            require_name(form, person.email)
            token = service.reset(session, person, occasion=room.occasion)
    except Invalid as error:
        return _page(room, person_id, problem=error.detail, status=422)
    return _invited(room, person, token)


@router.post("/{person_id}/disable")
def disable(person_id: str, room: Writes, form: Posted) -> Response:
    def act(session: Session, person: Person) -> None:
        require_name(form, person.email)
        service.disable(session, person, occasion=room.occasion)

    return _change(room, person_id, "disabled", act)


@router.post("/{person_id}/enable")
def enable(person_id: str, room: Writes, form: Posted) -> Response:
    return _change(
        room, person_id, "enabled", lambda session, person: service.enable(session, person, occasion=room.occasion)
    )


@router.post("/{person_id}/end-sessions")
def end_sessions(person_id: str, room: Writes, form: Posted) -> Response:
    return _change(
        room,
        person_id,
        "signed-out",
        lambda session, person: service.end_sessions(session, person, occasion=room.occasion),
    )


def _change(room: Room, person_id: str, done: str, act: Callable[[Session, Person], object]) -> Response:
    try:
        with room.office.database.transaction() as session:
            act(session, service.require_person(session, person_id))
    except Invalid as error:
        return _page(room, person_id, problem=error.detail, status=422)
    return room.to(f"/people/{person_id}", done)


def _list(
    room: Room, *, problem: str | None = None, status: int = 200, filled: Mapping[str, str] | None = None
) -> Response:
    with room.office.database.snapshot() as session:
        page = service.list_people(session, room.at)
        customers = list_customers(session)
        return room.page(
            "people.html",
            status=status,
            problem=problem,
            people=page.rows,
            page=page,
            filled=filled or {},
            roles=list(Role),
            customers=customers,
            names={one.id: one.name for one in customers},
        )


def _page(room: Room, person_id: str, *, problem: str | None = None, status: int = 200) -> Response:
    with room.office.database.snapshot() as session:
        who = service.require_person(session, person_id)
        return room.page(
            "person.html",
            status=status,
            problem=problem,
            who=who,
            may_do=[MEANINGS[action] for action in Action if action in PERMISSIONS[Role(who.role)]],
            roles=list(Role),
            customers=list_customers(session),
            is_two_person=room.office.settings.is_two_person,
        )


def _invited(room: Room, person: Person, token: str) -> Response:
    base = room.office.settings.public_url or str(room.request.base_url).rstrip("/")
    return room.page("invited.html", who=person, link=service.invitation_link(base, token))


def _role(form: Mapping[str, str]) -> Role:
    try:
        return Role(form.get("role", ""))
    except ValueError as error:
        raise Invalid("choose a role") from error
