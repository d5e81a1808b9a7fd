"""
Contracts and tariffs: added, amended by a new version, and never changed.

An amendment takes effect on a day of a month that is not closed: what was invoiced was agreed to, and is mended by a
credit note and not by rewriting what was agreed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from narrows_metering.terms import Period
from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.contracts import repository
from narrows_server.contracts.contract_document import FIXED, MONTHLY, ContractDocument, changed_members
from narrows_server.contracts.models import (
    Contract,
    ContractVersion,
    Tariff,
)
from narrows_server.contracts.month import ContractMonth, Version, month_of, version_on
from narrows_server.contracts.reading import check_document, merge_patch
from narrows_server.contracts.tariff_document import TariffDocument
from narrows_server.customers import repository as customers
from narrows_server.customers.service import require_customer
from narrows_server.errors import AlreadyExists, Invalid, NotFound
from narrows_server.identity import new_id, require_id, slug
from narrows_server.parties.service import require_entity


class PeriodClosed(Invalid):
    """What was asked for would change a month that is closed."""

    code, status, title = "period_closed", 409, "The month is closed"


def add_tariff(
    session: Session, document: TariffDocument, *, tariff_id: str | None = None, occasion: Occasion
) -> Tariff:
    """A new tariff; its id comes from its name unless one is given. Raises `AlreadyExists`, `Invalid`."""
    chosen = require_id(tariff_id or slug(document.name))
    if repository.get_tariff(session, chosen):
        raise AlreadyExists(f"there is a tariff {chosen} already; choose another id with --id")
    tariff = Tariff(
        id=chosen,
        name=document.name,
        currency=document.currency,
        hash=document.digest(),
        document=document.canonical(),
        created_at=occasion.at,
    )
    session.add(tariff)
    audit.write(session, occasion, "tariff.added", chosen, currency=document.currency, hash=tariff.hash)
    return tariff


def add_contract(
    session: Session, document: ContractDocument, *, contract_id: str | None = None, occasion: Occasion
) -> Contract:
    """A new contract, version 1. Raises `NotFound` for its customer or tariff, `AlreadyExists`, `Invalid`."""
    customer = require_customer(session, document.customer)
    require_tariff(session, document.tariff)
    if document.legal_entity is not None:
        require_entity(session, document.legal_entity)
    chosen = require_id(contract_id or new_id("con"))
    if repository.get_contract(session, chosen):
        raise AlreadyExists(f"there is a contract {chosen} already; choose another id with --id")
    contract = Contract(
        id=chosen,
        customer_id=customer.id,
        starts_on=document.starts_on,
        created_at=occasion.at,
        customer=customer,
    )
    session.add(contract)
    session.flush()
    _record(session, contract.id, 1, document, document.starts_on, reason=None, occasion=occasion)
    audit.write(session, occasion, "contract.added", chosen, customer=customer.id, hash=document.digest())
    return contract


def amend_contract(
    session: Session,
    contract_id: str,
    patch: Mapping[str, Any],
    *,
    effective_on: date,
    first_open_day: date,
    reason: str | None = None,
    occasion: Occasion,
) -> ContractVersion:
    """
    The next version: the terms of *effective_on* with the members of *patch* (RFC 7396) in their place.

    *first_open_day* is the first day of the first month that is not closed. Raises `PeriodClosed` for an earlier day,
    `Invalid` for what cannot change, or not on that day.
    """
    contract = require_contract(session, contract_id)
    customers.lock_customer(session, contract.customer_id)
    versions = versions_of(session, contract_id)
    if effective_on < first_open_day:
        raise PeriodClosed(
            f"contract {contract_id} is closed until {first_open_day - timedelta(days=1)}; amend it from "
            f"{first_open_day} on, and grant what lies before by a credit note"
        )
    last = versions[-1]
    if effective_on < last.effective_on:
        raise Invalid(
            f"version {last.number} of contract {contract_id} takes effect on {last.effective_on}; "
            "amend it from that day on"
        )
    holding = version_on(versions, effective_on)
    if holding is None:
        raise Invalid(f"contract {contract_id} begins on {contract.starts_on}")
    members = merge_patch(json.loads(holding.document.canonical()), dict(patch))
    document = check_document(ContractDocument, members, what="amendment")
    changed = changed_members(holding.document, document)
    _check_change(changed, effective_on, contract)
    require_tariff(session, document.tariff)
    if "ends_on" in changed and document.ends_on is not None and document.ends_on < first_open_day - timedelta(days=1):
        raise PeriodClosed(f"contract {contract_id} cannot end before {first_open_day - timedelta(days=1)}: closed")
    row = _record(session, contract_id, last.number + 1, document, effective_on, reason=reason, occasion=occasion)
    audit.write(
        session,
        occasion,
        "contract.amended",
        contract_id,
        version=row.number,
        effective_on=effective_on.isoformat(),
        changed=" ".join(changed),
        hash=row.hash,
    )
    return row


def _check_change(changed: tuple[str, ...], effective_on: date, contract: Contract) -> None:
    if not changed:
        raise Invalid("the amendment changes nothing")
    fixed = [name for name in changed if name in FIXED]
    if fixed:
        raise Invalid(f"{', '.join(fixed)}: never changes; end this contract and add another")
    monthly = [name for name in changed if name in MONTHLY]
    if monthly and effective_on.day != 1 and effective_on != contract.starts_on:
        raise Invalid(f"{', '.join(monthly)}: changes on the first of a month only, since a month is valued as a whole")


def _record(
    session: Session,
    contract_id: str,
    number: int,
    document: ContractDocument,
    effective_on: date,
    *,
    reason: str | None,
    occasion: Occasion,
) -> ContractVersion:
    row = ContractVersion(
        contract_id=contract_id,
        number=number,
        effective_on=effective_on,
        recorded_at=occasion.at,
        recorded_by=occasion.actor,
        reason=reason,
        tariff_id=document.tariff,
        hash=document.digest(),
        document=document.canonical(),
    )
    session.add(row)
    session.flush()
    return row


def require_tariff(session: Session, tariff_id: str) -> Tariff:
    """The tariff with this id. Raises `NotFound`."""
    tariff = repository.get_tariff(session, tariff_id)
    if tariff is None:
        raise NotFound(f"there is no tariff {tariff_id}")
    return tariff


def require_contract(session: Session, contract_id: str) -> Contract:
    """The contract with this id. Raises `NotFound`."""
    contract = repository.get_contract(session, contract_id)
    if contract is None:
        raise NotFound(f"there is no contract {contract_id}")
    return contract


def versions_of(session: Session, contract_id: str) -> list[Version]:
    """The versions of a stored contract, in the order in which they were recorded."""
    return [read_version(row) for row in repository.list_versions(session, contract_id)]


def document_on(session: Session, contract_id: str, day: date) -> ContractDocument:
    """The terms that hold on *day*; before the contract's first day those with which it will begin."""
    require_contract(session, contract_id)
    versions = versions_of(session, contract_id)
    return (version_on(versions, day) or versions[0]).document


def documents_on(session: Session, contract_ids: Sequence[str], day: date) -> dict[str, ContractDocument]:
    """`document_on` of these contracts."""
    found = {}
    for contract_id, rows in repository.versions_by_contract(session, contract_ids).items():
        versions = [read_version(row) for row in rows]
        found[contract_id] = (version_on(versions, day) or versions[0]).document
    return found


def version_row_on(session: Session, contract_id: str, day: date) -> ContractVersion:
    """The stored version that holds on *day*; before the contract's first day the first one."""
    rows = repository.list_versions(session, contract_id)
    holding = version_on([read_version(row) for row in rows], day)
    return rows[0] if holding is None else rows[holding.number - 1]


def read_version(row: ContractVersion) -> Version:
    """A stored version. It was checked when it was recorded."""
    return Version(number=row.number, effective_on=row.effective_on, document=_read_contract(row.document))


@lru_cache(maxsize=8_192)
def _read_contract(text: str) -> ContractDocument:
    # The same text gives the same frozen document, and a month's page reads those of every contract.
    return ContractDocument.model_validate_json(text)


def read_tariff(tariff: Tariff) -> TariffDocument:
    """The document of a stored tariff."""
    return TariffDocument.model_validate_json(tariff.document)


def active_month(session: Session, contract_id: str, month: Period) -> ContractMonth | None:
    """The days of *month* on which a contract holds, with its terms; None if it holds on none."""
    return month_of(contract_id, versions_of(session, contract_id), month)
