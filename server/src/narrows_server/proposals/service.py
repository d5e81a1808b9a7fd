"""
Proposing and deciding. What is done on approval is known to the part that the proposal is about: see `kinds`.

What was proposed is what is done, to the letter; nobody decides on something that changed in between.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.errors import ApprovalMissing, Invalid, NotFound
from narrows_server.identity import new_id
from narrows_server.keyring import Keyring
from narrows_server.paging import Paged, Paging, read_page
from narrows_server.proposals.models import Proposal
from narrows_server.wording import who

APPROVED, REJECTED = "approved", "rejected"

# Does what was proposed and returns the id of what came of it.
Perform = Callable[[Session, Proposal, Keyring, Occasion], str]


def propose(
    session: Session, kind: str, document: str, *, customer_id: str | None = None, occasion: Occasion
) -> Proposal:
    """Keep what is to be done until somebody else decides."""
    proposal = Proposal(
        id=new_id("prp"),
        kind=kind,
        customer_id=customer_id,
        document=document,
        proposed_by=occasion.actor,
        proposer=occasion.person,
        proposed_at=occasion.at,
        decision=None,
        decided_by=None,
        decided_at=None,
        outcome=None,
    )
    session.add(proposal)
    session.flush()
    audit.write(session, occasion, f"{kind}.proposed", proposal.id, customer=customer_id)
    return proposal


def approve(session: Session, proposal_id: str, perform: Perform, *, keyring: Keyring, occasion: Occasion) -> Proposal:
    """
    Do what was proposed.

    Raises `NotFound`, `Invalid` if it was decided already or cannot be done any more, and `ApprovalMissing` for the
    person who proposed it, themselves or through a program.
    """
    proposal = _require_undecided(session, proposal_id)
    if proposal.proposer == occasion.person:
        raise ApprovalMissing(f"this was proposed by {who(occasion.person)}; another person has to approve it")
    proposal.outcome = perform(session, proposal, keyring, occasion)
    _decide(session, proposal, APPROVED, occasion)
    return proposal


def reject(session: Session, proposal_id: str, *, occasion: Occasion) -> Proposal:
    """It is not done. Whoever proposed it may do that, too. Raises `NotFound`, `Invalid`."""
    proposal = _require_undecided(session, proposal_id)
    _decide(session, proposal, REJECTED, occasion)
    return proposal


def require_proposal(session: Session, proposal_id: str) -> Proposal:
    """The proposal with this id, locked where the database has row locks. Raises `NotFound`."""
    proposal = session.get(Proposal, proposal_id, with_for_update=True)
    if proposal is None:
        raise NotFound(f"there is no proposal {proposal_id}")
    return proposal


def list_undecided(session: Session, *, kind: str | None = None) -> list[Proposal]:
    """What waits for a second person, oldest first."""
    query = select(Proposal).where(Proposal.decision.is_(None))
    if kind is not None:
        query = query.where(Proposal.kind == kind)
    return list(session.scalars(query.order_by(Proposal.proposed_at, Proposal.id)))


def proposal_page(session: Session, at: Paging, *, is_undecided: bool = False) -> Paged[Proposal]:
    """A page of proposals, newest first."""
    query = select(Proposal)
    if is_undecided:
        query = query.where(Proposal.decision.is_(None))
    return read_page(session, query, by=(Proposal.proposed_at, Proposal.id), at=at)


def _require_undecided(session: Session, proposal_id: str) -> Proposal:
    proposal = require_proposal(session, proposal_id)
    if proposal.decision is not None:
        of = f", as {proposal.outcome}" if proposal.outcome else ""
        raise Invalid(f"proposal {proposal_id} was {proposal.decision} already{of}")
    return proposal


def _decide(session: Session, proposal: Proposal, decision: str, occasion: Occasion) -> None:
    proposal.decision, proposal.decided_by, proposal.decided_at = decision, occasion.person, occasion.at
    audit.write(
        session,
        occasion,
        f"{proposal.kind}.{decision}",
        proposal.id,
        proposed_by=proposal.proposed_by,
        outcome=proposal.outcome,
    )
