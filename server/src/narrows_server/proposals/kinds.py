"""What may be proposed: who may do it at all, and how it is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy.orm import Session

from narrows_server.access.roles import Action, Role
from narrows_server.audit import Occasion
from narrows_server.keyring import Keyring
from narrows_server.licenses import proposals as license_proposals
from narrows_server.licenses import service as licenses
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
        license_proposals.KIND: Kind(action=Action.LICENSES_WRITE, perform=license_proposals.perform),
        REVOKE_LICENSE: Kind(action=Action.LICENSES_WRITE, perform=_revoke_license),
        CHANGE_ROLE: Kind(action=Action.PEOPLE_WRITE, perform=_change_role),
    }
)
