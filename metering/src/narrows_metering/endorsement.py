"""
Who stands behind a statement: the signatures of the vendor and, once it is accepted, of the customer.

Both sign the canonical JSON of everything but the signatures themselves, so a statement may be signed again and stays
the same statement. Each signature carries its key; whose key that is, the reader must know from elsewhere (the trust
bundle names the vendor's).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import (
    SigningKey,
    Typ,
    public_key_from_text,
    public_key_to_text,
    sign_detached,
    thumbprint,
    verify_detached,
)

from narrows_metering.canonical import canonical_json
from narrows_metering.errors import StatementRefused

SECTION: Final = "signatures"


class Signer(StrEnum):
    """Who signs."""

    VENDOR = "vendor"
    CUSTOMER = "customer"


def signed_bytes(statement: Mapping[str, Any]) -> bytes:
    """What is signed, and what the statement's hash is of: everything but the signatures."""
    return canonical_json({name: value for name, value in statement.items() if name != SECTION})


def endorse(
    statement: Mapping[str, Any], signer: Signer, key: SigningKey, *, typ: Typ = Typ.STATEMENT
) -> dict[str, Any]:
    """*statement* with the signature of *signer* added or replaced. A bench is endorsed in the same way."""
    signature = {
        "public_key": public_key_to_text(key.public_key()),
        "signature": sign_detached(signed_bytes(statement), typ=typ, key=key),
    }
    return {**statement, SECTION: {**statement[SECTION], signer.value: signature}}


def check_endorsements(statement: Mapping[str, Any], *, typ: Typ = Typ.STATEMENT) -> dict[Signer, str]:
    """
    The thumbprints of the keys that signed *statement*.

    Raises StatementRefused naming the signature that does not hold, or the section if it is no list of signatures.
    """
    signatures = statement.get(SECTION)
    if not isinstance(signatures, dict) or signatures.keys() != set(Signer):
        raise StatementRefused(f"/{SECTION}: not an object with the members {' '.join(Signer)}")
    return {
        signer: _check(statement, signer, signatures[signer.value], typ)
        for signer in Signer
        if signatures[signer.value] is not None
    }


def _check(statement: Mapping[str, Any], signer: Signer, signature: object, typ: Typ) -> str:
    where = f"/{SECTION}/{signer.value}"
    if not isinstance(signature, dict) or signature.keys() != {"public_key", "signature"}:
        raise StatementRefused(f"{where}: not a public key and a signature")
    if not all(isinstance(text, str) and text.isascii() for text in signature.values()):
        raise StatementRefused(f"{where}: not text")
    try:
        key = public_key_from_text(signature["public_key"])
        name = thumbprint(key)
        return verify_detached(signature["signature"], signed_bytes(statement), typ=typ, keys={name: key})
    except SignatureRefused as refused:
        raise StatementRefused(f"{where}: {refused}; the statement is not what was signed") from None
