"""
The log of everything that a vendor ever signed in one customer's name: licenses, and certificates of keys.

It is a tree as the log of reports is one (`transparency`). The signed head fixes the whole list, so a license that the
vendor left out of it, or took out of it later, is one that it can't show. The customer checks the list offline.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows_licensing.claims import is_identifier
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import Typ, verify
from narrows_licensing.strict_json import JsonRefused, read_object, write_object

from narrows_metering.canonical import canonical_json
from narrows_metering.errors import ProofRefused, RecordRefused
from narrows_metering.record import time_from_text, time_to_text
from narrows_metering.transparency import (
    Subtree,
    append,
    check_inclusion,
    inclusion_path,
    leaf_hash,
    range_hash,
    root_hash,
)

LOG_FORMAT = "narrows-license-log/1"
LOG_BYTES_MAX = 16 * 1024 * 1024
ENTRIES_MAX = 20_000
KINDS = ("license", "installation", "relay")

_HEX = re.compile(r"[0-9a-f]{64}")
_ENTRY = {"kind", "id", "issued_at", "expires_at", "status_index", "token_sha256"}
_HEAD = {"sub", "tree_size", "root_hash", "time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDocument:
    """A license or a certificate that the vendor signed."""

    kind: str
    id: str
    issued_at: datetime
    expires_at: datetime
    status_index: int
    token_sha256: str  # Of the signed token: what fixes every word of it.

    def members(self) -> dict[str, object]:
        """What the leaf is made of."""
        return {
            "kind": self.kind,
            "id": self.id,
            "issued_at": time_to_text(self.issued_at),
            "expires_at": time_to_text(self.expires_at),
            "status_index": self.status_index,
            "token_sha256": self.token_sha256,
        }

    def leaf(self) -> bytes:
        """The leaf of the tree: canonical JSON."""
        return canonical_json(self.members())


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHead:
    """What the vendor signs: for whom the log is, how much is in it, and the root hash over that."""

    customer_id: str
    tree_size: int
    root_hash: str  # Lower-case hex.
    time: datetime

    def claims(self) -> dict[str, object]:
        """The claims of the token; sign them with `typ` LICENSE_LOG."""
        return {
            "sub": self.customer_id,
            "tree_size": self.tree_size,
            "root_hash": self.root_hash,
            "time": time_to_text(self.time),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseLog:
    """A log that has been checked: the entries are exactly those that the head fixes."""

    head: LogHead
    entries: tuple[LoggedDocument, ...]

    def find_token(self, token: str) -> LoggedDocument | None:
        """The entry of a license or a certificate, by its token; None if it is not in the log."""
        digest = token_digest(token)
        return next((entry for entry in self.entries if entry.token_sha256 == digest), None)


def token_digest(token: str) -> str:
    """By what a token is known in the log."""
    return sha256(token.encode()).hexdigest()


def log_root(entries: Sequence[LoggedDocument]) -> bytes:
    """The root hash over *entries*."""
    return root_hash(len(entries), _hashes(entries))


def prove_entries(entries: Sequence[LoggedDocument]) -> list[list[bytes]]:
    """For each entry the path that proves it to whoever has the head and not the list."""
    hashes = _hashes(entries)
    return [
        [range_hash(leaves, hashes) for leaves in inclusion_path(index, len(entries))] for index in range(len(entries))
    ]


def check_entry(entry: LoggedDocument, index: int, path: Sequence[bytes], head: LogHead) -> None:
    """Check that *entry* is in the log that *head* is of. Raises ProofRefused."""
    check_inclusion(
        entry.leaf(), leaf_index=index, tree_size=head.tree_size, path=path, root=bytes.fromhex(head.root_hash)
    )


def write_log(entries: Sequence[LoggedDocument], head_token: str) -> str:
    """The log as a file, each entry with its proof."""
    rows = [
        entry.members() | {"path": [digest.hex() for digest in path]}
        for entry, path in zip(entries, prove_entries(entries), strict=True)
    ]
    return write_object({"format": LOG_FORMAT, "head": head_token, "entries": rows}, indent=2) + "\n"


def read_log(
    text: str, keys: Mapping[str, Ed25519PublicKey], *, customer_id: str, earlier: LogHead | None = None
) -> LicenseLog:
    """
    Check a log file against the head inside it, which one of the vendor's receipt *keys* signed for this customer.

    With the *earlier* head of another day it also has to begin with all that was there then. Raises ProofRefused.
    """
    if len(text) > LOG_BYTES_MAX:
        raise ProofRefused(f"a log has up to {LOG_BYTES_MAX} characters")
    try:
        document = read_object(text)
    except JsonRefused as refused:
        raise ProofRefused(f"this is not a log: {refused}") from None
    rows = document.get("entries")
    if document.keys() != {"format", "head", "entries"} or document["format"] != LOG_FORMAT:
        raise ProofRefused(f"this is not a log of the format {LOG_FORMAT}")
    if not isinstance(rows, list) or len(rows) > ENTRIES_MAX or not isinstance(document["head"], str):
        raise ProofRefused(f"a log has a head and up to {ENTRIES_MAX} entries")
    head = read_log_head(document["head"], keys)
    entries = tuple(_read_entry(row) for row in rows)
    if head.customer_id != customer_id:
        raise ProofRefused(f"this is the log of {head.customer_id}")
    if len(entries) != head.tree_size or log_root(entries).hex() != head.root_hash:
        raise ProofRefused("the entries are not those that the vendor signed for: something is missing or was changed")
    if earlier is not None and (
        earlier.tree_size > len(entries) or log_root(entries[: earlier.tree_size]).hex() != earlier.root_hash
    ):
        raise ProofRefused(f"the log does not begin with the {earlier.tree_size} entries that it had before")
    return LicenseLog(head=head, entries=entries)


def read_log_head(token: str, keys: Mapping[str, Ed25519PublicKey]) -> LogHead:
    """The head inside *token*. Raises ProofRefused."""
    try:
        claims = verify(token, typ=Typ.LICENSE_LOG, keys=keys)
    except SignatureRefused as refused:
        raise ProofRefused(str(refused)) from refused
    size, root = claims.get("tree_size"), claims.get("root_hash")
    if claims.keys() != _HEAD or not is_identifier(claims["sub"]):
        raise ProofRefused("a head of a license log has the claims sub, tree_size, root_hash and time and no others")
    if type(size) is not int or not 0 <= size <= ENTRIES_MAX or not isinstance(root, str) or not _HEX.fullmatch(root):
        raise ProofRefused("the size or the root hash of the license log can't be meant")
    return LogHead(customer_id=claims["sub"], tree_size=size, root_hash=root, time=_time(claims["time"]))


def _hashes(entries: Sequence[LoggedDocument]) -> dict[Subtree, bytes]:
    return append(0, {}, [leaf_hash(entry.leaf()) for entry in entries])


def _read_entry(row: Any) -> LoggedDocument:
    if not isinstance(row, dict) or row.keys() != _ENTRY | {"path"}:
        raise ProofRefused(f"an entry has the members {', '.join(sorted(_ENTRY))} and path")
    number, digest = row["status_index"], row["token_sha256"]
    if row["kind"] not in KINDS or not is_identifier(row["id"]) or type(number) is not int or number < 0:
        raise ProofRefused("the kind, the id or the number of an entry can't be meant")
    if not isinstance(digest, str) or not _HEX.fullmatch(digest):
        raise ProofRefused("token_sha256: not 64 lower-case hex digits")
    return LoggedDocument(
        kind=row["kind"],
        id=row["id"],
        issued_at=_time(row["issued_at"]),
        expires_at=_time(row["expires_at"]),
        status_index=number,
        token_sha256=digest,
    )


def _time(value: object) -> datetime:
    try:
        return time_from_text(value)
    except RecordRefused as refused:
        raise ProofRefused(refused.detail) from None
