"""Every query about the transparency log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from narrows_metering.transparency import Subtree
from sqlalchemy import delete, exists, insert, select, tuple_
from sqlalchemy.orm import Session

from narrows_server.transparency.models import Leaf, Node, PendingLeaf, Tree

TREE = 1  # The key of the only row of its table.


def add_pending(session: Session, *, installation_id: str, first_seq: int, last_seq: int, leaf_hash: str) -> None:
    """Put an accepted report in the queue. Inserts never wait for each other, so intake does not either."""
    row = {
        "installation_id": installation_id,
        "first_seq": first_seq,
        "last_seq": last_seq,
        "leaf_hash": leaf_hash,
    }
    session.execute(insert(PendingLeaf).values(row).inline())


def has_pending(session: Session) -> bool:
    return bool(session.scalar(select(exists(select(PendingLeaf.id)))))


def is_pending(session: Session, installation_id: str, first_seq: int, last_seq: int) -> bool:
    query = select(PendingLeaf.id).where(
        PendingLeaf.installation_id == installation_id,
        PendingLeaf.first_seq == first_seq,
        PendingLeaf.last_seq == last_seq,
    )
    return session.scalars(query).first() is not None


def take_pending(session: Session, *, limit: int) -> list[PendingLeaf]:
    """
    The oldest *limit* reports of the queue, taken out of it.

    By id, not up to an id: a transaction with a smaller one may still be under way, and its row comes next time.
    """
    pending = list(session.scalars(select(PendingLeaf).order_by(PendingLeaf.id).limit(limit)))
    session.execute(
        delete(PendingLeaf).where(PendingLeaf.id.in_([leaf.id for leaf in pending])),
        execution_options={"synchronize_session": False},
    )
    return pending


def get_tree(session: Session) -> Tree:
    return session.get_one(Tree, TREE)


def lock_tree(session: Session) -> Tree | None:
    """The tree's row, locked until the end of the transaction; None if another process is merging just now."""
    return session.scalars(select(Tree).where(Tree.id == TREE).with_for_update(skip_locked=True)).first()


def get_leaf(session: Session, installation_id: str, first_seq: int, last_seq: int) -> Leaf | None:
    query = select(Leaf).where(
        Leaf.installation_id == installation_id, Leaf.first_seq == first_seq, Leaf.last_seq == last_seq
    )
    return session.scalars(query).first()


def add_leaves(session: Session, first_index: int, reports: Sequence[PendingLeaf]) -> None:
    """Give *reports* the places from *first_index* on."""
    rows = [
        {
            "leaf_index": index,
            "installation_id": report.installation_id,
            "first_seq": report.first_seq,
            "last_seq": report.last_seq,
        }
        for index, report in enumerate(reports, start=first_index)
    ]
    session.execute(insert(Leaf), rows)


def add_nodes(session: Session, hashes: Mapping[Subtree, bytes]) -> None:
    """Keep the hashes of subtrees that have become complete."""
    rows = [{"level": level, "place": place, "hash": digest.hex()} for (level, place), digest in hashes.items()]
    session.execute(insert(Node), rows)


def node_hashes(session: Session, subtrees: Iterable[Subtree]) -> dict[Subtree, bytes]:
    """The hashes of complete *subtrees*, all of which must be there: one query by key, whatever the tree's size."""
    wanted = set(subtrees)
    if not wanted:
        return {}
    query = select(Node.level, Node.place, Node.hash).where(tuple_(Node.level, Node.place).in_(sorted(wanted)))
    found = {Subtree(level, place): bytes.fromhex(digest) for level, place, digest in session.execute(query)}
    assert found.keys() == wanted, "the log has lost hashes"
    return found
