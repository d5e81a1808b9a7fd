"""Installations: who reports, who lacks what, who is silent, and who is there twice. And what a report contains."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.roles import Action
from narrows_server.console.room import Room, entering
from narrows_server.console.sentences import sentence
from narrows_server.errors import NotFound
from narrows_server.usage import repository
from narrows_server.usage.models import Installation
from narrows_server.usage.standing import standing

RECORDS_SHOWN = 10
RECORDS_OF_REPORT = 20
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
        latest = repository.latest_records(session, installation_id, count=RECORDS_SHOWN)
        return room.page(
            "installation.html",
            overview=overview,
            installation=overview.installation,
            standing=standing(overview, room.office.clock()),
            records=[
                (one, sentence(one), json.dumps(dict(one.payload), indent=1, ensure_ascii=False)) for one in latest
            ],
            receipts=repository.latest_receipts(session, installation_id, count=RECEIPTS_SHOWN),
            forks=repository.list_forks(session, installation_id),
        )


@router.get("/what-is-sent")
def show_what_is_sent(room: Reads) -> Response:
    """Every member of a report, and the last report of an installation to the letter."""
    customer_id = room.caller.customer_id
    with room.office.database.snapshot() as session:
        rows = repository.overview_page(session, room.at, customer_id=customer_id).rows
        asked = room.asked("installation")
        chosen = repository.get_overview(session, asked) if asked else rows[0] if rows else None
        if asked and (chosen is None or not room.caller.owns(chosen.installation.customer_id)):
            raise NotFound(f"there is no installation {asked}")
        report = None if chosen is None else _last_report(session, chosen.installation)
        return room.page(
            "what_is_sent.html",
            installations=[one.installation for one in rows],
            chosen=None if chosen is None else chosen.installation,
            report=None if report is None else json.dumps(report[0], indent=2, ensure_ascii=False),
            left_out=0 if report is None else report[1],
        )


def _last_report(session: Session, installation: Installation) -> tuple[dict[str, Any], int] | None:
    """What the installation sent last, and how many records are left out: of a long report the latest are shown."""
    receipts = repository.latest_receipts(session, installation.id, count=1)
    if not receipts:
        return None
    receipt = receipts[0]
    count = receipt.last_seq - receipt.first_seq + 1
    latest = repository.latest_records(session, installation.id, count=min(count, RECORDS_OF_REPORT))
    report = {
        "installation_id": installation.id,
        "public_key": installation.public_key,
        "license_token": f"({installation.license_id})",
        "sdk": installation.sdk,
        "nonce_previous": "(of our receipt before)",
        "records": [record.to_dict() for record in reversed(latest)],
    }
    return report, count - len(latest)
