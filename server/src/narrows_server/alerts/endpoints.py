"""Alerts for those who may see them; a customer sees those about itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy.orm import Session

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.alerts import repository, service
from narrows_server.alerts.schemas import AlertOut
from narrows_server.audit import Occasion
from narrows_server.paging import Page
from narrows_server.web import Change, OfficeOf, PagingOf, allowed, changing

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])

Reads = Annotated[Caller, allowed(Action.ALERTS_READ)]


@router.get("", summary="Alerts, newest first")
def list_alerts(
    office: OfficeOf,
    caller: Reads,
    at: PagingOf,
    is_open: Annotated[bool, Query(alias="open", description="Only those that are not closed.")] = False,
) -> Page[AlertOut]:
    with office.database.snapshot() as session:
        page = repository.alert_page(session, at, customer_id=caller.customer_id, is_open=is_open)
        return Page(items=[AlertOut.of(alert) for alert in page.rows], next_cursor=page.next_cursor)


@router.get("/{alert_id}", summary="One alert")
def get_alert(alert_id: str, office: OfficeOf, caller: Reads) -> AlertOut:
    with office.database.snapshot() as session:
        return AlertOut.of(service.require_alert(session, alert_id, caller))


@router.post("/{alert_id}/acknowledge", response_model=AlertOut, summary="Say that somebody looks at an alert")
def acknowledge_alert(alert_id: str, change: Annotated[Change, changing(Action.ALERTS_WRITE)]) -> Response:
    """It closes by itself when its cause is gone."""

    def acknowledge(session: Session, occasion: Occasion) -> AlertOut:
        alert = service.require_alert(session, alert_id, change.caller)
        service.acknowledge(session, alert, occasion=occasion)
        return AlertOut.of(alert)

    return change.once(acknowledge)
