"""
Two people for a license: one proposes what is to be signed, another approves it, and only then is it signed.

What was proposed is what is signed, claim by claim; only the dates of issue and the number are given at the end.
"""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.errors import ApprovalMissing, Invalid, NotFound
from narrows_server.identity import new_id
from narrows_server.keyring import Keyring
from narrows_server.licenses import repository
from narrows_server.licenses.drafts import Draft
from narrows_server.licenses.models import IssuedLicense, LicenseProposal
from narrows_server.licenses.service import issue_draft


def propose(session: Session, draft: Draft, *, occasion: Occasion) -> LicenseProposal:
    """Keep a draft until somebody else approves it."""
    proposal = LicenseProposal(
        id=new_id("prp"),
        customer_id=draft.license.customer_id,
        draft=draft.to_json(),
        proposed_by=occasion.actor,
        proposed_at=occasion.at,
        approved_by=None,
        approved_at=None,
        license_id=None,
    )
    session.add(proposal)
    audit.write(session, occasion, "license.proposed", proposal.id, customer=proposal.customer_id)
    return proposal


def approve(session: Session, proposal_id: str, *, keyring: Keyring, occasion: Occasion) -> IssuedLicense:
    """
    Issue what was proposed.

    Raises `ApprovalMissing` for the person who proposed it, `Invalid` if it was approved already or has ended since.
    """
    proposal = repository.get_proposal(session, proposal_id)
    if proposal is None:
        raise NotFound(f"there is no proposal {proposal_id}")
    if proposal.license_id is not None:
        raise Invalid(f"proposal {proposal_id} was approved already, as license {proposal.license_id}")
    if proposal.proposed_by == occasion.actor:
        raise ApprovalMissing(f"{occasion.actor} proposed this license; another person has to approve it")
    draft = Draft.from_json(proposal.draft)
    issued_at = occasion.at.replace(microsecond=0)
    if draft.license.expires_at <= issued_at:
        raise Invalid(f"the license of proposal {proposal_id} would have ended on {draft.license.expires_at:%Y-%m-%d}")
    license = replace(draft.license, issued_at=issued_at, not_before=issued_at)
    issued = issue_draft(session, replace(draft, license=license), keyring=keyring, occasion=occasion)
    proposal.approved_by, proposal.approved_at, proposal.license_id = occasion.actor, occasion.at, issued.id
    audit.write(session, occasion, "license.approved", proposal.id, license=issued.id, proposed_by=proposal.proposed_by)
    return issued
