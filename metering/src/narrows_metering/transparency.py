"""
The log of all reports that the server ever accepted, as a Merkle tree that can only grow (RFC 6962, RFC 9162 §2.1).

A server that signs receipts could still keep two books. A signed tree head pins down all receipts at once: an
inclusion proof shows that a receipt is among them, a consistency proof that a later tree contains an earlier one
unchanged. Both need some twenty hashes for a million reports, and nobody's word.

Pure: hashes in, hashes out. The server keeps the hashes of complete subtrees, whose number of leaves is a power of
two and which never change again; every hash that a proof needs is folded from few of them (`complete_subtrees`,
`range_hash`). Whoever checks needs only `check_inclusion`, `check_consistency` and `read_tree_head`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from narrows_licensing.errors import SignatureRefused
from narrows_licensing.signature import Typ, verify

from narrows_metering.canonical import INTEGER_MAX, canonical_json
from narrows_metering.errors import ProofRefused, RecordRefused
from narrows_metering.receipt import Receipt
from narrows_metering.record import time_from_text, time_to_text

MERGE_DELAY_MAX: Final = timedelta(hours=1)  # A tree head holds every receipt that is older than it by this.
EMPTY_ROOT: Final = sha256(b"").digest()
HASH_BYTES: Final = 32
PATH_HASHES_MAX: Final = 64

_HEX = re.compile(r"[0-9a-f]{64}")
_CLAIMS = frozenset({"tree_size", "root_hash", "time"})


class Subtree(NamedTuple):
    """The complete subtree over the 2^level leaves from `place` · 2^level on. Level 0 is a leaf."""

    level: int
    place: int


class Range(NamedTuple):
    """The leaves from `start` up to but not including `end`; never empty."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeHead:
    """What the server signs: how many reports its log holds and the root hash over them."""

    tree_size: int
    root_hash: str  # Lower-case hex.
    time: datetime  # The server's clock when it signed.

    def claims(self) -> dict[str, object]:
        """The claims of the token; sign them with `typ` TREE_HEAD."""
        return {"tree_size": self.tree_size, "root_hash": self.root_hash, "time": time_to_text(self.time)}

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> Self:
        """Read `claims`' result. Raises ProofRefused naming the claim."""
        if claims.keys() != _CLAIMS:
            raise ProofRefused("a tree head has the claims tree_size, root_hash and time and no others")
        size, root = claims["tree_size"], claims["root_hash"]
        if type(size) is not int or not 0 <= size <= INTEGER_MAX:
            raise ProofRefused("tree_size: not an integer from 0")
        if not isinstance(root, str) or not _HEX.fullmatch(root):
            raise ProofRefused("root_hash: not 64 lower-case hex digits")
        try:
            return cls(tree_size=size, root_hash=root, time=time_from_text(claims["time"]))
        except RecordRefused as refused:
            raise ProofRefused(refused.detail) from None


def read_tree_head(token: str, keys: Mapping[str, Ed25519PublicKey]) -> TreeHead:
    """The tree head inside *token*, signed by one of the vendor's receipt *keys* (by kid). Raises ProofRefused."""
    try:
        claims = verify(token, typ=Typ.TREE_HEAD, keys=keys)
    except SignatureRefused as refused:
        raise ProofRefused(str(refused)) from refused
    return TreeHead.from_claims(claims)


def log_entry(receipt: Receipt) -> bytes:
    """The leaf of an accepted report: canonical JSON of what its receipt says about the records."""
    return canonical_json(
        {
            "installation_id": receipt.installation_id,
            "first_seq": receipt.first_seq,
            "last_seq": receipt.last_seq,
            "head_hash": receipt.head_hash,
            "merkle_root": receipt.merkle_root,
        }
    )


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf (RFC 9162 §2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two others; its prefix keeps it from passing for a leaf."""
    return sha256(b"\x01" + left + right).digest()


def complete_subtrees(leaves: Range) -> list[Subtree]:
    """
    The fewest complete subtrees that make up *leaves*, from left to right, as the tree itself is made of them.

    *leaves* must be a node of some tree: the last one or a left sibling, as all ranges are that are named here.
    """
    found, start = [], leaves.start
    while start < leaves.end:
        level = (leaves.end - start).bit_length() - 1
        found.append(Subtree(level, start >> level))
        start += 1 << level
    return found


def range_hash(leaves: Range, hashes: Mapping[Subtree, bytes]) -> bytes:
    """The hash of the node over *leaves*, folded from the *hashes* of its `complete_subtrees`."""
    *left, last = (hashes[subtree] for subtree in complete_subtrees(leaves))
    for digest in reversed(left):
        last = node_hash(digest, last)
    return last


def root_hash(tree_size: int, hashes: Mapping[Subtree, bytes]) -> bytes:
    """The root over the first *tree_size* leaves, folded from the complete subtrees of `Range(0, tree_size)`."""
    return range_hash(Range(0, tree_size), hashes) if tree_size else EMPTY_ROOT


def append(tree_size: int, edge: Mapping[Subtree, bytes], leaf_hashes: Iterable[bytes]) -> dict[Subtree, bytes]:
    """
    The complete subtrees, leaves included, that come into being when *leaf_hashes* follow *tree_size* leaves.

    *edge* has the hashes of the complete subtrees of `Range(0, tree_size)`.
    """
    known, added = dict(edge), dict[Subtree, bytes]()
    for index, digest in enumerate(leaf_hashes, start=tree_size):
        subtree = Subtree(0, index)
        known[subtree] = added[subtree] = digest
        while subtree.place % 2:
            left = known.pop(Subtree(subtree.level, subtree.place - 1))
            digest = node_hash(left, known.pop(subtree))
            subtree = Subtree(subtree.level + 1, subtree.place // 2)
            known[subtree] = added[subtree] = digest
    return added


def inclusion_path(leaf_index: int, tree_size: int) -> list[Range]:
    """
    The nodes whose hashes prove that a leaf is in the tree of *tree_size* leaves, from the leaf up (RFC 9162 §2.1.3.1).

    Raises ValueError unless 0 <= *leaf_index* < *tree_size*.
    """
    if not 0 <= leaf_index < tree_size:
        raise ValueError(f"leaf {leaf_index} is not in a tree of {tree_size}")
    path, node = [], Range(0, tree_size)
    while node.end - node.start > 1:
        left, right = _halves(node)
        node, sibling = (left, right) if leaf_index < left.end else (right, left)
        path.append(sibling)
    return path[::-1]


def consistency_path(first: int, second: int) -> list[Range]:
    """
    The nodes whose hashes prove that the tree of *second* leaves begins with that of *first* (RFC 9162 §2.1.4.1).

    Empty where there is nothing to prove. Raises ValueError unless 0 <= *first* <= *second*.
    """
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {second} cannot begin with one of {first}")
    if first in (0, second):
        return []
    path, node = [], Range(0, second)
    while node.end != first:
        left, right = _halves(node)
        node, sibling = (left, right) if first <= left.end else (right, left)
        path.append(sibling)
    if node.start:  # Otherwise the node is the first tree itself, whose root the reader knows.
        path.append(node)
    return path[::-1]


def check_inclusion(entry: bytes, *, leaf_index: int, tree_size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that *entry* is leaf *leaf_index* of the tree that *root* is of (§2.1.3.2). Raises ProofRefused."""
    if not 0 <= leaf_index < tree_size <= INTEGER_MAX:
        raise ProofRefused(f"leaf {leaf_index} is not in a tree of {tree_size}")
    _check_path(path)
    node, last, digest = leaf_index, tree_size - 1, leaf_hash(entry)
    for sibling in path:
        if last == 0:
            raise ProofRefused("the inclusion path is too long")
        if node % 2 or node == last:
            digest = node_hash(sibling, digest)
            while node and not node % 2:
                node, last = node >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofRefused("the inclusion path is too short")
    if digest != root:
        raise ProofRefused("the inclusion path does not lead to the root of the tree")


def check_consistency(*, first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]) -> None:
    """Check that the tree of *second* leaves begins with the one of *first* (§2.1.4.2). Raises ProofRefused."""
    if not 0 <= first <= second <= INTEGER_MAX:
        raise ProofRefused(f"a tree of {second} cannot begin with one of {first}")
    _check_path(path)
    if first in (0, second):
        if path or first_root != (second_root if first == second else EMPTY_ROOT):
            raise ProofRefused("two trees of one size, or an empty tree, that are not what they must be")
        return
    if not path:
        raise ProofRefused("the consistency path is too short")
    # A first tree that is a complete subtree of the second needs no mention: its root is known.
    hashes = list(path) if first & (first - 1) else [first_root, *path]
    node, last = first - 1, second - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    before = after = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofRefused("the consistency path is too long")
        if node % 2 or node == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while node and not node % 2:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofRefused("the consistency path is too short")
    if before != first_root:
        raise ProofRefused("the consistency path does not lead to the root of the first tree")
    if after != second_root:
        raise ProofRefused("the consistency path does not lead to the root of the second tree")


def _halves(node: Range) -> tuple[Range, Range]:
    """The children of *node*: the left one has the largest power of two of leaves that leaves some to the right."""
    middle = node.start + (1 << (node.end - node.start - 1).bit_length() - 1)
    return Range(node.start, middle), Range(middle, node.end)


def _check_path(path: Sequence[bytes]) -> None:
    if len(path) > PATH_HASHES_MAX or any(len(digest) != HASH_BYTES for digest in path):
        raise ProofRefused(f"a path has at most {PATH_HASHES_MAX} hashes of {HASH_BYTES} bytes")
