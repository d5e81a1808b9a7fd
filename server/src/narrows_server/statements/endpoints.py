"""Statements for those who may read."""

from __future__ import annotations

from fastapi import APIRouter

from narrows_server.statements import repository
from narrows_server.statements.schemas import StatementOut, StatementsOut
from narrows_server.web import OfficeOf, Reader

router = APIRouter(prefix="/v1", tags=["statements"], dependencies=[Reader])


@router.get("/statements", summary="Statements, the latest period first")
def get_statements(office: OfficeOf) -> StatementsOut:
    with office.database.snapshot() as session:
        return StatementsOut(items=[StatementOut.of(statement) for statement in repository.list_statements(session)])
