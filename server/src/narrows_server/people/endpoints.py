"""People, for owners. What changes something takes a person: a session, and never an API key."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.paging import Page
from narrows_server.people import service
from narrows_server.people.models import Person
from narrows_server.people.schemas import InvitedOut, PersonIn, PersonOut, RoleChangeOut, RoleIn
from narrows_server.proposals import service as proposals
from narrows_server.proposals.kinds import CHANGE_ROLE
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing

router = APIRouter(prefix="/v1/people", tags=["people"])

Reads = Annotated[Caller, allowed(Action.PEOPLE_READ)]
Changes = Annotated[Change, changing(Action.PEOPLE_WRITE)]


@router.get("", summary="People, newest first")
def list_people(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[PersonOut]:
    with office.database.snapshot() as session:
        page = service.list_people(session, at)
        return Page(items=[PersonOut.of(person) for person in page.rows], next_cursor=page.next_cursor)


@router.post("", status_code=201, response_model=InvitedOut, summary="Invite somebody")
def invite_person(order: PersonIn, change: Changes) -> Response:
    """The answer is the only place where the link can be seen."""

    def invite(session: Session, occasion: Occasion) -> InvitedOut:
        person, token = service.invite(
            session,
            email=order.email,
            name=order.name,
            role=order.role,
            customer_id=order.customer_id,
            occasion=occasion,
        )
        return _invited(change, person, token)

    return change.once(invite, status=201)


@router.get("/{person_id}", summary="One person")
def get_person(person_id: str, office: OfficeOf, caller: Reads) -> PersonOut:
    with office.database.snapshot() as session:
        return PersonOut.of(service.require_person(session, person_id))


@router.post("/{person_id}/role", response_model=RoleChangeOut, summary="Give a person another role")
def change_person_role(person_id: str, order: RoleIn, change: Changes) -> Response:
    """Their sessions end. Where two people have to agree, it is proposed, and done when another owner approves."""

    def change_role(session: Session, occasion: Occasion) -> RoleChangeOut:
        person = service.require_person(session, person_id)
        if not change.office.settings.is_two_person:
            service.change_role(session, person, order.role, customer_id=order.customer_id, occasion=occasion)
            return RoleChangeOut(person=PersonOut.of(person), proposal_id=None)
        service.check_role(session, order.role, customer_id=order.customer_id)
        asked = {"person_id": person.id, "role": order.role.value, "customer_id": order.customer_id}
        proposal = proposals.propose(session, CHANGE_ROLE, json.dumps(asked), occasion=occasion)
        return RoleChangeOut(person=PersonOut.of(person), proposal_id=proposal.id)

    return change.once(change_role)


@router.post("/{person_id}/reset", response_model=InvitedOut, summary="Give a person a new link to begin again")
def reset_person(person_id: str, change: Changes) -> Response:
    """Password, second factor and recovery codes are void, and every session ends."""

    def reset(session: Session, occasion: Occasion) -> InvitedOut:
        person = service.require_person(session, person_id)
        return _invited(change, person, service.reset(session, person, occasion=occasion))

    return change.once(reset)


@router.post("/{person_id}/disable", response_model=PersonOut, summary="Let a person in no more")
def disable_person(person_id: str, change: Changes) -> Response:
    """Their sessions end. Their API keys stay: they are revoked one by one."""

    def disable(session: Session, occasion: Occasion) -> PersonOut:
        person = service.require_person(session, person_id)
        service.disable(session, person, occasion=occasion)
        return PersonOut.of(person)

    return change.once(disable)


@router.post("/{person_id}/enable", response_model=PersonOut, summary="Let a person in again")
def enable_person(person_id: str, change: Changes) -> Response:
    def enable(session: Session, occasion: Occasion) -> PersonOut:
        person = service.require_person(session, person_id)
        service.enable(session, person, occasion=occasion)
        return PersonOut.of(person)

    return change.once(enable)


@router.post("/{person_id}/end-sessions", response_model=PersonOut, summary="Sign a person out everywhere")
def end_person_sessions(person_id: str, change: Changes) -> Response:
    def end(session: Session, occasion: Occasion) -> PersonOut:
        person = service.require_person(session, person_id)
        service.end_sessions(session, person, occasion=occasion)
        return PersonOut.of(person)

    return change.once(end)


def _invited(change: Change, person: Person, token: str) -> InvitedOut:
    link = service.invitation_link(change.office.settings.public_url, token)
    return InvitedOut(invitation=link, **PersonOut.of(person).model_dump())
