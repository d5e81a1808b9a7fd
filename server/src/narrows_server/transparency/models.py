"""Tables of the transparency log: what waits to be merged, the leaves, the hashes, and how far the tree has grown."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from narrows_server.database import Base

# SQLite numbers rows by itself only where the key is an INTEGER.
_Number = BigInteger().with_variant(Integer(), "sqlite")


class PendingLeaf(Base):
    """An accepted report that is not in the tree yet. Written by intake, in the transaction of the receipt."""

    __tablename__ = "log_pending"

    id: Mapped[int] = mapped_column(_Number, primary_key=True)
    installation_id: Mapped[str] = mapped_column(String(64))
    first_seq: Mapped[int] = mapped_column(BigInteger)
    last_seq: Mapped[int] = mapped_column(BigInteger)
    leaf_hash: Mapped[str] = mapped_column(String(64))


class Leaf(Base):
    """Which place an accepted report has in the tree. Its hash is the node of level 0 there."""

    __tablename__ = "log_leaf"
    __table_args__ = (UniqueConstraint("installation_id", "first_seq", "last_seq"),)

    leaf_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    installation_id: Mapped[str] = mapped_column(String(64))
    first_seq: Mapped[int] = mapped_column(BigInteger)
    last_seq: Mapped[int] = mapped_column(BigInteger)


class Node(Base):
    """The hash of a complete subtree (`narrows_metering.transparency.Subtree`). It never changes again."""

    __tablename__ = "log_node"

    level: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[str] = mapped_column(String(64))


class Tree(Base):
    """The one row whose lock lets a single process merge, and that says how many leaves there are."""

    __tablename__ = "log_tree"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    tree_size: Mapped[int] = mapped_column(BigInteger)
    root_hash: Mapped[str] = mapped_column(String(64))
