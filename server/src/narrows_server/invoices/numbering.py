"""
Numbers of invoices and credit notes: gapless in every series, whatever fails.

A number is taken in the transaction that issues the document, from a counter that the transaction holds: if it rolls
back, so does the number, and the next document takes it. A series is all numbers that begin alike; it belongs to one
legal entity and one kind of document, so that no two documents ever have the same number.
"""

from __future__ import annotations

import re
from datetime import date

from sqlalchemy.orm import Session

from narrows_server import audit
from narrows_server.audit import Occasion
from narrows_server.errors import Invalid
from narrows_server.invoices import repository
from narrows_server.invoices.models import Kind, NumberPattern
from narrows_server.parties.models import LegalEntity

_PREFIXES = {Kind.INVOICE: "INV", Kind.CREDIT_NOTE: "CRN"}
_PATTERN = re.compile(r"(?P<prefix>(?:[A-Z0-9./-]|\{year\}|\{month\}){0,40})\{number(?::0?(?P<width>\d))?\}")


def take_number(session: Session, entity: LegalEntity, kind: Kind, on: date) -> str:
    """The next number of the entity's series of *kind*, for a document of the day *on*. Raises `Invalid`."""
    prefix, width = _split(pattern_on(session, entity, kind, on))
    name = prefix.format(year=on.year, month=f"{on.month:02}")
    series = repository.lock_series(session, name, entity_id=entity.id, kind=kind)
    if (series.entity_id, series.kind) != (entity.id, kind):
        raise Invalid(f"numbers {name}… belong to the {series.kind.replace('_', ' ')}s of {series.entity_id}")
    series.last_number += 1
    session.flush()
    return f"{name}{series.last_number:0{width}}"


def pattern_on(session: Session, entity: LegalEntity, kind: Kind, on: date) -> str:
    """The pattern of the day; where none was set, the entity that was first has INV-2026-000001, others their id."""
    pattern = repository.get_pattern(session, entity.id, kind, on)
    if pattern is not None:
        return pattern.pattern
    first = repository.first_entity_id(session)
    own = "" if entity.id == first else re.sub(r"[^A-Z0-9]+", "-", entity.id.upper())[:20] + "-"
    return f"{_PREFIXES[kind]}-{own}{{year}}-{{number:06}}"


def set_pattern(
    session: Session, entity: LegalEntity, kind: Kind, pattern: str, *, valid_from: date, occasion: Occasion
) -> NumberPattern:
    """
    Number the entity's documents of *kind* by *pattern* from a day on: "{year}/{month}-{number:04}".

    Raises `Invalid` for a pattern that is none, and for a day that is over: its documents have their numbers.
    """
    _split(pattern)
    if valid_from < occasion.at.date():
        raise Invalid(f"{valid_from} is over; numbers change from today on at the earliest")
    if session.get(NumberPattern, (entity.id, kind, valid_from)) is not None:
        raise Invalid(f"there is a pattern from {valid_from} on already")
    row = NumberPattern(entity_id=entity.id, kind=kind.value, valid_from=valid_from, pattern=pattern)
    session.add(row)
    session.flush()
    audit.write(session, occasion, "numbers.set", entity.id, kind=kind.value, pattern=pattern, since=str(valid_from))
    return row


def _split(pattern: str) -> tuple[str, int]:
    """What stands before the counter, and how many digits the counter has at least."""
    match = _PATTERN.fullmatch(pattern)
    if match is None:
        raise Invalid(
            f"{pattern!r} cannot number documents: write capitals, digits, . / - and {{year}} or {{month}}, "
            "and {number:06} at the end"
        )
    return match["prefix"], int(match["width"] or 1)
