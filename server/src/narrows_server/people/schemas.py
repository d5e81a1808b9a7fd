"""People, and what becomes of them, as the API and the command line show and take them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from narrows_server.access.roles import Role
from narrows_server.people import service
from narrows_server.people.models import Person


class PersonOut(BaseModel):
    """Somebody who may sign in."""

    id: str = Field(examples=["psn_7mbd2qxw4hnr5c8t"])
    email: str = Field(examples=["anna@example.com"])
    name: str = Field(examples=["Anna Berg"])
    role: Role
    customer_id: str | None
    has_password: bool
    has_second_factor: bool
    has_single_sign_on: bool
    created_at: datetime
    signed_in_at: datetime | None
    disabled_at: datetime | None

    @classmethod
    def of(cls, person: Person) -> PersonOut:
        return cls(
            id=person.id,
            email=person.email,
            name=person.name,
            role=Role(person.role),
            customer_id=person.customer_id,
            has_password=person.password_hash is not None,
            has_second_factor=person.totp_sealed is not None,
            has_single_sign_on=person.sso_subject is not None,
            created_at=person.created_at,
            signed_in_at=person.signed_in_at,
            disabled_at=person.disabled_at,
        )


class InvitedOut(PersonOut):
    """Somebody who was invited, and the link to give them: it works once, for a week."""

    invitation: str = Field(examples=["https://narrows.example.com/invitation?token=…"])


class RoleChangeOut(BaseModel):
    """The person with the new role; or the proposal, where two people have to agree."""

    person: PersonOut
    proposal_id: str | None


class PersonIn(BaseModel):
    """Whom to invite."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"email": "anna@example.com", "name": "Anna Berg", "role": "finance"}]},
    )

    email: str = Field(max_length=service.EMAIL_CHARACTERS_MAX)
    name: str = Field(min_length=1, max_length=service.NAME_CHARACTERS_MAX)
    role: Role
    customer_id: str | None = Field(default=None, max_length=64)


class RoleIn(BaseModel):
    """Another role."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "auditor"}]})

    role: Role
    customer_id: str | None = Field(default=None, max_length=64)
