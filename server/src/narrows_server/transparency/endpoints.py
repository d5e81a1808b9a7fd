"""
The log, for anybody who asks: whoever holds a receipt is its auditor, and needs no key for it.

What a proof shows of others' reports is hashes. To ask for one takes the installation's id, which only it and we know.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from narrows_metering.canonical import INTEGER_MAX

from narrows_server.transparency import service
from narrows_server.transparency.schemas import ConsistencyOut, InclusionOut, TreeHeadOut
from narrows_server.web import OfficeOf

Number = Annotated[int, Query(ge=1, le=INTEGER_MAX)]
Size = Annotated[int, Query(ge=0, le=INTEGER_MAX)]

router = APIRouter(prefix="/v1/log", tags=["transparency log"])


@router.get("/head", summary="The signed head of the log")
def get_log_head(office: OfficeOf) -> TreeHeadOut:
    """Signed now: every receipt that is older than this by the maximum merge delay, one hour, is in the tree."""
    at = office.clock()  # Before the tree is read, so that the time is never later than what it vouches for.
    with office.database.snapshot() as session:
        return TreeHeadOut(tree_head=service.sign_head(session, office.keyring, at=at))


@router.get("/inclusion", summary="Proof that a report is in the log", responses={404: {}})
def prove_inclusion(
    office: OfficeOf,
    installation_id: Annotated[str, Query(max_length=64)],
    first_seq: Number,
    last_seq: Number,
    tree_size: Size | None = None,
) -> InclusionOut:
    """
    For the present tree, or for that of `tree_size` leaves. 404 `not_found` if no receipt was ever given for exactly
    these records, 404 `not_merged_yet` if one was and this tree is older.
    """
    with office.database.snapshot() as session:
        proof = service.prove_inclusion(
            session, installation_id=installation_id, first_seq=first_seq, last_seq=last_seq, tree_size=tree_size
        )
    return InclusionOut(
        leaf_index=proof.leaf_index, tree_size=proof.tree_size, path=[digest.hex() for digest in proof.path]
    )


@router.get("/consistency", summary="Proof that the log has only grown")
def prove_consistency(office: OfficeOf, first: Size, second: Size) -> ConsistencyOut:
    with office.database.snapshot() as session:
        path = service.prove_consistency(session, first=first, second=second)
    return ConsistencyOut(first=first, second=second, path=[digest.hex() for digest in path])
