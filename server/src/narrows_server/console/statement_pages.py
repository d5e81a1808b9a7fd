"""Statements: the account of a month down to one asset's evidence, and what both sides do with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from narrows_metering.canonical import canonical_json
from narrows_metering.payload import Unreadable, read_evidence
from narrows_metering.record import Record
from sqlalchemy.orm import Session

from narrows_server.access.roles import Action
from narrows_server.console.curve import Curve, curve_of
from narrows_server.console.gate import Posted
from narrows_server.console.rendering import HEADERS
from narrows_server.console.room import Room, entering
from narrows_server.errors import Invalid, NotFound
from narrows_server.invoices.repository import get_by_statement
from narrows_server.rating import charges
from narrows_server.statements import life, pdf, repository, service
from narrows_server.statements.figures import figures_of
from narrows_server.statements.life import read_life
from narrows_server.statements.models import Statement
from narrows_server.statements.rollup import assets_of
from narrows_server.statements.standing import Standing
from narrows_server.usage import repository as usage

ASSETS_SHOWN = 100

router = APIRouter(prefix="/statements", tags=["statements"])

Reads = Annotated[Room, entering(Action.STATEMENTS_READ)]
Writes = Annotated[Room, entering(Action.STATEMENTS_WRITE)]
Answers = Annotated[Room, entering(Action.STATEMENTS_ANSWER)]


@router.get("")
def list_statements(room: Reads) -> Response:
    now = room.office.clock()
    with room.office.database.snapshot() as session:
        page = repository.statement_page(session, room.at, customer_id=room.caller.customer_id)
        steps = repository.steps_by_statement(session, [one.id for one in page.rows])
        rows = [(one, figures_of(one), read_life(steps.get(one.id, []), now=now)) for one in page.rows]
        return room.page("statements.html", statements=rows, page=page)


@router.get("/{statement_id}")
def show(statement_id: str, room: Reads) -> Response:
    return _page(room, statement_id)


@router.get("/{statement_id}/assets/{asset}")
def show_asset(statement_id: str, asset: str, room: Reads) -> Response:
    """Each rendition of one asset with the very record that measured it."""
    with room.office.database.snapshot() as session:
        statement = _require(session, room, statement_id)
        document = json.loads(statement.document)
        lines = [line for line in document["evidence"]["lines"] if line["asset"] == asset]
        if not lines:
            raise NotFound(f"statement {statement_id} has no asset {asset}")
        evidence = []
        for line in lines:
            source = line["record"]
            record = usage.get_record(session, source["installation_id"], source["seq"])
            evidence.append((line, record, None if record is None else _curve(record)))
        return room.page(
            "asset.html",
            statement=statement,
            asset=next(one for one in assets_of(document) if one.asset == asset),
            evidence=evidence,
            baseline=document["baseline"],
        )


def _curve(record: Record) -> Curve | None:
    """Of a ladder that was measured."""
    evidence = read_evidence(record.payload)
    if isinstance(evidence, Unreadable) or evidence.bytes_baseline is None or len(evidence.points) < 2:
        return None
    points = [(point.payload_bytes, point.score) for point in evidence.points]
    return curve_of(
        points, ours_bytes=evidence.bytes_ours, baseline_bytes=evidence.bytes_baseline, score=evidence.score
    )


@router.get("/{statement_id}/pdf")
def print_statement(statement_id: str, room: Reads) -> Response:
    document = _signed(room, statement_id)
    headers = {**HEADERS, "Content-Disposition": f'inline; filename="{statement_id}.pdf"'}
    return Response(pdf.render(document, statement_id), media_type="application/pdf", headers=headers)


@router.get("/{statement_id}/file")
def download(statement_id: str, room: Reads) -> Response:
    """The signed document that `narrows-recompute` reads."""
    content = canonical_json(_signed(room, statement_id)) + b"\n"
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{statement_id}.json"'}
    return Response(content, media_type="application/json", headers=headers)


@router.post("/{statement_id}/send")
def send(statement_id: str, room: Writes, form: Posted) -> Response:
    return _step(room, statement_id, "sent", lambda session, one: life.send(session, one, occasion=room.occasion))


@router.post("/{statement_id}/redraw")
def redraw(statement_id: str, room: Writes, form: Posted) -> Response:
    reason = form.get("reason", "").strip()

    def act(session: Session, statement: Statement) -> Statement:
        if not reason or len(reason) > life.REASON_CHARACTERS_MAX:
            raise Invalid("say why it is drawn up again")
        return service.draw_again(session, statement, reason=reason, occasion=room.occasion)

    return _step(room, statement_id, "redrawn", act)


@router.post("/{statement_id}/accept")
def accept(statement_id: str, room: Answers, form: Posted) -> Response:
    note = f"accepted in the portal by {room.visitor.person.email}"
    return _step(
        room,
        statement_id,
        "accepted",
        lambda session, one: life.accept(session, one, detail=note, occasion=room.occasion),
    )


@router.post("/{statement_id}/dispute")
def dispute(statement_id: str, room: Answers, form: Posted) -> Response:
    reason = form.get("reason", "")
    return _step(
        room,
        statement_id,
        "disputed",
        lambda session, one: life.dispute(session, one, reason=reason, occasion=room.occasion),
    )


def _step(room: Room, statement_id: str, done: str, act: Callable[[Session, Statement], object]) -> Response:
    """Take a step in a statement's life, and show where it stands then."""
    try:
        with room.office.database.transaction() as session:
            after = act(session, _require(session, room, statement_id))
            target = after.id if isinstance(after, Statement) else statement_id
    except Invalid as error:
        return _page(room, statement_id, problem=error.detail, status=error.status)
    return room.to(f"/statements/{target}", done)


def _page(room: Room, statement_id: str, *, problem: str | None = None, status: int = 200) -> Response:
    now = room.office.clock()
    with room.office.database.snapshot() as session:
        statement = _require(session, room, statement_id)
        document = json.loads(statement.document)
        steps = repository.list_steps(session, statement.id)
        assets = assets_of(document)
        invoice = get_by_statement(session, statement.id)
        return room.page(
            "statement.html",
            status=status,
            problem=problem,
            statement=statement,
            figures=figures_of(statement),
            document=document,
            life=read_life(steps, now=now),
            steps=steps,
            # The best and the worst: what lost is what people look for.
            assets=assets if len(assets) <= ASSETS_SHOWN else [*assets[:75], *assets[-25:]],
            assets_count=len(assets),
            lines=charges.lines_of(session, statement.id),
            invoice=invoice if invoice is not None and invoice.number else None,
        )


def _signed(room: Room, statement_id: str) -> dict[str, Any]:
    with room.office.database.snapshot() as session:
        return life.signed_document(session, _require(session, room, statement_id), room.office.keyring.receipt)


def _require(session: Session, room: Room, statement_id: str) -> Statement:
    """The statement; a draft, or somebody else's, does not exist for a customer. Raises `NotFound`."""
    statement = service.require_statement(session, statement_id)
    room.caller.require_own(statement.contract.customer_id, f"statement {statement_id}")
    if room.caller.customer_id is not None:
        known = life.life_of(session, statement, now=room.office.clock())
        if known.standing is Standing.DRAFT:
            raise NotFound(f"there is no statement {statement_id}")
    return statement
