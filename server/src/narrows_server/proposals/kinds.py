"""What may be proposed: who may do it at all, what it comes to in a sentence, and how it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy.orm import Session

from narrows_server import wording
from narrows_server.access.roles import Action, Role
from narrows_server.audit import Occasion
from narrows_server.keyring import Keyring
from narrows_server.licenses import proposals as license_proposals
from narrows_server.licenses import service as licenses
from narrows_server.licenses.drafts import Draft
from narrows_server.people import service as people
from narrows_server.proposals.models import Proposal
from narrows_server.proposals.service import Perform

REVOKE_LICENSE = "license.revocation"
CHANGE_ROLE = "person.role"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of proposal. Both people need the permission to do what is proposed."""

    action: Action
    perform: Perform
    sentence: Callable[[Session, Proposal], str]


def _of_license(session: Session, proposal: Proposal) -> str:
    draft = Draft.from_json(proposal.document)
    license, seats = draft.license, draft.license.entitlements.max_concurrent_encodes
    what = f"Renew license {draft.replaces}" if draft.replaces else f"Issue a {license.kind.value} license"
    bound = license.binding.claims()["kind"]
    terms = [f"until {wording.day(license.expires_at)}", f"{seats or 'any number of'} encodes at once"]
    if license.lease is not None:
        terms.append("floating")
    if bound != "none":
        terms.append(f"bound to {bound}")
    return f"{what} under contract {license.metering.contract_id}, {', '.join(terms)}"


def _of_revocation(session: Session, proposal: Proposal) -> str:
    asked = json.loads(proposal.document)
    return f"Revoke license {asked['license_id']} for good" + (f": {asked['reason']}" if asked.get("reason") else "")


def _of_role(session: Session, proposal: Proposal) -> str:
    asked = json.loads(proposal.document)
    person = people.require_person(session, asked["person_id"])
    role = asked["role"].replace("_", " ") + (f" of {asked['customer_id']}" if asked["customer_id"] else "")
    before = "" if proposal.decided_at else f"{person.role.replace('_', ' ')} → "
    return f"{person.name}, {person.email}: {before}{role}"


def _revoke_license(session: Session, proposal: Proposal, keyring: Keyring, occasion: Occasion) -> str:
    asked = json.loads(proposal.document)
    return licenses.revoke(
        session, asked["license_id"], keyring=keyring, reason=asked.get("reason"), occasion=occasion
    ).id


def _change_role(session: Session, proposal: Proposal, keyring: Keyring, occasion: Occasion) -> str:
    asked = json.loads(proposal.document)
    person = people.require_person(session, asked["person_id"])
    people.change_role(session, person, Role(asked["role"]), customer_id=asked["customer_id"], occasion=occasion)
    return person.id


KINDS = MappingProxyType(
    {
        license_proposals.KIND: Kind(
            action=Action.LICENSES_WRITE, perform=license_proposals.perform, sentence=_of_license
        ),
        REVOKE_LICENSE: Kind(action=Action.LICENSES_WRITE, perform=_revoke_license, sentence=_of_revocation),
        CHANGE_ROLE: Kind(action=Action.PEOPLE_WRITE, perform=_change_role, sentence=_of_role),
    }
)
