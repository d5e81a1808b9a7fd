"""The two parties of an invoice, as they are printed on it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from narrows_server.errors import NotInitialised

ADDRESS_LINES_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A name and an address as on an envelope. *tax_id* is printed as it stands, whatever it is called there."""

    name: str
    address: tuple[str, ...] = ()
    email: str | None = None
    tax_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in an invoice document."""
        return {**asdict(self), "address": list(self.address)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        """Read `to_dict`'s result."""
        return cls(**{**document, "address": tuple(document["address"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor(Party):
    """Who sends the invoices. *payment* are the lines that say how to pay."""

    payment: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "address": list(self.address), "payment": list(self.payment)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        return cls(
            **{**document, "address": tuple(document["address"]), "payment": tuple(document["payment"])},
        )


def read_vendor(text: str) -> Vendor:
    """
    The vendor in the state folder's `vendor.json`, which people edit by hand.

    Raises `NotInitialised` naming the member that is missing, foreign or of the wrong type.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise NotInitialised(f"vendor.json is not JSON: {error}") from error
    names = {field.name for field in fields(Vendor)}
    if not isinstance(document, dict) or document.keys() != names:
        raise NotInitialised(f"vendor.json must be an object with the members {', '.join(sorted(names))}")
    for name in ("address", "payment"):
        lines = document[name]
        if not isinstance(lines, list) or len(lines) > ADDRESS_LINES_MAX or not all(isinstance(x, str) for x in lines):
            raise NotInitialised(f"vendor.json: {name} must be a list of at most {ADDRESS_LINES_MAX} lines")
    if not isinstance(document["name"], str) or not document["name"]:
        raise NotInitialised("vendor.json: name must be a text")
    for name in ("email", "tax_id"):
        if not isinstance(document[name], str | None):
            raise NotInitialised(f"vendor.json: {name} must be a text or null")
    return Vendor.from_dict(document)
