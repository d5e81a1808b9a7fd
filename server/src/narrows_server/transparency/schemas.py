"""What the log's endpoints say, as JSON. Hashes are lower-case hex."""

from __future__ import annotations

from pydantic import BaseModel


class TreeHeadOut(BaseModel):
    """The present tree."""

    tree_head: str  # A JWS of type narrows-tree-head+jwt.


class InclusionOut(BaseModel):
    """Proof that a report is in the tree of `tree_size` leaves."""

    leaf_index: int
    tree_size: int
    path: list[str]


class ConsistencyOut(BaseModel):
    """Proof that the tree of `second` leaves begins with that of `first`."""

    first: int
    second: int
    path: list[str]
