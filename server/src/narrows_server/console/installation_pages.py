"""Installations: who reports, who lacks what, who is silent, and who is there twice. And what a report contains."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response

from narrows_server.access.roles import Action
from narrows_server.console.room import Room, entering
from narrows_server.errors import NotFound
from narrows_server.usage import repository
from narrows_server.usage.service import standing

RECORDS_SHOWN = 10
RECEIPTS_SHOWN = 20

router = APIRouter(tags=["installations"])

Reads = Annotated[Room, entering(Action.INSTALLATIONS_READ)]


@router.get("/installations")
def list_installations(room: Reads) -> Response:
    now, customer_id = room.office.clock(), room.caller.customer_id
    with room.office.database.snapshot() as session:
        page = repository.overview_page(session, room.at, customer_id=customer_id)
        gaps = repository.list_gaps(session, customer_id=customer_id)
        known = repository.heads(session, gaps)
        return room.page(
            "installations.html",
            installations=[(one, standing(one, now)) for one in page.rows],
            unknown=[gap for gap in gaps if gap.installation_id not in known],
            page=page,
        )


@router.get("/installations/{installation_id}")
def show(installation_id: str, room: Reads) -> Response:
    with room.office.database.snapshot() as session:
        overview = repository.get_overview(session, installation_id)
        if overview is None or not room.caller.owns(overview.installation.customer_id):
            raise NotFound(f"there is no installation {installation_id}")
        head = overview.installation.head_seq
        latest = [
            record
            for seq in range(head, max(0, head - RECORDS_SHOWN), -1)
            if (record := repository.get_record(session, installation_id, seq)) is not None
        ]
        return room.page(
            "installation.html",
            overview=overview,
            installation=overview.installation,
            standing=standing(overview, room.office.clock()),
            records=[(one, json.dumps(dict(one.payload), indent=1, ensure_ascii=False)) for one in latest],
            receipts=repository.list_receipts(session, installation_id)[::-1][:RECEIPTS_SHOWN],
            forks=repository.list_forks(session, installation_id),
        )


@router.get("/what-is-sent")
def show_what_is_sent(room: Reads) -> Response:
    """Every member of a report, and for a customer its latest record of each kind."""
    with room.office.database.snapshot() as session:
        page = repository.overview_page(session, room.at, customer_id=room.caller.customer_id)
        samples: dict[str, str] = {}
        for overview in page.rows[:3]:
            head = overview.installation.head_seq
            for seq in range(head, max(0, head - 60), -1):
                record = repository.get_record(session, overview.installation.id, seq)
                if record is not None and record.kind.value not in samples:
                    samples[record.kind.value] = json.dumps(record.to_dict(), indent=2, ensure_ascii=False)
        return room.page("what_is_sent.html", samples=samples)
