"""The office: API keys, proposals, alerts and the audit trail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response

from narrows_server import audit
from narrows_server.access import api_keys
from narrows_server.access.roles import MEANINGS, PEOPLE_ONLY, Action
from narrows_server.alerts import repository as alert_repository
from narrows_server.alerts import service as alerts
from narrows_server.console.gate import Posted
from narrows_server.console.room import Room, entering, require_name
from narrows_server.errors import ApprovalMissing, Invalid, NotPermitted
from narrows_server.proposals import service as proposals
from narrows_server.proposals.kinds import KINDS

router = APIRouter(tags=["office"])

KeysRead = Annotated[Room, entering(Action.API_KEYS_READ)]
KeysWrite = Annotated[Room, entering(Action.API_KEYS_WRITE)]
ProposalsRead = Annotated[Room, entering(Action.PROPOSALS_READ)]
Decides = Annotated[Room, entering(Action.PROPOSALS_DECIDE)]
AlertsRead = Annotated[Room, entering(Action.ALERTS_READ)]
AlertsWrite = Annotated[Room, entering(Action.ALERTS_WRITE)]
AuditReads = Annotated[Room, entering(Action.AUDIT_READ)]
LIFETIMES = {"90": "90 days", "365": "a year", "": "until it is revoked"}


@router.get("/keys")
def list_keys(room: KeysRead) -> Response:
    return _keys(room)


@router.post("/keys")
def make_key(room: KeysWrite, form: Posted) -> Response:
    """The page that answers is the only one that ever shows the key."""
    try:
        scopes = frozenset(Action(name.removeprefix("scope-")) for name in form if name.startswith("scope-"))
        if not scopes <= room.caller.actions:
            raise NotPermitted("you cannot hand on more than you may do yourself")
        days = form.get("days", "")
        now = room.office.clock()
        with room.office.database.transaction() as session:
            key, text = api_keys.make(
                session,
                name=form.get("name", ""),
                scopes=scopes,
                human=room.occasion.person,
                occasion=room.occasion,
                customer_id=room.caller.customer_id,
                expires_at=now + timedelta(days=int(days)) if days in LIFETIMES and days else None,
            )
    except (Invalid, ValueError) as error:
        return _keys(room, problem=getattr(error, "detail", "there is no such permission"), status=422, filled=form)
    return room.page("key_made.html", key=key, text=text)


@router.post("/keys/{key_id}/rotate")
def rotate_key(key_id: str, room: KeysWrite, form: Posted) -> Response:
    with room.office.database.transaction() as session:
        key = api_keys.require_key(session, key_id, room.caller)
        if not api_keys.scopes_of(key) <= room.caller.actions:
            raise NotPermitted("this key may do more than you; whoever may do as much rotates it")
        text = api_keys.rotate(session, key, occasion=room.occasion)
    return room.page("key_made.html", key=key, text=text)


@router.post("/keys/{key_id}/revoke")
def revoke_key(key_id: str, room: KeysWrite, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            key = api_keys.require_key(session, key_id, room.caller)
            require_name(form, key.name)
            api_keys.revoke(session, key, occasion=room.occasion)
    except Invalid as error:
        return _keys(room, problem=error.detail, status=422)
    return room.to("/keys", "key-revoked")


@router.get("/proposals")
def list_proposals(room: ProposalsRead) -> Response:
    return _proposals(room)


@router.post("/proposals/{proposal_id}/approve")
def approve(proposal_id: str, room: Decides, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            kind = KINDS[proposals.require_proposal(session, proposal_id).kind]
            room.caller.require(kind.action)
            proposals.approve(session, proposal_id, kind.perform, keyring=room.office.keyring, occasion=room.occasion)
    except (Invalid, ApprovalMissing) as error:
        return _proposals(room, problem=error.detail, status=error.status)
    return room.to("/proposals", "approved")


@router.post("/proposals/{proposal_id}/reject")
def reject(proposal_id: str, room: Decides, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            room.caller.require(KINDS[proposals.require_proposal(session, proposal_id).kind].action)
            proposals.reject(session, proposal_id, occasion=room.occasion)
    except Invalid as error:
        return _proposals(room, problem=error.detail, status=error.status)
    return room.to("/proposals", "rejected")


@router.get("/alerts")
def list_alerts(room: AlertsRead) -> Response:
    is_open = room.asked("all") != "1"
    with room.office.database.snapshot() as session:
        page = alert_repository.alert_page(session, room.at, customer_id=room.caller.customer_id, is_open=is_open)
        rows = [(one, _place(one.cause, one.subject)) for one in page.rows]
        return room.page("alerts.html", alerts=rows, page=page, is_open=is_open)


@router.post("/alerts/{alert_id}/acknowledge")
def acknowledge(alert_id: str, room: AlertsWrite, form: Posted) -> Response:
    with room.office.database.transaction() as session:
        alerts.acknowledge(session, alerts.require_alert(session, alert_id, room.caller), occasion=room.occasion)
    return room.to("/alerts", "acknowledged")


@router.get("/audit")
def show_trail(room: AuditReads) -> Response:
    subject = room.asked("subject")
    with room.office.database.snapshot() as session:
        page = audit.read_trail(session, room.at, subject=subject or None)
        rows = [(row, _detail(json.loads(row.detail)), link) for row, link in page.rows]
        return room.page("audit.html", rows=rows, page=page, subject=subject, chain=None)


@router.post("/audit/verify")
def verify_trail(room: AuditReads, form: Posted) -> Response:
    """Walks the whole chain. It changes nothing; it is a form because it takes a while."""
    head = form.get("head", "").strip() or None
    with room.office.database.snapshot() as session:
        chain = audit.verify_chain(session, known_head=head)
        page = audit.read_trail(session, room.at)
        rows = [(row, _detail(json.loads(row.detail)), link) for row, link in page.rows]
        return room.page("audit.html", rows=rows, page=page, subject="", chain=chain)


def _keys(
    room: Room, *, problem: str | None = None, status: int = 200, filled: Mapping[str, str] | None = None
) -> Response:
    now = room.office.clock()
    with room.office.database.snapshot() as session:
        page = api_keys.list_keys(session, room.at, customer_id=room.caller.customer_id)
        rows = [(key, sorted(api_keys.scopes_of(key)), _key_word(key, now)) for key in page.rows]
        return room.page(
            "keys.html",
            status=status,
            problem=problem,
            filled=filled or {},
            keys=rows,
            page=page,
            scopes=[(action, MEANINGS[action]) for action in Action if action in room.caller.actions - PEOPLE_ONLY],
            lifetimes=LIFETIMES,
        )


def _key_word(key: Any, now: Any) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and now >= key.expires_at else "active"


def _proposals(room: Room, *, problem: str | None = None, status: int = 200) -> Response:
    with room.office.database.snapshot() as session:
        page = proposals.proposal_page(session, room.at)
        rows = [
            (
                one,
                KINDS[one.kind].sentence(session, one),
                json.dumps(json.loads(one.document), indent=2, ensure_ascii=False),
                one.proposer == room.caller.human,
                room.caller.may(KINDS[one.kind].action),
            )
            for one in page.rows
        ]
        return room.page("proposals.html", status=status, problem=problem, proposals=rows, page=page)


def _detail(detail: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in detail.items() if value is not None)


def _place(cause: str, subject: str) -> str:
    if cause in ("fork", "gap", "silent"):
        return f"/installations/{subject}"
    return f"/licenses/{subject}" if cause == "expiring" else f"/contracts/{subject}"
