"""
Drawing up a statement: the contract's terms, the records of its installations, and what is new of earlier months.

Reads and computes; nothing is written here. What stands in the way is a value, `Held`, for the person who closes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from narrows_metering.canonical import canonical_json
from narrows_metering.correction import correct
from narrows_metering.errors import MeteringError
from narrows_metering.record import Record, time_to_text
from narrows_metering.statement import draw_up, statement_hash
from narrows_metering.terms import Period, Terms
from narrows_metering.valuation import Mode
from sqlalchemy.orm import Session

from narrows_server.audit import Occasion
from narrows_server.contracts.models import Contract
from narrows_server.contracts.month import ContractMonth, Version, month_of
from narrows_server.contracts.terms import TermsIncomplete, terms_for
from narrows_server.statements import repository
from narrows_server.statements.models import Statement
from narrows_server.usage import repository as usage
from narrows_server.usage.models import Installation

CORRECTIONS_MAX = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Why a month cannot be closed yet, as a sentence for the person who closes it."""

    reason: str


def draw(
    session: Session,
    contract: Contract,
    versions: Sequence[Version],
    month: ContractMonth,
    *,
    version: int,
    occasion: Occasion,
) -> Statement | Held:
    """The statement of *month*, not kept yet, from all records up to now."""
    installations = usage.list_installations(session, contract_id=contract.id)

    try:
        document = draw_up(
            terms_for(session, month),
            period=month.period,
            records_by_installation=_records(session, installations),
            drawn_up_at=occasion.at,
            corrections=_corrections(session, contract, versions, month, installations),
        )
    except TermsIncomplete as lacking:
        return Held(reason=lacking.detail)
    except MeteringError as error:
        return Held(reason=f"the statement cannot be drawn up: {error}")
    unpriced = _find_unpriced(document)
    if unpriced is not None:
        return Held(
            reason=f"the invoice of {unpriced or 'the CDN'} for {month.period} is missing; "
            f"record it under CDN invoices on the page of contract {contract.id}"
        )
    incomplete = _find_incomplete(installations, document)
    if incomplete is not None:
        return Held(reason=f"the records of installation {incomplete} are not the ones that we gave a receipt for")
    suffix = "" if version == 1 else f".{version}"
    return Statement(
        id=f"{contract.id}.{month.period}{suffix}",
        contract_id=contract.id,
        period=str(month.period),
        version=version,
        drawn_up_at=occasion.at,
        hash=statement_hash(document),
        document=canonical_json(document).decode(),
        contract=contract,
    )


def says_the_same(one: Statement, other: Statement) -> bool:
    """Whether two statements differ at most in when they were drawn up."""
    documents = [json.loads(statement.document) for statement in (one, other)]
    for document in documents:
        document["period"].pop("drawn_up_at")
    return bool(documents[0] == documents[1])


def earlier_months(month: Period, count: int) -> list[Period]:
    """The *count* calendar months before *month*, the earliest first."""
    last = month.year * 12 + month.month - 1
    return [Period(year=number // 12, month=number % 12 + 1) for number in range(last - count, last)]


def _corrections(
    session: Session,
    contract: Contract,
    versions: Sequence[Version],
    month: ContractMonth,
    installations: Sequence[Installation],
) -> list[dict[str, Any]]:
    """What became known of the closed months before *month*, as far back as the contract corrects."""
    window = earlier_months(month.period, month.document.late_months)
    outcomes = repository.outcomes_of(session, contract.id) if window else {}
    closed = [one for one in window if str(one) in outcomes and outcomes[str(one)].result != "held"]
    if not closed:
        return []
    accounts = {str(one): _Account(statement_hash="", accounted={}) for one in closed}
    known = {row.period: row for row in repository.list_statements_since(session, contract.id, str(closed[0]))}
    for name in sorted(known):
        if name < str(month.period):
            _take_account(accounts, known[name])
    found = []
    for earlier in closed:
        account = accounts[str(earlier)]
        active = month_of(contract.id, versions, earlier)
        if active is None or not _may_have_changed(session, installations, account, active.period):
            continue
        terms = Terms.from_dict(account.terms) if account.terms else terms_for(session, active)
        correction = correct(
            terms,
            active.period,
            statement_hash=account.statement_hash,
            accounted=account.accounted,
            records=lambda: {
                one.id: usage.read_records(session, one.id, last_seq=one.head_seq) for one in installations
            },
        )
        if correction is not None:
            found.append(correction)
    return found[-CORRECTIONS_MAX:]


@dataclass(slots=True, kw_only=True)
class _Account:
    """Up to which records a month has been accounted for, and where."""

    statement_hash: str
    accounted: dict[str, int]
    terms: Mapping[str, Any] | None = None
    renditions: frozenset[str] = frozenset()  # Delivered in the month, with or without evidence.


def _take_account(accounts: dict[str, _Account], statement: Statement) -> None:
    """A statement accounts for its own month, and for those that it corrects."""
    document = json.loads(statement.document)
    accounted = {proof["installation_id"]: proof["last_seq"] for proof in document["proofs"]["installations"]}
    if statement.period in accounts:
        lines, exceptions = document["evidence"]["lines"], document["exceptions"]
        accounts[statement.period] = _Account(
            statement_hash=statement.hash,
            accounted=accounted,
            terms=document["contract"],
            renditions=frozenset(entry["rendition"] for entry in [*lines, *exceptions]),
        )
    for correction in document["corrections"]:
        account = accounts.get(correction["month"])
        if account is not None:
            account.statement_hash, account.accounted = statement.hash, accounted


def _may_have_changed(
    session: Session, installations: Sequence[Installation], account: _Account, period: Period
) -> bool:
    """Whether a record since then can matter: most are of the months since, and a second look at all costs time."""
    first, end = time_to_text(period.start), time_to_text(period.end)
    for installation in installations:
        after = account.accounted.get(installation.id, 0)
        for kind, payload in usage.read_payloads(session, installation.id, after=after, last_seq=installation.head_seq):
            if kind == "delivery":
                if first <= str(payload.get("window_start")) < end:
                    return True
            elif payload.get("rendition") in account.renditions:
                return True
    return False


def _records(session: Session, installations: Sequence[Installation]) -> dict[str, Iterator[Record]]:
    return {one.id: usage.read_records(session, one.id, last_seq=one.head_seq) for one in installations}


def _find_unpriced(document: Mapping[str, Any]) -> str | None:
    """A CDN whose invoice is not known, where the contract values savings by it: it would save nothing."""
    if document["valuation"]["mode"] != Mode.EFFECTIVE_PRICE:
        return None
    invoiced = document["contract"]["invoiced_minor"]
    return next((one["cdn"] for one in document["valuation"]["cdns"] if one["cdn"] not in invoiced), None)


def _find_incomplete(installations: Sequence[Installation], document: Mapping[str, Any]) -> str | None:
    """An installation whose records, as read, do not end where its last receipt says: rows have been lost."""
    proofs = {proof["installation_id"]: proof for proof in document["proofs"]["installations"]}
    for installation in installations:
        proof = proofs.get(installation.id)
        if proof is None or (proof["last_seq"], proof["head_hash"]) != (installation.head_seq, installation.head_hash):
            return installation.id
    return None
