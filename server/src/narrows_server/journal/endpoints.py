"""The journal for those who may read the books."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.journal import repository
from narrows_server.journal.schemas import AccountBalanceOut, JournalEntryOut, TrialBalanceOut
from narrows_server.paging import Page
from narrows_server.web import OfficeOf, PagingOf, allowed

router = APIRouter(prefix="/v1/journal", tags=["journal"])

Books = Annotated[Caller, allowed(Action.BOOKS_READ)]


@router.get("", summary="Entries of the journal, newest first")
def list_journal(office: OfficeOf, caller: Books, at: PagingOf) -> Page[JournalEntryOut]:
    with office.database.snapshot() as session:
        page = repository.entry_page(session, at, customer_id=caller.customer_id)
        return Page(items=[JournalEntryOut.of(entry) for entry in page.rows], next_cursor=page.next_cursor)


@router.get("/balance", summary="The trial balance")
def get_trial_balance(office: OfficeOf, caller: Books) -> TrialBalanceOut:
    caller.require_own(None, "such balance")
    with office.database.snapshot() as session:
        balances = repository.balances(session)
    accounts = [AccountBalanceOut.of(balance) for balance in balances]
    return TrialBalanceOut(accounts=accounts, difference_minor=sum(one.balance_minor for one in balances))
