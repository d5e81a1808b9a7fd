"""Licenses: to see and take along, and for whoever may, to issue, renew, suspend and take back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

import segno
from fastapi import APIRouter
from fastapi.responses import Response
from narrows_licensing.binding import UNBOUND, Binding
from narrows_licensing.errors import LicensingError
from narrows_licensing.license import HEARTBEAT_SECONDS_MAX, HEARTBEAT_SECONDS_MIN, Kind, LeaseTerms
from narrows_licensing.qr import to_qr_text
from sqlalchemy.orm import Session

from narrows_server.access.roles import Action
from narrows_server.console.gate import Posted
from narrows_server.console.rendering import HEADERS
from narrows_server.console.room import Room, entering, require_name
from narrows_server.contracts import repository as contracts
from narrows_server.contracts.service import require_contract
from narrows_server.errors import Invalid, NotFound
from narrows_server.licenses import bindings, proposals, repository, service
from narrows_server.licenses.drafts import GRACE_DAYS, Draft, LicenseOrder, draft_new, draft_renewal, license_of
from narrows_server.licenses.models import IssuedLicense
from narrows_server.proposals.kinds import REVOKE_LICENSE
from narrows_server.proposals.service import propose

REASON_CHARACTERS_MAX = 500
BINDINGS = {
    "none": ("nothing", "it works wherever its file is"),
    "application": ("applications", "their ids, with commas or blanks between"),
    "installation": ("one installation", "its id, as its page here and its own machine show it"),
    "machine": ("one machine", "the text of the customer’s request, from its file or QR code"),
    "workload": ("a workload", "JSON with issuer, audience, keys and subjects"),
}

router = APIRouter(prefix="/licenses", tags=["licenses"])

Reads = Annotated[Room, entering(Action.LICENSES_READ)]
Writes = Annotated[Room, entering(Action.LICENSES_WRITE)]


@router.get("")
def list_licenses(room: Reads) -> Response:
    now = room.office.clock()
    with room.office.database.snapshot() as session:
        page = repository.license_page(session, room.at, customer_id=room.caller.customer_id)
        return room.page("licenses.html", licenses=[(one, service.state(one, now)) for one in page.rows], page=page)


@router.get("/new")
def show_form(room: Writes) -> Response:
    return _form(room, {"contract": room.asked("contract"), "days": "365", "grace_days": str(GRACE_DAYS)})


@router.post("/new")
def issue(room: Writes, form: Posted) -> Response:
    """Signed at once, or where two people have to agree, kept until the second one does."""
    try:
        with room.office.database.transaction() as session:
            order = _order(session, room, form)
            draft = draft_new(session, order, keyring=room.office.keyring, at=room.office.clock())
            issued = _settle(session, room, draft)
    except (Invalid, NotFound, LicensingError) as error:
        return _form(room, form, problem=getattr(error, "detail", str(error)), status=422)
    return room.to("/proposals", "proposed") if issued is None else room.to(f"/licenses/{issued.id}", "issued")


@router.get("/{license_id}")
def show(license_id: str, room: Reads) -> Response:
    return _page(room, license_id)


@router.get("/{license_id}/file")
def download(license_id: str, room: Reads) -> Response:
    """The file that is put beside the app."""
    with room.office.database.snapshot() as session:
        issued = _require(session, room, license_id)
        text = service.license_file(session, issued.id, keyring=room.office.keyring, at=room.office.clock())
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{issued.id}.json"'}
    return Response(text, media_type="application/json", headers=headers)


@router.get("/{license_id}/qr.svg")
def draw_qr_code(license_id: str, room: Reads) -> Response:
    """The license for a machine that has a camera and no network. Raises `Invalid` for one that no code can hold."""
    with room.office.database.snapshot() as session:
        issued = _require(session, room, license_id)
    picture = io.BytesIO()
    try:
        text = to_qr_text(json.dumps({"license": issued.token}, separators=(",", ":")))
    except LicensingError as error:
        raise Invalid(f"license {license_id} does not fit in a QR code; download the file instead: {error}") from error
    segno.make(text, error="l", boost_error=False, micro=False).save(picture, kind="svg", scale=4, xmldecl=False)
    return Response(picture.getvalue(), media_type="image/svg+xml", headers=HEADERS)


@router.post("/{license_id}/renew")
def renew(license_id: str, room: Writes, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            issued = _require(session, room, license_id)
            draft = draft_renewal(issued, days=_days(form), keyring=room.office.keyring, at=room.office.clock())
            renewed = _settle(session, room, draft)
    except Invalid as error:
        return _page(room, license_id, problem=error.detail, status=422)
    return room.to("/proposals", "proposed") if renewed is None else room.to(f"/licenses/{renewed.id}", "renewed")


@router.post("/{license_id}/suspend")
def suspend(license_id: str, room: Writes, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            issued = _require(session, room, license_id)
            service.suspend(
                session, issued.id, keyring=room.office.keyring, reason=_reason(form), occasion=room.occasion
            )
    except Invalid as error:
        return _page(room, license_id, problem=error.detail, status=422)
    return room.to(f"/licenses/{license_id}", "suspended")


@router.post("/{license_id}/reinstate")
def reinstate(license_id: str, room: Writes, form: Posted) -> Response:
    try:
        with room.office.database.transaction() as session:
            issued = _require(session, room, license_id)
            service.reinstate(session, issued.id, keyring=room.office.keyring, occasion=room.occasion)
    except Invalid as error:
        return _page(room, license_id, problem=error.detail, status=422)
    return room.to(f"/licenses/{license_id}", "reinstated")


@router.post("/{license_id}/revoke")
def revoke(license_id: str, room: Writes, form: Posted) -> Response:
    """For good, so its id is typed once more; where two people have to agree, it is proposed."""
    try:
        reason = _reason(form)
        require_name(form, license_id)
        with room.office.database.transaction() as session:
            issued = _require(session, room, license_id)
            if room.office.settings.is_two_person:
                asked = json.dumps({"license_id": issued.id, "reason": reason})
                propose(session, REVOKE_LICENSE, asked, customer_id=issued.customer_id, occasion=room.occasion)
            else:
                service.revoke(session, issued.id, keyring=room.office.keyring, reason=reason, occasion=room.occasion)
    except Invalid as error:
        return _page(room, license_id, problem=error.detail, status=422)
    if room.office.settings.is_two_person:
        return room.to("/proposals", "proposed")
    return room.to(f"/licenses/{license_id}", "revoked")


def _page(room: Room, license_id: str, *, problem: str | None = None, status: int = 200) -> Response:
    now = room.office.clock()
    with room.office.database.snapshot() as session:
        issued = _require(session, room, license_id)
        siblings = repository.list_licenses_of(session, issued.customer_id)
        return room.page(
            "license.html",
            status=status,
            problem=problem,
            issued=issued,
            state=service.state(issued, now),
            license=license_of(issued, room.office.keyring),
            renewed_by=[one for one in siblings if one.replaces == issued.id],
            is_two_person=room.office.settings.is_two_person,
        )


def _form(room: Room, filled: Mapping[str, str], *, problem: str | None = None, status: int = 200) -> Response:
    with room.office.database.snapshot() as session:
        return room.page(
            "license_new.html",
            status=status,
            problem=problem,
            filled=filled,
            contracts=contracts.list_contracts(session),
            kinds=[Kind.PRODUCTION, Kind.TRIAL],
            bindings=BINDINGS,
            is_two_person=room.office.settings.is_two_person,
        )


def _require(session: Session, room: Room, license_id: str) -> IssuedLicense:
    issued = service.require_license(session, license_id)
    room.caller.require_own(issued.customer_id, f"license {license_id}")
    return issued


def _settle(session: Session, room: Room, draft: Draft) -> IssuedLicense | None:
    if room.office.settings.is_two_person:
        proposals.propose(session, draft, occasion=room.occasion)
        return None
    return service.issue_draft(session, draft, keyring=room.office.keyring, occasion=room.occasion)


def _order(session: Session, room: Room, form: Mapping[str, str]) -> LicenseOrder:
    contract = require_contract(session, form.get("contract", ""))
    return LicenseOrder(
        customer_id=contract.customer_id,
        contract_id=contract.id,
        kind=Kind.TRIAL if form.get("kind") == Kind.TRIAL.value else Kind.PRODUCTION,
        days=_days(form),
        grace_days=_whole(form, "grace_days", 0, 365),
        max_concurrent_encodes=_whole(form, "max_encodes", 1, 1_000_000) if form.get("max_encodes") else None,
        report_url=room.office.settings.public_url,
        binding=_binding(form),
        lease=_lease(form),
    )


def _lease(form: Mapping[str, str]) -> LeaseTerms | None:
    """How seats are leased, where the license floats."""
    if not form.get("lease_seconds"):
        return None
    if not form.get("max_encodes"):
        raise Invalid("a floating license says how many encodes at once: these are its seats")
    seconds = timedelta(seconds=_whole(form, "lease_seconds", HEARTBEAT_SECONDS_MIN, HEARTBEAT_SECONDS_MAX))
    return LeaseTerms(heartbeat=seconds, revive=seconds)


def _binding(form: Mapping[str, str]) -> Binding:
    """What the license is bound to, as it was chosen. Raises `Invalid`, `LicensingError`."""
    chosen, text = form.get("binding", "none"), form.get("bound_to", "").strip()
    if chosen == "none":
        if text:
            raise Invalid("choose what kind of thing the license is bound to, or empty the field")
        return UNBOUND
    if not text:
        raise Invalid("say what the license is bound to")
    if chosen == "machine":
        return bindings.binding_of_request(text)
    if chosen == "workload":
        return bindings.binding_of_workload(text)
    if chosen in ("application", "installation"):
        return bindings.binding_from_text(f"{chosen}:{','.join(text.replace(',', ' ').split())}")
    raise Invalid("there is no such kind of binding")


def _days(form: Mapping[str, str]) -> int:
    return _whole(form, "days", 1, 10_000)


def _whole(form: Mapping[str, str], name: str, least: int, most: int) -> int:
    text = form.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        raise Invalid(f"{name.replace('_', ' ')}: a whole number from {least} to {most}, not {text[:20]!r}")
    return int(text)


def _reason(form: Mapping[str, str]) -> str:
    reason = form.get("reason", "").strip()
    if not reason or len(reason) > REASON_CHARACTERS_MAX:
        raise Invalid(f"say why, in at most {REASON_CHARACTERS_MAX} characters: it stands in the audit trail")
    return reason
