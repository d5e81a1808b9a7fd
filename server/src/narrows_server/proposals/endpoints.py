"""What waits for a second person, and their decision. It takes a person: no API key approves anything."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.paging import Page
from narrows_server.proposals import service
from narrows_server.proposals.kinds import KINDS
from narrows_server.proposals.models import Proposal
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing

router = APIRouter(prefix="/v1/proposals", tags=["proposals"])

Reads = Annotated[Caller, allowed(Action.PROPOSALS_READ)]
Decides = Annotated[Change, changing(Action.PROPOSALS_DECIDE)]


class ProposalOut(BaseModel):
    """Something that one person proposed and another decides on."""

    id: str = Field(examples=["prp_7mbd2qxw4hnr5c8t"])
    kind: str = Field(examples=["license.revocation"])
    customer_id: str | None
    document: dict[str, Any] = Field(description="What is done on approval, to the letter.")
    proposed_by: str = Field(examples=["person:anna@example.com"])
    proposed_at: datetime
    decision: str | None = Field(examples=["approved"])
    decided_by: str | None
    decided_at: datetime | None
    outcome: str | None = Field(description="The id of what came of it.")

    @classmethod
    def of(cls, proposal: Proposal) -> ProposalOut:
        names = set(cls.model_fields) - {"document"}
        return cls(document=orjson.loads(proposal.document), **{name: getattr(proposal, name) for name in names})


@router.get("", summary="Proposals, newest first")
def list_proposals(
    office: OfficeOf,
    caller: Reads,
    at: PagingOf,
    undecided: Annotated[bool, Query(description="Only what still waits for a second person.")] = False,
) -> Page[ProposalOut]:
    with office.database.snapshot() as session:
        page = service.proposal_page(session, at, is_undecided=undecided)
        return Page(items=[ProposalOut.of(proposal) for proposal in page.rows], next_cursor=page.next_cursor)


@router.post("/{proposal_id}/approve", response_model=ProposalOut, summary="Do what another person proposed")
def approve_proposal(proposal_id: str, change: Decides) -> Response:
    """Both people need the permission that it would take to do it alone."""

    def approve(session: Session, occasion: Occasion) -> ProposalOut:
        kind = KINDS[service.require_proposal(session, proposal_id).kind]
        change.caller.require(kind.action)
        keyring = change.office.keyring
        return ProposalOut.of(service.approve(session, proposal_id, kind.perform, keyring=keyring, occasion=occasion))

    return change.once(approve)


@router.post("/{proposal_id}/reject", response_model=ProposalOut, summary="Do not do what was proposed")
def reject_proposal(proposal_id: str, change: Decides) -> Response:
    """Whoever proposed it may reject it, too."""

    def reject(session: Session, occasion: Occasion) -> ProposalOut:
        change.caller.require(KINDS[service.require_proposal(session, proposal_id).kind].action)
        return ProposalOut.of(service.reject(session, proposal_id, occasion=occasion))

    return change.once(reject)
