"""
Issuing licenses and taking them back over the API; what only the command line can (bindings to machines, transfers), it
does.

Where two people have to agree, a license and a revocation are proposed, and done when another person approves. To
suspend one is quick and can be lifted, so one person is enough.
"""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from narrows_licensing.license import Kind
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.licenses import proposals, service
from narrows_server.licenses.drafts import DAYS_MAX, GRACE_DAYS, Draft, LicenseOrder, draft_new, draft_renewal
from narrows_server.licenses.models import IssuedLicense
from narrows_server.licenses.schemas import LicenseOut
from narrows_server.proposals.kinds import REVOKE_LICENSE
from narrows_server.proposals.service import propose
from narrows_server.web import Change, OfficeOf, allowed, changing

router = APIRouter(prefix="/v1/licenses", tags=["licenses"])

Changes = Annotated[Change, changing(Action.LICENSES_WRITE)]

COUNT_MAX = 1_000_000


class LicenseIn(BaseModel):
    """The license that somebody asks for: bound to nothing, with every preset."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"customer_id": "kanal-funf-ab", "contract_id": "con_7mbd", "days": 365}]},
    )

    customer_id: str = Field(max_length=64)
    contract_id: str = Field(max_length=64)
    kind: Kind = Kind.PRODUCTION
    days: int = Field(default=365, ge=1, le=DAYS_MAX)
    grace_days: int = Field(default=GRACE_DAYS, ge=0, le=DAYS_MAX)
    max_concurrent_encodes: int | None = Field(default=None, ge=1, le=COUNT_MAX)


class RenewalIn(BaseModel):
    """How much longer."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"days": 365}]})

    days: int = Field(default=365, ge=1, le=DAYS_MAX)


class LicenseChangeOut(BaseModel):
    """The license as it is now; or the proposal, where another person has to approve."""

    license: LicenseOut | None
    proposal_id: str | None


@router.post("", status_code=201, response_model=LicenseChangeOut, summary="Issue a license")
def issue_license(order: LicenseIn, change: Changes) -> Response:
    def issue(session: Session, occasion: Occasion) -> LicenseChangeOut:
        office = change.office
        asked = LicenseOrder(**order.model_dump(), report_url=office.settings.public_url)
        return _settle(session, draft_new(session, asked, keyring=office.keyring, at=occasion.at), change, occasion)

    return change.once(issue, status=201)


@router.post(
    "/{license_id}/renew", status_code=201, response_model=LicenseChangeOut, summary="Issue the same license for longer"
)
def renew_license(license_id: str, order: RenewalIn, change: Changes) -> Response:
    """The old one works until it expires."""

    def renew(session: Session, occasion: Occasion) -> LicenseChangeOut:
        issued = service.require_license(session, license_id)
        draft = draft_renewal(issued, days=order.days, keyring=change.office.keyring, at=occasion.at)
        return _settle(session, draft, change, occasion)

    return change.once(renew, status=201)


@router.post(
    "/{license_id}/suspend", response_model=LicenseChangeOut, summary="Take a license back until further notice"
)
def suspend_license(license_id: str, change: Changes) -> Response:
    """And publish the next revocation list. Again changes nothing."""

    def suspend(session: Session, occasion: Occasion) -> LicenseChangeOut:
        issued = service.suspend(session, license_id, keyring=change.office.keyring, occasion=occasion)
        return _changed(issued, occasion)

    return change.once(suspend)


@router.post("/{license_id}/reinstate", response_model=LicenseChangeOut, summary="Lift a suspension")
def reinstate_license(license_id: str, change: Changes) -> Response:
    """And publish the next revocation list. Without a suspension it changes nothing."""

    def reinstate(session: Session, occasion: Occasion) -> LicenseChangeOut:
        issued = service.reinstate(session, license_id, keyring=change.office.keyring, occasion=occasion)
        return _changed(issued, occasion)

    return change.once(reinstate)


@router.post("/{license_id}/revoke", response_model=LicenseChangeOut, summary="Take a license back for good")
def revoke_license(license_id: str, change: Changes) -> Response:
    """And publish the next revocation list. Again changes nothing."""

    def revoke(session: Session, occasion: Occasion) -> LicenseChangeOut:
        issued = service.require_license(session, license_id)
        if not change.office.settings.is_two_person or issued.revoked_at is not None:
            revoked = service.revoke(session, license_id, keyring=change.office.keyring, occasion=occasion)
            return _changed(revoked, occasion)
        document = json.dumps({"license_id": license_id})
        customer_id = issued.customer_id
        proposal = propose(session, REVOKE_LICENSE, document, customer_id=customer_id, occasion=occasion)
        return LicenseChangeOut(license=LicenseOut.of(issued, occasion.at), proposal_id=proposal.id)

    return change.once(revoke)


@router.get(
    "/{license_id}/file",
    summary="The license file that is put beside the app",
    response_class=PlainTextResponse,
    responses={200: {"content": {"application/json": {}}}, 422: {}},
)
def get_license_file(
    license_id: str, office: OfficeOf, caller: Annotated[Caller, allowed(Action.LICENSES_DOWNLOAD)]
) -> Response:
    """With the newest trust bundle and revocation list. Whoever has it can use the license."""
    with office.database.snapshot() as session:
        issued = service.require_license(session, license_id)
        caller.require_own(issued.customer_id, f"license {license_id}")
        text = service.license_file(session, license_id, keyring=office.keyring, at=office.clock())
    headers = {"Content-Disposition": f'attachment; filename="{issued.id}.json"', "Cache-Control": "no-store"}
    return Response(text, media_type="application/json", headers=headers)


def _settle(session: Session, draft: Draft, change: Change, occasion: Occasion) -> LicenseChangeOut:
    if change.office.settings.is_two_person:
        return LicenseChangeOut(license=None, proposal_id=proposals.propose(session, draft, occasion=occasion).id)
    issued = service.issue_draft(session, draft, keyring=change.office.keyring, occasion=occasion)
    session.flush()
    return _changed(issued, occasion)


def _changed(issued: IssuedLicense, occasion: Occasion) -> LicenseChangeOut:
    return LicenseChangeOut(license=LicenseOut.of(issued, occasion.at), proposal_id=None)
