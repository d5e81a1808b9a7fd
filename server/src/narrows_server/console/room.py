"""
A page's surroundings: who looks, what they may open, and how the house around the page is drawn.

    room: Annotated[Room, entering(Action.LICENSES_READ)]     a page, for whoever may
    form: Posted                                              what was filled in; see `gate`

One house for all: the vendor's people and a customer's people open the same pages, narrowed to what is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import Response

from narrows_server.access.caller import Caller
from narrows_server.access.roles import Action
from narrows_server.audit import Occasion
from narrows_server.console.gate import PagePermit
from narrows_server.console.rendering import page, redirect
from narrows_server.console.theme import theme_of
from narrows_server.errors import Invalid
from narrows_server.office import Office
from narrows_server.paging import Paging
from narrows_server.people.visitor import Visitor
from narrows_server.web import OfficeOf

PAGE_ROWS = 50

# What a page says after something was done. The address names the sentence; its text comes from here alone.
DONE = MappingProxyType(
    {
        "customer": "The customer was added.",
        "contract": "The contract was added.",
        "amended": "The amendment was recorded.",
        "tariff": "The tariff was added.",
        "issued": "The license was issued.",
        "renewed": "The license was renewed; the old one works until it expires.",
        "proposed": "It was proposed; somebody else has to approve it.",
        "suspended": "The license was suspended, and the next revocation list was published.",
        "reinstated": "The license was reinstated, and the next revocation list was published.",
        "revoked": "The license was revoked, and the next revocation list was published.",
        "sent": "The statement was sent to the customer.",
        "accepted": "You accepted the statement.",
        "disputed": "Your objection was recorded; the statement is not invoiced until it is settled.",
        "redrawn": "The statement was drawn up again from what is known now.",
        "credited": "The credit note was issued.",
        "paid": "The payment was recorded.",
        "closing": "The month is being closed.",
        "key-revoked": "The API key opens nothing any more.",
        "role": "The role was changed; their sessions have ended.",
        "disabled": "They cannot sign in any more.",
        "enabled": "They can sign in again.",
        "signed-out": "They were signed out everywhere.",
        "approved": "It was approved and done.",
        "rejected": "It was rejected; nothing was done.",
        "billing": "The billing profile was saved; invoices from now on follow it.",
        "cdn-invoice": "The CDN invoice was recorded; close the month again.",
        "rate": "The exchange rate was recorded; close the month again.",
        "limit": "The spend limit was set.",
        "invoice-issued": "The invoice was issued.",
        "tested": "A test is on its way; the deliveries below tell what came of it.",
        "replayed": "It is sent again, with the same id.",
        "webhook-on": "Events are sent again, with what waited.",
        "webhook-off": "Nothing more is sent to it.",
        "webhook-gone": "The webhook was removed.",
        "acknowledged": "The alert is acknowledged. It closes when its cause is gone.",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """An entry of the navigation."""

    path: str
    name: str
    group: str
    action: Action | None = None  # That it takes; None for everybody who is signed in.


_SECTIONS = (
    Section(path="/", name="Overview", group=""),
    Section(path="/alerts", name="Alerts", group="", action=Action.ALERTS_READ),
    Section(path="/customers", name="Customers", group="Business", action=Action.CUSTOMERS_READ),
    Section(path="/contracts", name="Contracts", group="Business", action=Action.CONTRACTS_READ),
    Section(path="/tariffs", name="Tariffs", group="Business", action=Action.CONTRACTS_READ),
    Section(path="/licenses", name="Licenses", group="Usage", action=Action.LICENSES_READ),
    Section(path="/installations", name="Installations", group="Usage", action=Action.INSTALLATIONS_READ),
    Section(path="/statements", name="Statements", group="Billing", action=Action.STATEMENTS_READ),
    Section(path="/invoices", name="Invoices", group="Billing", action=Action.INVOICES_READ),
    Section(path="/months", name="Month close", group="Billing", action=Action.BOOKS_READ),
    Section(path="/exports", name="Exports", group="Billing", action=Action.BOOKS_READ),
    Section(path="/proposals", name="Proposals", group="Office", action=Action.PROPOSALS_READ),
    Section(path="/keys", name="API keys", group="Office", action=Action.API_KEYS_READ),
    Section(path="/webhooks", name="Webhooks", group="Office", action=Action.WEBHOOKS_READ),
    Section(path="/people", name="People", group="Office", action=Action.PEOPLE_READ),
    Section(path="/audit", name="Audit trail", group="Office", action=Action.AUDIT_READ),
)
_WHAT_IS_SENT = Section(path="/what-is-sent", name="What is sent", group="Usage", action=Action.INSTALLATIONS_READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a page needs of its request."""

    request: Request
    office: Office
    visitor: Visitor

    @property
    def caller(self) -> Caller:
        """What whoever looks may do."""
        return self.visitor.caller

    @property
    def occasion(self) -> Occasion:
        """Now, and whoever looks."""
        return Occasion(actor=self.caller.actor, at=self.office.clock())

    @property
    def at(self) -> Paging:
        """Where a list goes on."""
        cursor = self.request.query_params.get("cursor")
        return Paging(cursor=cursor[:500] if cursor else None, limit=PAGE_ROWS)

    def asked(self, name: str) -> str:
        """A member of the address; "" if there is none."""
        return self.request.query_params.get(name, "")[:200]

    def page(self, name: str, *, status: int = 200, problem: str | None = None, **values: Any) -> Response:
        """The page of the template *name*, in its surroundings."""
        return page(
            name,
            status=status,
            problem=problem,
            theme=theme_of(self.request),
            here=self.request.url.path,
            sections=self._sections(),
            done=DONE.get(self.asked("done")),
            form_token=self.visitor.form_token,
            person=self.visitor.person,
            may=self.may,
            is_customer=self.caller.customer_id is not None,
            now=self.office.clock(),
            **values,
        )

    def part(self, name: str, **values: Any) -> Response:
        """A part of a page, for whoever has the page already."""
        return page(name, form_token=self.visitor.form_token, may=self.may, now=self.office.clock(), **values)

    def may(self, action: str) -> bool:
        """Whether whoever looks may take *action*, by its text: for templates."""
        return self.caller.may(Action(action))

    def to(self, path: str, done: str | None = None) -> Response:
        """Another page next, which says what was *done*."""
        assert done is None or done in DONE, done
        return redirect(f"{path}?{urlencode({'done': done})}" if done else path)

    def _sections(self) -> Iterable[Section]:
        sections = [one for one in _SECTIONS if one.action is None or self.caller.may(one.action)]
        if self.caller.customer_id is not None:
            place = 1 + max(
                (place for place, one in enumerate(sections) if one.group == "Usage"), default=len(sections) - 1
            )
            sections.insert(place, _WHAT_IS_SENT)
        return sections


class Door(PagePermit):
    """A `PagePermit` that gives the room behind it."""

    def __call__(self, request: Request, office: OfficeOf) -> Room:  # type: ignore[override]
        return Room(request=request, office=office, visitor=super().__call__(request, office))


def entering(action: Action | None) -> Any:
    """For `Annotated[Room, entering(Action.…)]`: whoever may take *action*; with None, whoever is signed in."""
    return Depends(Door(action))


def require_name(form: Any, name: str) -> None:
    """Whoever does what cannot be undone has typed the *name* of what it is done to. Raises `Invalid`."""
    if form.get("name_again", "").strip() != name:
        raise Invalid(f"type {name} to confirm; nothing was done")
