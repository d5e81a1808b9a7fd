"""
The receipt: the server's signed word that it holds an installation's records up to one.

Made by the server, read here. A receipt is evidence for the customer as much as permission to prune.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import Typ, verify

from narrows_metering.errors import ReceiptRefused, RecordRefused
from narrows_metering.record import SEQUENCE_MAX, time_from_text, time_to_text

INSTALLATION_ID = re.compile(r"[A-Za-z0-9_-]{43}")  # An RFC 7638 thumbprint: SHA-256 in base64url.
NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,86}")

_HASH = re.compile(r"[0-9a-f]{64}")
_CLAIMS = frozenset({"installation_id", "first_seq", "last_seq", "head_hash", "merkle_root", "nonce", "time"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the server acknowledged: records *first_seq* to *last_seq*, which end in *head_hash*."""

    installation_id: str
    first_seq: int
    last_seq: int
    head_hash: str  # Hash of record `last_seq`.
    merkle_root: str  # `chain.merkle_root` of the hashes of all records of the range.
    nonce: str  # Random, from the server; the next report repeats it, which makes a copied installation visible.
    time: datetime  # The server's clock.

    def claims(self) -> dict[str, object]:
        """The claims of the token; sign them with `typ` RECEIPT."""
        return {
            "installation_id": self.installation_id,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "head_hash": self.head_hash,
            "merkle_root": self.merkle_root,
            "nonce": self.nonce,
            "time": time_to_text(self.time),
        }

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> Self:
        """Read `claims`' result. Raises ReceiptRefused naming the claim."""
        if claims.keys() != _CLAIMS:
            name = min(str(key) for key in claims.keys() ^ _CLAIMS)
            raise ReceiptRefused(f"{name[:64]}: {'missing' if name in _CLAIMS else 'not a claim of a receipt'}")
        for name, pattern in _PATTERNS.items():
            if not isinstance(claims[name], str) or not pattern.fullmatch(claims[name]):
                raise ReceiptRefused(f"{name}: malformed")
        for name in ("first_seq", "last_seq"):
            if type(claims[name]) is not int or not 1 <= claims[name] <= SEQUENCE_MAX:
                raise ReceiptRefused(f"{name}: not an integer from 1")
        if claims["first_seq"] > claims["last_seq"]:
            raise ReceiptRefused("last_seq: before first_seq")
        try:
            time = time_from_text(claims["time"])
        except RecordRefused as refused:
            raise ReceiptRefused(refused.detail) from None
        return cls(**{**claims, "time": time})


_PATTERNS: Final = {"installation_id": INSTALLATION_ID, "head_hash": _HASH, "merkle_root": _HASH, "nonce": NONCE}


def read_receipt(token: str, keys: Mapping[str, Ed25519PublicKey]) -> Receipt:
    """
    The receipt inside *token*, signed by one of the vendor's receipt *keys* (by kid).

    Raises ReceiptRefused for a wrong signature, type or claim.
    """
    try:
        claims = verify(token, typ=Typ.RECEIPT, keys=keys)
    except SignatureRefused as refused:
        raise ReceiptRefused(str(refused)) from refused
    return Receipt.from_claims(claims)
