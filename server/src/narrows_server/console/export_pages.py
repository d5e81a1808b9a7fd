"""Exports: files for accounting and for tools that look at cost."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response

from narrows_server.access.roles import Action
from narrows_server.console.room import Room, entering
from narrows_server.exports.datev import Chart
from narrows_server.exports.tables import Table
from narrows_server.parties.repository import list_entities

router = APIRouter(prefix="/exports", tags=["exports"])

Reads = Annotated[Room, entering(Action.BOOKS_READ)]


@router.get("")
def show(room: Reads) -> Response:
    today = room.office.clock().date()
    with room.office.database.snapshot() as session:
        return room.page(
            "exports.html",
            tables=list(Table),
            charts=list(Chart),
            entities=list_entities(session),
            first_day=date(today.year, 1, 1),
            last_day=today,
        )
