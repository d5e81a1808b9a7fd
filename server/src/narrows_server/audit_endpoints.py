"""The audit log: page by page, or the whole of it as a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, Field

from narrows_server import audit
from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit_export import MEDIA_TYPES, Format, write_trail
from narrows_server.office import Office
from narrows_server.paging import Page
from narrows_server.web import OfficeOf, PagingOf, allowed

router = APIRouter(prefix="/v1/audit", tags=["audit"])

Reads = Annotated[Caller, allowed(Action.AUDIT_READ)]


class ChangeOut(BaseModel):
    """A change: who did what to what, and its hash in the chain (null until it is linked, within seconds)."""

    id: int
    at: datetime
    actor: str = Field(examples=["person:anna@example.com"])
    action: str = Field(examples=["license.issued"])
    subject: str = Field(examples=["lic_7mbd2qxw4hnr5c8t"])
    detail: dict[str, Any]
    hash: str | None


class ChainOut(BaseModel):
    """What a walk along the whole chain found."""

    is_whole: bool
    length: int
    head: str = Field(description="Note it elsewhere: with it, cutting off the newest rows is noticed, too.")
    waiting: int
    fault: str | None


@router.get("", summary="Changes, newest first")
def list_changes(
    office: OfficeOf,
    caller: Reads,
    at: PagingOf,
    subject: Annotated[str | None, Query(max_length=200, description="Changes of this thing alone.")] = None,
) -> Page[ChangeOut]:
    with office.database.snapshot() as session:
        page = audit.read_trail(session, at, subject=subject)
        items = [
            ChangeOut(
                id=row.id,
                at=row.at,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                detail=orjson.loads(row.detail),
                hash=link,
            )
            for row, link in page.rows
        ]
        return Page(items=items, next_cursor=page.next_cursor)


@router.get("/verify", summary="Walk the chain of the audit log")
def verify_audit_log(
    office: OfficeOf,
    caller: Reads,
    head: Annotated[
        str | None, Query(pattern=r"^[0-9a-f]{64}$", description="A head that was noted before: is it still in there?")
    ] = None,
) -> ChainOut:
    with office.database.snapshot() as session:
        found = audit.verify_chain(session, known_head=head)
    return ChainOut(
        is_whole=found.fault is None, length=found.length, head=found.head, waiting=found.waiting, fault=found.fault
    )


@router.get(
    "/export",
    summary="The whole audit log as a file, oldest first",
    response_class=Response,
    responses={200: {"content": {media_type: {} for media_type in MEDIA_TYPES.values()}}},
)
def export_audit_log(
    office: OfficeOf, caller: Reads, kind: Annotated[Format, Query(alias="format")] = "ndjson"
) -> StreamingResponse:
    """One change a line, with the hash that it has in the chain."""
    headers = {"Content-Disposition": f'attachment; filename="audit.{kind}"', "Cache-Control": "no-store"}
    return StreamingResponse(_lines(office, kind), media_type=MEDIA_TYPES[kind], headers=headers)


def _lines(office: Office, kind: Format) -> Iterator[str]:
    with office.database.snapshot() as session:
        yield from write_trail(session, kind)
