"""
The life of a stored statement: who sent it, accepted it, disputed it, or replaced it, and when.

Steps are only ever added, each with its audit row; where a statement stands follows from them and the time, by the
rules of `standing`. The vendor's signature is made when a statement is handed out, the customer's is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from narrows_licensing.signature import SigningKey
from narrows_metering.endorsement import SECTION, Signer, check_endorsements, endorse
from narrows_metering.errors import StatementRefused
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.errors import Invalid
from narrows_server.statements import repository
from narrows_server.statements.models import Statement, StatementStep
from narrows_server.statements.standing import SILENCE, NotPossible, Standing, Step, standing_at, take

REASON_CHARACTERS_MAX = 2_000
_PARTICIPLES = {Step.SEND: "sent", Step.ACCEPT: "accepted", Step.DISPUTE: "disputed", Step.SUPERSEDE: "superseded"}


class StepNotPossible(Invalid):
    """What was asked for does not follow from where the statement stands."""

    code, status, title = "step_not_possible", 409, "The statement does not stand there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Where a statement stands at a moment."""

    standing: Standing
    sent_at: datetime | None = None
    detail: str | None = None  # Of the last step: why it is disputed, for one.
    signature: Mapping[str, str] | None = None  # The customer's.

    @property
    def accepted_by_silence_at(self) -> datetime | None:
        """When it will be, or was, accepted unless the customer says something."""
        return None if self.sent_at is None else self.sent_at + SILENCE


def life_of(session: Session, statement: Statement, *, now: datetime) -> Life:
    """Where *statement* stands *now*."""
    return read_life(repository.list_steps(session, statement.id), now=now)


def read_life(steps: Sequence[StatementStep], *, now: datetime) -> Life:
    """Where a statement stands *now* whose steps these are."""
    standing, sent_at, signature = Standing.DRAFT, None, None
    for row in steps:
        following = take(standing, Step(row.step), sent_at=sent_at, now=row.at)
        assert isinstance(following, Standing), f"statement {row.statement_id}: a step that was not possible is stored"
        standing = following
        sent_at = row.at if row.step == Step.SEND else sent_at
        signature = json.loads(row.signature) if row.signature else signature
    return Life(
        standing=standing_at(standing, sent_at=sent_at, now=now),
        sent_at=sent_at,
        detail=steps[-1].detail if steps else None,
        signature=signature,
    )


def send(session: Session, statement: Statement, *, occasion: Occasion) -> Life:
    """Hand a draft to the customer: from now on ten days of silence accept it. Raises `StepNotPossible`."""
    return _take(session, statement, Step.SEND, occasion)


def accept(
    session: Session,
    statement: Statement,
    *,
    signature: Mapping[str, str] | None = None,
    detail: str | None = None,
    occasion: Occasion,
) -> Life:
    """
    Make a statement binding, by the customer's word or *signature* (public_key and signature, over the document).

    Raises `StepNotPossible`, and `Invalid` for a signature that does not hold.
    """
    if signature is not None:
        document = json.loads(statement.document)
        try:
            check_endorsements({**document, SECTION: {Signer.VENDOR.value: None, Signer.CUSTOMER.value: signature}})
        except StatementRefused as refused:
            raise Invalid(f"statement {statement.id}: {refused}") from refused
    return _take(session, statement, Step.ACCEPT, occasion, detail=detail, signature=signature)


def dispute(session: Session, statement: Statement, *, reason: str, occasion: Occasion) -> Life:
    """Object to a statement; it is not invoiced until that is settled. Raises `StepNotPossible`, `Invalid`."""
    if not reason.strip() or len(reason) > REASON_CHARACTERS_MAX:
        raise Invalid(f"a dispute says why, in at most {REASON_CHARACTERS_MAX} characters")
    return _take(session, statement, Step.DISPUTE, occasion, detail=reason)


def supersede(session: Session, statement: Statement, *, by: str, occasion: Occasion) -> Life:
    """Put a new version in the place of *statement*."""
    return _take(session, statement, Step.SUPERSEDE, occasion, detail=f"by {by}")


def signed_document(
    session: Session, statement: Statement, key: SigningKey, *, steps: Sequence[StatementStep] | None = None
) -> dict[str, Any]:
    """The document with our signature, and the customer's if it has one."""
    document: dict[str, Any] = json.loads(statement.document)
    known = repository.list_steps(session, statement.id) if steps is None else steps
    signature = next((json.loads(row.signature) for row in reversed(known) if row.signature), None)
    return endorse({**document, SECTION: {**document[SECTION], Signer.CUSTOMER.value: signature}}, Signer.VENDOR, key)


def _take(
    session: Session,
    statement: Statement,
    step: Step,
    occasion: Occasion,
    *,
    detail: str | None = None,
    signature: Mapping[str, str] | None = None,
) -> Life:
    life = life_of(session, statement, now=occasion.at)
    following = take(life.standing, step, sent_at=life.sent_at, now=occasion.at)
    if isinstance(following, NotPossible):
        raise StepNotPossible(f"statement {statement.id} is {life.standing}; it cannot be {_PARTICIPLES[step]}")
    row = StatementStep(
        statement_id=statement.id,
        step=step.value,
        at=occasion.at,
        actor=occasion.actor,
        detail=detail,
        signature=None if signature is None else json.dumps(dict(signature), sort_keys=True),
    )
    session.add(row)
    statement.rollup.standing = following.value
    session.flush()
    customer = statement.contract.customer_id
    audit.write(session, occasion, f"statement.{_PARTICIPLES[step]}", statement.id, customer=customer, detail=detail)
    return Life(
        standing=following,
        sent_at=occasion.at if step is Step.SEND else life.sent_at,
        detail=detail,
        signature=signature or life.signature,
    )
