"""
Chains and Merkle trees of records: what makes an alteration visible.

Pure: hashes in, hashes out. Who may append to a chain is the ledger's business, who signs its head the server's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from narrows_metering.errors import ChainBroken
from narrows_metering.record import Record, genesis


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last link of a chain; `seq` 0 and the genesis hash when there is none yet."""

    seq: int
    hash: str


def check_chain(records: Iterable[Record], *, prev: str, first_seq: int) -> Head:
    """
    Check that *records* continue a chain whose last hash is *prev*, the first with number *first_seq*.

    Raises ChainBroken at the first record that is altered, missing, repeated or out of order.
    """
    head = Head(seq=first_seq - 1, hash=prev)
    for record in follow_chain(records, head):
        head = Head(seq=record.seq, hash=record.hash)
    return head


def follow_chain(records: Iterable[Record], head: Head) -> Iterator[Record]:
    """Pass *records* on one by one, each only once it is known to continue *head*. Raises ChainBroken."""
    seq, prev = head.seq, head.hash
    for record in records:
        seq += 1
        if record.seq != seq:
            raise ChainBroken(seq, f"found {record.seq} in its place")
        if record.prev != prev:
            raise ChainBroken(seq, "does not follow the record before it")
        if record.hash != record.computed_hash():
            raise ChainBroken(seq, "its content does not give its hash")
        prev = record.hash
        yield record


def head_before(first: Record, installation_id: str) -> Head:
    """What a run that begins with *first* has to continue. Only record 1 is tied to the installation by itself."""
    return Head(seq=first.seq - 1, hash=genesis(installation_id) if first.seq == 1 else first.prev)


def merkle_root(hashes: Sequence[str]) -> str:
    """
    The Merkle tree hash of RFC 6962 §2.1 over record hashes (lower-case hex), in order.

    Leaves and nodes have different prefixes, so that no node can pass for a record.

    >>> merkle_root([])
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    """
    tree = MerkleTree()
    for text in hashes:
        tree.add(text)
    return tree.root()


class MerkleTree:
    """`merkle_root` for hashes that arrive one by one, in memory that grows with the logarithm of their number."""

    def __init__(self) -> None:
        self._complete: list[tuple[int, bytes]] = []  # (leaves, hash) of complete subtrees, largest first.

    def add(self, record_hash: str) -> None:
        """Append one leaf."""
        leaves, digest = 1, hashlib.sha256(b"\x00" + bytes.fromhex(record_hash)).digest()
        while self._complete and self._complete[-1][0] == leaves:
            digest = _node(self._complete.pop()[1], digest)
            leaves *= 2
        self._complete.append((leaves, digest))

    def root(self) -> str:
        """The root over everything added so far, as lower-case hex."""
        if not self._complete:
            return hashlib.sha256(b"").hexdigest()
        digest = self._complete[-1][1]
        for _, left in reversed(self._complete[:-1]):
            digest = _node(left, digest)
        return digest.hex()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
