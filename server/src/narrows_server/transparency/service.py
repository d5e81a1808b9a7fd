"""
The transparency log: merging accepted reports into the tree, and proving what is in it.

Intake only queues a report, in the transaction that makes its receipt, so that reports of different installations
never wait for each other. Merging is a short step of its own that one process at a time does; until then a receipt
is a promise to be in the tree within `MERGE_DELAY_MAX` (RFC 6962 calls it the maximum merge delay).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from narrows_licensing.signature import Typ
from narrows_metering.receipt import Receipt
from narrows_metering.transparency import (
    Range,
    TreeHead,
    append,
    complete_subtrees,
    consistency_path,
    inclusion_path,
    leaf_hash,
    log_entry,
    range_hash,
    root_hash,
)
from sqlalchemy.orm import Session

from narrows_server.database import Database
from narrows_server.errors import Invalid, NotFound, NotMergedYet
from narrows_server.keyring import Keyring
from narrows_server.signing import sign_token
from narrows_server.transparency import repository

MERGE_LEAVES_MAX = 5_000  # In one transaction.
MERGE_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """Where a report is in the tree of `tree_size` leaves, and the path that proves it."""

    leaf_index: int
    tree_size: int
    path: Sequence[bytes]


def queue(session: Session, receipt: Receipt) -> None:
    """Promise that the report of *receipt* will be in the tree. Belongs into the transaction of the receipt."""
    repository.add_pending(
        session,
        installation_id=receipt.installation_id,
        first_seq=receipt.first_seq,
        last_seq=receipt.last_seq,
        leaf_hash=leaf_hash(log_entry(receipt)).hex(),
    )


def merge(database: Database) -> int:
    """
    Bring every queued report into the tree and return how many there were.

    Safe to call at any time and from several processes: while one merges, the others find nothing to do.
    """
    merged = 0
    while True:
        with database.snapshot() as session:
            # A look first: on SQLite a transaction that may write would make every other one wait for it.
            if not repository.has_pending(session):
                return merged
        with database.transaction() as session:
            count = _merge_some(session)
        merged += count
        if count == 0:
            return merged


def sign_head(session: Session, keyring: Keyring, *, at: datetime) -> str:
    """The signed head of the tree as it is now."""
    tree = repository.get_tree(session)
    head = TreeHead(tree_size=tree.tree_size, root_hash=tree.root_hash, time=at)
    return sign_token(head.claims(), typ=Typ.TREE_HEAD, key=keyring.receipt)


def prove_inclusion(
    session: Session, *, installation_id: str, first_seq: int, last_seq: int, tree_size: int | None = None
) -> Inclusion:
    """
    The proof that a report is in the tree of *tree_size* leaves, or in the present one.

    Raises `NotFound` if there is no receipt for it, `NotMergedYet` if the tree does not hold it yet.
    """
    size = _check_size(session, tree_size)
    # The queue first: a report that leaves it between the two questions is found by the second.
    is_pending = repository.is_pending(session, installation_id, first_seq, last_seq)
    leaf = repository.get_leaf(session, installation_id, first_seq, last_seq)
    if leaf is None and not is_pending:
        raise NotFound("no receipt was given for these records")
    if leaf is None or leaf.leaf_index >= size:
        raise NotMergedYet("the report is accepted and not in this tree yet; ask again for a later one")
    path = _hashes(session, inclusion_path(leaf.leaf_index, size))
    return Inclusion(leaf_index=leaf.leaf_index, tree_size=size, path=path)


def prove_consistency(session: Session, *, first: int, second: int) -> Sequence[bytes]:
    """The proof that the tree of *second* leaves begins with that of *first*. Raises `Invalid`."""
    if not 0 <= first <= _check_size(session, second):
        raise Invalid(f"a tree of {second} leaves does not begin with one of {first}")
    return _hashes(session, consistency_path(first, second))


def _merge_some(session: Session) -> int:
    tree = repository.lock_tree(session)
    if tree is None:
        return 0
    reports = repository.take_pending(session, limit=MERGE_LEAVES_MAX)
    if not reports:
        return 0
    size = tree.tree_size
    edge = repository.node_hashes(session, complete_subtrees(Range(0, size)))
    added = append(size, edge, [bytes.fromhex(report.leaf_hash) for report in reports])
    repository.add_leaves(session, size, reports)
    repository.add_nodes(session, added)
    tree.tree_size = size + len(reports)
    tree.root_hash = root_hash(tree.tree_size, edge | added).hex()
    return len(reports)


def _check_size(session: Session, tree_size: int | None) -> int:
    present = repository.get_tree(session).tree_size
    if tree_size is None:
        return present
    if not 0 <= tree_size <= present:
        raise Invalid(f"the tree has {present} leaves, not {tree_size}")
    return tree_size


def _hashes(session: Session, nodes: Sequence[Range]) -> list[bytes]:
    hashes = repository.node_hashes(session, (subtree for node in nodes for subtree in complete_subtrees(node)))
    return [range_hash(node, hashes) for node in nodes]
