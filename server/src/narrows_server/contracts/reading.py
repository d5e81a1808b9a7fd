"""
Documents that people write as JSON and the server keeps: read strictly, complained about by path, spelled one way.

Amounts and percentages are text, so that no float ever stands between what was signed and what is billed.
"""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar

import rfc8785
from narrows_metering.canonical import read_json
from narrows_metering.money import exponent
from narrows_metering.terms import decimal_from_text, decimal_to_text, zone
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, WithJsonSchema

from narrows_server.errors import Invalid
from narrows_server.identity import require_id

DOCUMENT_BYTES_MAX = 262_144
MAJOR_MAX = 10**12
COMPLAINTS_MAX = 8
_DECIMAL_PATTERN = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$"

_Model = TypeVar("_Model", bound="Document")


class Document(BaseModel):
    """A document that nobody changes once it is kept: other terms are another version."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def canonical(self) -> str:
        """Canonical JSON (RFC 8785): equal terms give equal text."""
        return rfc8785.dumps(self.model_dump(mode="json")).decode()

    def digest(self) -> str:
        """SHA-256 of `canonical`, lower-case hex."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()


def _read_decimal(value: object) -> Decimal:
    if not isinstance(value, str | Decimal):
        raise ValueError('write it as text, like "12.5": a JSON number may lose digits on its way')
    try:
        decimal = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{str(value)[:32]!r} is not a number") from None
    if not decimal.is_finite() or decimal < 0:
        raise ValueError("not a number from 0")
    try:
        return decimal_from_text(decimal_to_text(decimal))
    except ValueError:
        raise ValueError("more than 12 digits before or after the point") from None


def _read_currency(value: object) -> object:
    if isinstance(value, str):
        exponent(value)
    return value


def _read_zone(value: object) -> object:
    if isinstance(value, str):
        zone(value)
    return value


def _read_date(value: object) -> object:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{value[:32]!r} is not a day of the form 2026-11-30") from None
    return value


def _read_id(value: object) -> object:
    if isinstance(value, str):
        try:
            return require_id(value)
        except Invalid as error:
            raise ValueError(error.detail) from None
    return value


Amount = Annotated[
    Decimal,
    BeforeValidator(_read_decimal),
    PlainSerializer(decimal_to_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": _DECIMAL_PATTERN, "examples": ["1250.00"]}),
]
"""A number from 0 as text: money in major units, a price, a percentage."""
Currency = Annotated[str, BeforeValidator(_read_currency), Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])]
TimeZone = Annotated[str, BeforeValidator(_read_zone), Field(max_length=64, examples=["Europe/Stockholm"])]
Day = Annotated[date, BeforeValidator(_read_date)]
Id = Annotated[str, BeforeValidator(_read_id), Field(min_length=1, max_length=64)]


def read_document(kind: type[_Model], text: str | bytes, *, what: str) -> _Model:
    """The document in *text*. Raises `Invalid` with the path and the reason of every value that cannot be meant."""
    return check_document(kind, parse(text, what=what), what=what)


def check_document(kind: type[_Model], members: dict[str, Any], *, what: str) -> _Model:
    """The document with these *members*. Raises `Invalid` like `read_document`."""
    try:
        return kind.model_validate(members)
    except ValidationError as error:
        found = error.errors()
        # Of a list whose members cannot be meant it is said, too, that it has none: that follows, and says nothing.
        faults = [one for one in found if not any(_is_within(other["loc"], one["loc"]) for other in found)]
        shown = [f"{_pointer(fault['loc'])}: {_reason(fault)}" for fault in faults[:COMPLAINTS_MAX]]
        rest = [f"and {len(faults) - COMPLAINTS_MAX} more"] if len(faults) > COMPLAINTS_MAX else []
        raise Invalid(f"{what}: " + "; ".join([*shown, *rest])) from error


def _is_within(place: tuple[int | str, ...], whole: tuple[int | str, ...]) -> bool:
    return len(place) > len(whole) and place[: len(whole)] == whole


def parse(text: str | bytes, *, what: str) -> dict[str, Any]:
    """The JSON object in *text*, in which no number is a float. Raises `Invalid`."""
    if len(text) > DOCUMENT_BYTES_MAX:
        raise Invalid(f"{what}: more than {DOCUMENT_BYTES_MAX} bytes")
    try:
        members = read_json(text)
    except ValueError as error:
        raise Invalid(f"{what}: not JSON as it is needed here: {error}; write amounts as text") from error
    if not isinstance(members, dict):
        raise Invalid(f"{what}: not a JSON object")
    return members


def merge_patch(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """*target* with the members of *patch* in their place, as RFC 7396 has it: null removes one."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            below = merged.get(name)
            merged[name] = merge_patch(below if isinstance(below, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def to_minor(amount: Decimal, currency: str, *, where: str) -> int:
    """*amount* of major units in whole minor units. Raises ValueError naming *where* for a fraction, or too much."""
    if abs(amount) >= MAJOR_MAX:
        raise ValueError(f"{where}: more than 12 digits before the point")
    minor = amount.scaleb(exponent(currency))
    if minor != minor.to_integral_value():
        raise ValueError(f"{where}: {currency} has {exponent(currency)} decimals")
    return int(minor)


def _pointer(place: tuple[int | str, ...]) -> str:
    return "/" + "/".join(str(step) for step in place)


def _reason(fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return "not a member of this document"
    return str(fault["msg"]).removeprefix("Value error, ")
