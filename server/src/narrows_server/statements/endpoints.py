"""Statements for those who may read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.errors import NotFound
from narrows_server.paging import Page
from narrows_server.statements import repository
from narrows_server.statements.schemas import StatementOut
from narrows_server.web import OfficeOf, PagingOf, allowed

router = APIRouter(prefix="/v1", tags=["statements"])

Reads = Annotated[Caller, allowed(Action.STATEMENTS_READ)]


@router.get("/statements", summary="Statements, the latest period first")
def list_statements(office: OfficeOf, caller: Reads, at: PagingOf) -> Page[StatementOut]:
    with office.database.snapshot() as session:
        page = repository.statement_page(session, at, customer_id=caller.customer_id)
        return Page(items=[StatementOut.of(statement) for statement in page.rows], next_cursor=page.next_cursor)


@router.get("/statements/{statement_id}", summary="One statement")
def get_statement(statement_id: str, office: OfficeOf, caller: Reads) -> StatementOut:
    with office.database.snapshot() as session:
        statement = repository.get_statement(session, statement_id)
        if statement is None or not caller.owns(statement.contract.customer_id):
            raise NotFound(f"there is no statement {statement_id}")
        return StatementOut.of(statement)
