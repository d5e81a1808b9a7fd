"""
Two people for a license: one proposes what is to be signed, another approves it, and only then is it signed.

What was proposed is what is signed, claim by claim; only the dates of issue and the number are given at the end.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.orm import Session

from narrows_server.audit import Occasion
from narrows_server.errors import Invalid
from narrows_server.keyring import Keyring
from narrows_server.licenses.drafts import Draft
from narrows_server.licenses.models import IssuedLicense
from narrows_server.licenses.service import issue_draft, require_license
from narrows_server.proposals import service as proposals
from narrows_server.proposals.models import Proposal

KIND = "license"


def propose(session: Session, draft: Draft, *, occasion: Occasion) -> Proposal:
    """Keep a draft until somebody else approves it."""
    customer_id = draft.license.customer_id
    return proposals.propose(session, KIND, draft.to_json(), customer_id=customer_id, occasion=occasion)


def approve(session: Session, proposal_id: str, *, keyring: Keyring, occasion: Occasion) -> IssuedLicense:
    """
    Issue what was proposed.

    Raises `ApprovalMissing` for the person who proposed it, `Invalid` if it was decided already, has ended since or is
    not about a license.
    """
    if proposals.require_proposal(session, proposal_id).kind != KIND:
        raise Invalid(f"proposal {proposal_id} is not about a new license")
    proposal = proposals.approve(session, proposal_id, perform, keyring=keyring, occasion=occasion)
    return require_license(session, str(proposal.outcome))


def perform(session: Session, proposal: Proposal, keyring: Keyring, occasion: Occasion) -> str:
    """Sign what was proposed; returns the id of the license."""
    draft = Draft.from_json(proposal.document)
    issued_at = occasion.at.replace(microsecond=0)
    if draft.license.expires_at <= issued_at:
        raise Invalid(f"the license of proposal {proposal.id} would have ended on {draft.license.expires_at:%Y-%m-%d}")
    license = replace(draft.license, issued_at=issued_at, not_before=issued_at)
    issued = issue_draft(session, replace(draft, license=license), keyring=keyring, occasion=occasion)
    session.flush()
    return issued.id
